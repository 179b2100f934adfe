//! Circuit breaker: closed, where everything succeeds, and open. Ours keeps the last 100 calls.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use ft_runtime::{CircuitBreaker, circuit_breaker};
use ft_tower::CircuitBreakerLayer;
use recloser::{AsyncRecloser, Recloser};
use tower::Layer;
use tower_resilience::circuitbreaker::CircuitBreakerLayer as ResilienceLayer;

use crate::contended::Contended;
use crate::meter::Meter;
use crate::size::Sizes;
use crate::work::{self, ASYNC, Answer, Failed, LOOP, SERVICE, SYNC, ready, request, work};

static CLOSED: CircuitBreaker = CircuitBreaker::new();
static OPEN: CircuitBreaker = CircuitBreaker::new().consecutive(1).open(Duration::from_secs(86_400));

pub(crate) fn measure(meter: &mut Meter) {
    OPEN.acquire().expect("closed").failed();
    assert_eq!(ready(annotated_open(1)), Err(Failed::Refused));
    closed_blocking(meter);
    closed(meter);
    closed_in_a_layer(meter);
    open(meter);
    open_in_a_layer(meter);
}

fn closed_blocking(meter: &mut Meter) {
    let case = "circuit_breaker.ok.sync";
    meter.case(case, "ft", SYNC, || _ = black_box(annotated_blocking(black_box(1))));
    meter.case(case, "ft call", SYNC, || _ = black_box(called_blocking(black_box(1))));
    meter.case(case, "hand", SYNC, || _ = black_box(by_hand_blocking(black_box(1))));
    let breaker = failsafe();
    meter.case(case, "failsafe", SYNC, || _ = black_box(failsafe_blocking(&breaker, black_box(1))));
    let breaker = failsafe_consecutive();
    meter.case(case, "failsafe consecutive", SYNC, || _ = black_box(failsafe_blocking(&breaker, black_box(1))));
    let breaker = recloser();
    meter.case(case, "recloser", SYNC, || _ = black_box(recloser_blocking(&breaker, black_box(1))));
}

fn closed(meter: &mut Meter) {
    let case = "circuit_breaker.ok";
    meter.case(case, "ft", ASYNC, || _ = black_box(ready(annotated(black_box(1)))));
    meter.case(case, "ft call", ASYNC, || _ = black_box(ready(called(black_box(1)))));
    meter.case(case, "hand", ASYNC, || _ = black_box(ready(by_hand(black_box(1)))));
    let breaker = failsafe();
    meter.case(case, "failsafe", ASYNC, || _ = black_box(ready(failsafe_async(&breaker, black_box(1)))));
    let breaker = failsafe_consecutive();
    meter.case(case, "failsafe consecutive", ASYNC, || _ = black_box(ready(failsafe_async(&breaker, black_box(1)))));
    let breaker = AsyncRecloser::from(recloser());
    meter.case(case, "recloser", ASYNC, || _ = black_box(ready(recloser_async(&breaker, black_box(1)))));
}

fn closed_in_a_layer(meter: &mut Meter) {
    let case = "circuit_breaker.ok.layer";
    let mut ours = CircuitBreakerLayer::new(&CLOSED).at(ft_runtime::site!("breaker layer")).layer(work::service());
    meter.case(case, "ft layer", SERVICE, || _ = black_box(ready(request(&mut ours, black_box(1)))));
    let mut resilience = resilience_layer().layer(work::service());
    meter.case(case, "tower-resilience", SERVICE, || _ = black_box(ready(request(&mut resilience, black_box(1)))));
}

