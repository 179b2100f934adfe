//! Five policies around one call: a timeout around retries of what breaker, limiter and bulkhead let through. All is
//! well, or the first attempt fails and the second one succeeds.

use std::hint::black_box;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use ft_runtime::{
    Backoff, Bulkhead, CircuitBreaker, RateLimiter, Retry, Timeout, bulkhead, circuit_breaker, rate_limiter, retry,
    timeout,
};
use ft_tower::{BulkheadLayer, CircuitBreakerLayer, RateLimiterLayer, RetryLayer, TimeoutLayer};
use governor::DefaultDirectRateLimiter;
use tokio::sync::Semaphore;
use tower::{Service, ServiceBuilder};

use crate::contended::Contended;
use crate::meter::Meter;
use crate::size::Sizes;
use crate::work::{self, ASYNC, Answer, Failed, SERVICE, TWO_ASYNC, every_second, ready, request, work};
use crate::{bulkhead as bulkheads, circuit_breaker as breakers, rate_limiter as limiters, timeout as timeouts};

const LIMIT: Duration = Duration::from_secs(2);
const TIMEOUT: Timeout = Timeout::new(LIMIT);
static RETRY: Retry = Retry::new().backoff(Backoff::none());
static BREAKER: CircuitBreaker = CircuitBreaker::new().rate(1.0);
static LIMITER: RateLimiter = RateLimiter::new(1_000_000_000).burst(1_000_000);
static BULKHEAD: Bulkhead = Bulkhead::new(128);

pub(crate) fn measure(meter: &mut Meter) {
    succeeds(meter);
    fails_once(meter);
    in_layers(meter);
}

fn succeeds(meter: &mut Meter) {
    let case = "stack.ok";
    meter.case(case, "ft", ASYNC, || _ = black_box(ready(annotated(black_box(1)))));
    meter.case(case, "ft call", ASYNC, || _ = black_box(ready(called(black_box(1)))));
    meter.case(case, "hand", ASYNC, || _ = black_box(ready(by_hand(black_box(1)))));
    let breaker = breakers::failsafe_steady();
    meter.case(case, "functions", ASYNC, || _ = black_box(ready(glued(&breaker, || work(black_box(1))))));
}

fn fails_once(meter: &mut Meter) {
    let case = "stack.fails_once";
    let mut calls = 0;
    meter.case(case, "ft", TWO_ASYNC, || _ = black_box(ready(annotated_twice(&mut calls))));
    let breaker = breakers::failsafe_steady();
    meter.case(case, "functions", TWO_ASYNC, || _ = black_box(ready(glued(&breaker, || every_second(&mut calls)))));
}

fn in_layers(meter: &mut Meter) {
    let case = "stack.ok.layer";
    let mut ours = layered();
    meter.case(case, "ft layer", SERVICE, || _ = black_box(ready(request(&mut ours, black_box(1)))));
    let mut tower = tower_only();
    meter.case(case, "tower without breaker", SERVICE, || _ = black_box(ready(request(&mut tower, black_box(1)))));
    let mut resilience = resilience();
    meter.case(case, "tower-resilience", SERVICE, || _ = black_box(ready(request(&mut resilience, black_box(1)))));
}

pub(crate) fn sizes(sizes: &mut Sizes) {
    sizes.of("stack.future", "ft", &annotated(1));
    sizes.of("stack.future", "ft call", &called(1));
    sizes.of("stack.future", "hand", &by_hand(1));
    sizes.of("stack.future", "functions", &glued(&breakers::failsafe_steady(), || work(1)));
    let (mut ours, mut tower, mut resilience) = (layered(), tower_only(), resilience());
    sizes.of("stack.service", "ft layer", &ours);
    sizes.of("stack.service", "tower without breaker", &tower);
    sizes.of("stack.service", "tower-resilience", &resilience);
    sizes.of("stack.service.future", "ft layer", &request(&mut ours, 1));
    sizes.of("stack.service.future", "tower without breaker", &request(&mut tower, 1));
    sizes.of("stack.service.future", "tower-resilience", &request(&mut resilience, 1));
}

pub(crate) fn contended(cases: &mut Contended) {
    cases.case("stack.ok", "ft", || annotated(black_box(1)));
    cases.case("stack.ok", "hand", || by_hand(black_box(1)));
    let breaker = std::sync::Arc::new(breakers::failsafe_steady());
    cases.case("stack.ok", "functions", move || {
        let breaker = std::sync::Arc::clone(&breaker);
        async move { glued(&*breaker, || work(black_box(1))).await }
    });
    cases.service("stack.ok", "ft layer", layered());
    cases.service("stack.ok", "tower-resilience", resilience());
}

#[timeout(2s)]
#[retry(RETRY)]
#[circuit_breaker(BREAKER)]
#[rate_limiter(LIMITER)]
#[bulkhead(BULKHEAD)]
async fn annotated(id: u64) -> Answer {
    work(id)
}

