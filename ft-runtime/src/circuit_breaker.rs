//! Leaves the other side alone while it fails.

mod call;
mod machine;
mod permit;
mod rules;
mod shell;
mod state;
mod window;
mod with;

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::time::Duration;

pub use call::{CircuitBreakerCalls, CircuitBreakerFuture};
pub use permit::Permit;
pub use state::{CircuitSnapshot, CircuitState};
pub use with::CircuitBreakerWith;

use machine::{Change, Phase};
use rules::{Rules, Span};
use shell::Shell;

use crate::fault::Fault;
use crate::judge::{Both, ByFault, Either, Every, NoVeto, Until};
use crate::keyed::{self, Template};
use crate::observe::{self, What};
use crate::outcome::Refusable;
use crate::rejected::{FromRejected, Rejected};
use crate::site::Site;
use crate::time::{self, whole_nanos};

/// Refuses calls while the other side fails, and lets a few through now and then to find out whether it still does.
///
/// ```text
///          too many failures           open period over
///  Closed ------------------> Open -------------------> HalfOpen
///    ^                          ^---- a probe failed ------'|
///    '-------------------- all probes went well ------------'
/// ```
///
/// Keep one beside each dependency, in a `static` or an `Arc`, and let everybody who calls it share it; for one that is really
/// many (a host each, a tenant each) keep a [`Keyed`](crate::Keyed) of it.
///
/// # When not to use it
///
/// Where refusing a call is no better than failing it; for a local resource that fails in one way for ever; for several targets
/// of which any will do: [`Failover`](crate::Failover) leaves the bad ones alone by itself.
///
/// # Defaults
///
/// | setting | default |
/// |---|---|
/// | [`rate`](Self::rate) | 0.5: opens when half of the calls in the window are failures |
/// | [`last_calls`](Self::last_calls) or [`window`](Self::window) | the last 100 calls |
/// | [`min_calls`](Self::min_calls) | 20, or [`last_calls`](Self::last_calls) where that is less |
/// | [`consecutive`](Self::consecutive) | none |
/// | [`slow`](Self::slow), [`slow_rate`](Self::slow_rate) | no call is slow; 0.5 |
/// | [`open`](Self::open), [`max_open`](Self::max_open) | 5 s, every time |
/// | [`probes`](Self::probes) | 1 |
/// | [`abandoned`](Self::abandoned) | [`Abandoned::Ignore`] |
/// | [`shadow`](Self::shadow) | off |
///
/// # Which outcomes are failures
///
/// Those that may be tried again: everything but what its [`Fault`] calls permanent, or what the judgement
/// on the session says ([`on`](CircuitBreakerCalls::on), [`unless`](CircuitBreakerCalls::unless),
/// [`when`](CircuitBreakerCalls::when), [`until`](CircuitBreakerCalls::until)). A permanent error is an answer: the other side is
/// well. A refusal of one of our own policies inside counts for nothing, a time limit that passed is a failure, and so is a
/// panic of the call, which goes on unchanged.
///
/// With `on`, `unless` or `when` the error's [`Fault`] is not asked, so those say of refusals inside, too, what they count as:
/// an `unless` that leaves them out lets a full bulkhead open the breaker. See
/// [`Rejected::kept_the_call_back`](Rejected::kept_the_call_back).
///
/// # Three doors
///
/// ```
/// use ft_runtime::{CircuitBreaker, circuit_breaker};
/// use std::io;
///
/// static PAYMENTS: CircuitBreaker = CircuitBreaker::new().rate(0.3);
///
/// #[circuit_breaker(PAYMENTS)]                                        // annotate a function
/// async fn pay(cents: u64) -> io::Result<String> {
///     Ok(format!("paid {cents}"))
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> io::Result<()> {
/// pay(100).await?;
/// PAYMENTS.run(async { io::Result::Ok("paid") }).await?;              // call the value
/// # Ok(()) }
/// // or stack a layer: ft_tower::CircuitBreakerLayer::new(&PAYMENTS)
/// ```
///
/// # Events
///
/// [`What::Circuit`] for each change of state, with its reason: `failure_rate`, `slow_rate`, `consecutive_failures`,
/// `open_period_over`, `probe_failed`, `probe_slow`, `probes_passed`, `forced`, `reset`, `disabled`. [`What::Refused`] for each
/// refusal; its [`retry_after`](Rejected::CircuitOpen) says when to come back, and a [`Retry`](crate::Retry) around the breaker
/// waits just so long. Listeners are called without any lock held.
///
/// # Cancel safety
///
/// A call that is dropped gives its permit back, whether it is a probe or not, and counts as [`abandoned`](Self::abandoned) says.
///
/// # Cost
///
/// While it is closed a call that succeeds takes no lock, allocates nothing, and reads no clock unless
/// [`slow`](Self::slow) or [`window`](Self::window) is set. A refusal takes no lock and reads the clock once.
///
/// # Source
///
/// Nygard, *Release It!* (2007), for the idea; the windows, `min_calls` and slow calls follow Resilience4j, the leased probes
/// Polly.
pub struct CircuitBreaker {
    rules: Rules,
    shell: Shell,
    /// Which of the breakers of one [`Keyed`](crate::Keyed) it is.
    key: Option<Box<str>>,
}

/// What a call counts as whose caller left before it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Abandoned {
    /// Nothing: the caller's reasons say nothing of the other side. One that a deadline of ours cut off is a failure all the
    /// same.
    #[default]
    Ignore,
    /// A failure: for callers that only ever leave because it takes too long.
    Failure,
}

