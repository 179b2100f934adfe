//! Rate limiter: within a rate that is never reached, and over one that lets nobody through.

use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use ft_runtime::{RateLimiter, rate_limiter};
use ft_tower::RateLimiterLayer;
use governor::{DefaultDirectRateLimiter, Quota};
use tower::{Layer, ServiceBuilder};
use tower_resilience::ratelimiter::RateLimiterLayer as ResilienceLayer;

use crate::contended::Contended;
use crate::meter::Meter;
use crate::size::Sizes;
use crate::work::{self, ASYNC, Answer, Failed, SERVICE, SYNC, ready, request, work};

static WIDE: RateLimiter = RateLimiter::new(1_000_000_000).burst(1_000_000);
static NARROW: RateLimiter = RateLimiter::new(1).per(Duration::from_secs(86_400));

pub(crate) fn measure(meter: &mut Meter) {
    _ = ready(annotated_over(1));
    assert_eq!(ready(annotated_over(1)), Err(Failed::Refused));
    within(meter);
    within_in_a_layer(meter);
    over(meter);
    over_in_a_layer(meter);
}

fn within(meter: &mut Meter) {
    let case = "rate_limiter.ok.sync";
    let governor = governor(1_000_000_000, 1_000_000);
    let by_hand = ByHand::new(Duration::from_nanos(1), 1_000_000);
    meter.case(case, "ft", SYNC, || _ = black_box(annotated_blocking(black_box(1))));
    meter.case(case, "ft call", SYNC, || _ = black_box(called_blocking(black_box(1))));
    meter.case(case, "hand", SYNC, || _ = black_box(by_hand_blocking(&by_hand, black_box(1))));
    meter.case(case, "governor", SYNC, || _ = black_box(governor_blocking(&governor, black_box(1))));

    let case = "rate_limiter.ok";
    meter.case(case, "ft", ASYNC, || _ = black_box(ready(annotated(black_box(1)))));
    meter.case(case, "ft call", ASYNC, || _ = black_box(ready(called(black_box(1)))));
    meter.case(case, "hand", ASYNC, || _ = black_box(ready(by_hand_async(&by_hand, black_box(1)))));
    meter.case(case, "governor", ASYNC, || _ = black_box(ready(governor_async(&governor, black_box(1)))));
}

fn within_in_a_layer(meter: &mut Meter) {
    let case = "rate_limiter.ok.layer";
    let mut ours = RateLimiterLayer::new(&WIDE).at(ft_runtime::site!("limiter layer")).layer(work::service());
    meter.case(case, "ft layer", SERVICE, || _ = black_box(ready(request(&mut ours, black_box(1)))));
    let second = Duration::from_secs(1);
    let mut tower = ServiceBuilder::new().rate_limit(1_000_000_000, second).service(work::service());
    meter.case(case, "tower", SERVICE, || _ = black_box(ready(request(&mut tower, black_box(1)))));
    let mut resilience = resilience_layer(1_000_000_000, second).layer(work::service());
    meter.case(case, "tower-resilience", SERVICE, || _ = black_box(ready(request(&mut resilience, black_box(1)))));
}

fn over(meter: &mut Meter) {
    let case = "rate_limiter.rejected";
    let governor = DefaultDirectRateLimiter::direct(
        Quota::with_period(Duration::from_secs(86_400)).expect("a period longer than zero"),
    );
    _ = governor.check();
    let by_hand = ByHand::new(Duration::from_secs(86_400), 1);
    _ = by_hand.admits();
    meter.case(case, "ft", ASYNC, || _ = black_box(ready(annotated_over(black_box(1)))));
    meter.case(case, "ft call", ASYNC, || _ = black_box(ready(called_over(black_box(1)))));
    meter.case(case, "hand", ASYNC, || _ = black_box(ready(by_hand_async(&by_hand, black_box(1)))));
    meter.case(case, "governor", ASYNC, || _ = black_box(ready(governor_async(&governor, black_box(1)))));
}

