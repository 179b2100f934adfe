//! Again after a failure.

use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;

use crate::attempt::Attempt;
use crate::backoff::Backoff;
use crate::budget::RetryBudget;
use crate::deadline::{self, Deadline, Under};
use crate::fault::FaultKind;
use crate::faults::Seen;
use crate::judge::{Accept, AnyValue, ByFault, Judge, Judgement, NoHint, NoVeto, Verdict, judgement_setters};
use crate::observe::{self, Event, Failure, GaveUp, What};
use crate::outcome::Outcome;
use crate::random;
use crate::site::{Entered, Site};
use crate::testing::cap;
use crate::wait::Wait;

/// Makes the call again when it fails, after a wait.
///
/// # When not to use it
///
/// Where the call is not safe to repeat and the error cannot tell whether it ran; around a call that already retries
/// inside (attempts multiply); on errors that will not go away.
///
/// # Defaults
///
/// | setting | default |
/// |---|---|
/// | [`max_attempts`](Self::max_attempts) | 3, the first call included |
/// | [`backoff`](Self::backoff) | exponential from 100 ms, factor 2, up to 10 s, full jitter |
/// | [`deadline`](Self::deadline) | none, other than the caller's |
/// | [`budget`](Self::budget) | none |
/// | [`hint`](Self::hint) | [`Hint::Stop`] |
///
/// # Which failures
///
/// The error's own [`Fault`](crate::Fault) says it: everything but a permanent one is tried again. Or say it on the
/// session, with [`on`](Attempts::on), [`unless`](Attempts::unless), [`when`](Attempts::when) and
/// [`until`](Attempts::until). The last outcome is returned unchanged.
///
/// # Three doors
///
/// ```
/// use ft_runtime::{Retry, retry};
/// use std::io;
///
/// static DB: Retry = Retry::new().max_attempts(4);
///
/// #[retry(DB)]                                             // annotate a function
/// async fn load(id: u64) -> io::Result<String> {
///     Ok(format!("row {id}"))
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> io::Result<()> {
/// load(1).await?;
/// DB.call(|| async { io::Result::Ok("row 2") }).await?;    // call the value
/// # Ok(()) }
/// // or stack a layer: ft_tower::RetryLayer::new(DB)
/// ```
///
/// # Cancel safety
///
/// Dropping the future of a call at any point stops all of it: nothing is detached, and a budget that was charged for
/// an attempt that has not started is refunded.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    max_attempts: u32,
    backoff: Backoff,
    deadline: Option<Duration>,
    budget: Option<&'static RetryBudget>,
    hint: Hint,
    before_retry: Option<fn(&Event<'_>)>,
}

/// What to do when the other side asks for more patience than `max_delay`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// Give the error to the caller, who finds the hint in it: coming back too early would only fail again.
    #[default]
    Stop,
    /// Wait `max_delay` and try all the same.
    Clamp,
}

impl Retry {
    /// A retry with the defaults.
    pub const fn new() -> Self {
        Self {
            max_attempts: 3,
            backoff: Backoff::exponential(Duration::from_millis(100)),
            deadline: None,
            budget: None,
            hint: Hint::Stop,
            before_retry: None,
        }
    }

    /// How many attempts are made at the most, the first call included: 3 by default.
    ///
    /// # Panics
    ///
    /// On zero; in a constant, and so in an attribute, that is a compile error.
    #[track_caller]
    pub const fn max_attempts(self, max_attempts: u32) -> Self {
        assert!(max_attempts >= 1, "max_attempts must be at least 1");
        Self { max_attempts, ..self }
    }

    /// The waits between attempts.
    pub const fn backoff(self, backoff: Backoff) -> Self {
        Self { backoff, ..self }
    }

    /// How long the whole call may take, run time included. No wait is started that would end past it, and everything
    /// inside sees it as its [`Deadline`]. An attempt that is running is not cut off: that is a timeout's work.
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

