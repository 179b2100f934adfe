//! So long and no longer.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::deadline::{self, Around, Bound, Limit, Passed};
use crate::fault::FaultKind;
use crate::faults::Seen;
use crate::observe;
use crate::outcome::Refusable;
use crate::rejected::{FromRejected, Rejected, TIMED_OUT};
use crate::site::{Entered, Site};
use crate::time::Timer;

/// Cuts a call off that takes too long, and gives everything inside its deadline.
///
/// # When not to use it
///
/// - Around work that must not stop half-way: the future is dropped where it waits, and what it has done stays done.
/// - Around code that does not wait but computes or blocks: a timeout only looks between two polls. Use
///   `tokio::task::spawn_blocking` and put the timeout around its handle; the work itself goes on to its end.
/// - To limit a whole call with its attempts and waits, where nothing need be cut off:
///   [`Retry::deadline`](crate::Retry::deadline).
///
/// # Defaults
///
/// | setting | default |
/// |---|---|
/// | [`new`](Self::new) | none: the limit is always given |
///
/// # What counts
///
/// The limit runs from the first poll. A call that is ready at once never reads the clock: it is read when the call
/// suspends for the first time, or when something inside asks for [`Deadline::current`](crate::Deadline::current), or at
/// once where a deadline is around already. So code that blocks before the first suspension does not count; it could not
/// be cut off anyway.
///
/// What is left of a deadline around counts where it is shorter: the call is cut off then. Where nothing is left, the call
/// is not even started.
///
/// The body is polled before the clock is looked at: an answer that is there at the last moment is an answer.
///
/// # Three doors
///
/// ```
/// use ft_runtime::{Rejected, Timeout, timeout};
/// use std::{io, time::Duration};
///
/// const DB: Timeout = Timeout::new(Duration::from_millis(200));
///
/// #[timeout(200ms)]                                         // annotate a function
/// async fn load(id: u64) -> io::Result<String> {
///     Ok(format!("row {id}"))
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> io::Result<()> {
/// load(1).await?;
/// DB.run(async { io::Result::Ok("row 2") }).await?;         // call the value
/// let late = DB.run(std::future::pending::<Result<(), Rejected>>()).await;
/// assert_eq!(late, Err(Rejected::TimedOut { limit: Duration::from_millis(200) }));
/// # Ok(()) }
/// // or stack a layer: ft_tower::TimeoutLayer::new(DB)
/// ```
///
/// # Errors
///
/// [`Rejected::TimedOut`] with the time that the call had, when it was cut off; [`Rejected::DeadlinePassed`] when it was
/// not started. Everything else is the call's own, a panic included.
///
/// # Events
///
/// `refused` with the reason `timed_out` or `deadline_passed`; a call that was cut off is in the fault log of its site.
///
/// # Cancel safety
///
/// When the limit is reached the body is dropped before the error is answered: nothing runs on. Dropping the future of a
/// call drops the body with it.
///
/// # Panics
///
/// When a call suspends outside a tokio runtime with time enabled, as every tokio timer does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Timeout {
    limit: Limit,
}

impl Timeout {
    /// A timeout with this limit. One beyond 584 years counts as that.
    ///
    /// # Panics
    ///
    /// On zero; in a constant, and so in an attribute, that is a compile error.
    #[track_caller]
    pub const fn new(limit: Duration) -> Self {
        assert!(!limit.is_zero(), "the limit must be longer than zero");
        Self { limit: Limit::new(limit) }
    }

    /// The limit.
    pub const fn limit(&self) -> Duration {
        self.limit.duration()
    }

    /// The session of one call. Attributes and layers open one for each call.
    #[inline]
    pub const fn calls<R: Refusable>(&self) -> TimeoutCalls<R::Value, R::Error> {
        TimeoutCalls { limit: self.limit, site: None, refuse: R::Error::from_rejected, value: PhantomData }
    }

    /// Runs `future`, and cuts it off when the limit is reached.
    ///
    /// # Errors
    ///
    /// That of the future, or the refusals of [`Timeout`].
    #[inline]
    pub fn run<T, E: FromRejected, F: Future<Output = Result<T, E>>>(&self, future: F) -> TimingOut<F, E> {
        self.calls::<Result<T, E>>().run(future)
    }

    /// Files the calls under a site, see [`site!`](crate::site!).
    pub const fn at(&self, site: &'static Site) -> TimeoutWith {
        TimeoutWith { policy: *self, site }
    }
}

impl From<Duration> for Timeout {
    #[track_caller]
    fn from(limit: Duration) -> Self {
        Self::new(limit)
    }
}

impl fmt::Debug for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout").field("limit", &self.limit()).finish()
    }
}

