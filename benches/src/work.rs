//! What is protected: the same small call as a function, a future and a service, and each of them without a policy.

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use ft_runtime::{Fault, Rejected};
use tower::{Service, service_fn};

use crate::contended::Contended;
use crate::meter::{Meter, Over};
use crate::size::Sizes;

pub(crate) const LOOP: Over = Over::Nothing;
pub(crate) const SYNC: Over = Over::Bare("bare.sync");
pub(crate) const ASYNC: Over = Over::Bare("bare.async");
pub(crate) const SUSPENDS: Over = Over::Bare("bare.suspends");
pub(crate) const SERVICE: Over = Over::Bare("bare.service");
pub(crate) const SERVICE_SUSPENDS: Over = Over::Bare("bare.service.suspends");
pub(crate) const TWO_ASYNC: Over = Over::Bare("bare.async.2");
pub(crate) const THREE_SYNC: Over = Over::Bare("bare.sync.3");
pub(crate) const THREE_ASYNC: Over = Over::Bare("bare.async.3");

/// A small error without a destructor: what is counted is the policies' own, not the moves and drops of a large outcome.
#[derive(Clone, Copy, Debug, Fault, PartialEq, Eq)]
pub(crate) enum Failed {
    #[fault(transient)]
    Busy,
    #[fault(unsent)]
    Refused,
}

impl From<Rejected> for Failed {
    fn from(_: Rejected) -> Self {
        Self::Refused
    }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Failed {}

pub(crate) type Answer = Result<u64, Failed>;

/// The body of every call. Nobody can see through it.
#[inline(never)]
pub(crate) fn work(id: u64) -> Answer {
    if black_box(id) == u64::MAX { Err(Failed::Busy) } else { Ok(id + 1) }
}

/// A body that fails until it was called three times.
#[inline(never)]
pub(crate) fn third(calls: &mut u64) -> Answer {
    *calls += 1;
    if black_box(*calls).is_multiple_of(3) { Ok(*calls) } else { Err(Failed::Busy) }
}

/// A body that fails every other time.
#[inline(never)]
pub(crate) fn every_second(calls: &mut u64) -> Answer {
    *calls += 1;
    if black_box(*calls).is_multiple_of(2) { Ok(*calls) } else { Err(Failed::Busy) }
}

/// Is not ready when it is polled first.
pub(crate) async fn suspend() {
    let mut polled = false;
    poll_fn(|_| if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Polls a future that is ready at once, as an executor does: through a pointer.
#[inline(always)]
pub(crate) fn ready<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match poll(future.as_mut()) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the future is ready at once"),
    }
}

/// Polls a future that suspends once.
#[inline(always)]
pub(crate) fn suspended<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    assert!(poll(future.as_mut()).is_pending());
    match poll(future.as_mut()) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the future suspends once"),
    }
}

#[inline(always)]
fn poll<T>(future: Pin<&mut dyn Future<Output = T>>) -> Poll<T> {
    let mut future = black_box(future);
    future.as_mut().poll(&mut context())
}

/// Polls a future that stays where it is.
pub(crate) fn stuck<F: Future>(mut future: Pin<&mut F>) -> Pin<&mut F> {
    assert!(future.as_mut().poll(&mut context()).is_pending());
    future
}

/// A context that wakes nobody.
pub(crate) fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Makes a service ready and calls it.
#[inline(always)]
pub(crate) fn request<S: Service<u64>>(service: &mut S, id: u64) -> S::Future {
    assert!(service.poll_ready(&mut context()).is_ready());
    service.call(id)
}

#[inline(never)]
fn sync(id: u64) -> Answer {
    work(id)
}

async fn asynchronous(id: u64) -> Answer {
    work(id)
}

async fn suspends(id: u64) -> Answer {
    suspend().await;
    work(id)
}

#[inline(never)]
fn sync_3(calls: &mut u64) -> Answer {
    let _ = black_box(third(calls));
    let _ = black_box(third(calls));
    third(calls)
}

async fn async_2(calls: &mut u64) -> Answer {
    let _ = black_box(every_second(calls));
    every_second(calls)
}

async fn async_3(calls: &mut u64) -> Answer {
    let _ = black_box(third(calls));
    let _ = black_box(third(calls));
    third(calls)
}

/// The service that layers go around.
pub(crate) fn service()
-> impl Service<u64, Response = u64, Error = Failed, Future: Send + 'static> + Clone + Send + Sync {
    service_fn(asynchronous)
}

/// As [`service`], and its future suspends once.
pub(crate) fn suspending_service() -> impl Service<u64, Response = u64, Error = Failed, Future: Send> + Clone + Send {
    service_fn(suspends)
}

/// Its calls fail.
pub(crate) fn failing_service() -> impl Service<u64, Response = u64, Error = Failed, Future: Send> + Clone + Send {
    service_fn(|_| async { Err(Failed::Busy) })
}

/// Its calls never end.
pub(crate) fn stuck_service() -> impl Service<u64, Response = u64, Error = Failed, Future: Send> + Clone + Send {
    service_fn(|_| std::future::pending())
}

/// The bare future and service.
pub(crate) fn sizes(sizes: &mut Sizes) {
    sizes.of("future", "bare", &asynchronous(1));
    sizes.of("future.suspends", "bare", &suspends(1));
    sizes.of("service", "bare", &service());
}

/// What nobody can do better than: a call, and a call that is counted in one shared word.
pub(crate) fn contended(cases: &mut Contended) {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    cases.case("bare", "bare", || asynchronous(black_box(1)));
    cases.case("bare", "one counter", || {
        COUNTER.fetch_add(1, Ordering::Relaxed);
        asynchronous(black_box(1))
    });
    cases.case("bare", "ft site", || {
        ft_runtime::site!().enter();
        asynchronous(black_box(1))
    });
}

/// The bare calls, in full.
pub(crate) fn measure(meter: &mut Meter) {
    meter.case("bare.sync", "bare", LOOP, || _ = black_box(sync(black_box(1))));
    meter.case("bare.async", "bare", LOOP, || _ = black_box(ready(asynchronous(black_box(1)))));
    meter.case("bare.suspends", "bare", LOOP, || _ = black_box(suspended(suspends(black_box(1)))));
    let mut calls = 0;
    meter.case("bare.sync.3", "bare", LOOP, || _ = black_box(sync_3(&mut calls)));
    meter.case("bare.async.2", "bare", LOOP, || _ = black_box(ready(async_2(&mut calls))));
    meter.case("bare.async.3", "bare", LOOP, || _ = black_box(ready(async_3(&mut calls))));
    let mut service = service();
    meter.case("bare.service", "bare", LOOP, || _ = black_box(ready(request(&mut service, black_box(1)))));
    let mut service = suspending_service();
    meter.case("bare.service.suspends", "bare", LOOP, || {
        _ = black_box(suspended(request(&mut service, black_box(1))));
    });
}
