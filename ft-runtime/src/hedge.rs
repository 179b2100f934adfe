//! A second call beside one that takes too long.

use std::future::Future;
use std::ops::Deref;
use std::time::Duration;

use crate::budget::RetryBudget;
use crate::fault::Fault;
use crate::judge::{Accept, AnyValue, Both, ByFault, Either, Every, Judge, Judgement, NoHint, NoVeto, Until};
use crate::outcome::Outcome;
use crate::site::Site;

mod call;
mod race;
mod sketch;

pub use call::HedgeCalls;
pub use race::{Again, Extra, Hedging};
use sketch::{Sketch, Wanted};

/// Makes the call a second time when the first one takes unusually long, and answers with whichever is done first.
///
/// # When not to use it
///
/// Where the call is not safe to make twice: both may run. Where slowness comes from overload: more calls make it worse, so
/// give it a [`budget`](Self::budget). Where calls are always equally slow: there is nothing to gain.
///
/// # Defaults
///
/// | setting | default |
/// |---|---|
/// | [`after`](Self::after) | none: the delay follows the calls' own latency |
/// | [`quantile`](Self::quantile) | 0.95: the slowest twentieth gets an extra call |
/// | [`warm_up`](Self::warm_up) | 20 calls before the latency is known |
/// | [`max_extra`](Self::max_extra) | 1 extra call |
/// | [`budget`](Self::budget) | none |
///
/// # What happens
///
/// - The first call runs in place. When it is still running after the delay, an extra one starts beside it, and so on.
/// - **A failure starts the next one at once**, if there is one left. The error's own [`Fault`] says what a failure is:
///   everything but a permanent error, which is an answer. Or say it, with `on`, `unless`, `when` and `until`. After a refusal
///   of our own policies, and where the other side asks for patience, no further call is started.
/// - **The first answer wins.** The others are dropped before it is returned. A failure never beats a call that is still
///   running.
/// - When all have failed, the outcome of the first call is returned.
/// - No extra call starts that could not begin before the [`Deadline`](crate::Deadline).
///
/// The delay is measured from the first suspension of the call. Every call that suspends goes into the latency: errors,
/// and calls that were dropped after the delay, with the time that they had taken. A call that is ready at once is
/// counted and no clock is read for it. What is long ago fades: some thousand calls are kept.
///
/// # Doors
///
/// ```
/// use ft_runtime::{Hedge, RetryBudget, hedge};
/// use std::io;
/// use std::time::Duration;
///
/// static BUDGET: RetryBudget = RetryBudget::new();
///
/// #[hedge(after = 50ms, budget = &BUDGET)]                 // annotate a function
/// async fn read(key: &str) -> io::Result<String> {
///     Ok(format!("value of {key}"))
/// }
///
/// static READS: Hedge = Hedge::new().quantile(0.99);       // state: a `static` or an `Arc`
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> io::Result<()> {
/// assert_eq!(read("key").await?, "value of key");
/// assert_eq!(READS.call(|| async { io::Result::Ok(7) }).await?, 7);  // call the value
/// # Ok(()) }
/// // or stack a layer: ft_tower::HedgeLayer::new(&READS)
/// ```
///
/// # Events
///
/// [`Hedged`](crate::observe::What::Hedged) when an extra call starts, [`HedgeWon`](crate::observe::What::HedgeWon) when
/// one answers first.
///
/// # Cancel safety
///
/// Dropping the future drops all calls. An extra call that was charged to the budget and has not started is refunded.
///
/// # Panics
///
/// A panic of any of the calls passes through. Waiting for the delay needs a tokio runtime with time enabled.
///
/// # Source
///
/// Dean and Barroso, "The Tail at Scale", 2013.
#[derive(Debug)]
pub struct Hedge {
    after: Option<Duration>,
    wanted: Wanted,
    max_extra: u32,
    budget: Option<&'static RetryBudget>,
    sketch: Sketch,
}

/// No hedge comes earlier than this, however fast the calls: timers are no finer.
const SHORTEST: Duration = Duration::from_millis(1);

impl Hedge {
    /// A hedge with the defaults.
    pub const fn new() -> Self {
        Self {
            after: None,
            wanted: Wanted { millionths: 950_000, warm_up: 20 },
            max_extra: 1,
            budget: None,
            sketch: Sketch::new(),
        }
    }

    /// A fixed delay, in place of the calls' own latency. Zero starts all calls at once.
    pub const fn after(mut self, after: Duration) -> Self {
        self.after = Some(after);
        self
    }

    /// The share of calls that the delay lets finish alone: 0.95 by default.
    ///
    /// # Panics
    ///
    /// Unless `0 < quantile < 1`; in a constant or a `static`, and so in an attribute, that is a compile error.
    #[track_caller]
    pub const fn quantile(mut self, quantile: f64) -> Self {
        assert!(quantile > 0.0 && quantile < 1.0, "the quantile of a hedge must be between 0 and 1");
        self.wanted.millionths = (quantile * 1e6 + 0.5) as u32;
        self
    }

    /// How many calls are measured before the first hedge: 20 by default.
    ///
    /// # Panics
    ///
    /// On zero, and above 1000.
    #[track_caller]
    pub const fn warm_up(mut self, calls: u32) -> Self {
        assert!(calls >= 1 && calls <= 1000, "warm_up must be between 1 and 1000 calls");
        self.wanted.warm_up = calls;
        self
    }

    /// How many extra calls are started at the most: 1 by default.
    ///
    /// # Panics
    ///
    /// On zero, and above 16.
    #[track_caller]
    pub const fn max_extra(mut self, max_extra: u32) -> Self {
        assert!(max_extra >= 1 && max_extra <= 16, "max_extra must be between 1 and 16");
        self.max_extra = max_extra;
        self
    }

    /// A limit on extra calls that this policy shares with others.
    pub const fn budget(mut self, budget: &'static RetryBudget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// How long a call that starts now would run alone; `None` while too few calls were measured.
    pub fn delay(&self) -> Option<Duration> {
        self.after.or_else(|| self.sketch.quantile().map(|quantile| quantile.max(SHORTEST)))
    }

    /// The session of one call that returns `R`: what the attribute uses.
    #[inline]
    pub fn calls<R: Outcome>(&self) -> HedgeCalls<&Self, R::Value, R::Error> {
        HedgeCalls::begin(self)
    }

    /// As [`calls`](Self::calls), for a session that outlives the borrow: `policy` is an `Arc<Hedge>` or a
    /// [`Shared<Hedge>`](crate::Shared).
    #[inline]
    pub fn calls_of<R: Outcome, P: Deref<Target = Self>>(policy: P) -> HedgeCalls<P, R::Value, R::Error> {
        HedgeCalls::begin(policy)
    }

    /// Makes the call, and another one beside it when it takes too long or fails.
    ///
    /// # Errors
    ///
    /// A permanent error of any of the calls; the error of the first one when all have failed.
    pub async fn call<T, E, F, Fut>(&self, call: F) -> Result<T, E>
    where
        E: Fault,
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.with().call(call).await
    }

    /// Files the calls under a site, see [`site!`](crate::site!).
    pub fn at(&self, site: &'static Site) -> HedgeWith<'_> {
        self.with().at(site)
    }

    /// Only errors that the predicate says yes to are failures; all others are answers.
    pub fn when<F>(&self, accept: F) -> HedgeWith<'_, Both<Every, F>> {
        self.with().when(accept)
    }

    /// Errors that the predicate says yes to are answers; all others are failures.
    pub fn unless<F>(&self, veto: F) -> HedgeWith<'_, Every, Either<NoVeto, F>> {
        self.with().unless(veto)
    }

    /// A value that the predicate says no to is a failure.
    pub fn until<F>(&self, good: F) -> HedgeWith<'_, ByFault, NoVeto, Until<F>> {
        self.with().until(good)
    }

    fn with(&self) -> HedgeWith<'_> {
        HedgeWith { policy: self, site: None, judge: Judge::by_fault() }
    }
}

