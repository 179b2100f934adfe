//! One call through a rate limiter: the session that all doors share.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{self, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::{Joined, POLICY, RateLimiter, Turn};
use crate::observe;
use crate::rejected::{FromRejected, Rejected};
use crate::site::{Entered, Site};
use crate::time;
use crate::turn::Ticket;

/// A rate limiter with a site, ready to run calls.
#[derive(Clone, Copy, Debug)]
pub struct RateLimiterWith<'p> {
    policy: &'p RateLimiter,
    site: &'static Site,
}

impl<'p> RateLimiterWith<'p> {
    pub(super) const fn new(policy: &'p RateLimiter, site: &'static Site) -> Self {
        Self { policy, site }
    }

    /// As [`RateLimiter::run`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn run<T, E, F>(self, future: F) -> RateLimiterRun<&'p RateLimiter, F, E>
    where
        F: Future<Output = Result<T, E>>,
        E: FromRejected,
    {
        self.policy.calls::<Result<T, E>>().at(self.site.enter()).run(future)
    }

    /// As [`RateLimiter::run_blocking`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn run_blocking<T, E: FromRejected>(self, call: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.policy.calls::<Result<T, E>>().at(self.site.enter()).run_blocking(call)
    }
}

/// One call through a [`RateLimiter`]: the session that all doors share. See [`RateLimiter::calls`].
#[must_use = "a session does nothing until it runs a call"]
pub struct RateLimiterCalls<P, T, E> {
    policy: P,
    site: Option<&'static Site>,
    refuse: fn(Rejected) -> E,
    outcome: PhantomData<fn() -> T>,
}

impl<P: Deref<Target = RateLimiter>, T, E> RateLimiterCalls<P, T, E> {
    #[inline]
    pub(super) fn begin(policy: P) -> Self
    where
        E: FromRejected,
    {
        Self { policy, site: None, refuse: E::from_rejected, outcome: PhantomData }
    }

    /// Files the call under its site: `calls.at(site!().enter())`.
    #[inline]
    pub fn at(self, site: Entered) -> Self {
        Self { site: Some(site.site), ..self }
    }

    /// Runs the future when its turn comes.
    #[inline]
    pub fn run<F: Future<Output = Result<T, E>>>(self, future: F) -> RateLimiterRun<P, F, E> {
        let place = Place { policy: self.policy, begun: false, queued: ManuallyDrop::new(None) };
        RateLimiterRun { future, place, site: self.site, refuse: self.refuse }
    }

    /// As [`run`](Self::run), blocking the thread.
    ///
    /// # Errors
    ///
    /// Those of the call; [`Rejected::RateLimited`] when it would have to wait too long.
    #[inline]
    pub fn run_blocking(self, call: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        if let Err(wait) = self.policy.try_take()
            && let Err(retry_after) = self.policy.wait_blocking(wait)
        {
            return Err(refusal(&self.policy, self.site, self.refuse, retry_after));
        }
        call()
    }
}

impl<P: fmt::Debug, T, E> fmt::Debug for RateLimiterCalls<P, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiterCalls").field("policy", &self.policy).finish_non_exhaustive()
    }
}

#[cold]
#[inline(never)]
fn refusal<E>(
    policy: &RateLimiter,
    site: Option<&'static Site>,
    refuse: fn(Rejected) -> E,
    retry_after: Duration,
) -> E {
    let rejected = Rejected::RateLimited { retry_after };
    observe::refused(site, POLICY, policy.key(), &rejected);
    refuse(rejected)
}

pin_project! {
    /// A future that runs when its [`RateLimiter`] says so.
    #[must_use = "futures do nothing unless polled"]
    pub struct RateLimiterRun<P, F, E>
    where
        P: Deref<Target = RateLimiter>,
    {
        #[pin]
        future: F,
        place: Place<P>,
        site: Option<&'static Site>,
        refuse: fn(Rejected) -> E,
    }
}

impl<P, F, T, E> Future for RateLimiterRun<P, F, E>
where
    P: Deref<Target = RateLimiter>,
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Result<T, E>> {
        let this = self.project();
        if !this.place.begun
            && let Err(retry_after) = ready!(this.place.poll_begin(cx))
        {
            return Poll::Ready(Err(refusal(&this.place.policy, *this.site, *this.refuse, retry_after)));
        }
        this.future.poll(cx)
    }
}

impl<P: Deref<Target = RateLimiter>, F, E> fmt::Debug for RateLimiterRun<P, F, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiterRun").field("policy", &*self.place.policy).finish_non_exhaustive()
    }
}

/// Where a call stands. Dropped, it gives up its place in the queue.
///
/// Flat, and one word for what is rarely there: making and dropping it is all that a call pays that never waits.
struct Place<P: Deref<Target = RateLimiter>> {
    policy: P,
    begun: bool,
    /// While it waits. Dropped by hand, so that a call that does not wait has nothing to drop.
    queued: ManuallyDrop<Option<Box<Queued>>>,
}

/// A place in the queue.
struct Queued {
    ticket: Ticket,
    /// Only the first one of the queue has it set.
    timer: Option<time::Sleep>,
}

impl<P: Deref<Target = RateLimiter>> Place<P> {
    /// Ready once it is decided: begun, or refused, and then for how long.
    #[inline]
    fn poll_begin(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), Duration>> {
        let wait = match &*self.queued {
            None => match self.policy.try_take() {
                Ok(()) => {
                    self.begun = true;
                    return Poll::Ready(Ok(()));
                }
                Err(wait) => wait,
            },
            Some(_) => 0,
        };
        self.poll_wait(wait, cx)
    }

    #[cold]
    #[inline(never)]
    fn poll_wait(&mut self, wait: u64, cx: &mut task::Context<'_>) -> Poll<Result<(), Duration>> {
        let queued = match &mut *self.queued {
            Some(queued) => queued,
            empty => match self.policy.join(wait)? {
                Joined::Begun => {
                    self.begun = true;
                    return Poll::Ready(Ok(()));
                }
                Joined::Queue(ticket) => empty.insert(Box::new(Queued { ticket, timer: None })),
            },
        };
        loop {
            if let Some(timer) = &mut queued.timer {
                ready!(Pin::new(timer).poll(cx));
                queued.timer = None;
            }
            match self.policy.look(queued.ticket, cx.waker()) {
                Turn::Come => break,
                Turn::In(wait) => queued.timer = Some(time::sleep(wait)),
                Turn::Behind => return Poll::Pending,
            }
        }
        self.begun = true;
        *self.queued = None;
        Poll::Ready(Ok(()))
    }

    #[cold]
    #[inline(never)]
    fn give_up(&mut self) {
        if let Some(queued) = self.queued.take() {
            self.policy.leave(queued.ticket);
        }
    }
}

impl<P: Deref<Target = RateLimiter>> Drop for Place<P> {
    #[inline]
    fn drop(&mut self) {
        if self.queued.is_some() {
            self.give_up();
        }
    }
}
