//! Bulkhead: with room, and full. A full one has one place, which is taken.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

use ft_runtime::{Bulkhead, bulkhead};
use ft_tower::BulkheadLayer;
use tokio::sync::Semaphore;
use tower::{Layer, Service, ServiceBuilder};
use tower_resilience::bulkhead::BulkheadLayer as ResilienceLayer;

use crate::contended::Contended;
use crate::meter::Meter;
use crate::size::Sizes;
use crate::work::{self, ASYNC, Answer, Failed, SERVICE, SYNC, ready, request, stuck, work};

static ROOMY: Bulkhead = Bulkhead::new(16);
static FULL: Bulkhead = Bulkhead::new(1);

pub(crate) fn measure(meter: &mut Meter) {
    room(meter);
    room_in_a_layer(meter);
    let taken = std::pin::pin!(FULL.run(std::future::pending::<Answer>()));
    let _taken = stuck(taken);
    assert_eq!(ready(annotated_full(1)), Err(Failed::Refused));
    full(meter);
    full_in_a_layer(meter);
}

fn room(meter: &mut Meter) {
    let semaphore = Semaphore::new(16);
    let case = "bulkhead.ok.sync";
    meter.case(case, "ft", SYNC, || _ = black_box(annotated_blocking(black_box(1))));
    meter.case(case, "ft call", SYNC, || _ = black_box(called_blocking(black_box(1))));
    meter.case(case, "hand", SYNC, || _ = black_box(by_hand_blocking(black_box(1))));
    meter.case(case, "tokio try", SYNC, || _ = black_box(tokio_blocking(&semaphore, black_box(1))));

    let case = "bulkhead.ok";
    meter.case(case, "ft", ASYNC, || _ = black_box(ready(annotated(black_box(1)))));
    meter.case(case, "ft call", ASYNC, || _ = black_box(ready(called(black_box(1)))));
    meter.case(case, "hand", ASYNC, || _ = black_box(ready(by_hand(&BY_HAND, black_box(1)))));
    meter.case(case, "tokio", ASYNC, || _ = black_box(ready(tokio_async(&semaphore, black_box(1)))));
    meter.case(case, "tokio try", ASYNC, || _ = black_box(ready(tokio_try(&semaphore, black_box(1)))));
}

fn room_in_a_layer(meter: &mut Meter) {
    let case = "bulkhead.ok.layer";
    let mut ours = BulkheadLayer::new(&ROOMY).at(ft_runtime::site!("bulkhead layer")).layer(work::service());
    meter.case(case, "ft layer", SERVICE, || _ = black_box(ready(request(&mut ours, black_box(1)))));
    let mut tower = ServiceBuilder::new().concurrency_limit(16).service(work::service());
    meter.case(case, "tower", SERVICE, || _ = black_box(ready(request(&mut tower, black_box(1)))));
    let mut resilience = resilience_layer(16).layer(work::service());
    meter.case(case, "tower-resilience", SERVICE, || _ = black_box(ready(request(&mut resilience, black_box(1)))));
}

fn full(meter: &mut Meter) {
    let case = "bulkhead.rejected";
    let semaphore = Semaphore::new(0);
    meter.case(case, "ft", ASYNC, || _ = black_box(ready(annotated_full(black_box(1)))));
    meter.case(case, "ft call", ASYNC, || _ = black_box(ready(called_full(black_box(1)))));
    meter.case(case, "hand", ASYNC, || _ = black_box(ready(by_hand(&BY_HAND_FULL, black_box(1)))));
    meter.case(case, "tokio try", ASYNC, || _ = black_box(ready(tokio_try(&semaphore, black_box(1)))));
}

fn full_in_a_layer(meter: &mut Meter) {
    let case = "bulkhead.rejected.layer";
    let mut ours = BulkheadLayer::new(&FULL).at(ft_runtime::site!("full bulkhead layer")).layer(work::service());
    meter.case(case, "ft layer", SERVICE, || _ = black_box(ready(request(&mut ours, black_box(1)))));
    let mut tower = ServiceBuilder::new().load_shed().concurrency_limit(1).service(work::stuck_service());
    assert!(std::task::Poll::is_ready(&tower.poll_ready(&mut work::context())));
    let _taken = tower.call(1);
    meter.case(case, "tower load_shed", SERVICE, || _ = black_box(ready(request(&mut tower, black_box(1)))));
    // tower-resilience refuses through a timer, even at once: it cannot be polled by hand.
}

