//! One scenario through every door of the circuit breaker.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ft_runtime::observe::{self, Subscription, What};
use ft_runtime::{
    Backoff, CircuitBreaker, CircuitSnapshot, Error, Jitter, Keyed, Rejected, circuit_breaker, retry, site,
};
use ft_tower::CircuitBreakerLayer;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::flaky::{Script, Wrong};

type Outcome = Result<u32, Error<Wrong>>;

const SECOND: Duration = Duration::from_secs(1);

/// What the scenario looks like from outside, whatever the door.
#[derive(Debug, PartialEq)]
struct Seen {
    outcomes: Vec<Result<u32, String>>,
    calls: u32,
    events: Vec<String>,
    faults: usize,
    at_last: CircuitSnapshot,
}

/// Changes of state and refusals of one site, with all that they tell.
struct Told {
    lines: Arc<Mutex<Vec<String>>>,
    _listening: Subscription,
}

impl Told {
    fn of(site: &'static str) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&lines);
        let listening = observe::subscribe(move |event| {
            if event.site == site {
                into.lock().unwrap().push(match &event.what {
                    What::Circuit { key, from, to, why } => format!("{key}{from} -> {to}: {why}"),
                    What::Refused { reason, retry_after, .. } => format!("refused: {reason}, {retry_after:?}"),
                    other => other.name().to_owned(),
                });
            }
        });
        Self { lines, _listening: listening }
    }
}

/// Four calls that open it, two refusals, a probe that fails, a probe that goes well, and a call after that.
async fn watch(
    site: &'static str,
    breaker: &CircuitBreaker,
    script: &Script,
    mut door: impl AsyncFnMut() -> Outcome,
) -> Seen {
    let told = Told::of(site);
    let mut outcomes = Vec::new();
    for pause in [0, 0, 0, 0, 0, 400, 600, 0, 2000, 0] {
        tokio::time::advance(Duration::from_millis(pause)).await;
        outcomes.push(door().await.map_err(|error| error.to_string()));
    }
    let listed = ft_runtime::sites().into_iter().filter(|listed| listed.path() == site);
    let events = told.lines.lock().unwrap().clone();
    Seen {
        outcomes,
        calls: script.calls(),
        events,
        faults: listed.map(|site| site.faults().len()).sum(),
        at_last: breaker.snapshot(),
    }
}

/// A success, an answer that is an error for good, two failures; then the probes.
fn script() -> Script {
    let answers =
        [Ok(1), Err(Wrong::ForGood), Err(Wrong::Passing), Err(Wrong::NeverSent), Err(Wrong::Passing), Ok(6), Ok(7)];
    Script::new(answers)
}

const fn policy() -> CircuitBreaker {
    CircuitBreaker::new().min_calls(4).open(SECOND).max_open(Duration::from_secs(9))
}

static ANNOTATED: CircuitBreaker = policy();

#[circuit_breaker(ANNOTATED, name = "breaker parity: attribute")]
async fn annotated(script: &Script) -> Outcome {
    script.play().map_err(Error::Failed)
}

static BLOCKING: CircuitBreaker = policy();

#[circuit_breaker(BLOCKING, name = "breaker parity: blocking")]
fn blocking(script: &Script) -> Outcome {
    script.play().map_err(Error::Failed)
}

