//! One scenario through every door: attribute, call, layer. A policy is a row.

use std::sync::Arc;
use std::time::Duration;

use ft_runtime::{Backoff, Error, Failover, Jitter, Pool, Rejected, Retry, failover, retry, site};
use ft_tower::RetryLayer;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::events::Events;
use crate::flaky::{Script, Wrong};

/// What a scenario looks like from outside, whatever the door.
#[derive(Debug, PartialEq)]
struct Seen {
    outcome: Result<u32, Wrong>,
    calls: u32,
    took: Duration,
    events: Vec<String>,
    faults: Vec<(String, u64)>,
}

async fn watch(site: &'static str, script: &Script, call: impl Future<Output = Result<u32, Wrong>>) -> Seen {
    let (events, began) = (Events::of(site), tokio::time::Instant::now());
    let outcome = call.await;
    let faults = ft_runtime::sites().into_iter().filter(|listed| listed.path() == site).flat_map(|site| site.faults());
    Seen {
        outcome,
        calls: script.calls(),
        took: began.elapsed(),
        events: events.seen(),
        faults: faults.map(|fault| (fault.what, fault.count)).collect(),
    }
}

/// Four failures of four kinds, then a success that comes too late.
fn scenario() -> [Result<u32, Wrong>; 5] {
    [
        Err(Wrong::Passing),
        Err(Wrong::NeverSent),
        Err(Wrong::Busy(Some(Duration::from_secs(3)))),
        Err(Wrong::Passing),
        Ok(5),
    ]
}

static POLICY: Retry =
    Retry::new().max_attempts(4).backoff(Backoff::exponential(Duration::from_millis(100)).jitter(Jitter::None));

#[retry(POLICY, name = "parity: attribute")]
async fn annotated(script: &Script) -> Result<u32, Wrong> {
    script.play()
}

#[tokio::test(start_paused = true)]
async fn retry_does_the_same_behind_every_door() {
    let script = Script::new(scenario());
    let attribute = watch("parity: attribute", &script, annotated(&script)).await;

    let script = Script::new(scenario());
    let call = watch("parity: call", &script, POLICY.at(site!("parity: call")).call(async || script.play())).await;

    let script = Arc::new(Script::new(scenario()));
    let inner = Arc::clone(&script);
    let mut service = RetryLayer::new(POLICY).at(site!("parity: layer")).layer(service_fn(move |()| {
        let script = Arc::clone(&inner);
        async move { script.play() }
    }));
    let layer = watch("parity: layer", &script, service.ready().await.unwrap().call(())).await;

    assert_eq!(attribute, call);
    assert_eq!(attribute, layer);
    assert_eq!(
        (attribute.outcome, attribute.calls, attribute.took),
        (Err(Wrong::Passing), 4, Duration::from_millis(3300))
    );
    assert_eq!(attribute.events.len(), 4);
}

/// Two scripts behind one name each: the first target fails in three ways, the second one answers.
fn targets() -> Pool<Arc<Script>> {
    let failing = [Err(Wrong::Passing), Err(Wrong::NeverSent), Err(Wrong::ForGood)];
    Pool::of([
        ("first", Arc::new(Script::new(failing))),
        ("second", Arc::new(Script::new([Ok(2), Err(Wrong::Passing)]))),
    ])
}

/// The calls of one scenario: each outcome, and how often each target was asked by then.
type Asked = Vec<(Result<u32, Wrong>, Vec<u32>)>;

fn asked(pool: &Pool<Arc<Script>>, outcome: Result<u32, Wrong>) -> (Result<u32, Wrong>, Vec<u32>) {
    (outcome, pool.iter().map(|target| target.calls()).collect())
}

static MOVES_ON: Failover = Failover::new().eject_after(10);

#[failover(MOVES_ON, script in pool, name = "failover parity: attribute")]
async fn over(pool: &Pool<Arc<Script>>) -> Result<u32, Error<Wrong>> {
    script.play().map_err(Error::Failed)
}

fn wrong(error: Error<Wrong>) -> Wrong {
    match error {
        Error::Failed(wrong) => wrong,
        Error::Rejected(rejected) => panic!("{rejected}"),
    }
}

#[tokio::test(start_paused = true)]
async fn failover_does_the_same_behind_every_door() {
    let watched = ["failover parity: attribute", "failover parity: call", "failover parity: layer"];
    let events = watched.map(Events::of);

    let (pool, mut attribute) = (targets(), Asked::new());
    for _ in 0..3 {
        attribute.push(asked(&pool, over(&pool).await.map_err(wrong)));
    }

    let (pool, mut call) = (targets(), Asked::new());
    for _ in 0..3 {
        let site = site!("failover parity: call");
        let play = async |script: ft_runtime::Target<Arc<Script>>| script.play().map_err(Error::Failed);
        call.push(asked(&pool, MOVES_ON.at(site).call(&pool, play).await.map_err(wrong)));
    }

    let (pool, mut layer) = (targets(), Asked::new());
    let service = |script: &Arc<Script>| {
        let script = Arc::clone(script);
        service_fn(move |()| std::future::ready(script.play().map_err(Error::Failed)))
    };
    let mut service = ft_tower::Failover::over(MOVES_ON, &pool, service).at(site!("failover parity: layer"));
    for _ in 0..3 {
        layer.push(asked(&pool, service.ready().await.unwrap().call(()).await.map_err(wrong)));
    }

    assert_eq!(attribute, call);
    assert_eq!(attribute, layer);
    let outcomes: Vec<_> = attribute.into_iter().map(|(outcome, _)| outcome).collect();
    assert_eq!(outcomes, [Ok(2), Err(Wrong::Passing), Err(Wrong::ForGood)]);
    let [attribute, call, layer] = events.map(|events| events.seen());
    assert_eq!(attribute, call);
    assert_eq!(attribute, layer);
    assert!(attribute.contains(&"failed over from first to second".to_owned()), "{attribute:?}");
}

#[tokio::test(start_paused = true)]
async fn case_17_a_refusal_is_an_error_value_at_every_door() {
    let nobody: Pool<Arc<Script>> = Pool::new();
    let refused = |outcome| matches!(outcome, Err(Error::Rejected(Rejected::NoTarget)));
    assert!(refused(over(&nobody).await));
    assert!(refused(MOVES_ON.call(&nobody, async |_| Err(Error::Failed(Wrong::Passing))).await));
    let play = |_: &Arc<Script>| service_fn(|()| std::future::ready(Err(Error::Failed(Wrong::Passing))));
    assert!(refused(ft_tower::Failover::over(MOVES_ON, &nobody, play).ready().await.unwrap().call(()).await));
}
