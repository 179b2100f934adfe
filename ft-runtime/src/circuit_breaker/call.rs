//! One call through a circuit breaker.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::CircuitBreaker;
use super::permit::Permit;
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
        J: Judgement<T, E>,
    {
        let Self { breaker, site, judge, refuse, .. } = self;
        let permit = Permit::new(breaker, site);
        CircuitBreakerFuture { permit, stage: Stage::New, judge, refuse, call: Some(call) }
    }

    /// As [`run`](Self::run), for a call that is only made when the breaker lets it through, which is asked now: a call of a
    /// service.
    #[inline]
    pub fn run_with<F>(self, call: impl FnOnce() -> F) -> CircuitBreakerFuture<P, F, E, J>
    where
        F: Future<Output = Result<T, E>>,
        J: Judgement<T, E>,
    {
        let Self { breaker, site, judge, refuse, .. } = self;
        let mut permit = Permit::new(breaker, site);
        let (stage, call) = match permit.start() {
            Ok(()) => {
                permit.resume();
                let call = call();
                permit.pause();
                (Stage::Started, Some(call))
            }
            Err(retry_after) => (Stage::Refused { retry_after }, None),
        };
        CircuitBreakerFuture { permit, stage, judge, refuse, call }
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
        let mut permit = Permit::new(breaker, site);
        match permit.start() {
            Ok(()) => {
                permit.resume();
                let outcome = call();
                permit.settle(&judge, &outcome);
                outcome
            }
            Err(retry_after) => Err(refuse(permit.refuse(retry_after))),
        }
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
        stage: Stage,
        judge: J,
        refuse: fn(Rejected) -> E,
        #[pin]
        call: Option<F>,
    }
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The breaker was not asked yet.
    New,
    /// It let the call through.
    Started,
    /// It did not.
    Refused { retry_after: Duration },
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
        let mut this = self.project();
        if !matches!(this.stage, Stage::Started) {
            let refused = match *this.stage {
                Stage::Refused { retry_after } => Err(retry_after),
                _ => this.permit.start(),
            };
            if let Err(retry_after) = refused {
                this.call.set(None);
                return Poll::Ready(Err((this.refuse)(this.permit.refuse(retry_after))));
            }
            *this.stage = Stage::Started;
        }
        let Some(call) = this.call.as_pin_mut() else { unreachable!("a call that was let through is there") };
        this.permit.resume();
        let polled = call.poll(cx);
        this.permit.pause();
        let outcome = ready!(polled);
        this.permit.settle(&*this.judge, &outcome);
        Poll::Ready(outcome)
    }
}

impl<P: Deref<Target = CircuitBreaker>, F, E, J> fmt::Debug for CircuitBreakerFuture<P, F, E, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerFuture").field("stage", &self.stage).finish_non_exhaustive()
    }
}
