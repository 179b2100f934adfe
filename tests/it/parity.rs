//! One scenario through every door: attribute, call, layer. A policy is a row.

use std::sync::Arc;
use std::time::Duration;

use ft_runtime::{Backoff, Jitter, Retry, retry, site};
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