#[tokio::test(start_paused = true)]
async fn the_breaker_does_the_same_behind_every_door() {
    let played = script();
    let site = "breaker parity: attribute";
    let attribute = watch(site, &ANNOTATED, &played, async || annotated(&played).await).await;

    let played = script();
    let sync = watch("breaker parity: blocking", &BLOCKING, &played, async || blocking(&played)).await;

    let (played, breaker) = (script(), policy());
    let door = async || {
        let with = breaker.at(site!("breaker parity: call"));
        with.run(async { played.play().map_err(Error::Failed) }).await
    };
    let call = watch("breaker parity: call", &breaker, &played, door).await;

    let (played, breaker) = (Arc::new(script()), Arc::new(policy()));
    let inner = Arc::clone(&played);
    let service = service_fn(move |()| std::future::ready(inner.play().map_err(Error::Failed)));
    let mut service = CircuitBreakerLayer::new(&breaker).at(site!("breaker parity: layer")).layer(service);
    let door = async || service.ready().await.unwrap().call(()).await;
    let layer = watch("breaker parity: layer", &breaker, &played, door).await;

    assert_eq!(attribute, sync);
    assert_eq!(attribute, call);
    assert_eq!(attribute, layer);
    let open = |millis| Err(Rejected::CircuitOpen { retry_after: Duration::from_millis(millis) }.to_string());
    let passing = || Err(Wrong::Passing.to_string());
    let expected = [
        Ok(1),
        Err(Wrong::ForGood.to_string()),
        passing(),
        Err(Wrong::NeverSent.to_string()),
        open(1000),
        open(600),
        passing(),
        open(2000),
        Ok(6),
        Ok(7),
    ];
    assert_eq!(attribute.outcomes, expected);
    assert_eq!((attribute.calls, attribute.faults), (7, 0), "a refusal makes no call and is no fault");
    assert_eq!(
        attribute.events,
        [
            "closed -> open: failure_rate",
            "refused: circuit_open, Some(1s)",
            "refused: circuit_open, Some(600ms)",
            "open -> half_open: open_period_over",
            "half_open -> open: probe_failed",
            "refused: circuit_open, Some(2s)",
            "open -> half_open: open_period_over",
            "half_open -> closed: probes_passed",
        ]
    );
    assert_eq!((attribute.at_last.calls, attribute.at_last.refused, attribute.at_last.opened), (1, 3, 2));
}

static TENANTS: Keyed<CircuitBreaker> = Keyed::new(CircuitBreaker::new().consecutive(1)).max_keys(50);

#[circuit_breaker(TENANTS, key = tenant)]
async fn of_tenant(tenant: &str, outcome: Outcome) -> Outcome {
    outcome
}

#[circuit_breaker(consecutive = 1, key = tenant, max_keys = 2)]
fn of_tenant_of_its_own(tenant: u32, outcome: Outcome) -> Outcome {
    outcome
}

#[tokio::test(start_paused = true)]
async fn the_breaker_of_a_key_is_the_same_behind_every_door() {
    let refused = |outcome: Outcome| matches!(outcome, Err(Error::Rejected(Rejected::CircuitOpen { .. })));
    let failed = || Err(Error::Failed(Wrong::Passing));
    assert!(!refused(of_tenant("red", failed()).await));
    assert!(refused(of_tenant("red", Ok(1)).await));
    assert!(refused(TENANTS.of("red").run(async { Ok(1) }).await));
    let key = |tenant: &&'static str| *tenant;
    let mut service = CircuitBreakerLayer::keyed(&TENANTS, key).layer(service_fn(|_| std::future::ready(Ok(1))));
    assert!(refused(service.ready().await.unwrap().call("red").await));
    assert!(!refused(service.ready().await.unwrap().call("blue").await));
    assert!(!refused(of_tenant("blue", Ok(1)).await));

    assert!(!refused(of_tenant_of_its_own(1, failed())));
    assert!(refused(of_tenant_of_its_own(1, Ok(1))) && !refused(of_tenant_of_its_own(2, Ok(1))));
}

#[test]
fn case_17_an_open_breaker_refuses_with_an_error_value_at_every_door() {
    let refused = |outcome: Outcome| matches!(outcome, Err(Error::Rejected(Rejected::CircuitOpen { .. })));
    let breaker = CircuitBreaker::new();
    breaker.force_open();
    assert!(refused(breaker.run_blocking(|| unreachable!("open"))));
    assert!(matches!(breaker.acquire(), Err(Rejected::CircuitOpen { .. })));
}

static DOWN: CircuitBreaker = CircuitBreaker::new().consecutive(2).open(Duration::from_secs(3));

#[retry(max_attempts = 4, backoff = Backoff::fixed(100ms).jitter(Jitter::None))]
#[circuit_breaker(DOWN)]
async fn patient(script: &Script) -> Outcome {
    script.play().map_err(Error::Failed)
}

#[tokio::test(start_paused = true)]
async fn a_retry_above_an_open_breaker_waits_until_the_probe() {
    let script = Script::new([Err(Wrong::Passing), Err(Wrong::Passing), Ok(3)]);
    let began = tokio::time::Instant::now();
    // Two attempts open it, 100 ms apart; the third is refused for the rest of three seconds, the fourth is the probe.
    assert_eq!(patient(&script).await, Ok(3));
    assert_eq!(script.calls(), 3);
    assert_eq!(began.elapsed(), Duration::from_millis(3_100));
}
