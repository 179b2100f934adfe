//! The clock seam: the only file that reads a clock or waits.
//!
//! Time follows tokio's clock, so `#[tokio::test(start_paused = true)]` drives everything asynchronous here; for
//! blocking waits [`testing::VirtualTime`](crate::testing::VirtualTime) does the same.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
#[cfg(feature = "checkpoint")]
use std::time::SystemTime;
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use crate::sync;

/// How many threads run on virtual time; zero outside tests, and then nothing but this load is paid.
static VIRTUAL_THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The clock of a thread with virtual time.
    static VIRTUAL: Cell<Option<Virtual>> = const { Cell::new(None) };
}

/// A clock that stands still but for waits.
#[derive(Clone, Copy)]
struct Virtual {
    started: Instant,
    moved: Duration,
}

/// The present moment: tokio's clock (paused in tests), or the virtual time of this thread.
#[inline]
pub(crate) fn now() -> Instant {
    let real = real();
    if VIRTUAL_THREADS.load(Ordering::Relaxed) == 0 { real } else { virtual_or(real) }
}

/// The steady clock itself, which no test drives: for moments that threads with clocks of their own have to agree on.
#[cfg(feature = "postgres")]
pub(crate) fn of_the_machine() -> Instant {
    Instant::now()
}

#[inline]
fn real() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cold]
fn virtual_or(real: Instant) -> Instant {
    VIRTUAL.get().map_or(real, |clock| later(clock.started, clock.moved))
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

/// The present moment as a number: nanoseconds since some moment 18 years before the process started. It steps back where the
/// clock does, and never wraps.
#[inline]
pub(crate) fn nanos() -> u64 {
    match ORIGIN.get() {
        Some((origin, at)) => at + whole_nanos(now().saturating_duration_since(*origin)),
        None => first_nanos(),
    }
}

#[cold]
fn first_nanos() -> u64 {
    ORIGIN.get_or_init(|| {
        let now = Instant::now();
        // Where the clock cannot go back so far, what is before the origin is the origin.
        now.checked_sub(LONG).map_or((now, whole_nanos(LONG)), |origin| (origin, 0))
    });
    nanos()
}

/// Two to the fifty-ninth, so that the present and the longest of waits add up to less than two to the sixty-first.
const LONG: Duration = Duration::from_nanos(1 << 59);

/// A moment, and its number: before the process started, since a paused clock may stand before the first look at this one.
static ORIGIN: OnceLock<(Instant, u64)> = OnceLock::new();

/// A duration in nanoseconds, at most 36 years.
#[inline]
pub(crate) const fn whole_nanos(duration: Duration) -> u64 {
    const MOST: u64 = 1 << 60;
    let seconds = duration.as_secs();
    if seconds >= MOST / 1_000_000_000 { MOST } else { seconds * 1_000_000_000 + duration.subsec_nanos() as u64 }
}

/// The moment `after` from now; the far future where that cannot be represented.
#[inline]
pub(crate) fn later(now: Instant, after: Duration) -> Instant {
    // A century is "never" for a running program, and an `Instant` can hold it everywhere.
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    now.checked_add(after).unwrap_or_else(|| now + CENTURY)
}

/// How late a timer may be: tokio's are rounded up to the next millisecond, and looked at once in one.
pub(crate) const LATE: Duration = Duration::from_millis(2);

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
    match VIRTUAL.get() {
        Some(_) => advance(duration),
        None => std::thread::sleep(duration),
    }
}

/// Blocks the thread until it is unparked, or for that long; may return early.
pub(crate) fn park(limit: Option<Duration>) {
    match (limit, VIRTUAL.get()) {
        (None, _) => sync::park(),
        // Nobody else lives on this thread's virtual time: it passes.
        (Some(limit), Some(_)) => advance(limit),
        (Some(limit), None) => sync::park_timeout(limit),
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

pin_project! {
    /// A timer that lives where it is put, without an allocation, and is made when it is set.
    #[derive(Debug, Default)]
    pub(crate) struct Timer {
        #[pin]
        set: Option<tokio::time::Sleep>,
    }
}

impl Timer {
    pub(crate) const fn new() -> Self {
        Self { set: None }
    }

    /// When it goes off, if it is set.
    #[inline]
    pub(crate) fn end(&self) -> Option<Instant> {
        self.set.as_ref().map(|timer| timer.deadline().into_std())
    }

    /// Sets it, and waits.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with time enabled, as every tokio timer does.
    #[inline]
    pub(crate) fn set(self: Pin<&mut Self>, end: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let mut set = self.project().set;
        set.set(Some(tokio::time::sleep_until(end.into())));
        set.as_pin_mut().map_or(Poll::Pending, |timer| timer.poll(cx))
    }

    /// Waits on; a timer that is not set does not go off.
    pub(crate) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(mut timer) = self.project().set.as_pin_mut() else { return Poll::Pending };
        match timer.as_mut().poll(cx) {
            // A timer is not looked at once its task has spent its budget, and goes off up to a millisecond late.
            Poll::Pending if now() < timer.deadline().into_std() => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }
}

/// Moves this thread onto virtual time; `false` when it is there already.
pub(crate) fn enter_virtual() -> bool {
    let entered = VIRTUAL.get().is_none();
    if entered {
        VIRTUAL.set(Some(Virtual { started: real(), moved: Duration::ZERO }));
        VIRTUAL_THREADS.fetch_add(1, Ordering::Relaxed);
    }
    entered
}

/// Back to the real clock.
pub(crate) fn leave_virtual() {
    VIRTUAL.set(None);
    VIRTUAL_THREADS.fetch_sub(1, Ordering::Relaxed);
}

/// Moves the virtual time of this thread on, if it has one.
pub(crate) fn advance(duration: Duration) {
    VIRTUAL.set(VIRTUAL.get().map(|clock| Virtual { moved: clock.moved.saturating_add(duration), ..clock }));
}

/// How far the virtual time of this thread has moved.
pub(crate) fn moved() -> Duration {
    VIRTUAL.get().map_or(Duration::ZERO, |clock| clock.moved)
}
