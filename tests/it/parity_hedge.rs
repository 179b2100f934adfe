//! One scenario through every door of the hedge.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ft_runtime::{Hedge, Site, hedge, site};
use ft_tower::HedgeLayer;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

use crate::events::Events;
use crate::flaky::Wrong;

type Outcome = Result<u32, Wrong>;

/// What it looks like from outside, whatever the door.
#[derive(Debug, PartialEq)]
struct Seen {
    outcomes: Vec<(Outcome, Duration)>,
    calls: u32,
    events: Vec<String>,
    faults: Vec<(String, u64)>,
}

const MS: Duration = Duration::from_millis(1);

/// How long each call takes, and what comes of it: alone and fast; a slow one that loses; one that fails at once and is
/// made good; a hedge that fails; a permanent error; all fail.
#[derive(Default)]
struct Script(AtomicU32);

impl Script {
    const CALLS: [(u32, Outcome); 10] = [
        (2, Ok(1)),
        (90, Ok(2)),
        (5, Ok(3)),
        (0, Err(Wrong::Passing)),
        (4, Ok(5)),
        (30, Ok(6)),
        (1, Err(Wrong::NeverSent)),
        (0, Err(Wrong::ForGood)),
        (1, Err(Wrong::Passing)),
        (3, Err(Wrong::NeverSent)),
    ];

    async fn play(&self) -> Outcome {
        let (takes, outcome) = Self::CALLS[self.0.fetch_add(1, Ordering::SeqCst) as usize].clone();
        if takes > 0 {
            tokio::time::sleep(takes * MS).await;
        }
        outcome
    }
}

async fn watch<F: Future<Output = Outcome>>(site: &'static str, script: &Script, door: impl Fn() -> F) -> Seen {
    let events = Events::of(site);
    let mut outcomes = Vec::new();
    for _ in 0..6 {
        let began = Instant::now();
        let outcome = door().await;
        outcomes.push((outcome, began.elapsed()));
    }
    let listed = ft_runtime::sites().into_iter().filter(|listed: &&Site| listed.path() == site);
    let faults = listed.flat_map(|site| site.faults()).map(|fault| (fault.what, fault.count)).collect();
    Seen { outcomes, calls: script.0.load(Ordering::SeqCst), events: events.seen(), faults }
}

static POLICY: Hedge = Hedge::new().after(Duration::from_millis(10));

#[hedge(after = 10ms, name = "hedge parity: attribute")]
async fn annotated(script: &Script) -> Outcome {
    script.play().await
}

#[tokio::test(start_paused = true)]
async fn the_hedge_does_the_same_behind_every_door() {
    let script = Script::default();
    let attribute = watch("hedge parity: attribute", &script, || annotated(&script)).await;

    let script = Script::default();
    let policy = POLICY.at(site!("hedge parity: call"));
    let call = watch("hedge parity: call", &script, || policy.call(|| script.play())).await;

    let script = Arc::new(Script::default());
    let inner = Arc::clone(&script);
    let service = HedgeLayer::new(&POLICY).at(site!("hedge parity: layer")).layer(service_fn(move |()| {
        let script = Arc::clone(&inner);
        async move { script.play().await }
    }));
    let layer = watch("hedge parity: layer", &script, || service.clone().oneshot(())).await;

    assert_eq!(attribute, call);
    assert_eq!(attribute, layer);
    let expected = [
        (Ok(1), 2 * MS),
        (Ok(3), 15 * MS),
        (Ok(5), 4 * MS),
        (Ok(6), 30 * MS),
        (Err(Wrong::ForGood), Duration::ZERO),
        (Err(Wrong::Passing), 4 * MS),
    ];
    assert_eq!(attribute.outcomes, expected);
    assert_eq!(attribute.events, ["hedged", "hedge_won", "hedged", "hedge_won", "hedged", "hedged"]);
}