fn over_in_a_layer(meter: &mut Meter) {
    let case = "rate_limiter.rejected.layer";
    let mut ours = RateLimiterLayer::new(&NARROW).at(ft_runtime::site!("narrow limiter layer")).layer(work::service());
    meter.case(case, "ft layer", SERVICE, || _ = black_box(ready(request(&mut ours, black_box(1)))));
    let mut resilience = resilience_layer(1, Duration::from_secs(86_400)).layer(work::service());
    _ = ready(request(&mut resilience, 1));
    meter.case(case, "tower-resilience", SERVICE, || _ = black_box(ready(request(&mut resilience, black_box(1)))));
}

pub(crate) fn sizes(sizes: &mut Sizes) {
    sizes.of("rate_limiter.future", "ft", &annotated(1));
    sizes.of("rate_limiter.future", "ft call", &called(1));
    sizes.of("rate_limiter.future", "governor", &governor_async(&governor(1, 1), 1));
}

pub(crate) fn contended(cases: &mut Contended) {
    let case = "rate_limiter.ok";
    cases.case(case, "ft", || annotated(black_box(1)));
    let limiter = Arc::new(governor(1_000_000_000, 1_000_000));
    cases.case(case, "governor", move || {
        let limiter = Arc::clone(&limiter);
        async move { governor_async(&limiter, black_box(1)).await }
    });
    let resilience = resilience_layer(1_000_000_000, Duration::from_secs(1));
    cases.service(case, "tower-resilience", resilience.layer(work::service()));
}

#[rate_limiter(WIDE)]
#[inline(never)]
fn annotated_blocking(id: u64) -> Answer {
    work(id)
}

#[rate_limiter(WIDE)]
async fn annotated(id: u64) -> Answer {
    work(id)
}

#[rate_limiter(NARROW)]
async fn annotated_over(id: u64) -> Answer {
    work(id)
}

#[inline(never)]
fn called_blocking(id: u64) -> Answer {
    WIDE.at(ft_runtime::site!()).run_blocking(|| work(id))
}

async fn called(id: u64) -> Answer {
    WIDE.at(ft_runtime::site!()).run(async { work(id) }).await
}

async fn called_over(id: u64) -> Answer {
    NARROW.at(ft_runtime::site!()).run(async { work(id) }).await
}

/// GCRA on one word: when the bucket is empty again, in nanoseconds since the first call.
pub(crate) struct ByHand {
    empty_at: AtomicU64,
    interval: u64,
    tolerance: u64,
}

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl ByHand {
    pub(crate) fn new(interval: Duration, burst: u64) -> Self {
        let interval = interval.as_nanos() as u64;
        Self { empty_at: AtomicU64::new(0), interval, tolerance: interval * (burst - 1) }
    }

    pub(crate) fn admits(&self) -> bool {
        let now = BEGAN.elapsed().as_nanos() as u64;
        let mut empty_at = self.empty_at.load(Ordering::Relaxed);
        loop {
            if empty_at > now + self.tolerance {
                return false;
            }
            let next = empty_at.max(now) + self.interval;
            match self.empty_at.compare_exchange_weak(empty_at, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(seen) => empty_at = seen,
            }
        }
    }
}

#[inline(never)]
fn by_hand_blocking(limiter: &ByHand, id: u64) -> Answer {
    if limiter.admits() { work(id) } else { Err(Failed::Refused) }
}

async fn by_hand_async(limiter: &ByHand, id: u64) -> Answer {
    if limiter.admits() { async { work(id) }.await } else { Err(Failed::Refused) }
}

pub(crate) fn governor(rate: u32, burst: u32) -> DefaultDirectRateLimiter {
    let [rate, burst] = [rate, burst].map(|number| NonZeroU32::new(number).expect("a number above zero"));
    DefaultDirectRateLimiter::direct(Quota::per_second(rate).allow_burst(burst))
}

#[inline(never)]
fn governor_blocking(limiter: &DefaultDirectRateLimiter, id: u64) -> Answer {
    if limiter.check().is_ok() { work(id) } else { Err(Failed::Refused) }
}

async fn governor_async(limiter: &DefaultDirectRateLimiter, id: u64) -> Answer {
    if limiter.check().is_ok() { async { work(id) }.await } else { Err(Failed::Refused) }
}

/// Refuses at once.
pub(crate) fn resilience_layer(limit: usize, period: Duration) -> ResilienceLayer {
    let settings = ResilienceLayer::builder().limit_for_period(limit).refresh_period(period);
    settings.timeout_duration(Duration::ZERO).build().expect("settings that make sense")
}