/// The longest window over calls: a quarter of a megabyte once a call has failed.
const MAX_CALLS: u32 = 1_000_000;

impl CircuitBreaker {
    /// A breaker with the defaults, closed.
    pub const fn new() -> Self {
        Self { rules: Rules::DEFAULT, shell: Shell::new(), key: None }
    }

    /// Opens when so many of the calls in the window are failures, as a part of 1: 0.5 by default. At exactly this rate it
    /// opens.
    ///
    /// # Panics
    ///
    /// Unless `0 < rate <= 1`; in a constant, and so in an attribute, that is a compile error. So it is with all settings here.
    #[track_caller]
    pub const fn rate(mut self, rate: f64) -> Self {
        assert!(rate > 0.0 && rate <= 1.0, "rate must be above 0 and at most 1");
        self.rules.rate = rate;
        self
    }

    /// Looks back on the last so many calls: 100 by default. The window slides: each call pushes the oldest one out.
    ///
    /// # Panics
    ///
    /// On zero, on more than a million, and below a [`min_calls`](Self::min_calls) that was set before.
    #[track_caller]
    pub const fn last_calls(mut self, calls: u32) -> Self {
        assert!(calls >= 1, "the window must hold at least 1 call");
        assert!(calls <= MAX_CALLS, "the window must hold at most 1,000,000 calls");
        self.rules.span = Span::Calls(calls);
        assert!(self.rules.min_calls() <= calls, "min_calls must not be more than the calls in the window");
        self
    }

    /// Looks back on the calls that ended in this last while, instead of a number of calls. It slides in sixtieths: a call is
    /// forgotten when the window's length has passed since it ended, or up to a sixtieth of it earlier.
    ///
    /// # Panics
    ///
    /// When it is shorter than 10 ms.
    #[track_caller]
    pub const fn window(mut self, window: Duration) -> Self {
        assert!(window.as_millis() >= 10, "the window must be at least 10 ms");
        self.rules.span = Span::Time(whole_nanos(window));
        self
    }

    /// Looks at no rate before so many calls are in the window: 20 by default, or all that it holds where those are fewer.
    /// The call that completes them may open the breaker, whether it fails or not.
    ///
    /// # Panics
    ///
    /// On zero, and above the number of calls that the window holds: set that first.
    #[track_caller]
    pub const fn min_calls(mut self, min_calls: u32) -> Self {
        assert!(min_calls >= 1, "min_calls must be at least 1");
        if let Span::Calls(calls) = self.rules.span {
            assert!(
                min_calls <= calls,
                "min_calls must not be more than the calls in the window: make the window larger, before this"
            );
        }
        self.rules.min_calls = Some(min_calls);
        self
    }

    /// Opens after so many failures in a row, too, however few calls there were.
    ///
    /// # Panics
    ///
    /// On zero.
    #[track_caller]
    pub const fn consecutive(mut self, failures: u32) -> Self {
        assert!(failures >= 1, "consecutive must be at least 1");
        self.rules.consecutive = Some(failures);
        self
    }

    /// Takes calls that take longer than this for slow, whatever they answer. With it, every call reads the clock.
    ///
    /// # Panics
    ///
    /// On zero.
    #[track_caller]
    pub const fn slow(mut self, longer_than: Duration) -> Self {
        assert!(!longer_than.is_zero(), "slow must be longer than zero");
        self.rules.slow = Some(whole_nanos(longer_than));
        self
    }

