//! Ten thousand calls at once through five policies, a third of them failing: nothing leaks, and the counts add up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ft_runtime::observe::{self, What};
use ft_runtime::{
    Attempt, Backoff, Bulkhead, CircuitBreaker, CircuitState, Error, RateLimiter, Retry, bulkhead, circuit_breaker,
    rate_limiter, retry, timeout,
};
use tokio::task::JoinSet;

use crate::flaky::Wrong;

const CALLS: u64 = 10_000;

/// The policies of one test, and its own counts beside theirs.
struct Load {
    site: &'static str,
    breaker: CircuitBreaker,
    rate: RateLimiter,
    places: Bulkhead,
    bodies: AtomicU64,
    failed_bodies: AtomicU64,
    retried_bodies: AtomicU64,
    inside: AtomicU64,
    most_inside: AtomicU64,
}

impl Load {
    fn new(site: &'static str, rate: RateLimiter) -> Self {
        Self {
            site,
            breaker: CircuitBreaker::new().rate(0.9),
            rate,
            places: Bulkhead::new(64).queue(20_000),
            bodies: AtomicU64::new(0),
            failed_bodies: AtomicU64::new(0),
            retried_bodies: AtomicU64::new(0),
            inside: AtomicU64::new(0),
            most_inside: AtomicU64::new(0),
        }
    }

    async fn body(&self, attempt: Attempt, nap: Duration) -> Result<u64, Error<Wrong>> {
        let number = self.bodies.fetch_add(1, Ordering::Relaxed);
        self.retried_bodies.fetch_add(u64::from(attempt.is_retry()), Ordering::Relaxed);
        let inside = self.inside.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_inside.fetch_max(inside, Ordering::Relaxed);
        if nap.is_zero() {
            tokio::task::yield_now().await
        } else {
            tokio::time::sleep(nap).await
        }
        self.inside.fetch_sub(1, Ordering::Relaxed);
        if number % 10 < 3 {
            self.failed_bodies.fetch_add(1, Ordering::Relaxed);
            return Err(Error::Failed(Wrong::Passing));
        }
        Ok(number)
    }
}

const RETRY: Retry = Retry::new().max_attempts(3).backoff(Backoff::exponential(Duration::from_millis(10)));
const RETRY_AT_ONCE: Retry = RETRY.backoff(Backoff::none());

#[timeout(600s)]
#[retry(RETRY, name = "load: in virtual time")]
#[circuit_breaker(load.breaker)]
#[rate_limiter(load.rate)]
#[bulkhead(load.places)]
async fn in_virtual_time(attempt: Attempt, load: &Load) -> Result<u64, Error<Wrong>> {
    load.body(attempt, Duration::from_millis(1)).await
}

#[timeout(600s)]
#[retry(RETRY_AT_ONCE, name = "load: on threads")]
#[circuit_breaker(load.breaker)]
#[rate_limiter(load.rate)]
#[bulkhead(load.places)]
async fn on_threads(attempt: Attempt, load: &Load) -> Result<u64, Error<Wrong>> {
    load.body(attempt, Duration::ZERO).await
}

/// Counts of events at one site.
#[derive(Default)]
struct Told {
    retrying: AtomicU64,
    gave_up: AtomicU64,
    recovered: AtomicU64,
    refused: AtomicU64,
}

async fn drive<F, Fut>(load: &'static Load, call: F)
where
    F: Fn(&'static Load) -> Fut,
    Fut: Future<Output = Result<u64, Error<Wrong>>> + Send + 'static,
{
    let told: &'static Told = Box::leak(Box::default());
    let site = load.site;
    let _listening = observe::subscribe(move |event| {
        let count = match event.what {
            _ if event.site != site => return,
            What::Retrying { .. } => &told.retrying,
            What::GaveUp { .. } => &told.gave_up,
            What::Recovered { .. } => &told.recovered,
            What::Refused { .. } => &told.refused,
            _ => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    });

    let mut tasks = JoinSet::new();
    (0..CALLS).for_each(|_| drop(tasks.spawn(call(load))));
    let outcomes = tasks.join_all().await;

    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let succeeded = outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64;
    let failed = outcomes.iter().filter(|outcome| matches!(outcome, Err(Error::Failed(_)))).count() as u64;
    assert_eq!(succeeded + failed, CALLS, "nothing was refused");
    assert_eq!(count(&load.bodies), succeeded + count(&load.failed_bodies), "each body had one outcome");
    assert_eq!(count(&load.retried_bodies), count(&load.bodies) - CALLS, "each call had one first attempt");
    assert_eq!(count(&told.retrying), count(&load.retried_bodies), "each retry was announced, and made");
    assert_eq!(count(&told.gave_up), failed, "each failure that reached a caller was announced");
    assert_eq!(
        count(&told.retrying) + count(&told.gave_up),
        count(&load.failed_bodies),
        "each failure led to one of both"
    );
    assert_eq!(count(&told.refused), 0);
    assert!(count(&told.recovered) > 0 && failed > 0, "some recover, some do not");
    assert!(count(&load.most_inside) <= 64, "never more at a time than the bulkhead lets in");

    let registered = ft_runtime::sites().into_iter().find(|listed| listed.path() == site).expect("it was called");
    assert_eq!(registered.calls(), CALLS);
    let faults: u64 = registered.faults().iter().map(|fault| fault.count).sum();
    assert_eq!(faults, count(&load.failed_bodies), "each failure is in the fault log");

    assert_eq!((load.places.in_flight(), load.places.waiting(), load.rate.waiting()), (0, 0, 0), "nothing leaks");
    let snapshot = load.breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.refused), (CircuitState::Closed, 0));
    assert_eq!(snapshot.calls, 100, "the window is full");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_calls_leave_nothing_behind_in_virtual_time() {
    let rate = RateLimiter::new(20_000).burst(500).max_wait(Duration::from_secs(600));
    let load = Box::leak(Box::new(Load::new("load: in virtual time", rate)));
    drive(load, in_virtual_time).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_calls_leave_nothing_behind_on_threads() {
    let rate = RateLimiter::new(1_000_000_000).burst(1_000_000).max_wait(Duration::from_secs(600));
    let load = Box::leak(Box::new(Load::new("load: on threads", rate)));
    drive(load, on_threads).await;
}
