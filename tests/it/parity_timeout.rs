//! One scenario through every door of the timeout.

use std::sync::Arc;
use std::time::Duration;

use ft_runtime::{Deadline, Error, Rejected, Timeout, site, timeout};
use ft_tower::TimeoutLayer;
use tokio::time::Instant;
use tower::{Layer, Service, service_fn};

use crate::events::Events;
use crate::flaky::{Script, Wrong};

type Outcome = Result<u32, Error<Wrong>>;

const MS: Duration = Duration::from_millis(1);

const POLICY: Timeout = Timeout::new(Duration::from_millis(100));

/// What the scenario looks like from outside, whatever the door: each call's outcome and how long it took, the bodies that
/// ran, the events, the fault log.
#[derive(Debug, PartialEq)]
struct Seen {
    outcomes: Vec<(Outcome, Duration)>,
    bodies: u32,
    events: Vec<String>,
    faults: Vec<(String, u64)>,
    calls: u64,
}

/// Ready at once, within the limit, a failure within the limit, at the limit, beyond it; then under deadlines that leave
/// less than the limit, and nothing.
async fn watch<F: Future<Output = Outcome>>(site: &'static str, door: impl Fn(Arc<Script>, Duration) -> F) -> Seen {
    let script = Arc::new(Script::new([Ok(1), Ok(2), Err(Wrong::Passing), Ok(4), Ok(5)]));
    let (events, mut outcomes) = (Events::of(site), Vec::new());
    for takes in [0, 50, 50, 100, 3600] {
        let began = Instant::now();
        outcomes.push((door(Arc::clone(&script), takes * MS).await, began.elapsed()));
    }
    for left in [30, 0] {
        let began = Instant::now();
        let call = async { door(Arc::clone(&script), 50 * MS).await };
        outcomes.push((Deadline::after(left * MS).scope(call).await, began.elapsed()));
    }
    let listed = ft_runtime::sites().into_iter().find(|listed| listed.path() == site).unwrap();
    Seen {
        outcomes,
        bodies: script.calls(),
        events: events.seen(),
        faults: listed.faults().into_iter().map(|fault| (fault.what, fault.count)).collect(),
        calls: listed.calls(),
    }
}

async fn work(script: Arc<Script>, takes: Duration) -> Outcome {
    let outcome = script.play();
    if !takes.is_zero() {
        tokio::time::sleep(takes).await;
    }
    outcome.map_err(Error::Failed)
}

#[timeout(POLICY, name = "timeout parity: attribute")]
async fn annotated(script: Arc<Script>, takes: Duration) -> Outcome {
    work(script, takes).await
}

#[tokio::test(start_paused = true)]
async fn timeout_does_the_same_behind_every_door() {
    let attribute = watch("timeout parity: attribute", annotated).await;

    let named = POLICY.at(site!("timeout parity: call"));
    let call = watch("timeout parity: call", |script, takes| named.run(work(script, takes))).await;

    let named = TimeoutLayer::new(POLICY).at(site!("timeout parity: layer"));
    let layer = watch("timeout parity: layer", |script, takes| {
        named.layer(service_fn(move |()| work(Arc::clone(&script), takes))).call(())
    })
    .await;

    assert_eq!(attribute, call);
    assert_eq!(attribute, layer);
    let late = |limit: u32| Err(Error::Rejected(Rejected::TimedOut { limit: limit * MS }));
    let expected = [
        (Ok(1), 0),
        (Ok(2), 50),
        (Err(Error::Failed(Wrong::Passing)), 50),
        (Ok(4), 100),
        (late(100), 100),
        (late(30), 30),
        (Err(Error::Rejected(Rejected::DeadlinePassed)), 0),
    ];
    assert_eq!(attribute.outcomes, expected.map(|(outcome, took)| (outcome, took * MS)));
    assert_eq!((attribute.bodies, attribute.calls), (6, 7), "the last one never ran");
    assert_eq!(attribute.events, ["refused"; 3]);
    assert_eq!(attribute.faults, [("timed out".to_owned(), 2)]);
}
