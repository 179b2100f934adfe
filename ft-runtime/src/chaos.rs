//! Faults on purpose.

use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::observe::{self, What};
use crate::outcome::Refusable;
use crate::random;
use crate::rejected::{FromRejected, Rejected};
use crate::site::{Entered, Site};
use crate::sync::AtomicU64;
use crate::time;

mod crash;
mod fate;
mod switch;

pub use crash::crash_point;
use fate::{Fate, Ratio};
pub use switch::{Scoped, disable, enable, is_enabled, scoped};

/// Makes calls slow, fail or panic at a given rate, to see what the policies around them make of it.
///
/// Nothing happens unless chaos is switched on for the process: with `FT_CHAOS=1` in its environment, with
/// [`chaos::enable`](enable), or for the time of a test with [`chaos::scoped`](scoped). Switched off, a call pays one
/// relaxed load.
///
/// # When not to use it
///
/// Below a policy that must not see it: put it innermost, where the real faults would come from. Around calls whose
/// arguments are moved into the body, an injected error or panic drops them unused, as a refusal does.
///
/// # Defaults
///
/// | setting | default |
/// |---|---|
/// | [`errors`](Self::errors) | 0: the share of calls that fail with [`Rejected::Injected`], without running |
/// | [`latency`](Self::latency) | 0: the share of calls that wait first |
/// | [`delay`](Self::delay) | 100 ms: how long those wait |
/// | [`panics`](Self::panics) | 0: the share of calls that panic, without running |
/// | [`seed`](Self::seed) | none: every run of the program is another one |
///
/// # Which calls
///
/// With a seed the fate of the n-th call of a policy depends on nothing but the seed and n: the same sequence in each
/// run. The three faults are drawn one by one, so a call may be slow and fail. Where one should both panic and fail, it
/// panics.
///
/// # Doors
///
/// ```
/// use ft_runtime::{Chaos, chaos};
/// use std::io;
///
/// static FLAKY: Chaos = Chaos::new().errors(0.5).seed(7);
///
/// #[chaos(FLAKY)]                                          // annotate a function
/// async fn load(id: u64) -> io::Result<String> {
///     Ok(format!("row {id}"))
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let on = ft_runtime::chaos::scoped();
/// let mut failed = 0;
/// for id in 0..100 {
///     failed += usize::from(load(id).await.is_err());
///     failed += usize::from(FLAKY.run(async { io::Result::Ok(id) }).await.is_err());  // call the value
/// }
/// assert!((60..140).contains(&failed), "{failed}");
/// drop(on);
/// assert!(load(7).await.is_ok());
/// # }
/// // or stack a layer: ft_tower::ChaosLayer::new(&FLAKY)
/// ```
///
/// # Events
///
/// [`Injected`](What::Injected) for each fault, with `"error"`, `"latency"` or `"panic"`.
///
/// # Cancel safety
///
/// Dropping the future at any point stops it, in its delay too.
///
/// # Panics
///
/// Calls panic when they are told to. Waiting needs a tokio runtime with time enabled, as every tokio timer does.
#[derive(Debug)]
pub struct Chaos {
    errors: Ratio,
    latency: Ratio,
    delay: Duration,
    panics: Ratio,
    seed: Option<u64>,
    /// How many fates were drawn.
    drawn: AtomicU64,
}

impl Chaos {
    /// Chaos that does nothing yet.
    pub const fn new() -> Self {
        Self {
            errors: Ratio::NEVER,
            latency: Ratio::NEVER,
            delay: Duration::from_millis(100),
            panics: Ratio::NEVER,
            seed: None,
            drawn: AtomicU64::new(0),
        }
    }

    /// The share of calls that fail with [`Rejected::Injected`], without running.
    ///
    /// # Panics
    ///
    /// Unless `0 <= ratio <= 1`; in a constant or a `static`, and so in an attribute, that is a compile error.
    #[track_caller]
    pub const fn errors(mut self, ratio: f64) -> Self {
        self.errors = Ratio::of(ratio);
        self
    }

    /// The share of calls that wait for the [`delay`](Self::delay) first.
    ///
    /// # Panics
    ///
    /// Unless `0 <= ratio <= 1`.
    #[track_caller]
    pub const fn latency(mut self, ratio: f64) -> Self {
        self.latency = Ratio::of(ratio);
        self
    }

    /// How long slow calls wait: 100 ms by default.
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The share of calls that panic, without running.
    ///
    /// # Panics
    ///
    /// Unless `0 <= ratio <= 1`.
    #[track_caller]
    pub const fn panics(mut self, ratio: f64) -> Self {
        self.panics = Ratio::of(ratio);
        self
    }

    /// Repeats the same sequence of faults in each run of the program.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The session of one call that returns `R`: what the attribute uses.
    #[inline]
    pub fn calls<R: Refusable>(&self) -> ChaosCalls<&Self, R::Value, R::Error> {
        ChaosCalls::of::<R>(self)
    }

    /// As [`calls`](Self::calls), for a session that outlives the borrow: `policy` is an `Arc<Chaos>` or a
    /// [`Shared<Chaos>`](crate::Shared).
    #[inline]
    pub fn calls_of<R: Refusable, P: Deref<Target = Self>>(policy: P) -> ChaosCalls<P, R::Value, R::Error> {
        ChaosCalls::of::<R>(policy)
    }

    /// Runs the call, unless chaos has it fail.
    ///
    /// # Errors
    ///
    /// Those of the call, and [`Rejected::Injected`].
    pub async fn run<T, E: FromRejected>(&self, call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        self.calls::<Result<T, E>>().run(call).await
    }

