//! A circuit breaker with a judgement or a site.

use std::future::Future;

use super::{CircuitBreaker, CircuitBreakerCalls, CircuitBreakerFuture};
use crate::judge::{Accept, AnyValue, Both, ByFault, Either, Judge, Judgement, NoHint, NoVeto, Until};
use crate::rejected::FromRejected;
use crate::site::Site;

/// A [`CircuitBreaker`] with a judgement or a site, ready to run a call.
///
/// ```
/// use ft_runtime::{CircuitBreaker, Error};
/// static DB: CircuitBreaker = CircuitBreaker::new().consecutive(1);
/// # #[derive(Debug, PartialEq)] enum DbError { Down, Gone }
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let with = DB.when(|error: &Error<DbError>| *error == Error::Failed(DbError::Down));
/// let outcome = with.run(async { Err::<(), _>(Error::Failed(DbError::Gone)) }).await;
/// assert_eq!(DB.snapshot().failures, 0);
/// # let _ = outcome;
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CircuitBreakerWith<'p, A = ByFault, V = NoVeto, U = AnyValue, H = NoHint> {
    breaker: &'p CircuitBreaker,
    site: Option<&'static Site>,
    judge: Judge<A, V, U, H>,
}

impl<'p> CircuitBreakerWith<'p> {
    pub(super) fn new(breaker: &'p CircuitBreaker) -> Self {
        Self { breaker, site: None, judge: Judge::by_fault() }
    }
}

impl<'p, A: Accept, V, U, H> CircuitBreakerWith<'p, A, V, U, H> {
    /// Files the calls under a site, see [`site!`](crate::site!).
    pub fn at(self, site: &'static Site) -> Self {
        Self { site: Some(site), ..self }
    }

    /// Takes only errors for failures that the predicate says yes to. Given twice, both must.
    pub fn when<F>(self, accept: F) -> CircuitBreakerWith<'p, Both<A::Explicit, F>, V, U, H> {
        CircuitBreakerWith { breaker: self.breaker, site: self.site, judge: self.judge.when(accept) }
    }

    /// Takes no error for a failure that the predicate says yes to.
    pub fn unless<F>(self, veto: F) -> CircuitBreakerWith<'p, A::Explicit, Either<V, F>, U, H> {
        CircuitBreakerWith { breaker: self.breaker, site: self.site, judge: self.judge.unless(veto) }
    }

    /// Takes a value for a failure that the predicate says no to.
    pub fn until<F>(self, good: F) -> CircuitBreakerWith<'p, A, V, Until<F>, H> {
        CircuitBreakerWith { breaker: self.breaker, site: self.site, judge: self.judge.until(good) }
    }

    /// Polls `call` if the breaker lets it through.
    pub fn run<T, E, F>(self, call: F) -> CircuitBreakerFuture<&'p CircuitBreaker, F, E, Judge<A, V, U, H>>
    where
        E: FromRejected,
        F: Future<Output = Result<T, E>>,
        Judge<A, V, U, H>: Judgement<T, E>,
    {
        self.begin().run(call)
    }

    /// As [`run`](Self::run), blocking the thread.
    ///
    /// # Errors
    ///
    /// That of the call, or a refusal: [`Rejected::CircuitOpen`](crate::Rejected::CircuitOpen).
    pub fn run_blocking<T, E: FromRejected>(self, call: impl FnOnce() -> Result<T, E>) -> Result<T, E>
    where
        Judge<A, V, U, H>: Judgement<T, E>,
    {
        self.begin().run_blocking(call)
    }

    fn begin<T, E: FromRejected>(self) -> CircuitBreakerCalls<&'p CircuitBreaker, T, E, Judge<A, V, U, H>> {
        let calls = self.breaker.calls::<Result<T, E>>().by(self.judge);
        match self.site {
            Some(site) => calls.at(site.enter()),
            None => calls,
        }
    }
}
