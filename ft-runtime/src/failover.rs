//! Somebody else when one fails.

use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;

use crate::budget::RetryBudget;
use crate::deadline::Under;
use crate::health::Rules;
use crate::judge::{Accept, AnyValue, ByFault, Judge, Judgement, NoHint, NoVeto, judgement_setters};
use crate::outcome::{Outcome, Refusable};
use crate::pool::{AsPool, Pool, Target, Targets};
use crate::rejected::{FromRejected, Rejected};
use crate::roster::Roster;
use crate::round::Round;
use crate::site::{Entered, Site};

/// Asks another target when one fails: each at most once in a call, the healthy ones first.
///
/// Writing a failover around a call says that the call may be repeated: every error but a permanent one moves on to
/// the next target. Where that is not so, [`idempotent(false)`](Self::idempotent) moves on only when the call provably
/// never ran.
///
/// # When not to use it
///
/// Around targets that do *different* work when the first fails: that is a fallback. To ask the *same* target again:
/// that is a retry, and belongs inside.
///
/// # Defaults
///
/// | setting | default |
/// |---|---|
/// | [`max_targets`](Self::max_targets) | each target once |
/// | [`idempotent`](Self::idempotent) | `true`: everything but a permanent error moves on |
/// | [`prefer`](Self::prefer) | [`Prefer::Order`] |
/// | [`eject_after`](Self::eject_after) | 5 failures in a row |
/// | [`eject_for`](Self::eject_for) | 5 s, then 10 s, 15 s, .. up to 300 s; 10 s of health take one step off |
/// | [`warm_for`](Self::warm_for) | 30 s from a tenth of the calls to all of them |
/// | [`deadline`](Self::deadline) | none, other than the caller's |
/// | [`budget`](Self::budget) | none |
///
/// # Health
///
/// A target that fails too often in a row is ejected: it is not asked. When its time is over, one call at a time finds
/// out whether it answers again; if so, it takes a growing share of the calls until it takes all. The last healthy
/// target is never ejected, and when fewer than half are healthy all others are asked too, after the healthy ones.
///
/// | outcome | counts as |
/// |---|---|
/// | success, permanent error | an answer: ends a row of failures |
/// | transient or unsent error, timeout; a [`Timeout`](crate::Timeout) around cuts it off while the target is asked | a failure |
/// | throttled; a refusal by an own breaker, bulkhead or limiter; the caller left | nothing |
///
/// With `on`, `when` or `unless`, an error that moves on is a failure, any other an answer.
///
/// # Doors
///
/// ```
/// use ft_runtime::{Failover, Pool};
/// use std::io;
///
/// const READS: Failover = Failover::new().eject_after(3);
///
/// # fn main() -> io::Result<()> {
/// let replicas = Pool::of([("eu", "10.0.0.1:5432"), ("us", "10.1.0.1:5432")]);
/// let answered_by = READS.call_blocking(&replicas, |replica| match replica.name() {
///     "eu" => Err(io::Error::from(io::ErrorKind::ConnectionRefused)),
///     name => Ok(name.to_owned()),
/// })?;
/// assert_eq!(answered_by, "us");
/// # Ok(()) }
/// // annotate a function: #[failover(replica in &self.replicas)] or #[failover(to = [from_replica, from_cache])]
/// // or put services together: ft_tower::Failover
/// ```
///
/// # Cancel safety
///
/// Dropping the future of a call at any point stops all of it. A target that was on probation is free for the next
/// probe; a budget that was charged for an attempt that has not started is refunded.
#[derive(Clone, Copy, Debug)]
pub struct Failover {
    pub(crate) max_targets: u32,
    pub(crate) idempotent: bool,
    pub(crate) prefer: Prefer,
    pub(crate) rules: Rules,
    pub(crate) deadline: Option<Duration>,
    pub(crate) budget: Option<&'static RetryBudget>,
}

/// Which healthy target is asked first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Prefer {
    /// The first one in order: calls go back to it as soon as it is healthy again.
    #[default]
    Order,
    /// The one that answered last: calls stay where they went until it fails.
    Sticky,
}

impl Failover {
    /// A failover with the defaults.
    pub const fn new() -> Self {
        Self {
            max_targets: u32::MAX,
            idempotent: true,
            prefer: Prefer::Order,
            rules: Rules { eject_after: 5, eject_for: Duration::from_secs(5), warm_for: Duration::from_secs(30) },
            deadline: None,
            budget: None,
        }
    }

    /// How many targets one call asks at the most: all by default.
    ///
    /// # Panics
    ///
    /// On zero; in a constant, and so in an attribute, that is a compile error.
    #[track_caller]
    pub const fn max_targets(self, max_targets: u32) -> Self {
        assert!(max_targets >= 1, "max_targets must be at least 1");
        Self { max_targets, ..self }
    }

