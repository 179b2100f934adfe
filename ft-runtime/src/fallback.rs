//! Another answer when there is none.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;

use crate::fault::{Fault, FaultKind};
use crate::faults::Seen;
use crate::judge::{Accept, AnyValue, Both, ByFault, Either, Every, Judge, Judgement, NoHint, NoVeto, Verdict};
use crate::observe::{self, Failure, What};
use crate::outcome::Outcome;
use crate::site::{Entered, Site};

/// Answers a call that failed in another way: with a value, with another function, or with whatever can be made of the
/// error.
///
/// # When not to use it
///
/// Where the caller could do more about the error than you can; where the fallback needs what has just failed (a cache
/// behind the same network); for the same work at another place, which is a [`Failover`](crate::Failover) with health and
/// a way back. Fallbacks that nobody watches hide outages: each one is an event.
///
/// # Which failures
///
/// Everything but a permanent error, as the error's own [`Fault`] says, and every refusal of our own policies: an open
/// circuit, a full bulkhead, a deadline that has passed. Or say it, with `on`, `unless` and `when`. All other outcomes are
/// the caller's unchanged. A fallback that fails returns its own error.
///
/// # Defaults
///
/// It has no settings.
///
/// # Doors
///
/// ```
/// use ft_runtime::{Fallback, fallback};
/// use std::io;
///
/// #[fallback(to = cached)]                                 // a function with the same arguments
/// async fn price(item: u32) -> io::Result<u32> {
///     # let _ = item;
///     Err(io::ErrorKind::TimedOut.into())
/// }
/// async fn cached(item: u32) -> io::Result<u32> {
///     Ok(item * 100)
/// }
///
/// #[fallback(value = 0)]                                   // a success value
/// async fn stock(item: u32) -> io::Result<u32> {
///     # let _ = item;
///     Err(io::ErrorKind::TimedOut.into())
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> io::Result<()> {
/// assert_eq!(price(7).await?, 700);
/// assert_eq!(stock(7).await?, 0);
/// let down = async { Err(io::ErrorKind::TimedOut.into()) };
/// assert_eq!(Fallback::new().run(down, async |_error| io::Result::Ok(9)).await?, 9);  // call the value
/// # Ok(()) }
/// // or stack a layer: ft_tower::FallbackLayer::value(..), ::to(..), ::with(..)
/// ```
///
/// # Events
///
/// [`Substituted`](What::Substituted), and an entry in the site's fault log: the caller does not see the error.
///
/// # Cancel safety
///
/// Dropping the future stops the call or its fallback, whichever runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fallback {
    _no_settings: (),
}

impl Fallback {
    /// A fallback.
    pub const fn new() -> Self {
        Self { _no_settings: () }
    }

    /// The session of one call that returns `R`: what the attribute and the layer use.
    ///
    /// ```
    /// use ft_runtime::Fallback;
    /// use std::io;
    /// # fn main() {
    /// # fn read() -> io::Result<u32> { Err(io::ErrorKind::TimedOut.into()) }
    /// let calls = Fallback::new().calls::<io::Result<u32>>();
    /// let outcome = read();
    /// let answer = if calls.stands_in(&outcome) { Ok(7) } else { outcome };
    /// assert_eq!(answer.unwrap(), 7);
    /// # }
    /// ```
    #[inline]
    pub fn calls<R: Outcome>(&self) -> FallbackCalls<R::Value, R::Error> {
        FallbackCalls { site: None, judge: Judge::by_fault(), outcome: PhantomData }
    }

    /// Makes the call; if it fails, `with` makes the answer of the error.
    ///
    /// # Errors
    ///
    /// Those that no fallback is for, unchanged; or that of `with`.
    pub async fn run<T, E, F, W, A>(&self, call: F, with: W) -> Result<T, E>
    where
        E: Fault,
        F: Future<Output = Result<T, E>>,
        W: FnOnce(E) -> A,
        A: Future<Output = Result<T, E>>,
    {
        self.with().run(call, with).await
    }

    /// As [`run`](Self::run), blocking the thread.
    ///
    /// # Errors
    ///
    /// As `run`.
    pub fn run_blocking<T, E: Fault>(
        &self,
        call: impl FnOnce() -> Result<T, E>,
        with: impl FnOnce(E) -> Result<T, E>,
    ) -> Result<T, E> {
        self.with().run_blocking(call, with)
    }

    /// Files the calls under a site, see [`site!`](crate::site!).
    pub fn at(&self, site: &'static Site) -> FallbackWith {
        self.with().at(site)
    }

    /// Only errors that the predicate says yes to have a fallback.
    pub fn when<F>(&self, accept: F) -> FallbackWith<Both<Every, F>> {
        self.with().when(accept)
    }

