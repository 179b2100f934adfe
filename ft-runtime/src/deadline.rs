//! One deadline through the nest.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{self, Poll};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use crate::time;

mod bound;
mod wire;

pub(crate) use bound::{Around, Bound, Limit, Passed};

thread_local! {
    /// Whether this thread is dropping work because its deadline has passed.
    static CUTTING_OFF: Cell<bool> = const { Cell::new(false) };
}

/// The moment by which the caller wants its answer.
///
/// Everything inside a call sees the deadline of the nearest policy around it that sets one: an attempt gets the
/// smaller of its own limit and what is left, and a wait that cannot fit is not started. It stays with the task; for
/// work on another task carry the [`Context`](crate::Context) over, and for work on another machine write it into a header
/// ([`to_header`](Self::to_header), [`to_grpc_timeout`](Self::to_grpc_timeout), or `ft_tower::http::PropagateDeadlineLayer`).
///
/// ```
/// use ft_runtime::Deadline;
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// assert!(Deadline::current().is_none());
/// Deadline::after(Duration::from_secs(2)).scope(async {
///     assert_eq!(Deadline::current().unwrap().remaining(), Duration::from_secs(2));
///     // A later deadline inside changes nothing: the nearer one wins.
///     Deadline::after(Duration::from_secs(9)).scope(async {
///         assert_eq!(Deadline::current().unwrap().remaining(), Duration::from_secs(2));
///     }).await;
/// }).await;
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline {
    at: Instant,
}

impl Deadline {
    /// The deadline at this moment of the steady clock.
    pub const fn at(at: Instant) -> Self {
        Self { at }
    }

    /// The deadline this long from now.
    pub fn after(limit: Duration) -> Self {
        Self { at: time::later(time::now(), limit) }
    }

    /// The deadline that the code running now was given, if any.
    ///
    /// Within a [`Timeout`](crate::Timeout) that has not suspended yet this reads the clock, and its limit runs from here.
    pub fn current() -> Option<Self> {
        Bound::current().instant().map(Self::at)
    }

    /// The moment itself.
    pub const fn instant(self) -> Instant {
        self.at
    }

    /// How much time is left; zero once it has passed.
    pub fn remaining(self) -> Duration {
        self.at.saturating_duration_since(time::now())
    }

    /// How long one may wait under it for something else to come first: a timer that is late as well would let the deadline
    /// cut the wait off, and a call that never ran would look like one that took too long.
    pub(crate) fn to_wait(self) -> Duration {
        self.remaining().saturating_sub(time::LATE)
    }

    /// Has it passed? At exactly the deadline it has.
    pub fn has_passed(self) -> bool {
        time::now() >= self.at
    }

    /// Runs `future` under this deadline, or under the one around it where that is nearer. What is inside sees it, and our
    /// policies keep to it; it cuts nothing off by itself, as a [`Timeout`](crate::Timeout) inside does.
    pub fn scope<F: Future>(self, future: F) -> Under<F> {
        under(Some(self), future)
    }

    /// Runs `call` under this deadline, or under the one around it where that is nearer.
    pub fn scope_blocking<R>(self, call: impl FnOnce() -> R) -> R {
        under_blocking(Some(self), call)
    }
}

/// Polls `future` under the nearer of `deadline` and what is around it; without one it only passes the polls on.
#[inline]
pub fn under<F: Future>(deadline: Option<Deadline>, future: F) -> Under<F> {
    Under { deadline, future }
}

/// As [`under`], for blocking calls.
#[inline]
pub fn under_blocking<R>(deadline: Option<Deadline>, call: impl FnOnce() -> R) -> R {
    match deadline {
        None => call(),
        Some(deadline) => {
            let mut around = Around::default();
            let _entered = around.until(deadline.at);
            call()
        }
    }
}

/// Exchanges the deadline of a captured context with what is in force.
pub(crate) fn exchange(captured: &mut Bound) {
    *captured = captured.replace();
}

pin_project! {
    /// A future under a deadline; see [`Deadline::scope`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Under<F> {
        deadline: Option<Deadline>,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Under<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        // Two calls: with one, the usual path would test again afterwards whether anything was entered.
        let Some(deadline) = this.deadline else { return this.future.poll(cx) };
        let mut around = Around::default();
        let _entered = around.until(deadline.at);
        this.future.poll(cx)
    }
}

/// Drops work whose deadline has passed, in `drop`: what is dropped there may ask [`is_cutting_off`] and so tell a call
/// that took too long from one whose caller left.
pub(crate) fn cutting_off<R>(drop: impl FnOnce() -> R) -> R {
    let _restored = CuttingOff { around: CUTTING_OFF.replace(true) };
    drop()
}

/// Is this thread dropping work because its deadline has passed?
pub(crate) fn is_cutting_off() -> bool {
    CUTTING_OFF.get()
}

/// Restores what was around when it is dropped, a panic included.
struct CuttingOff {
    around: bool,
}

impl Drop for CuttingOff {
    fn drop(&mut self) {
        CUTTING_OFF.set(self.around);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_knows_that_it_is_cut_off_also_when_something_panics_meanwhile() {
        struct Asks<'a>(&'a Cell<Option<bool>>);
        impl Drop for Asks<'_> {
            fn drop(&mut self) {
                self.0.set(Some(is_cutting_off()));
            }
        }
        let seen = Cell::new(None);
        cutting_off(|| drop(Asks(&seen)));
        assert_eq!(seen.take(), Some(true));
        drop(Asks(&seen));
        assert_eq!(seen.take(), Some(false));

        let panics = || cutting_off(|| panic!("while it is dropped"));
        std::panic::catch_unwind(panics).unwrap_err();
        assert!(!is_cutting_off());
    }
}