impl Default for Hedge {
    fn default() -> Self {
        Self::new()
    }
}

/// A hedge with a judgement or a site, ready to call.
#[derive(Clone, Copy, Debug)]
pub struct HedgeWith<'p, A = ByFault, V = NoVeto, U = AnyValue> {
    policy: &'p Hedge,
    site: Option<&'static Site>,
    judge: Judge<A, V, U, NoHint>,
}

impl<'p, A: Accept, V, U> HedgeWith<'p, A, V, U> {
    /// Files the calls under a site, see [`site!`](crate::site!).
    pub fn at(self, site: &'static Site) -> Self {
        Self { site: Some(site), ..self }
    }

    /// Only errors that the predicate says yes to are failures. Given twice, both must say yes.
    pub fn when<F>(self, accept: F) -> HedgeWith<'p, Both<A::Explicit, F>, V, U> {
        HedgeWith { policy: self.policy, site: self.site, judge: self.judge.when(accept) }
    }

    /// Errors that the predicate says yes to are answers.
    pub fn unless<F>(self, veto: F) -> HedgeWith<'p, A::Explicit, Either<V, F>, U> {
        HedgeWith { policy: self.policy, site: self.site, judge: self.judge.unless(veto) }
    }

    /// A value that the predicate says no to is a failure.
    pub fn until<F>(self, good: F) -> HedgeWith<'p, A, V, Until<F>> {
        HedgeWith { policy: self.policy, site: self.site, judge: self.judge.until(good) }
    }

    /// As [`Hedge::call`].
    ///
    /// # Errors
    ///
    /// The first answer that is an error; the error of the first call when all have failed.
    pub async fn call<T, E, F, Fut>(self, call: F) -> Result<T, E>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        Judge<A, V, U, NoHint>: Judgement<T, E>,
    {
        let calls = self.policy.calls::<Result<T, E>>().by(self.judge);
        match self.site {
            Some(site) => calls.at(site.enter()).run(call).await,
            None => calls.run(call).await,
        }
    }
}

#[cfg(test)]
mod tests;
