//! One scenario through every door of the coalesce.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ft_runtime::{Coalesce, Error, Rejected, coalesce, site};
use ft_tower::CoalesceLayer;
use tower::{Layer, ServiceExt, service_fn};

use crate::events::Events;
use crate::flaky::Wrong;

type Outcome = Result<u32, Error<Wrong>>;

/// What it looks like from outside, whatever the door.
#[derive(Debug, PartialEq)]
struct Seen {
    outcomes: Vec<Result<Outcome, String>>,
    calls: u32,
    events: Vec<String>,
}

const MS: Duration = Duration::from_millis(1);

/// Each execution takes a while and answers with its number; key 2 fails, key 3 panics.
#[derive(Default)]
struct Script(AtomicU32);

impl Script {
    async fn play(&self, key: u32) -> Outcome {
        let call = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        tokio::time::sleep(10 * MS).await;
        match key {
            2 => Err(Error::Failed(Wrong::Passing)),
            3 => panic!("a panic of the leader"),
            _ => Ok(call),
        }
    }
}

/// Three callers for each key; the first one of key 4 leaves, and so another one takes over.
async fn watch<F>(site: &'static str, script: &Script, door: impl Fn(u32) -> F) -> Seen
where
    F: Future<Output = Outcome> + Send + 'static,
{
    let events = Events::of(site);
    let mut outcomes = Vec::new();
    for key in 1..=4 {
        let callers: Vec<_> = (0..3).map(|_| tokio::spawn(door(key))).collect();
        tokio::time::sleep(5 * MS).await;
        if key == 4 {
            callers[0].abort();
        }
        for caller in callers {
            outcomes.push(caller.await.map_err(|error| if error.is_panic() { "panicked" } else { "left" }.to_owned()));
        }
    }
    Seen { outcomes, calls: script.0.load(Ordering::SeqCst), events: events.seen() }
}

#[coalesce(key = key, name = "coalesce parity: attribute")]
async fn annotated(script: Arc<Script>, key: u32) -> Outcome {
    script.play(key).await
}

#[tokio::test(start_paused = true)]
async fn the_coalesce_does_the_same_behind_every_door() {
    static POLICY: Coalesce = Coalesce::new();

    let script = Arc::new(Script::default());
    let attribute = watch("coalesce parity: attribute", &script, |key| annotated(Arc::clone(&script), key)).await;

    let script = Arc::new(Script::default());
    let door = |key| {
        let script = Arc::clone(&script);
        async move { POLICY.at(site!("coalesce parity: call")).run(key, script.play(key)).await }
    };
    let call = watch("coalesce parity: call", &script, door).await;

    let script = Arc::new(Script::default());
    let inner = Arc::clone(&script);
    let layer = CoalesceLayer::new(&POLICY, |key: &u32| *key).at(site!("coalesce parity: layer"));
    let service = layer.layer(service_fn(move |key| {
        let script = Arc::clone(&inner);
        async move { script.play(key).await }
    }));
    let layer = watch("coalesce parity: layer", &script, |key| service.clone().oneshot(key)).await;

    assert_eq!(attribute, call);
    assert_eq!(attribute, layer);
    let failed = || Ok(Err(Error::Failed(Wrong::Passing)));
    let panicked = || Ok(Err(Error::Rejected(Rejected::LeaderPanicked)));
    let mut expected = vec![Ok(Ok(1)), Ok(Ok(1)), Ok(Ok(1)), failed(), failed(), failed()];
    expected.extend([Err("panicked".to_owned()), panicked(), panicked()]);
    expected.extend([Err("left".to_owned()), Ok(Ok(5)), Ok(Ok(5))]);
    assert_eq!(attribute.outcomes, expected);
    assert_eq!(attribute.events, ["took_over"]);
}