    /// May the call run twice? `true` by default. `false`: the next target is asked only when the call provably never
    /// ran ([`FaultKind::Unsent`](crate::FaultKind::Unsent)), or for errors that `on` or `when` name.
    pub const fn idempotent(self, idempotent: bool) -> Self {
        Self { idempotent, ..self }
    }

    /// Which healthy target is asked first: [`Prefer::Order`] by default.
    pub const fn prefer(self, prefer: Prefer) -> Self {
        Self { prefer, ..self }
    }

    /// After how many failures in a row a target is ejected: 5 by default.
    ///
    /// # Panics
    ///
    /// On zero.
    #[track_caller]
    pub const fn eject_after(mut self, failures: u32) -> Self {
        assert!(failures >= 1, "eject_after must be at least 1");
        self.rules.eject_after = failures;
        self
    }

    /// How long the first ejection takes: 5 s by default. The n-th takes n times as long, up to 300 s; a probe that
    /// does not come back makes room for the next one after this time.
    ///
    /// # Panics
    ///
    /// On zero.
    #[track_caller]
    pub const fn eject_for(mut self, time: Duration) -> Self {
        assert!(!time.is_zero(), "eject_for must be longer than zero");
        self.rules.eject_for = time;
        self
    }

    /// How long a target that came back takes less than its share of the calls: 30 s by default, from a tenth to all
    /// of them. Zero gives it all at once.
    pub const fn warm_for(mut self, time: Duration) -> Self {
        self.rules.warm_for = time;
        self
    }

    /// How long the whole call may take: no further target is asked once it has passed, and everything inside sees it
    /// as its [`Deadline`](crate::Deadline). A target that is being asked is not cut off: that is a timeout's work.
    ///
    /// # Panics
    ///
    /// On zero.
    #[track_caller]
    pub const fn deadline(self, deadline: Duration) -> Self {
        assert!(!deadline.is_zero(), "the deadline must be longer than zero");
        Self { deadline: Some(deadline), ..self }
    }

    /// A limit on extra attempts that this policy shares with others.
    pub const fn budget(self, budget: &'static RetryBudget) -> Self {
        Self { budget: Some(budget), ..self }
    }

    /// A call of one target of a pool, that returns `R`: what `#[failover(x in pool)]` uses, and what to use by hand
    /// where the attempts share a `&mut`. Give it its site and judgement, and [`start`](Over::start).
    ///
    /// ```
    /// use ft_runtime::{Failover, Pool};
    /// use std::io;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # struct Db; impl Db { async fn get(&self, _key: &mut String) -> io::Result<u32> { Ok(7) } }
    /// # let (pool, key) = (Pool::of([("eu", Db)]), &mut String::new());
    /// let failover = Failover::new();
    /// let mut candidates = failover.over::<io::Result<u32>, _>(&pool).start();
    /// let value = loop {
    ///     let Some(db) = candidates.current() else { break candidates.refused() };
    ///     let outcome = candidates.run(db.get(key)).await;
    ///     if !candidates.again(&outcome) { break outcome; }
    /// };
    /// assert_eq!(value.unwrap(), 7);
    /// # }
    /// ```
    #[inline]
    pub fn over<R: Refusable, P: AsPool>(&self, pool: P) -> Over<Pool<P::Item>, R::Value, R::Error> {
        Over {
            policy: *self,
            roster: pool.as_pool(),
            site: None,
            judge: Judge::by_fault(),
            refuse: <R::Error as FromRejected>::from_rejected,
            outcome: PhantomData,
        }
    }

    /// A call of one of several functions that return `R`: what `#[failover(to = [..])]` uses, see [`Targets`].
    #[inline]
    pub fn among<R: Outcome, const N: usize>(&self, targets: &'static Targets<N>) -> Among<N, R::Value, R::Error> {
        Over { policy: *self, roster: targets, site: None, judge: Judge::by_fault(), refuse: (), outcome: PhantomData }
    }