#[timeout(2s)]
#[retry(RETRY)]
#[circuit_breaker(BREAKER)]
#[rate_limiter(LIMITER)]
#[bulkhead(BULKHEAD)]
async fn annotated_twice(calls: &mut u64) -> Answer {
    every_second(calls)
}

async fn called(id: u64) -> Answer {
    let site = ft_runtime::site!();
    let attempt = || BREAKER.run(LIMITER.run(BULKHEAD.run(async { work(id) })));
    TIMEOUT.at(site).run(RETRY.call(attempt)).await
}

fn layered() -> impl Service<u64, Response = u64, Error = Failed, Future: Send> + Clone + Send + Sync {
    let site = ft_runtime::site!("stack layer");
    ServiceBuilder::new()
        .layer(TimeoutLayer::new(TIMEOUT).at(site))
        .layer(RetryLayer::new(RETRY))
        .layer(CircuitBreakerLayer::new(&BREAKER))
        .layer(RateLimiterLayer::new(&LIMITER))
        .layer(BulkheadLayer::new(&BULKHEAD))
        .service(work::service())
}

/// All in one function, with one clock: what five policies that know of each other could cost.
async fn by_hand(id: u64) -> Answer {
    static FAILURES: AtomicU32 = AtomicU32::new(0);
    static INSIDE: AtomicU32 = AtomicU32::new(0);
    static CALLS: AtomicU64 = AtomicU64::new(0);
    static LIMITER: LazyLock<limiters::ByHand> =
        LazyLock::new(|| limiters::ByHand::new(Duration::from_nanos(1), 1_000_000));
    CALLS.fetch_add(1, Ordering::Relaxed);
    let call = async {
        let mut attempt = 1;
        loop {
            let outcome = async {
                if FAILURES.load(Ordering::Acquire) >= 100 || !LIMITER.admits() {
                    return Err(Failed::Refused);
                }
                if INSIDE.fetch_add(1, Ordering::Acquire) >= 128 {
                    INSIDE.fetch_sub(1, Ordering::Relaxed);
                    return Err(Failed::Refused);
                }
                let outcome = async { work(id) }.await;
                INSIDE.fetch_sub(1, Ordering::Release);
                if outcome.is_err() {
                    FAILURES.fetch_add(1, Ordering::Relaxed);
                } else if FAILURES.load(Ordering::Relaxed) != 0 {
                    FAILURES.store(0, Ordering::Relaxed);
                }
                outcome
            };
            match outcome.await {
                Err(_) if attempt < 3 => attempt += 1,
                outcome => break outcome,
            }
        }
    };
    timeouts::lazy(call).await
}

/// What a program without ft glues together: tokio's timeout and semaphore, backon, failsafe and governor.
async fn glued(breaker: &impl failsafe::futures::CircuitBreaker, mut call: impl FnMut() -> Answer) -> Answer {
    use backon::Retryable as _;
    static PLACES: Semaphore = Semaphore::const_new(128);
    static LIMITER: LazyLock<DefaultDirectRateLimiter> = LazyLock::new(|| limiters::governor(1_000_000_000, 1_000_000));
    let attempt = || {
        let outcome = call();
        async move {
            let guarded = async {
                if LIMITER.check().is_err() {
                    return Err(Failed::Refused);
                }
                let _place = PLACES.acquire().await.map_err(|_| Failed::Refused)?;
                outcome
            };
            breaker.call(guarded).await.map_err(breakers::flat_failsafe)
        }
    };
    let delays = backon::ConstantBuilder::default().with_delay(Duration::ZERO).with_max_times(2);
    let retried = attempt.retry(delays).sleep(|_| std::future::ready(())).when(|error| *error == Failed::Busy);
    tokio::time::timeout(LIMIT, retried).await.unwrap_or(Err(Failed::Refused))
}

fn tower_only() -> impl Service<u64, Response = u64, Error = tower::BoxError, Future: Send> + Send {
    ServiceBuilder::new()
        .timeout(LIMIT)
        .rate_limit(1_000_000_000, Duration::from_secs(1))
        .retry(crate::retry::Twice(0))
        .concurrency_limit(128)
        .service(work::service())
}

fn resilience() -> impl Service<u64, Response = u64, Future: Send, Error: Send> + Clone + Send + Sync {
    let retry = tower_resilience::retry::RetryLayer::builder().max_attempts(3).fixed_backoff(Duration::ZERO).build();
    ServiceBuilder::new()
        .layer(timeouts::resilience_layer())
        .layer(retry)
        .layer(breakers::resilience_layer())
        .layer(limiters::resilience_layer(1_000_000_000, Duration::from_secs(1)))
        .layer(bulkheads::resilience_layer(128))
        .service(work::service())
}