    /// What to do when the other side asks for more patience than `max_delay`: [`Hint::Stop`] by default.
    pub const fn hint(self, hint: Hint) -> Self {
        Self { hint, ..self }
    }

    /// Called before each retry, when its wait is known and has not begun.
    pub const fn before_retry(self, hook: fn(&Event<'_>)) -> Self {
        Self { before_retry: Some(hook), ..self }
    }

    /// The session of one call that returns `R`: what the attribute and the layer use, and what to use by hand where
    /// the attempts share a `&mut`.
    ///
    /// ```
    /// use ft_runtime::Retry;
    /// use std::io;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// # struct Client(u32); impl Client { async fn get(&mut self) -> io::Result<u32> { self.0 += 1; if self.0 < 3 { Err(io::ErrorKind::TimedOut.into()) } else { Ok(self.0) } } }
    /// # let client = &mut Client(0);
    /// let retry = Retry::new();
    /// let mut attempts = retry.attempts::<io::Result<u32>>();
    /// let page = loop {
    ///     let wait = {
    ///         let outcome = attempts.run(client.get()).await;
    ///         match attempts.again(&outcome) { Some(wait) => wait, None => break outcome }
    ///     };
    ///     wait.await;
    /// };
    /// assert_eq!(page.unwrap(), 3);
    /// # }
    /// ```
    #[inline]
    pub fn attempts<R: Outcome>(&self) -> Attempts<&Self, R::Value, R::Error> {
        Attempts::new(self, None, Judge::by_fault())
    }

    /// As [`attempts`](Self::attempts), for a session that outlives the value: a future that a layer answers with.
    #[inline]
    pub fn into_attempts<R: Outcome>(self) -> Attempts<Self, R::Value, R::Error> {
        Attempts::new(self, None, Judge::by_fault())
    }

    /// Makes the call, and again while it fails with an error that its [`Fault`](crate::Fault) allows to repeat.
    ///
    /// # Errors
    ///
    /// The last error, unchanged.
    #[inline]
    pub fn call<T, E, F, Fut>(&self, call: F) -> impl Future<Output = Result<T, E>>
    where
        E: crate::Fault,
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.with().call(call)
    }

    /// As [`call`](Self::call), blocking the thread.
    ///
    /// # Errors
    ///
    /// The last error, unchanged.
    #[inline]
    pub fn call_blocking<T, E: crate::Fault>(&self, call: impl FnMut() -> Result<T, E>) -> Result<T, E> {
        self.with().call_blocking(call)
    }

    /// Files the calls under a site, see [`site!`](crate::site!).
    #[inline]
    pub fn at(&self, site: &'static Site) -> RetryWith<'_> {
        self.with().at(site)
    }

    /// Tries only errors that the predicate says yes to again.
    pub fn when<F>(&self, accept: F) -> RetryWith<'_, crate::judge::Both<crate::judge::Every, F>> {
        self.with().when(accept)
    }

    /// Tries all errors again but those that the predicate says yes to.
    pub fn unless<F>(&self, veto: F) -> RetryWith<'_, crate::judge::Every, crate::judge::Either<NoVeto, F>> {
        self.with().unless(veto)
    }

    /// Tries again while the predicate says no to the value.
    pub fn until<F>(&self, good: F) -> RetryWith<'_, ByFault, NoVeto, crate::judge::Until<F>> {
        self.with().until(good)
    }

    #[inline]
    fn with(&self) -> RetryWith<'_> {
        RetryWith { policy: self, site: None, judge: Judge::by_fault() }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::new()
    }
}

/// A retry with a judgement or a site, ready to call.
///
/// ```
/// use ft_runtime::Retry;
/// static DB: Retry = Retry::new();
/// # #[derive(Debug, PartialEq)] enum DbError { Locked, Gone }
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let outcome = DB.when(|error: &DbError| *error == DbError::Locked).call(|| async { Err::<(), _>(DbError::Gone) }).await;
/// assert_eq!(outcome, Err(DbError::Gone)); // at the first attempt
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RetryWith<'p, A = ByFault, V = NoVeto, U = AnyValue, H = NoHint> {
    policy: &'p Retry,
    site: Option<&'static Site>,
    judge: Judge<A, V, U, H>,
}