    /// Opens when so many of the calls in the window are [`slow`](Self::slow), as a part of 1: 0.5 by default. Means
    /// nothing where `slow` is not set.
    ///
    /// # Panics
    ///
    /// Unless `0 < rate <= 1`.
    #[track_caller]
    pub const fn slow_rate(mut self, rate: f64) -> Self {
        assert!(rate > 0.0 && rate <= 1.0, "slow_rate must be above 0 and at most 1");
        self.rules.slow_rate = rate;
        self
    }

    /// How long it stays open: 5 s by default. The first call after exactly this time is a probe.
    ///
    /// # Panics
    ///
    /// On zero, and above a [`max_open`](Self::max_open) that was set before.
    #[track_caller]
    pub const fn open(mut self, period: Duration) -> Self {
        assert!(!period.is_zero(), "open must be longer than zero");
        self.rules.open = whole_nanos(period);
        if let Some(cap) = self.rules.max_open {
            assert!(self.rules.open <= cap, "open must not be longer than max_open");
        }
        self
    }

    /// Doubles the open period each time that the breaker opens again, up to this. Once it was closed for longer than it was
    /// open before, it begins with [`open`](Self::open) again.
    ///
    /// # Panics
    ///
    /// When it is shorter than [`open`](Self::open): set that first.
    #[track_caller]
    pub const fn max_open(mut self, cap: Duration) -> Self {
        let cap = whole_nanos(cap);
        assert!(cap >= self.rules.open, "max_open must not be shorter than open: set open before this");
        self.rules.max_open = Some(cap);
        self
    }

    /// How many calls are let through to find out whether the other side is well again: 1 by default. All of them must go
    /// well; one that fails, or is slow, opens the breaker again. Those that never come back are replaced after
    /// one open period, and count if they come back after all.
    ///
    /// # Panics
    ///
    /// On zero: the breaker could never close again.
    #[track_caller]
    pub const fn probes(mut self, probes: u32) -> Self {
        assert!(probes >= 1, "probes must be at least 1");
        self.rules.probes = probes;
        self
    }

    /// What a call counts as whose caller left before it ended: [`Abandoned::Ignore`] by default.
    pub const fn abandoned(mut self, abandoned: Abandoned) -> Self {
        self.rules.abandoned = abandoned;
        self
    }

    /// Never refuses a call, but counts, changes its state and tells of it all the same, and counts what it would have
    /// refused: to see what it would do.
    pub const fn shadow(mut self, shadow: bool) -> Self {
        self.rules.shadow = shadow;
        self
    }

    /// The session of one call that returns `R`: what the attribute uses.
    #[inline]
    pub fn calls<R: Refusable>(&self) -> CircuitBreakerCalls<&Self, R::Value, R::Error> {
        CircuitBreakerCalls::new(self, <R::Error as FromRejected>::from_rejected)
    }

    /// As [`calls`](Self::calls), for a session that holds the breaker: a future that a layer answers with.
    #[inline]
    pub fn calls_of<R: Refusable, P: Deref<Target = Self>>(policy: P) -> CircuitBreakerCalls<P, R::Value, R::Error> {
        CircuitBreakerCalls::new(policy, <R::Error as FromRejected>::from_rejected)
    }

    /// Polls `call` if the breaker lets it through. The error's [`Fault`] says what is a failure.
    #[inline]
    pub fn run<T, E, F>(&self, call: F) -> CircuitBreakerFuture<&Self, F, E>
    where
        E: FromRejected + Fault,
        F: Future<Output = Result<T, E>>,
    {
        self.calls::<Result<T, E>>().run(call)
    }

    /// As [`run`](Self::run), blocking the thread.
    ///
    /// # Errors
    ///
    /// That of the call, or a refusal: [`Rejected::CircuitOpen`].
    #[inline]
    pub fn run_blocking<T, E: FromRejected + Fault>(&self, call: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.calls::<Result<T, E>>().run_blocking(call)
    }

    /// Asks for one call that is neither a future nor a closure: a stream, a message whose answer comes elsewhere.
    ///
    /// ```
    /// use ft_runtime::CircuitBreaker;
    /// let breaker = CircuitBreaker::new().consecutive(1);
    /// breaker.acquire().unwrap().failed();
    /// assert!(breaker.acquire().is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// [`Rejected::CircuitOpen`].
    pub fn acquire(&self) -> Result<Permit<&Self>, Rejected> {
        let pass = self.enter(None);
        match pass.refused() {
            None => Ok(Permit::new(self, None, pass)),
            Some(retry_after) => Err(self.refuse(None, retry_after)),
        }
    }