    /// All errors have a fallback but those that the predicate says yes to.
    pub fn unless<F>(&self, veto: F) -> FallbackWith<Every, Either<NoVeto, F>> {
        self.with().unless(veto)
    }

    fn with(&self) -> FallbackWith {
        FallbackWith { site: None, judge: Judge::by_fault() }
    }
}

/// A fallback with a judgement or a site, ready to call.
#[derive(Clone, Copy, Debug)]
pub struct FallbackWith<A = ByFault, V = NoVeto> {
    site: Option<&'static Site>,
    judge: Judge<A, V, AnyValue, NoHint>,
}

impl<A: Accept, V> FallbackWith<A, V> {
    /// Files the calls under a site, see [`site!`](crate::site!).
    pub fn at(self, site: &'static Site) -> Self {
        Self { site: Some(site), ..self }
    }

    /// Only errors that the predicate says yes to have a fallback. Given twice, both must.
    pub fn when<F>(self, accept: F) -> FallbackWith<Both<A::Explicit, F>, V> {
        FallbackWith { site: self.site, judge: self.judge.when(accept) }
    }

    /// Errors that the predicate says yes to never have a fallback.
    pub fn unless<F>(self, veto: F) -> FallbackWith<A::Explicit, Either<V, F>> {
        FallbackWith { site: self.site, judge: self.judge.unless(veto) }
    }

    /// As [`Fallback::run`].
    ///
    /// # Errors
    ///
    /// Those that no fallback is for, unchanged; or that of `with`.
    pub async fn run<T, E, F, W, N>(self, call: F, with: W) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
        W: FnOnce(E) -> N,
        N: Future<Output = Result<T, E>>,
        Judge<A, V, AnyValue, NoHint>: Judgement<T, E>,
    {
        let calls = self.begin();
        // In a block of its own: nothing of the outcome but the error is alive while the fallback runs.
        let error = {
            let outcome = call.await;
            if !calls.stands_in(&outcome) {
                return outcome;
            }
            match outcome {
                Err(error) => error,
                good => return good,
            }
        };
        with(error).await
    }

    /// As [`Fallback::run_blocking`].
    ///
    /// # Errors
    ///
    /// As `run`.
    pub fn run_blocking<T, E>(
        self,
        call: impl FnOnce() -> Result<T, E>,
        with: impl FnOnce(E) -> Result<T, E>,
    ) -> Result<T, E>
    where
        Judge<A, V, AnyValue, NoHint>: Judgement<T, E>,
    {
        let calls = self.begin();
        let outcome = call();
        if !calls.stands_in(&outcome) {
            return outcome;
        }
        outcome.or_else(with)
    }

    fn begin<T, E>(self) -> FallbackCalls<T, E, Judge<A, V, AnyValue, NoHint>> {
        let calls = FallbackCalls { site: None, judge: self.judge, outcome: PhantomData };
        match self.site {
            Some(site) => calls.at(site.enter()),
            None => calls,
        }
    }
}

/// One call with a fallback: see [`Fallback::calls`].
#[derive(Debug)]
pub struct FallbackCalls<T, E, J = Judge> {
    site: Option<&'static Site>,
    judge: J,
    outcome: PhantomData<fn(&T, &E)>,
}

impl<T, E, J> FallbackCalls<T, E, J> {
    /// Files the call under its site: `calls.at(site!().enter())`.
    #[inline]
    pub fn at(self, site: Entered) -> Self {
        Self { site: Some(site.site), ..self }
    }

    /// Takes a judgement that was put together elsewhere: by a layer for each of its calls.
    #[inline]
    pub fn by<K>(self, judge: K) -> FallbackCalls<T, E, K> {
        FallbackCalls { site: self.site, judge, outcome: PhantomData }
    }

    /// The call, or its fallback, as it is: a fallback only looks at what comes out.
    #[inline]
    pub fn run<F: Future<Output = Result<T, E>>>(&self, call: F) -> F {
        call
    }

    /// As [`run`](Self::run), for a blocking call.
    #[inline]
    pub fn run_blocking(&self, call: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        call()
    }

    /// Judges the outcome of the call: shall the fallback answer? If so, it is told to those who listen.
    #[inline]
    pub fn stands_in(&self, outcome: &Result<T, E>) -> bool
    where
        J: Judgement<T, E>,
    {
        // Only errors have a fallback, also where a judgement calls a value a failure.
        outcome.is_err() && self.failed(outcome)
    }

