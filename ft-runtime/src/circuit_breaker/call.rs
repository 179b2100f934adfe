//! One call through a circuit breaker.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::CircuitBreaker;
use super::permit::{Pass, Permit, Polling, Running};
use crate::judge::{Accept, Judge, Judgement, judgement_setters};
use crate::rejected::Rejected;
use crate::site::{Entered, Site};

/// The session of one call, see [`CircuitBreaker::calls`].
pub struct CircuitBreakerCalls<P, T, E, J = Judge> {
    breaker: P,
    site: Option<&'static Site>,
    judge: J,
    refuse: fn(Rejected) -> E,
    outcome: PhantomData<fn(&T, &E)>,
}

impl<P: Deref<Target = CircuitBreaker>, T, E> CircuitBreakerCalls<P, T, E> {
    #[inline]
    pub(super) fn new(breaker: P, refuse: fn(Rejected) -> E) -> Self {
        Self { breaker, site: None, judge: Judge::by_fault(), refuse, outcome: PhantomData }
    }
}

impl<P: Deref<Target = CircuitBreaker>, T, E, J> CircuitBreakerCalls<P, T, E, J> {
    /// Files the call under its site: `calls.at(site!().enter())`.
    #[inline]
    pub fn at(self, site: Entered) -> Self {
        Self { site: Some(site.site), ..self }
    }

    /// As [`at`](Self::at), for a layer that may have no site.
    #[doc(hidden)]
    #[inline]
    pub fn at_any(self, site: Option<Entered>) -> Self {
        Self { site: site.map(|entered| entered.site), ..self }
    }

    /// Takes a judgement that was put together elsewhere: by a layer for each of its calls.
    #[inline]
    pub fn by<K>(self, judge: K) -> CircuitBreakerCalls<P, T, E, K> {
        self.judged(|_| judge)
    }

    /// Polls `call` if the breaker lets it through; it is asked at the first poll.
    #[inline]
    pub fn run<F>(self, call: F) -> CircuitBreakerFuture<P, F, E, J>
    where
        F: Future<Output = Result<T, E>>,
    {
        let Self { breaker, site, judge, refuse, .. } = self;
        CircuitBreakerFuture { permit: Permit::new(breaker, site, Pass::NEW), judge, refuse, call }
    }

    /// As [`run`](Self::run), for a call that is only made when the breaker lets it through, which is asked now: a call of a
    /// service.
    ///
    /// # Errors
    ///
    /// A refusal: [`Rejected::CircuitOpen`].
    #[inline]
    pub fn start<F>(self, call: impl FnOnce() -> F) -> Result<CircuitBreakerFuture<P, F, E, J>, E>
    where
        F: Future<Output = Result<T, E>>,
        J: Judgement<T, E>,
    {
        let Self { breaker, site, judge, refuse, .. } = self;
        let pass = breaker.enter(site);
        if let Some(retry_after) = pass.refused() {
            return Err(refuse(breaker.refuse(site, retry_after)));
        }
        let running = Running::new(&breaker, site, pass);
        let call = call();
        running.over();
        Ok(CircuitBreakerFuture { permit: Permit::new(breaker, site, pass), judge, refuse, call })
    }

    /// Makes the call if the breaker lets it through, blocking the thread.
    ///
    /// # Errors
    ///
    /// That of the call, or a refusal: [`Rejected::CircuitOpen`].
    #[inline]
    pub fn run_blocking(self, call: impl FnOnce() -> Result<T, E>) -> Result<T, E>
    where
        J: Judgement<T, E>,
    {
        let Self { breaker, site, judge, refuse, .. } = self;
        let breaker: &CircuitBreaker = &breaker;
        let pass = breaker.enter(site);
        if let Some(retry_after) = pass.refused() {
            return Err(refuse(breaker.refuse(site, retry_after)));
        }
        let running = Running::new(breaker, site, pass);
        let outcome = call();
        running.over();
        breaker.settle(site, pass, &judge, &outcome);
        outcome
    }

    /// Refuses the call whatever the breaker says by now: a layer that was open when it was asked whether it is ready has not made
    /// ready what is inside.
    #[cold]
    pub fn turn_away(self) -> E {
        let Self { breaker, site, refuse, .. } = self;
        breaker.shell.count_refusal();
        refuse(breaker.refuse(site, breaker.refuses_for().unwrap_or_default()))
    }

    #[inline]
    fn judged<K>(self, change: impl FnOnce(J) -> K) -> CircuitBreakerCalls<P, T, E, K> {
        let Self { breaker, site, judge, refuse, outcome } = self;
        CircuitBreakerCalls { breaker, site, judge: change(judge), refuse, outcome }
    }
}

impl<P: Deref<Target = CircuitBreaker>, T, E, A: Accept, V, U, H> CircuitBreakerCalls<P, T, E, Judge<A, V, U, H>> {
    judgement_setters!(calls_with);
}

macro_rules! calls_with {
    ($($part:ty),*) => { CircuitBreakerCalls<P, T, E, Judge<$($part),*>> };
}
use calls_with;

impl<P, T, E, J> fmt::Debug for CircuitBreakerCalls<P, T, E, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerCalls").field("site", &self.site).finish_non_exhaustive()
    }
}

pin_project! {
    /// A call through a [`CircuitBreaker`].
    ///
    /// Dropped before it has ended, the call counts as [`CircuitBreaker::abandoned`] says.
    #[must_use = "futures do nothing unless polled"]
    pub struct CircuitBreakerFuture<P: Deref<Target = CircuitBreaker>, F, E, J = Judge> {
        // Above the call: it is given back first, and dropped together with it.
        permit: Permit<P>,
        judge: J,
        refuse: fn(Rejected) -> E,
        #[pin]
        call: F,
    }
}

impl<P, F, T, E, J> Future for CircuitBreakerFuture<P, F, E, J>
where
    P: Deref<Target = CircuitBreaker>,
    F: Future<Output = Result<T, E>>,
    J: Judgement<T, E>,
{
    type Output = Result<T, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, E>> {
        let this = self.project();
        if this.permit.pass().is_new()
            && let Some(retry_after) = this.permit.enter()
        {
            return Poll::Ready(Err((this.refuse)(this.permit.refuse(retry_after))));
        }
        let polling = Polling::new(this.permit);
        let polled = this.call.poll(cx);
        polling.over();
        let outcome = ready!(polled);
        this.permit.settle(&*this.judge, &outcome);
        Poll::Ready(outcome)
    }
}

impl<P: Deref<Target = CircuitBreaker>, F, E, J> fmt::Debug for CircuitBreakerFuture<P, F, E, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerFuture").field("permit", &self.permit).finish_non_exhaustive()
    }
}