pub(crate) fn sizes(sizes: &mut Sizes) {
    sizes.of("bulkhead.future", "ft", &annotated(1));
    sizes.of("bulkhead.future", "ft call", &called(1));
    sizes.of("bulkhead.future", "hand", &by_hand(&BY_HAND, 1));
    sizes.of("bulkhead.future", "tokio", &tokio_async(&Semaphore::new(1), 1));
}

pub(crate) fn contended(cases: &mut Contended) {
    let case = "bulkhead.ok";
    cases.case(case, "ft", || annotated(black_box(1)));
    cases.case(case, "hand", || by_hand(&BY_HAND, black_box(1)));
    static SEMAPHORE: Semaphore = Semaphore::const_new(16);
    cases.case(case, "tokio", || tokio_async(&SEMAPHORE, black_box(1)));
    cases.service(case, "tower", ServiceBuilder::new().concurrency_limit(16).service(work::service()));
    cases.service(case, "tower-resilience", resilience_layer(16).layer(work::service()));
}

#[bulkhead(ROOMY)]
#[inline(never)]
fn annotated_blocking(id: u64) -> Answer {
    work(id)
}

#[bulkhead(ROOMY)]
async fn annotated(id: u64) -> Answer {
    work(id)
}

#[bulkhead(FULL)]
async fn annotated_full(id: u64) -> Answer {
    work(id)
}

#[inline(never)]
fn called_blocking(id: u64) -> Answer {
    ROOMY.at(ft_runtime::site!()).run_blocking(|| work(id))
}

async fn called(id: u64) -> Answer {
    ROOMY.at(ft_runtime::site!()).run(async { work(id) }).await
}

async fn called_full(id: u64) -> Answer {
    FULL.at(ft_runtime::site!()).run(async { work(id) }).await
}

/// Counts who is inside.
struct ByHand {
    inside: AtomicU32,
    limit: u32,
}

static BY_HAND: ByHand = ByHand { inside: AtomicU32::new(0), limit: 16 };
static BY_HAND_FULL: ByHand = ByHand { inside: AtomicU32::new(0), limit: 0 };

impl ByHand {
    fn enter(&self) -> Option<Inside<'_>> {
        if self.inside.fetch_add(1, Ordering::Acquire) < self.limit {
            return Some(Inside(self));
        }
        self.inside.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

struct Inside<'a>(&'a ByHand);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::Release);
    }
}

#[inline(never)]
fn by_hand_blocking(id: u64) -> Answer {
    let _inside = BY_HAND.enter().ok_or(Failed::Refused)?;
    work(id)
}

async fn by_hand(bulkhead: &ByHand, id: u64) -> Answer {
    let _inside = bulkhead.enter().ok_or(Failed::Refused)?;
    async { work(id) }.await
}

#[inline(never)]
fn tokio_blocking(semaphore: &Semaphore, id: u64) -> Answer {
    let _permit = semaphore.try_acquire().map_err(|_| Failed::Refused)?;
    work(id)
}

/// Waits where it is full.
pub(crate) async fn tokio_async(semaphore: &Semaphore, id: u64) -> Answer {
    let _permit = semaphore.acquire().await.map_err(|_| Failed::Refused)?;
    async { work(id) }.await
}

/// Refuses where it is full.
async fn tokio_try(semaphore: &Semaphore, id: u64) -> Answer {
    let _permit = semaphore.try_acquire().map_err(|_| Failed::Refused)?;
    async { work(id) }.await
}

/// Refuses where it is full.
pub(crate) fn resilience_layer(limit: usize) -> ResilienceLayer {
    ResilienceLayer::builder().max_concurrent_calls(limit).reject_when_full().build().expect("settings that make sense")
}