    /// As [`run`](Self::run), blocking the thread.
    ///
    /// # Errors
    ///
    /// As `run`.
    pub fn run_blocking<T, E: FromRejected>(&self, call: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.calls::<Result<T, E>>().run_blocking(call)
    }

    /// Files the calls under a site, see [`site!`](crate::site!).
    pub fn at(&self, site: &'static Site) -> ChaosWith<'_> {
        ChaosWith { policy: self, site }
    }

    /// The fate of the next call.
    #[cold]
    #[inline(never)]
    fn draw(&self) -> Fate {
        let number = self.drawn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let seed = self.seed.unwrap_or_else(|| random::with(|rng| rng.u64(..)));
        self.fate(seed, number)
    }
}

impl Default for Chaos {
    fn default() -> Self {
        Self::new()
    }
}

/// Chaos with a site, ready to call.
#[derive(Clone, Copy, Debug)]
pub struct ChaosWith<'p> {
    policy: &'p Chaos,
    site: &'static Site,
}

impl ChaosWith<'_> {
    /// As [`Chaos::run`].
    ///
    /// # Errors
    ///
    /// Those of the call, and [`Rejected::Injected`].
    pub async fn run<T, E: FromRejected>(self, call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        self.policy.calls::<Result<T, E>>().at(self.site.enter()).run(call).await
    }

    /// As [`Chaos::run_blocking`].
    ///
    /// # Errors
    ///
    /// As `run`.
    pub fn run_blocking<T, E: FromRejected>(self, call: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.policy.calls::<Result<T, E>>().at(self.site.enter()).run_blocking(call)
    }
}

/// One call under chaos: see [`Chaos::calls`].
#[derive(Debug)]
#[must_use = "nothing runs before `run`"]
pub struct ChaosCalls<P, T, E> {
    policy: P,
    site: Option<&'static Site>,
    refuse: fn(Rejected) -> E,
    outcome: PhantomData<fn() -> T>,
}

impl<P: Deref<Target = Chaos>, T, E> ChaosCalls<P, T, E> {
    #[inline]
    fn of<R: Refusable<Value = T, Error = E>>(policy: P) -> Self {
        Self { policy, site: None, refuse: R::Error::from_rejected, outcome: PhantomData }
    }

    /// Files the call under its site: `calls.at(site!().enter())`.
    #[inline]
    pub fn at(self, site: Entered) -> Self {
        Self { site: Some(site.site), ..self }
    }

    /// Runs the call, unless chaos has it fail. What happens to it is drawn here.
    #[inline]
    pub fn run<F: Future<Output = Result<T, E>>>(self, call: F) -> Injected<P, T, E, F> {
        self.run_with(|| call)
    }

    /// As [`run`](Self::run), for a call whose making may do something already: it is not made when it is to fail.
    #[inline]
    pub fn run_with<F: Future<Output = Result<T, E>>>(self, call: impl FnOnce() -> F) -> Injected<P, T, E, F> {
        if !is_enabled() {
            return Injected { calls: self, stage: Stage::Running, call: Some(call()) };
        }
        let fate = self.begin();
        let call = if fate.panics || fate.fails { None } else { Some(call()) };
        let stage = Stage::Delayed { sleep: time::sleep(fate.delay.unwrap_or_default()), fate };
        Injected { calls: self, stage, call }
    }

    /// As [`run`](Self::run), blocking the thread.
    ///
    /// # Errors
    ///
    /// Those of the call, and [`Rejected::Injected`].
    #[inline]
    pub fn run_blocking(self, call: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        if is_enabled() {
            let fate = self.begin();
            if let Some(delay) = fate.delay {
                time::sleep_blocking(delay);
            }
            if let Some(rejected) = self.end(&fate) {
                return Err((self.refuse)(rejected));
            }
        }
        call()
    }

    #[cold]
    #[inline(never)]
    fn begin(&self) -> Fate {
        let fate = self.policy.draw();
        if fate.delay.is_some() {
            self.tell("latency");
        }
        fate
    }

    /// What comes after the delay, if it is not the call.
    fn end(&self, fate: &Fate) -> Option<Rejected> {
        if fate.panics {
            self.tell("panic");
            // What the user asked for.
            panic!("a panic injected by chaos at `{}`", self.site.map_or("a call without a site", Site::path));
        }
        fate.fails.then(|| {
            self.tell("error");
            Rejected::Injected
        })
    }

    fn tell(&self, what: &'static str) {
        observe::emit(self.site, POLICY, What::Injected { what });
    }
}

pin_project! {
    /// A call under chaos; see [`ChaosCalls::run`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Injected<P, T, E, F> {
        calls: ChaosCalls<P, T, E>,
        stage: Stage,
        // None where it is to fail.
        #[pin]
        call: Option<F>,
    }
}

#[derive(Debug)]
enum Stage {
    Delayed { sleep: time::Sleep, fate: Fate },
    Running,
}

impl<P, T, E, F> Future for Injected<P, T, E, F>
where
    P: Deref<Target = Chaos>,
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Stage::Delayed { sleep, fate } = this.stage {
            ready!(Pin::new(sleep).poll(cx));
            let rejected = this.calls.end(fate);
            *this.stage = Stage::Running;
            if let Some(rejected) = rejected {
                return Poll::Ready(Err((this.calls.refuse)(rejected)));
            }
        }
        // `None` only when it is polled after it has failed.
        this.call.as_pin_mut().map_or(Poll::Pending, |call| call.poll(cx))
    }
}

const POLICY: &str = "chaos";

#[cfg(test)]
mod tests;