impl<'p, A: Accept, V, U, H> RetryWith<'p, A, V, U, H> {
    /// Files the calls under a site, see [`site!`](crate::site!).
    #[inline]
    pub fn at(self, site: &'static Site) -> Self {
        Self { site: Some(site), ..self }
    }

    /// Tries only errors that the predicate says yes to again. Given twice, both must.
    pub fn when<F>(self, accept: F) -> RetryWith<'p, crate::judge::Both<A::Explicit, F>, V, U, H> {
        RetryWith { policy: self.policy, site: self.site, judge: self.judge.when(accept) }
    }

    /// Never tries errors again that the predicate says yes to.
    pub fn unless<F>(self, veto: F) -> RetryWith<'p, A::Explicit, crate::judge::Either<V, F>, U, H> {
        RetryWith { policy: self.policy, site: self.site, judge: self.judge.unless(veto) }
    }

    /// Tries again while the predicate says no to the value.
    pub fn until<F>(self, good: F) -> RetryWith<'p, A, V, crate::judge::Until<F>, H> {
        RetryWith { policy: self.policy, site: self.site, judge: self.judge.until(good) }
    }

    /// Takes the hint of the other side from the error.
    pub fn retry_after<F>(self, hint: F) -> RetryWith<'p, A, V, U, crate::judge::Hint<F>> {
        RetryWith { policy: self.policy, site: self.site, judge: self.judge.retry_after(hint) }
    }

    /// Makes the call, and again while the judgement allows.
    ///
    /// # Errors
    ///
    /// The last error, unchanged.
    #[inline]
    pub fn call<T, E, F, Fut>(self, mut call: F) -> impl Future<Output = Result<T, E>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        Judge<A, V, U, H>: Judgement<T, E>,
    {
        self.call_with(move |_| call())
    }

    /// As [`call`](Self::call), telling the call which attempt it is.
    ///
    /// # Errors
    ///
    /// The last error, unchanged.
    pub async fn call_with<T, E, F, Fut>(self, mut call: F) -> Result<T, E>
    where
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        Judge<A, V, U, H>: Judgement<T, E>,
    {
        let mut attempts = self.begin();
        loop {
            let wait = {
                let outcome = attempts.run_with(|| call(attempts.attempt())).await;
                match attempts.again(&outcome) {
                    Some(wait) => wait,
                    None => break outcome,
                }
            };
            wait.await;
        }
    }

    /// As [`call`](Self::call), blocking the thread.
    ///
    /// # Errors
    ///
    /// The last error, unchanged.
    #[inline]
    pub fn call_blocking<T, E>(self, mut call: impl FnMut() -> Result<T, E>) -> Result<T, E>
    where
        Judge<A, V, U, H>: Judgement<T, E>,
    {
        let mut attempts = self.begin();
        loop {
            let outcome = attempts.run_blocking(&mut call);
            match attempts.again(&outcome) {
                Some(wait) => wait.block(),
                None => break outcome,
            }
        }
    }

    #[inline]
    fn begin<T, E>(self) -> Attempts<&'p Retry, T, E, Judge<A, V, U, H>> {
        Attempts::new(self.policy, self.site.map(|site| site.enter().site), self.judge)
    }
}

/// The attempts of one call: the session that all doors share. See [`Retry::attempts`].
///
/// Dropping it at any point gives everything back.
#[derive(Debug)]
pub struct Attempts<P, T, E, J = Judge> {
    policy: P,
    site: Option<&'static Site>,
    deadline: Option<Deadline>,
    /// `None` until an attempt has failed: a call that succeeds at once pays for one word of it.
    progress: Option<Progress>,
    judge: J,
    outcome: PhantomData<fn(&T, &E)>,
}