fn open(meter: &mut Meter) {
    let case = "circuit_breaker.rejected";
    meter.case(case, "ft", ASYNC, || _ = black_box(ready(annotated_open(black_box(1)))));
    meter.case(case, "ft call", ASYNC, || _ = black_box(ready(called_open(black_box(1)))));
    meter.case(case, "hand", ASYNC, || _ = black_box(ready(by_hand_open(black_box(1)))));
    let breaker = failsafe_consecutive();
    _ = failsafe::CircuitBreaker::call(&breaker, || Err::<u64, _>(Failed::Busy));
    meter.case(case, "failsafe consecutive", ASYNC, || _ = black_box(ready(failsafe_async(&breaker, black_box(1)))));
    let breaker = recloser();
    (0..200).for_each(|_| _ = breaker.call(|| Err::<u64, _>(Failed::Busy)));
    let breaker = AsyncRecloser::from(breaker);
    meter.case(case, "recloser", ASYNC, || _ = black_box(ready(recloser_async(&breaker, black_box(1)))));

    // In full, to be held against `bare.async`.
    meter.case("circuit_breaker.rejected.in_full", "ft", LOOP, || _ = black_box(ready(annotated_open(black_box(1)))));
}

fn open_in_a_layer(meter: &mut Meter) {
    let case = "circuit_breaker.rejected.layer";
    let mut ours = CircuitBreakerLayer::new(&OPEN).at(ft_runtime::site!("open breaker layer")).layer(work::service());
    meter.case(case, "ft layer", SERVICE, || _ = black_box(ready(request(&mut ours, black_box(1)))));
    let mut resilience = resilience_layer().layer(work::failing_service());
    (0..200).for_each(|_| _ = ready(request(&mut resilience, 1)));
    meter.case(case, "tower-resilience", SERVICE, || _ = black_box(ready(request(&mut resilience, black_box(1)))));
}

pub(crate) fn sizes(sizes: &mut Sizes) {
    sizes.of("circuit_breaker.future", "ft", &annotated(1));
    sizes.of("circuit_breaker.future", "ft call", &called(1));
    sizes.of("circuit_breaker.future", "hand", &by_hand(1));
    sizes.of("circuit_breaker.future", "failsafe", &failsafe_async(&failsafe(), 1));
    sizes.of("circuit_breaker.future", "recloser", &recloser_async(&AsyncRecloser::from(recloser()), 1));
}

pub(crate) fn contended(cases: &mut Contended) {
    let case = "circuit_breaker.ok";
    cases.case(case, "ft", || annotated(black_box(1)));
    cases.case(case, "ft call without site", || CLOSED.run(async { work(black_box(1)) }));
    cases.case(case, "hand", || by_hand(black_box(1)));
    let breaker = Arc::new(failsafe());
    cases.case(case, "failsafe", move || {
        let breaker = Arc::clone(&breaker);
        async move { failsafe_async(&*breaker, black_box(1)).await }
    });
    let breaker = AsyncRecloser::from(recloser());
    cases.case(case, "recloser", move || {
        let breaker = breaker.clone();
        async move { recloser_async(&breaker, black_box(1)).await }
    });
    cases.service(case, "tower-resilience", resilience_layer().layer(work::service()));
}

#[circuit_breaker(CLOSED)]
#[inline(never)]
fn annotated_blocking(id: u64) -> Answer {
    work(id)
}

#[circuit_breaker(CLOSED)]
async fn annotated(id: u64) -> Answer {
    work(id)
}

#[circuit_breaker(OPEN)]
async fn annotated_open(id: u64) -> Answer {
    work(id)
}

#[inline(never)]
fn called_blocking(id: u64) -> Answer {
    CLOSED.at(ft_runtime::site!()).run_blocking(|| work(id))
}

async fn called(id: u64) -> Answer {
    CLOSED.at(ft_runtime::site!()).run(async { work(id) }).await
}

async fn called_open(id: u64) -> Answer {
    OPEN.at(ft_runtime::site!()).run(async { work(id) }).await
}

/// Opens after failures in a row: two loads while all is well, where a window would count.
struct ByHand {
    open: AtomicBool,
    failures: AtomicU32,
}

