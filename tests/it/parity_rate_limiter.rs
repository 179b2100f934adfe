//! One scenario through every door of the rate limiter.

use std::sync::Arc;
use std::time::Duration;

use ft_runtime::{Backoff, Error, Jitter, RateLimiter, Rejected, Retry, RetryBudget, rate_limiter, retry, site};
use ft_tower::RateLimiterLayer;
use tokio::time::Instant;
use tower::{Layer, Service, service_fn};

use crate::events::Events;
use crate::flaky::{Script, Wrong};

type Outcome = Result<u32, Error<Wrong>>;

const MS: Duration = Duration::from_millis(1);

/// What the scenario looks like from outside, whatever the door.
#[derive(Debug, PartialEq)]
struct Seen {
    outcomes: Vec<(Result<u32, String>, Duration)>,
    calls: u32,
    events: Vec<String>,
    faults: usize,
}

/// Two at once, two wait their turn, two are refused; one comes back when it was told to.
async fn watch<F>(site: &'static str, script: &Script, door: impl Fn() -> F) -> Seen
where
    F: Future<Output = Outcome> + Send + 'static,
{
    let (events, began) = (Events::of(site), Instant::now());
    let mut asked: Vec<_> = Vec::new();
    for _ in 0..6 {
        let call = door();
        asked.push(tokio::spawn(async move { (call.await.map_err(|error| error.to_string()), began.elapsed()) }));
        tokio::task::yield_now().await;
    }
    let mut outcomes = Vec::new();
    for asked in asked {
        outcomes.push(asked.await.unwrap());
    }
    tokio::time::sleep_until(began + 30 * MS).await;
    outcomes.push((door().await.map_err(|error| error.to_string()), began.elapsed()));
    let listed = ft_runtime::sites().into_iter().filter(|listed| listed.path() == site);
    Seen {
        outcomes,
        calls: script.calls(),
        events: events.seen(),
        faults: listed.map(|site| site.faults().len()).sum(),
    }
}

fn script() -> Arc<Script> {
    Arc::new(Script::new([Ok(1), Err(Wrong::Passing), Ok(3), Ok(4), Ok(5)]))
}

async fn work(script: Arc<Script>) -> Outcome {
    script.play().map_err(Error::Failed)
}

#[rate_limiter(100, burst = 2, max_wait = 25ms, name = "limiter parity: attribute")]
async fn annotated(script: Arc<Script>) -> Outcome {
    work(script).await
}

#[tokio::test(start_paused = true)]
async fn the_rate_limiter_does_the_same_behind_every_door() {
    const POLICY: fn() -> RateLimiter = || RateLimiter::new(100).burst(2).max_wait(25 * MS);

    let played = script();
    let attribute = watch("limiter parity: attribute", &played, || annotated(Arc::clone(&played))).await;

    let (played, policy) = (script(), Arc::new(POLICY()));
    let call = watch("limiter parity: call", &played, || {
        let (played, policy) = (Arc::clone(&played), Arc::clone(&policy));
        async move { policy.at(site!("limiter parity: call")).run(work(played)).await }
    })
    .await;

    let (played, policy) = (script(), Arc::new(POLICY()));
    let inner = Arc::clone(&played);
    let service = RateLimiterLayer::new(policy)
        .at(site!("limiter parity: layer"))
        .layer(service_fn(move |()| work(Arc::clone(&inner))));
    let layer = watch("limiter parity: layer", &played, || service.clone().call(())).await;

    assert_eq!(attribute, call);
    assert_eq!(attribute, layer);
    let limited = || Err(Rejected::RateLimited { retry_after: 30 * MS }.to_string());
    let expected = [
        (Ok(1), Duration::ZERO),
        (Err("Passing".to_owned()), Duration::ZERO),
        (Ok(3), 10 * MS),
        (Ok(4), 20 * MS),
        (limited(), Duration::ZERO),
        (limited(), Duration::ZERO),
        (Ok(5), 30 * MS),
    ];
    assert_eq!(attribute.outcomes, expected);
    assert_eq!((attribute.calls, attribute.faults), (5, 0), "a refusal makes no call and is no fault");
    assert_eq!(attribute.events, ["refused"; 2]);
}

static NOTHING: RetryBudget = RetryBudget::new().ratio(0.0).floor(0);
static AGAIN: Retry = Retry::new().max_attempts(2).budget(&NOTHING).backoff(Backoff::none().jitter(Jitter::None));

#[retry(AGAIN)]
#[rate_limiter(7, name = "limiter: case 22")]
async fn limited(at: &std::sync::Mutex<Vec<Instant>>) -> Result<(), Error<Wrong>> {
    at.lock().unwrap().push(Instant::now());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn case_22_a_refusal_by_the_limiter_costs_no_budget_and_the_retry_comes_exactly_when_it_fits() {
    let (began, at) = (Instant::now(), std::sync::Mutex::new(Vec::new()));
    for _ in 0..5 {
        limited(&at).await.unwrap();
    }
    // An interval of 142,857,143 ns; timers know milliseconds, and 143 of them are the first that fits.
    let taken: Vec<_> = at.lock().unwrap().iter().map(|at| at.duration_since(began).as_millis()).collect();
    assert_eq!(taken, [0, 143, 286, 429, 572]);
    assert!(NOTHING.withdraw().is_none());
}

#[rate_limiter(1, per = 1h)]
fn blocking() -> Outcome {
    Ok(1)
}

#[test]
fn case_17_a_limiter_refuses_with_an_error_value_at_blocking_doors_too() {
    let hour = |outcome: Outcome| match outcome {
        Err(Error::Rejected(Rejected::RateLimited { retry_after })) => retry_after > Duration::from_secs(3500),
        _ => false,
    };
    assert!(blocking().is_ok() && hour(blocking()));
    let policy = RateLimiter::new(1).per(Duration::from_secs(3600));
    assert!(policy.run_blocking(|| -> Outcome { Ok(1) }).is_ok());
    assert!(hour(policy.run_blocking(|| -> Outcome { unreachable!("over the rate") })));
}