/// What a call remembers of the attempts that failed.
#[derive(Clone, Copy, Debug)]
struct Progress {
    /// The attempt that is being made.
    attempt: Attempt,
    /// The wait before it.
    waited: Duration,
}

impl<P: Borrow<Retry>, T, E, J> Attempts<P, T, E, J> {
    #[inline]
    fn new(policy: P, site: Option<&'static Site>, judge: J) -> Self {
        let retry: &Retry = policy.borrow();
        if let Some(budget) = retry.budget {
            budget.deposit();
        }
        let deadline = retry.deadline.map(Deadline::after);
        Self { policy, site, deadline, progress: None, judge, outcome: PhantomData }
    }

    /// Files the call under its site: `attempts.at(site!().enter())`.
    #[inline]
    pub fn at(self, site: Entered) -> Self {
        Self { site: Some(site.site), ..self }
    }

    /// Takes a judgement that was put together elsewhere: by a layer for each of its calls.
    #[inline]
    pub fn by<K>(self, judge: K) -> Attempts<P, T, E, K> {
        self.judged(|_| judge)
    }

    /// Which attempt is being made.
    #[inline]
    pub fn attempt(&self) -> Attempt {
        self.progress.map_or(Attempt::FIRST, |progress| progress.attempt)
    }

    /// Runs one attempt under the deadline of this call.
    #[inline]
    pub fn run<F: Future>(&self, attempt: F) -> Under<F> {
        deadline::under(self.deadline, attempt)
    }

    /// As [`run`](Self::run), for an attempt whose making may look at the deadline already: a call of a service.
    #[inline]
    pub fn run_with<F: Future>(&self, attempt: impl FnOnce() -> F) -> Under<F> {
        deadline::under(self.deadline, deadline::under_blocking(self.deadline, attempt))
    }

    /// As [`run`](Self::run), for a blocking attempt.
    #[inline]
    pub fn run_blocking(&self, attempt: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        deadline::under_blocking(self.deadline, attempt)
    }

    /// Judges the outcome of the attempt: the wait before the next one, or `None` when the outcome is the caller's.
    #[inline]
    pub fn again(&mut self, outcome: &Result<T, E>) -> Option<Wait>
    where
        J: Judgement<T, E>,
    {
        if !self.judge.settles(outcome) {
            let call = Call {
                policy: self.policy.borrow(),
                site: self.site,
                deadline: self.deadline,
                progress: self.progress,
            };
            let (wait, progress) = failed(call, &self.judge, outcome)?;
            self.progress = Some(progress);
            return Some(wait);
        }
        if let Some(progress) = self.progress {
            recovered(self.site, progress.attempt);
        }
        None
    }
}

/// The session without its types, by value: what is behind the pointers that a session gives away must be in memory,
/// and then the function around keeps nothing of the session in registers, nor knows what it put there.
#[derive(Clone, Copy)]
struct Call<'a> {
    policy: &'a Retry,
    site: Option<&'static Site>,
    deadline: Option<Deadline>,
    progress: Option<Progress>,
}

