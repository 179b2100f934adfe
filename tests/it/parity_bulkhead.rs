//! One scenario through every door of the bulkhead.

use std::sync::Arc;
use std::time::Duration;

use ft_runtime::{Bulkhead, Error, Rejected, bulkhead, site};
use ft_tower::BulkheadLayer;
use tokio::time::Instant;
use tower::{Layer, Service, service_fn};

use crate::events::Events;
use crate::flaky::{Script, Wrong};

type Outcome = Result<u32, Error<Wrong>>;

const MS: Duration = Duration::from_millis(1);

/// What the scenario looks like from outside, whatever the door: each call's outcome and when it came, the calls that were
/// made, the events, the fault log.
#[derive(Debug, PartialEq)]
struct Seen {
    outcomes: Vec<(Result<u32, String>, Duration)>,
    calls: u32,
    events: Vec<String>,
    faults: usize,
}

/// Two run, two wait, of which one in vain, two are refused at once; then all is free again.
async fn watch<F>(site: &'static str, script: Arc<Script>, door: impl Fn(Duration) -> F) -> Seen
where
    F: Future<Output = Outcome> + Send + 'static,
{
    let (events, began) = (Events::of(site), Instant::now());
    let mut asked: Vec<_> = Vec::new();
    for takes in [10, 60, 60, 10, 10, 10] {
        let call = door(takes * MS);
        asked.push(tokio::spawn(async move { (call.await.map_err(|error| error.to_string()), began.elapsed()) }));
        tokio::task::yield_now().await;
    }
    let mut outcomes = Vec::new();
    for asked in asked {
        outcomes.push(asked.await.unwrap());
    }
    outcomes.push((door(MS).await.map_err(|error| error.to_string()), began.elapsed()));
    let listed = ft_runtime::sites().into_iter().filter(|listed| listed.path() == site);
    Seen {
        outcomes,
        calls: script.calls(),
        events: events.seen(),
        faults: listed.map(|site| site.faults().len()).sum(),
    }
}

fn script() -> Arc<Script> {
    Arc::new(Script::new([Ok(1), Err(Wrong::Passing), Ok(3), Ok(4)]))
}

async fn work(script: Arc<Script>, takes: Duration) -> Outcome {
    tokio::time::sleep(takes).await;
    script.play().map_err(Error::Failed)
}

#[bulkhead(2, queue = 2, max_wait = 30ms, name = "bulkhead parity: attribute")]
async fn annotated(script: Arc<Script>, takes: Duration) -> Outcome {
    work(script, takes).await
}

#[tokio::test(start_paused = true)]
async fn the_bulkhead_does_the_same_behind_every_door() {
    const POLICY: fn() -> Bulkhead = || Bulkhead::new(2).queue(2).max_wait(30 * MS);

    let played = script();
    let site = "bulkhead parity: attribute";
    let attribute = watch(site, Arc::clone(&played), |takes| annotated(Arc::clone(&played), takes)).await;

    let (played, policy) = (script(), Arc::new(POLICY()));
    let call = watch("bulkhead parity: call", Arc::clone(&played), |takes| {
        let (played, policy) = (Arc::clone(&played), Arc::clone(&policy));
        async move { policy.at(site!("bulkhead parity: call")).run(work(played, takes)).await }
    })
    .await;

    let (played, policy) = (script(), Arc::new(POLICY()));
    let inner = Arc::clone(&played);
    let service = BulkheadLayer::new(policy)
        .at(site!("bulkhead parity: layer"))
        .layer(service_fn(move |takes| work(Arc::clone(&inner), takes)));
    let layer = watch("bulkhead parity: layer", played, |takes| service.clone().call(takes)).await;

    assert_eq!(attribute, call);
    assert_eq!(attribute, layer);
    let full = || Err(Rejected::BulkheadFull.to_string());
    let expected = [
        (Ok(1), 10 * MS),
        (Err("Passing".to_owned()), 60 * MS),
        (Ok(3), 70 * MS),
        (full(), 30 * MS),
        (full(), Duration::ZERO),
        (full(), Duration::ZERO),
        (Ok(4), 71 * MS),
    ];
    assert_eq!(attribute.outcomes, expected);
    assert_eq!((attribute.calls, attribute.faults), (4, 0), "a refusal makes no call and is no fault");
    assert_eq!(attribute.events, ["refused"; 3]);
}

#[bulkhead(1)]
fn blocking(inside: &dyn Fn()) -> Outcome {
    inside();
    Ok(1)
}

#[test]
fn case_17_a_bulkhead_refuses_with_an_error_value_at_blocking_doors_too() {
    let refused = |outcome: Outcome| matches!(outcome, Err(Error::Rejected(Rejected::BulkheadFull)));
    assert!(blocking(&|| assert!(refused(blocking(&|| unreachable!("full"))))).is_ok());
    let policy = Bulkhead::new(1);
    let inner = || policy.run_blocking(|| -> Outcome { unreachable!("full") });
    assert!(policy.run_blocking(|| -> Outcome { Ok(u32::from(refused(inner()))) }).is_ok_and(|refused| refused == 1));
}