    #[cold]
    #[inline(never)]
    fn failed(&self, outcome: &Result<T, E>) -> bool
    where
        J: Judgement<T, E>,
    {
        let Verdict::Failed { again, kind, refused, .. } = self.judge.judge(outcome) else {
            return false;
        };
        // A refusal never is the answer that was asked for, whatever its kind says of repeating it.
        if !(again || refused) {
            return false;
        }
        tell(self.site, kind, &observe::Describe(|f: &mut fmt::Formatter<'_>| self.judge.describe(outcome, f)));
        true
    }
}

impl<T, E, A: Accept, V> FallbackCalls<T, E, Judge<A, V, AnyValue, NoHint>> {
    /// Only errors that match have a fallback: `on = PATTERN` of the attribute. With [`when`](Self::when), both must say
    /// yes.
    #[expect(clippy::type_complexity, reason = "the parts of a judgement")]
    pub fn on<F: Fn(&E) -> bool>(
        self,
        accept: F,
    ) -> FallbackCalls<T, E, Judge<Both<A::Explicit, F>, V, AnyValue, NoHint>> {
        self.when(accept)
    }

    /// Only errors that the predicate says yes to have a fallback: `when = expr` of the attribute.
    #[expect(clippy::type_complexity, reason = "the parts of a judgement")]
    pub fn when<F: Fn(&E) -> bool>(
        self,
        accept: F,
    ) -> FallbackCalls<T, E, Judge<Both<A::Explicit, F>, V, AnyValue, NoHint>> {
        FallbackCalls { site: self.site, judge: self.judge.when(accept), outcome: PhantomData }
    }

    /// Errors that match never have a fallback: `unless = PATTERN` of the attribute. Without [`on`](Self::on) and
    /// [`when`](Self::when), all others do.
    #[expect(clippy::type_complexity, reason = "the parts of a judgement")]
    pub fn unless<F: Fn(&E) -> bool>(
        self,
        veto: F,
    ) -> FallbackCalls<T, E, Judge<A::Explicit, Either<V, F>, AnyValue, NoHint>> {
        FallbackCalls { site: self.site, judge: self.judge.unless(veto), outcome: PhantomData }
    }
}

const POLICY: &str = "fallback";

fn tell(site: Option<&Site>, kind: FaultKind, what: &dyn fmt::Display) {
    let what = observe::text(what);
    observe::record(site, &Seen { policy: POLICY, kind, what: &what, attempt: 1, given_up: false });
    observe::emit(site, POLICY, What::Substituted { fault: Failure { kind, what: &what } });
}

#[cfg(test)]
mod tests {
    use std::io::{self, ErrorKind};
    use std::rc::Rc;

    use super::*;
    use crate::rejected::Rejected;

    fn read(kind: ErrorKind) -> io::Result<u32> {
        Err(kind.into())
    }

    #[test]
    fn a_permanent_error_is_an_answer_and_everything_else_has_a_fallback() {
        let with = |error: io::Error| Ok(if error.kind() == ErrorKind::TimedOut { 1 } else { 2 });
        let fallback = Fallback::new();
        assert_eq!(fallback.run_blocking(|| read(ErrorKind::TimedOut), with).unwrap(), 1);
        assert_eq!(fallback.run_blocking(|| read(ErrorKind::ConnectionRefused), with).unwrap(), 2);
        assert_eq!(fallback.run_blocking(|| read(ErrorKind::NotFound), with).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(fallback.run_blocking(|| Ok(7), with).unwrap(), 7);
    }

    #[test]
    fn every_refusal_has_a_fallback_also_one_that_is_not_worth_repeating() {
        let passed = || Err(Rejected::DeadlinePassed);
        assert_eq!(Fallback::new().run_blocking(passed, |_| Ok(7)), Ok(7));
    }

    #[test]
    fn unless_beats_when_and_both_beat_the_error() {
        let fallback = Fallback::new().when(|error: &u32| *error > 1).unless(|error: &u32| *error == 3);
        let answers = [1, 2, 3].map(|error| fallback.run_blocking(|| Err(error), |_| Ok(0)));
        assert_eq!(answers, [Err(1), Ok(0), Err(3)]);
    }

    #[test]
    fn a_fallback_that_fails_returns_its_own_error() {
        let outcome = Fallback::new().run_blocking(|| read(ErrorKind::TimedOut), |_| read(ErrorKind::NotFound));
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn the_caller_does_not_see_the_error_but_the_fault_log_does() {
        let site = crate::site!("fallback: logged");
        Fallback::new().at(site).run_blocking(|| read(ErrorKind::TimedOut), |_| Ok(7)).unwrap();
        let faults = site.faults();
        assert_eq!((faults[0].policy, &*faults[0].what, faults[0].count), ("fallback", "io: timed out", 1));
    }

    #[tokio::test]
    async fn a_value_that_is_not_send_leaves_the_future_send_when_the_fallback_waits() {
        fn is_send<F: Send>(future: F) -> F {
            future
        }
        let call = async { Err::<Rc<u32>, u32>(1) };
        let answer = Fallback::new().when(|_: &u32| true).run(call, |error| async move {
            tokio::task::yield_now().await;
            Err(error + 1)
        });
        assert_eq!(is_send(answer).await, Err(2));
    }
}
