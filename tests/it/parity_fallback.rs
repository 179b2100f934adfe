//! One scenario through every door of the fallback.

use std::sync::Arc;

use ft_runtime::{Fallback, fallback, site};
use ft_tower::FallbackLayer;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::events::Events;
use crate::flaky::{Script, Wrong};

type Outcome = Result<u32, Wrong>;

/// What it looks like from outside, whatever the door.
#[derive(Debug, PartialEq)]
struct Seen {
    outcomes: Vec<Outcome>,
    calls: u32,
    events: Vec<String>,
    faults: Vec<(String, u64)>,
}

/// A success, what has a fallback, what has none, a refusal, and a fallback that fails.
fn script() -> Arc<Script> {
    use std::time::Duration;
    Arc::new(Script::new([
        Ok(1),
        Err(Wrong::Passing),
        Err(Wrong::ForGood),
        Err(Wrong::Refused(Duration::ZERO)),
        Err(Wrong::Busy(None)),
    ]))
}

async fn instead(error: Wrong) -> Outcome {
    match error {
        Wrong::Busy(_) => Err(Wrong::NeverSent),
        _ => Ok(100),
    }
}

async fn watch<F: Future<Output = Outcome>>(site: &'static str, script: &Script, door: impl Fn() -> F) -> Seen {
    let events = Events::of(site);
    let mut outcomes = Vec::new();
    for _ in 0..5 {
        outcomes.push(door().await);
    }
    let listed = ft_runtime::sites().into_iter().filter(|listed| listed.path() == site);
    let faults = listed.flat_map(|site| site.faults()).map(|fault| (fault.what, fault.count)).collect();
    Seen { outcomes, calls: script.calls(), events: events.seen(), faults }
}

#[fallback(with = instead, name = "fallback parity: attribute")]
async fn annotated(script: &Script) -> Outcome {
    script.play()
}

#[fallback(with = |error| if matches!(error, Wrong::Busy(_)) { Err(Wrong::NeverSent) } else { Ok(100) },
    name = "fallback parity: blocking attribute")]
fn blocking(script: &Script) -> Outcome {
    script.play()
}

#[tokio::test]
async fn the_fallback_does_the_same_behind_every_door() {
    let one = script();
    let attribute = watch("fallback parity: attribute", &one, || annotated(&one)).await;

    let one = script();
    let sync = watch("fallback parity: blocking attribute", &one, async || blocking(&one)).await;

    let one = script();
    let policy = Fallback::new().at(site!("fallback parity: call"));
    let call = watch("fallback parity: call", &one, || policy.run(async { one.play() }, instead)).await;

    let one = script();
    let inner = Arc::clone(&one);
    let service = FallbackLayer::with(instead)
        .at(site!("fallback parity: layer"))
        .layer(service_fn(move |()| std::future::ready(inner.play())));
    let layer = watch("fallback parity: layer", &one, || service.clone().oneshot(())).await;

    assert_eq!(attribute, sync);
    assert_eq!(attribute, call);
    assert_eq!(attribute, layer);
    assert_eq!(attribute.outcomes, [Ok(1), Ok(100), Err(Wrong::ForGood), Ok(100), Err(Wrong::NeverSent)]);
    assert_eq!(attribute.events, ["substituted"; 3]);
    let faults = ["Wrong::Passing", "Wrong::Refused", "Wrong::Busy"].map(|what| (what.to_owned(), 1));
    assert_eq!(attribute.faults, faults);
}

#[fallback(value = 7, unless = Wrong::NeverSent)]
async fn with_value(script: &Script) -> Outcome {
    script.play()
}

#[fallback(to = other, on = Wrong::ForGood)]
async fn with_function(script: &Script, id: u32) -> Outcome {
    script.play().map(|played| played + id)
}

async fn other(_: &Script, id: u32) -> Outcome {
    Ok(id * 10)
}

/// The same judgement and the same kinds of answers, at the attribute and at the layer.
#[tokio::test]
async fn values_and_functions_of_the_request_answer_alike() {
    for wrong in [Wrong::NeverSent, Wrong::ForGood, Wrong::Passing] {
        let script = Arc::new(Script::always(wrong.clone()));
        let inner = service_fn({
            let script = Arc::clone(&script);
            move |id: u32| std::future::ready(script.play().map(|played| played + id))
        });
        let mut value = FallbackLayer::value(7).unless(|error: &Wrong| *error == Wrong::NeverSent).layer(inner.clone());
        assert_eq!(with_value(&script).await, value.ready().await.unwrap().call(1).await, "{wrong:?}");

        let to = FallbackLayer::to(async |id| Outcome::Ok(id * 10));
        let mut function = to.when(|error: &Wrong| *error == Wrong::ForGood).layer(inner);
        assert_eq!(with_function(&script, 3).await, function.ready().await.unwrap().call(3).await, "{wrong:?}");
    }
}
