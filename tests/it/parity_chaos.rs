//! One scenario through every door of chaos.

use std::sync::Arc;
use std::time::Duration;

use ft_runtime::{Chaos, Error, chaos, site};
use ft_tower::ChaosLayer;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

use crate::events::Events;
use crate::flaky::{Script, Wrong};

type Outcome = Result<u32, Error<Wrong>>;

/// What it looks like from outside, whatever the door.
#[derive(Debug, PartialEq)]
struct Seen {
    outcomes: Vec<(Result<Outcome, ()>, Duration)>,
    calls: u32,
    events: Vec<String>,
}

async fn watch<F>(site: &'static str, script: &Script, door: impl Fn() -> F) -> Seen
where
    F: Future<Output = Outcome> + Send + 'static,
{
    let events = Events::of(site);
    let mut outcomes = Vec::new();
    for _ in 0..40 {
        let began = Instant::now();
        let outcome = tokio::spawn(door()).await.map_err(|panicked| assert!(panicked.is_panic()));
        outcomes.push((outcome, began.elapsed()));
    }
    Seen { outcomes, calls: script.calls(), events: events.seen() }
}

#[chaos(errors = 0.3, latency = 0.3, delay = 20ms, panics = 0.1, seed = 7, name = "chaos parity: attribute")]
async fn annotated(script: Arc<Script>) -> Outcome {
    script.play().map_err(Error::Failed)
}

const fn policy() -> Chaos {
    Chaos::new().errors(0.3).latency(0.3).delay(Duration::from_millis(20)).panics(0.1).seed(7)
}

fn script() -> Arc<Script> {
    Arc::new(Script::new([Ok(1), Err(Wrong::Passing), Ok(3)]))
}

#[tokio::test(start_paused = true)]
async fn chaos_does_the_same_behind_every_door_and_nothing_when_it_is_off() {
    static CALLED: Chaos = policy();
    static STACKED: Chaos = policy();
    let one = script();
    assert_eq!(annotated(Arc::clone(&one)).await, Ok(1), "off");
    let _on = ft_runtime::chaos::scoped();

    let one = script();
    let attribute = watch("chaos parity: attribute", &one, || annotated(Arc::clone(&one))).await;

    let one = script();
    let door = || {
        let script = Arc::clone(&one);
        async move { CALLED.at(site!("chaos parity: call")).run(async { script.play().map_err(Error::Failed) }).await }
    };
    let call = watch("chaos parity: call", &one, door).await;

    let one = script();
    let inner = Arc::clone(&one);
    let service = ChaosLayer::new(&STACKED)
        .at(site!("chaos parity: layer"))
        .layer(service_fn(move |()| std::future::ready(inner.play().map_err(Error::Failed))));
    let layer = watch("chaos parity: layer", &one, || service.clone().oneshot(())).await;

    assert_eq!(attribute, call);
    assert_eq!(attribute, layer);
    assert!(attribute.events.len() > 10 && attribute.events.iter().all(|event| event == "injected"));
    assert!((15..35).contains(&attribute.calls), "{}", attribute.calls);
}