    /// How long calls are refused from now on; `None` while one may be let through. A look that reserves and counts nothing: a
    /// health check, or a layer that is asked whether it is ready.
    #[inline]
    pub fn refuses_for(&self) -> Option<Duration> {
        if self.shell.admit_at_once().is_some() { None } else { self.refuses_for_yet() }
    }

    #[inline(never)]
    fn refuses_for_yet(&self) -> Option<Duration> {
        if self.rules.shadow {
            return None;
        }
        self.shell.refuses_for(&self.rules, time::nanos).map(Duration::from_nanos)
    }

    /// Files the calls under a site, see [`site!`](crate::site!).
    pub fn at(&self, site: &'static Site) -> CircuitBreakerWith<'_> {
        CircuitBreakerWith::new(self).at(site)
    }

    /// Takes only errors for failures that the predicate says yes to.
    pub fn when<F>(&self, accept: F) -> CircuitBreakerWith<'_, Both<Every, F>> {
        CircuitBreakerWith::new(self).when(accept)
    }

    /// Takes all errors for failures but those that the predicate says yes to.
    pub fn unless<F>(&self, veto: F) -> CircuitBreakerWith<'_, Every, Either<NoVeto, F>> {
        CircuitBreakerWith::new(self).unless(veto)
    }

    /// Takes a value for a failure that the predicate says no to.
    pub fn until<F>(&self, good: F) -> CircuitBreakerWith<'_, ByFault, NoVeto, Until<F>> {
        CircuitBreakerWith::new(self).until(good)
    }

    /// The state it is in. The move from open to half-open is made by the call that comes after the open period, not by the
    /// clock.
    pub fn state(&self) -> CircuitState {
        self.shell.with(&self.rules, |machine| machine.state())
    }

    /// All there is to know of it, as of one moment.
    pub fn snapshot(&self) -> CircuitSnapshot {
        let now = time::nanos();
        let refused = self.shell.refused();
        self.shell.with(&self.rules, |machine| CircuitSnapshot::of(machine, &self.rules, refused, now))
    }

    /// Refuses all calls from now on, until [`reset`](Self::reset) or another of these is called. The refusals name the
    /// period of [`open`](Self::open) as the time to wait. Calls in flight go on, and count for nothing.
    pub fn force_open(&self) {
        self.force(Phase::ForcedOpen, "forced");
    }

    /// Lets all calls through and counts them, and never opens, until [`reset`](Self::reset) or another of these is called.
    pub fn force_close(&self) {
        self.force(Phase::ForcedClosed, "forced");
    }

    /// Lets all calls through and counts nothing, until [`reset`](Self::reset) or another of these is called.
    pub fn disable(&self) {
        self.force(Phase::Disabled, "disabled");
    }

    /// Closes it, forgets all calls, and goes on by itself. Calls in flight count for nothing.
    pub fn reset(&self) {
        self.force(Phase::Closed, "reset");
    }

    fn force(&self, phase: Phase, why: &'static str) {
        let change = self.shell.with(&self.rules, |machine| machine.force(phase, why));
        // To reset what is closed already is no change.
        if change.from != change.to {
            self.tell(None, change);
        }
    }

    #[cold]
    #[inline(never)]
    fn tell(&self, site: Option<&Site>, change: Change) {
        let Change { from, to, why } = change;
        let what = What::Circuit { key: self.key.as_deref().unwrap_or(""), from: from.as_str(), to: to.as_str(), why };
        observe::emit(site, POLICY, what);
    }
}

const POLICY: &str = "circuit_breaker";

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CircuitSnapshot { state, calls, failures, slow, .. } = self.snapshot();
        f.debug_struct("CircuitBreaker")
            .field("key", &self.key)
            .field("rate", &self.rules.rate)
            .field("open", &Duration::from_nanos(self.rules.open))
            .field("state", &state)
            .field("calls", &calls)
            .field("failures", &failures)
            .field("slow", &slow)
            .finish_non_exhaustive()
    }
}

impl keyed::sealed::Sealed for CircuitBreaker {}

impl Template for CircuitBreaker {
    fn fresh(&self, key: &str) -> Self {
        Self { rules: self.rules, shell: Shell::new(), key: Some(key.into()) }
    }

    fn is_idle(&self) -> bool {
        self.shell.is_idle()
    }
}

#[cfg(test)]
#[path = "circuit_breaker/tests.rs"]
mod tests;