/// A timeout with a site, ready to call.
///
/// ```
/// use ft_runtime::{Timeout, site};
/// use std::{io, time::Duration};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> io::Result<()> {
/// const DB: Timeout = Timeout::new(Duration::from_secs(2));
/// DB.at(site!("load-row")).run(async { io::Result::Ok(7) }).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TimeoutWith {
    policy: Timeout,
    site: &'static Site,
}

impl TimeoutWith {
    /// As [`Timeout::run`].
    ///
    /// # Errors
    ///
    /// That of the future, or the refusals of [`Timeout`].
    pub fn run<T, E: FromRejected, F: Future<Output = Result<T, E>>>(self, future: F) -> TimingOut<F, E> {
        self.policy.calls::<Result<T, E>>().at(self.site.enter()).run(future)
    }
}

/// The session of one call: see [`Timeout::calls`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a session does nothing until `run`"]
pub struct TimeoutCalls<T, E> {
    limit: Limit,
    site: Option<&'static Site>,
    /// Here, and not asked for once more: a type that cannot be refused is one error, at the return type.
    refuse: fn(Rejected) -> E,
    value: PhantomData<fn() -> T>,
}

impl<T, E> TimeoutCalls<T, E> {
    /// Files the call under its site: `timeout.calls::<R>().at(site!().enter())`.
    #[inline]
    pub const fn at(self, site: Entered) -> Self {
        Self { site: Some(site.site), ..self }
    }

    /// Runs `future`, and cuts it off when the limit is reached.
    #[inline]
    pub const fn run<F: Future<Output = Result<T, E>>>(self, future: F) -> TimingOut<F, E> {
        TimingOut { body: Some(future), limit: self.limit, site: self.site, timer: Timer::new(), refuse: self.refuse }
    }

    /// As [`run`](Self::run), for a future whose making may look at the deadline already: a call of a service. It is
    /// not made where the deadline around has passed.
    #[inline]
    pub fn run_with<F: Future<Output = Result<T, E>>>(self, call: impl FnOnce() -> F) -> TimingOut<F, E> {
        let mut around = Around::default();
        // The limit itself runs from the first poll.
        let body = around.limited(&mut self.limit.clone()).ok().map(|_entered| call());
        TimingOut { body, limit: self.limit, site: self.site, timer: Timer::new(), refuse: self.refuse }
    }
}

pin_project! {
    /// A future with a limit: see [`Timeout::run`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct TimingOut<F, E> {
        // Gone when it was cut off, or must not start.
        #[pin]
        body: Option<F>,
        limit: Limit,
        site: Option<&'static Site>,
        #[pin]
        timer: Timer,
        refuse: fn(Rejected) -> E,
    }
}

impl<T, E, F: Future<Output = Result<T, E>>> Future for TimingOut<F, E> {
    type Output = Result<T, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(body) = this.body.as_mut().as_pin_mut() {
            let mut around = Around::default();
            let entered = match this.timer.end() {
                Some(end) => Ok(around.until(end)),
                None => around.limited(this.limit),
            };
            match entered {
                Ok(entered) => {
                    if let Poll::Ready(outcome) = body.poll(cx) {
                        drop(entered);
                        return Poll::Ready(outcome);
                    }
                    let waited = wait(this.timer, cx);
                    drop(entered);
                    ready!(waited);
                    deadline::cutting_off(|| this.body.set(None));
                    return Poll::Ready(Err((this.refuse)(timed_out(*this.site, *this.limit))));
                }
                // It never ran: whoever is inside has nothing to learn from it.
                Err(Passed) => this.body.set(None),
            }
        }
        Poll::Ready(Err((this.refuse)(passed(*this.site))))
    }
}

/// The call waits, for the first time or again, under its deadline: the same for calls of all types.
#[inline(never)]
fn wait(timer: Pin<&mut Timer>, cx: &mut Context<'_>) -> Poll<()> {
    if timer.end().is_some() {
        return timer.poll(cx);
    }
    match Bound::current() {
        Bound::Until(end) => timer.set(end, cx),
        // A deadline is in force while this is called.
        _ => Poll::Pending,
    }
}

#[cold]
#[inline(never)]
fn timed_out(site: Option<&'static Site>, limit: Limit) -> Rejected {
    let rejected = Rejected::TimedOut { limit: limit.duration() };
    let seen = Seen { policy: POLICY, kind: FaultKind::Transient, what: TIMED_OUT, attempt: 1, given_up: true };
    observe::record(site, &seen);
    observe::refused(site, POLICY, None, &rejected);
    rejected
}

#[cold]
#[inline(never)]
fn passed(site: Option<&'static Site>) -> Rejected {
    observe::refused(site, POLICY, None, &Rejected::DeadlinePassed);
    Rejected::DeadlinePassed
}

const POLICY: &str = "timeout";

#[cfg(test)]
mod tests;