/// Out of line, and so are its registers: the function around pays for what succeeds only.
#[cold]
#[inline(never)]
fn failed<T, E, J: Judgement<T, E>>(call: Call<'_>, judge: &J, outcome: &Result<T, E>) -> Option<(Wait, Progress)> {
    let Verdict::Failed { again, kind, retry_after, refused, barred, .. } = judge.judge(outcome) else {
        return None;
    };
    let what = observe::text(&observe::Describe(|f: &mut fmt::Formatter<'_>| judge.describe(outcome, f)));
    call.decide(&Failed { again, kind, retry_after, refused, barred, what })
}

#[cold]
#[inline(never)]
fn recovered(site: Option<&Site>, attempt: Attempt) {
    observe::emit(site, POLICY, What::Recovered { attempt: attempt.number() });
}

impl Call<'_> {
    /// What follows a failure; nothing here depends on the judgement.
    fn decide(self, failed: &Failed) -> Option<(Wait, Progress)> {
        let progress = self.progress.unwrap_or(Progress { attempt: Attempt::FIRST, waited: Duration::ZERO });
        let next = self.schedule(progress, failed);
        let attempt = progress.attempt.number();
        let fault = Failure { kind: failed.kind, what: &failed.what };
        observe::record(
            self.site,
            &Seen { policy: POLICY, kind: failed.kind, what: &failed.what, attempt, given_up: next.is_err() },
        );
        match next {
            Ok(wait) => {
                let what = What::Retrying { attempt, delay: wait.delay(), fault };
                if let Some(hook) = self.policy.before_retry {
                    hook(&Event { site: self.site.map_or("", Site::path), policy: POLICY, what: what.clone() });
                }
                observe::emit(self.site, POLICY, what);
                let progress = Progress { attempt: progress.attempt.next(), waited: wait.delay() };
                Some((wait, progress))
            }
            Err(reason) => {
                observe::emit(self.site, POLICY, What::GaveUp { attempts: attempt, reason, fault });
                None
            }
        }
    }

    /// The decision itself: the wait before the next attempt, or why there is none.
    fn schedule(self, progress: Progress, failed: &Failed) -> Result<Wait, GaveUp> {
        let policy = self.policy;
        let retry = progress.attempt.number();
        if !failed.again {
            return Err(GaveUp::NotRetryable);
        }
        if let Some(reason) = failed.barred {
            return Err(reason);
        }
        let cap = cap::current();
        if retry >= policy.max_attempts.min(cap.max_attempts) {
            return Err(GaveUp::Exhausted);
        }
        let longest = policy.backoff.longest();
        let delay = match failed.retry_after {
            Some(hint) if hint > longest => match policy.hint {
                Hint::Stop => return Err(GaveUp::HintTooLong),
                Hint::Clamp => longest,
            },
            Some(hint) => random::with(|rng| policy.backoff.after_hint(hint, retry, rng)),
            None => random::with(|rng| policy.backoff.delay(retry, progress.waited, rng)),
        };
        let delay = delay.min(cap.longest_wait);
        let nearest = [self.deadline, Deadline::current()].into_iter().flatten().min();
        if nearest.is_some_and(|deadline| delay >= deadline.remaining()) {
            return Err(GaveUp::Deadline);
        }
        // Nothing of a call that was refused before it started reached the other side: repeating it adds no load there.
        let free = failed.refused && failed.kind == FaultKind::Unsent;
        let charge = match policy.budget {
            Some(budget) if !free => Some(budget.withdraw().ok_or(GaveUp::Budget)?),
            _ => None,
        };
        Ok(Wait::new(delay, charge))
    }
}

impl<P: Borrow<Retry>, T, E, A: Accept, V, U, H> Attempts<P, T, E, Judge<A, V, U, H>> {
    judgement_setters!(attempts_with);
}

impl<P, T, E, J> Attempts<P, T, E, J> {
    #[inline]
    fn judged<K>(self, change: impl FnOnce(J) -> K) -> Attempts<P, T, E, K> {
        Attempts {
            policy: self.policy,
            site: self.site,
            deadline: self.deadline,
            progress: self.progress,
            judge: change(self.judge),
            outcome: PhantomData,
        }
    }
}

/// The session of one call, in one step.
#[inline]
pub fn attempts<T, E, J>(policy: Retry, site: Option<&'static Site>, judge: J) -> Attempts<Retry, T, E, J> {
    Attempts::new(policy, site.map(|site| site.enter().site), judge)
}

macro_rules! attempts_with {
    ($($part:ty),*) => { Attempts<P, T, E, Judge<$($part),*>> };
}
use attempts_with;

const POLICY: &str = "retry";

/// A failed attempt, stripped of its types.
struct Failed {
    again: bool,
    kind: FaultKind,
    retry_after: Option<Duration>,
    refused: bool,
    barred: Option<GaveUp>,
    what: String,
}
