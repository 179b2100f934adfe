//! The clock seam: the only file that reads a clock or waits.
//!
//! Time follows tokio's clock, so `#[tokio::test(start_paused = true)]` drives everything asynchronous here; for
//! blocking waits [`testing::VirtualTime`](crate::testing::VirtualTime) does the same.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
#[cfg(feature = "checkpoint")]
use std::time::SystemTime;
use std::time::{Duration, Instant};

/// How many threads run on virtual time; zero outside tests, and then nothing but this load is paid.
static VIRTUAL_THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// On a thread with virtual time: how far its clock was moved by waiting.
    static MOVED: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// The present moment: tokio's clock (paused in tests), or the virtual time of this thread.
#[inline]
pub(crate) fn now() -> Instant {
    let now = tokio::time::Instant::now().into_std();
    if VIRTUAL_THREADS.load(Ordering::Relaxed) == 0 { now } else { now + MOVED.get().unwrap_or_default() }
}

/// The time of day, as far from the system's as [`now`] is from its steady clock: nothing, outside of tests.
#[cfg(feature = "checkpoint")]
pub(crate) fn of_day() -> SystemTime {
    let (now, real) = (now(), Instant::now());
    let day = SystemTime::now();
    let moved = match now.checked_duration_since(real) {
        Some(ahead) => day.checked_add(ahead),
        None => day.checked_sub(real - now),
    };
    moved.unwrap_or(day)
}

/// The moment `after` from now; the far future where that cannot be represented.
pub(crate) fn later(now: Instant, after: Duration) -> Instant {
    // A century is "never" for a running program, and an `Instant` can hold it everywhere.
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    now.checked_add(after).unwrap_or_else(|| now + CENTURY)
}

/// Waits without blocking the thread.
///
/// # Panics
///
/// When it is first polled outside a tokio runtime with time enabled, as every tokio timer does.
pub fn sleep(duration: Duration) -> Sleep {
    Sleep { duration, timer: None }
}

/// Blocks the thread.
pub(crate) fn sleep_blocking(duration: Duration) {
    match MOVED.get() {
        Some(moved) => MOVED.set(Some(moved.saturating_add(duration))),
        None => std::thread::sleep(duration),
    }
}

/// A wait that costs nothing until it is polled, and never touches the timer when there is nothing to wait for:
/// tokio rounds every timer up to a millisecond.
#[derive(Debug)]
pub struct Sleep {
    duration: Duration,
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.duration.is_zero() {
            return Poll::Ready(());
        }
        let duration = self.duration;
        self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(duration))).as_mut().poll(cx)
    }
}

/// Moves this thread onto virtual time; `false` when it is there already.
pub(crate) fn enter_virtual() -> bool {
    let entered = MOVED.get().is_none();
    if entered {
        MOVED.set(Some(Duration::ZERO));
        VIRTUAL_THREADS.fetch_add(1, Ordering::Relaxed);
    }
    entered
}

/// Back to the real clock.
pub(crate) fn leave_virtual() {
    MOVED.set(None);
    VIRTUAL_THREADS.fetch_sub(1, Ordering::Relaxed);
}

/// How far the virtual time of this thread was moved by waiting.
pub(crate) fn moved() -> Duration {
    MOVED.get().unwrap_or_default()
}