    /// Asks the targets of the pool, one after the other, until one answers.
    ///
    /// # Errors
    ///
    /// The last error, unchanged; [`Rejected::NoTarget`] when there was nobody to ask.
    pub async fn call<P, T, E, F, Fut>(&self, pool: P, call: F) -> Result<T, E>
    where
        P: AsPool,
        E: crate::Fault + FromRejected,
        F: FnMut(Target<P::Item>) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.with().call(pool, call).await
    }

    /// As [`call`](Self::call), blocking the thread.
    ///
    /// # Errors
    ///
    /// As `call`.
    pub fn call_blocking<P, T, E>(&self, pool: P, call: impl FnMut(Target<P::Item>) -> Result<T, E>) -> Result<T, E>
    where
        P: AsPool,
        E: crate::Fault + FromRejected,
    {
        self.with().call_blocking(pool, call)
    }

    /// Files the calls under a site, see [`site!`](crate::site!).
    pub fn at(&self, site: &'static Site) -> FailoverWith {
        self.with().at(site)
    }

    /// Moves on only after errors that the predicate says yes to.
    pub fn when<F>(&self, accept: F) -> FailoverWith<crate::judge::Both<crate::judge::Every, F>> {
        self.with().when(accept)
    }

    /// Moves on after all errors but those that the predicate says yes to.
    pub fn unless<F>(&self, veto: F) -> FailoverWith<crate::judge::Every, crate::judge::Either<NoVeto, F>> {
        self.with().unless(veto)
    }

    /// Moves on while the predicate says no to the value.
    pub fn until<F>(&self, good: F) -> FailoverWith<ByFault, NoVeto, crate::judge::Until<F>> {
        self.with().until(good)
    }

    fn with(&self) -> FailoverWith {
        FailoverWith { policy: *self, site: None, judge: Judge::by_fault() }
    }
}

impl Default for Failover {
    fn default() -> Self {
        Self::new()
    }
}

/// A failover with a judgement or a site, ready to call.
#[derive(Clone, Copy, Debug)]
pub struct FailoverWith<A = ByFault, V = NoVeto, U = AnyValue, H = NoHint> {
    policy: Failover,
    site: Option<&'static Site>,
    judge: Judge<A, V, U, H>,
}

impl<A: Accept, V, U, H> FailoverWith<A, V, U, H> {
    /// Files the calls under a site, see [`site!`](crate::site!).
    pub fn at(self, site: &'static Site) -> Self {
        Self { site: Some(site), ..self }
    }

    /// Moves on only after errors that the predicate says yes to. Given twice, both must.
    pub fn when<F>(self, accept: F) -> FailoverWith<crate::judge::Both<A::Explicit, F>, V, U, H> {
        FailoverWith { policy: self.policy, site: self.site, judge: self.judge.when(accept) }
    }

    /// Never moves on after errors that the predicate says yes to.
    pub fn unless<F>(self, veto: F) -> FailoverWith<A::Explicit, crate::judge::Either<V, F>, U, H> {
        FailoverWith { policy: self.policy, site: self.site, judge: self.judge.unless(veto) }
    }

    /// Moves on while the predicate says no to the value.
    pub fn until<F>(self, good: F) -> FailoverWith<A, V, crate::judge::Until<F>, H> {
        FailoverWith { policy: self.policy, site: self.site, judge: self.judge.until(good) }
    }

    /// Asks the targets of the pool, one after the other, until the judgement is content.
    ///
    /// # Errors
    ///
    /// The last error, unchanged; [`Rejected::NoTarget`] when there was nobody to ask.
    pub async fn call<P, T, E, F, Fut>(self, pool: P, mut call: F) -> Result<T, E>
    where
        P: AsPool,
        E: FromRejected,
        F: FnMut(Target<P::Item>) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        Judge<A, V, U, H>: Judgement<T, E>,
    {
        let mut candidates = self.over(pool).start();
        loop {
            let Some(target) = candidates.current() else { return candidates.refused() };
            let outcome = candidates.run_with(|| call(target)).await;
            if !candidates.again(&outcome) {
                return outcome;
            }
        }
    }

    /// As [`call`](Self::call), blocking the thread.
    ///
    /// # Errors
    ///
    /// As `call`.
    pub fn call_blocking<P, T, E>(self, pool: P, mut call: impl FnMut(Target<P::Item>) -> Result<T, E>) -> Result<T, E>
    where
        P: AsPool,
        E: FromRejected,
        Judge<A, V, U, H>: Judgement<T, E>,
    {
        let mut candidates = self.over(pool).start();
        loop {
            let Some(target) = candidates.current() else { return candidates.refused() };
            let outcome = candidates.run_blocking(|| call(target));
            if !candidates.again(&outcome) {
                return outcome;
            }
        }
    }

    #[expect(clippy::type_complexity, reason = "the four parts of a judgement")]
    fn over<P: AsPool, T, E: FromRejected>(self, pool: P) -> Over<Pool<P::Item>, T, E, Judge<A, V, U, H>> {
        Over {
            policy: self.policy,
            roster: pool.as_pool(),
            site: self.site.map(|site| site.enter().site),
            judge: self.judge,
            refuse: E::from_rejected,
            outcome: PhantomData,
        }
    }
}

