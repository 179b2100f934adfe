//! One call through a bulkhead: the session that all doors share.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::ops::Deref;
use std::pin::Pin;
use std::task::{self, Poll, ready};

use pin_project_lite::pin_project;

use super::{Bulkhead, Joined, PLAIN, POLICY};
use crate::observe;
use crate::rejected::{FromRejected, Rejected};
use crate::site::{Entered, Site};
use crate::time;
use crate::turn::Ticket;

/// A bulkhead with a site, ready to run calls.
#[derive(Clone, Copy, Debug)]
pub struct BulkheadWith<'p> {
    policy: &'p Bulkhead,
    site: &'static Site,
}

impl<'p> BulkheadWith<'p> {
    pub(super) const fn new(policy: &'p Bulkhead, site: &'static Site) -> Self {
        Self { policy, site }
    }

    /// As [`Bulkhead::run`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn run<T, E, F>(self, future: F) -> BulkheadRun<&'p Bulkhead, F, E>
    where
        F: Future<Output = Result<T, E>>,
        E: FromRejected,
    {
        self.policy.calls::<Result<T, E>>().at(self.site.enter()).run(future)
    }

    /// As [`Bulkhead::run_blocking`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn run_blocking<T, E: FromRejected>(self, call: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.policy.calls::<Result<T, E>>().at(self.site.enter()).run_blocking(call)
    }
}

/// One call through a [`Bulkhead`]: the session that all doors share. See [`Bulkhead::calls`].
#[must_use = "a session does nothing until it runs a call"]
pub struct BulkheadCalls<P, T, E> {
    policy: P,
    site: Option<&'static Site>,
    refuse: fn(Rejected) -> E,
    outcome: PhantomData<fn() -> T>,
}

impl<P: Deref<Target = Bulkhead>, T, E> BulkheadCalls<P, T, E> {
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

    /// Runs the future when there is room for it.
    #[inline]
    pub fn run<F: Future<Output = Result<T, E>>>(self, future: F) -> BulkheadRun<P, F, E> {
        let place = Place { policy: self.policy, site: self.site, stands: OUTSIDE, queued: ManuallyDrop::new(None) };
        BulkheadRun { future, place, refuse: self.refuse }
    }

    /// As [`run`](Self::run), blocking the thread.
    ///
    /// # Errors
    ///
    /// Those of the call; [`Rejected::BulkheadFull`] when there was no room in time.
    #[inline]
    pub fn run_blocking(self, call: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let began = if self.policy.try_enter() { Some(PLAIN) } else { self.policy.enter_blocking() };
        let Some(began) = began else { return Err(refusal(&self.policy, self.site, self.refuse)) };
        let permit = Permit { policy: &self.policy, site: self.site, began };
        let outcome = call();
        permit.answered();
        outcome
    }
}

impl<P: fmt::Debug, T, E> fmt::Debug for BulkheadCalls<P, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkheadCalls").field("policy", &self.policy).finish_non_exhaustive()
    }
}

#[cold]
#[inline(never)]
fn refusal<E>(policy: &Bulkhead, site: Option<&'static Site>, refuse: fn(Rejected) -> E) -> E {
    let rejected = Rejected::BulkheadFull;
    observe::refused(site, POLICY, policy.key(), &rejected);
    refuse(rejected)
}

pin_project! {
    /// A future that runs when its [`Bulkhead`] has room for it.
    #[must_use = "futures do nothing unless polled"]
    pub struct BulkheadRun<P, F, E>
    where
        P: Deref<Target = Bulkhead>,
    {
        // Before the place: dropped, it is gone before its permit is somebody else's.
        #[pin]
        future: F,
        place: Place<P>,
        refuse: fn(Rejected) -> E,
    }
}

impl<P, F, T, E> Future for BulkheadRun<P, F, E>
where
    P: Deref<Target = Bulkhead>,
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Result<T, E>> {
        let this = self.project();
        let place = this.place;
        if place.stands == OUTSIDE {
            if place.queued.is_none() && place.policy.try_enter() {
                place.stands = PLAIN;
            } else if !ready!(place.poll_wait(cx)) {
                return Poll::Ready(Err(refusal(&place.policy, place.site, *this.refuse)));
            }
        }
        let outcome = ready!(this.future.poll(cx));
        let began = mem::replace(&mut place.stands, OUTSIDE);
        place.policy.end(began, true, place.site);
        Poll::Ready(outcome)
    }
}

impl<P: Deref<Target = Bulkhead>, F, E> fmt::Debug for BulkheadRun<P, F, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkheadRun").field("policy", &*self.place.policy).finish_non_exhaustive()
    }
}

/// The permit of a blocking call. Dropped, it is given back.
struct Permit<'p> {
    policy: &'p Bulkhead,
    site: Option<&'static Site>,
    /// As `Bulkhead::clock` says.
    began: u64,
}

impl Permit<'_> {
    #[inline]
    fn answered(self) {
        self.policy.end(self.began, true, self.site);
        mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    #[cold]
    fn drop(&mut self) {
        self.policy.end(self.began, false, self.site);
    }
}

/// Where a call stands. Dropped, it gives back what it has.
///
/// Flat, and one word for what is rarely there: making and dropping it is all that a call pays that never waits.
struct Place<P: Deref<Target = Bulkhead>> {
    policy: P,
    site: Option<&'static Site>,
    /// `OUTSIDE`, or with a permit: `PLAIN`, or since when where the limit is adaptive.
    stands: u64,
    /// While it waits. Dropped by hand, so that a call that does not wait has nothing to drop.
    queued: ManuallyDrop<Option<Box<Queued>>>,
}

/// A place in the queue.
struct Queued {
    ticket: Ticket,
    /// Where the wait has an end.
    timer: Option<time::Sleep>,
}

/// Without a permit.
const OUTSIDE: u64 = 0;

impl<P: Deref<Target = Bulkhead>> Place<P> {
    /// Ready once it is decided: inside, or refused.
    #[cold]
    #[inline(never)]
    fn poll_wait(&mut self, cx: &mut task::Context<'_>) -> Poll<bool> {
        let policy = &*self.policy;
        let queued = match &mut *self.queued {
            Some(queued) => queued,
            empty => match policy.enter() {
                None => return Poll::Ready(false),
                Some(Joined::Inside) => {
                    self.stands = policy.clock();
                    return Poll::Ready(true);
                }
                Some(Joined::Queue(ticket, patience)) => {
                    empty.insert(Box::new(Queued { ticket, timer: patience.map(time::sleep) }))
                }
            },
        };
        if !policy.admits(queued.ticket, cx.waker()) {
            match &mut queued.timer {
                Some(timer) => ready!(Pin::new(timer).poll(cx)),
                None => return Poll::Pending,
            }
            // The turn may have come at the same moment.
            if policy.leave(queued.ticket) {
                *self.queued = None;
                return Poll::Ready(false);
            }
        }
        self.stands = policy.clock();
        *self.queued = None;
        Poll::Ready(true)
    }

    #[cold]
    #[inline(never)]
    fn abandon(&mut self) {
        match self.queued.take() {
            None => self.policy.end(self.stands, false, self.site),
            // The turn that came and was not taken is the next one's.
            Some(queued) if !self.policy.leave(queued.ticket) => self.policy.give_back(),
            Some(_) => {}
        }
    }
}

impl<P: Deref<Target = Bulkhead>> Drop for Place<P> {
    #[inline]
    fn drop(&mut self) {
        if self.stands != OUTSIDE || self.queued.is_some() {
            self.abandon();
        }
    }
}