static BY_HAND: ByHand = ByHand { open: AtomicBool::new(false), failures: AtomicU32::new(0) };
static BY_HAND_OPEN: ByHand = ByHand { open: AtomicBool::new(true), failures: AtomicU32::new(0) };

impl ByHand {
    fn counts(&self, outcome: &Answer) {
        if outcome.is_err() {
            self.open.store(self.failures.fetch_add(1, Ordering::Relaxed) >= 20, Ordering::Relaxed);
        } else if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }
}

#[inline(never)]
fn by_hand_blocking(id: u64) -> Answer {
    if BY_HAND.open.load(Ordering::Acquire) {
        return Err(Failed::Refused);
    }
    let outcome = work(id);
    BY_HAND.counts(&outcome);
    outcome
}

async fn by_hand(id: u64) -> Answer {
    if BY_HAND.open.load(Ordering::Acquire) {
        return Err(Failed::Refused);
    }
    let outcome = async { work(id) }.await;
    BY_HAND.counts(&outcome);
    outcome
}

async fn by_hand_open(id: u64) -> Answer {
    if BY_HAND_OPEN.open.load(Ordering::Acquire) {
        return Err(Failed::Refused);
    }
    let outcome = async { work(id) }.await;
    BY_HAND_OPEN.counts(&outcome);
    outcome
}

type Failsafe<P> = failsafe::StateMachine<P, ()>;

/// Its default: a success rate over a window of 30 s, or five failures in a row.
fn failsafe() -> Failsafe<impl failsafe::FailurePolicy + Send + Sync> {
    failsafe::Config::new().build()
}

/// One failure opens it for a day.
pub(crate) fn failsafe_consecutive() -> Failsafe<impl failsafe::FailurePolicy + Send + Sync> {
    let day = failsafe::backoff::constant(Duration::from_secs(86_400));
    failsafe::Config::new().failure_policy(failsafe::failure_policy::consecutive_failures(1, day)).build()
}

/// Opens after a hundred failures in a row.
pub(crate) fn failsafe_steady() -> Failsafe<impl failsafe::FailurePolicy + Send + Sync> {
    let day = failsafe::backoff::constant(Duration::from_secs(86_400));
    failsafe::Config::new().failure_policy(failsafe::failure_policy::consecutive_failures(100, day)).build()
}

pub(crate) fn flat_failsafe(error: failsafe::Error<Failed>) -> Failed {
    match error {
        failsafe::Error::Inner(error) => error,
        failsafe::Error::Rejected => Failed::Refused,
    }
}

#[inline(never)]
fn failsafe_blocking(breaker: &impl failsafe::CircuitBreaker, id: u64) -> Answer {
    breaker.call(|| work(id)).map_err(flat_failsafe)
}

pub(crate) async fn failsafe_async(breaker: &impl failsafe::futures::CircuitBreaker, id: u64) -> Answer {
    breaker.call(async { work(id) }).await.map_err(flat_failsafe)
}

/// A ring of 100 calls.
pub(crate) fn recloser() -> Recloser {
    Recloser::custom().closed_len(100).open_wait(Duration::from_secs(86_400)).build()
}

fn flat_recloser(error: recloser::Error<Failed>) -> Failed {
    match error {
        recloser::Error::Inner(error) => error,
        recloser::Error::Rejected => Failed::Refused,
    }
}

#[inline(never)]
fn recloser_blocking(breaker: &Recloser, id: u64) -> Answer {
    breaker.call(|| work(id)).map_err(flat_recloser)
}

pub(crate) async fn recloser_async(breaker: &AsyncRecloser, id: u64) -> Answer {
    breaker.call(async { work(id) }).await.map_err(flat_recloser)
}

/// The last 100 calls.
pub(crate) fn resilience_layer() -> ResilienceLayer {
    let settings =
        ResilienceLayer::builder().sliding_window_size(100).wait_duration_in_open(Duration::from_secs(86_400));
    settings.build().expect("settings that make sense")
}