/// A call of one of several targets, before it starts. See [`Failover::over`] and [`Failover::among`].
#[derive(Debug)]
#[must_use = "nothing is asked before `start`"]
pub struct Over<S, T, E, J = Judge, N = fn(Rejected) -> E> {
    policy: Failover,
    roster: S,
    site: Option<&'static Site>,
    judge: J,
    /// Makes the error of a call that nobody could be asked to do.
    refuse: N,
    outcome: PhantomData<fn(&T, &E)>,
}

/// A call of one of several functions, before it starts: there is always one to call. See [`Failover::among`].
pub type Among<const N: usize, T, E, J = Judge> = Over<&'static Targets<N>, T, E, J, ()>;

impl<S, T, E, J, N> Over<S, T, E, J, N> {
    /// Files the call under its site: `over.at(site!().enter())`.
    #[inline]
    pub fn at(self, site: Entered) -> Self {
        Self { site: Some(site.site), ..self }
    }
}

impl<X, T, E, J> Over<Pool<X>, T, E, J> {
    /// Picks the first target, if there is one to ask.
    #[inline]
    pub fn start(self) -> Candidates<Pool<X>, T, E, J> {
        let round = Round::new(self.policy, self.roster, self.site);
        // It begins where it stays: it is large, and would be copied from where it was begun.
        let mut candidates = Candidates { round, judge: self.judge, refuse: self.refuse, outcome: PhantomData };
        candidates.round.begin();
        candidates
    }
}

impl<const N: usize, T, E, J> Among<N, T, E, J> {
    /// Picks the first function: the annotated one, unless it is ejected.
    #[inline]
    pub fn start(self) -> Candidates<&'static Targets<N>, T, E, J, ()> {
        let round = Round::new(self.policy, self.roster, self.site);
        let mut candidates = Candidates { round, judge: self.judge, refuse: (), outcome: PhantomData };
        candidates.round.begin_at_all_costs();
        candidates
    }
}

impl<S, T, E, A: Accept, V, U, H, N> Over<S, T, E, Judge<A, V, U, H>, N> {
    judgement_setters!(over_with);

    fn judged<K>(self, change: impl FnOnce(Judge<A, V, U, H>) -> K) -> Over<S, T, E, K, N> {
        Over {
            policy: self.policy,
            roster: self.roster,
            site: self.site,
            judge: change(self.judge),
            refuse: self.refuse,
            outcome: PhantomData,
        }
    }
}

macro_rules! over_with {
    ($($part:ty),*) => { Over<S, T, E, Judge<$($part),*>, N> };
}
use over_with;

/// The targets that one call asks, one after the other: the session of a failover. See [`Failover::over`].
///
/// Dropping it at any point gives everything back.
#[derive(Debug)]
pub struct Candidates<S: Roster, T, E, J = Judge, N = fn(Rejected) -> E> {
    round: Round<S>,
    judge: J,
    refuse: N,
    outcome: PhantomData<fn(&T, &E)>,
}

impl<X, T, E, J> Candidates<Pool<X>, T, E, J> {
    /// The target to ask now; `None` when there is nobody to ask, from the start: the call is [`refused`](Self::refused).
    #[inline]
    pub fn current(&self) -> Option<Target<X>> {
        self.round.has_begun().then(|| self.round.roster().target(self.round.index()))
    }

    /// What to return when there is nobody to ask: [`Rejected::NoTarget`].
    #[cold]
    pub fn refused(&self) -> Result<T, E> {
        Err((self.refuse)(Rejected::NoTarget))
    }
}

impl<S: Roster, T, E, J, N> Candidates<S, T, E, J, N> {
    /// The place of the target to ask now, in the order in which they are asked, counted from 0.
    #[inline]
    pub fn index(&self) -> usize {
        self.round.index()
    }

    /// Asks the current target, under the deadline of this call.
    #[inline]
    pub fn run<F: Future<Output = Result<T, E>>>(&mut self, attempt: F) -> Under<F> {
        self.round.run(attempt)
    }

    /// As [`run`](Self::run), for an attempt whose making may look at the deadline already: a call of a service.
    #[inline]
    pub fn run_with<F: Future<Output = Result<T, E>>>(&mut self, attempt: impl FnOnce() -> F) -> Under<F> {
        self.round.run_with(attempt)
    }

    /// As [`run`](Self::run), for a blocking attempt.
    #[inline]
    pub fn run_blocking(&mut self, attempt: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.round.run_blocking(attempt)
    }

    /// Judges the outcome and moves on to the next target: `false` when the outcome is the caller's.
    #[inline]
    pub fn again(&mut self, outcome: &Result<T, E>) -> bool
    where
        J: Judgement<T, E>,
    {
        self.round.judged(&self.judge, outcome) && self.round.advance(|_| true).is_moved()
    }
}
