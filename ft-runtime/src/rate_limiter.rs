//! So many in a time.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::sync::atomic::Ordering;
use std::task;
use std::time::Duration;

use crate::deadline::Deadline;
use crate::keyed::{self, Template};
use crate::outcome::Refusable;
use crate::rejected::FromRejected;
use crate::site::Site;
use crate::sync::{AtomicU64, Mutex, lock};
use crate::time;
use crate::turn::{Parked, Ticket, Turns};

mod call;
mod gcra;
#[cfg(test)]
mod tests;

pub use call::{RateLimiterCalls, RateLimiterRun, RateLimiterWith};
use gcra::Gcra;

/// Lets so many calls begin in a time, evenly; a few more may wait their turn, the others are refused at once.
///
/// It keeps a caller within what the other side has promised to take. A refusal never reached the other side and says
/// exactly when the next call fits: a [`Retry`](crate::Retry) around waits that long.
///
/// State is shared by reference: a `static`, an `Arc`, or the attribute's own; clones of a layer and the services of
/// several connections share it too.
///
/// # When not to use it
///
/// To keep a slow dependency from taking everything: it is the number of calls *at a time* that hurts then, see
/// [`Bulkhead`](crate::Bulkhead). A limit over several processes needs a store that they share; this one is per process.
///
/// # Defaults
///
/// | setting | default |
/// |---|---|
/// | rate | must be written: [`new`](Self::new) |
/// | [`per`](Self::per) | 1 s |
/// | [`burst`](Self::burst) | 1: calls begin one interval apart |
/// | [`max_wait`](Self::max_wait) | zero: nobody waits |
///
/// # Three doors
///
/// ```
/// use ft_runtime::{RateLimiter, rate_limiter};
/// use std::io;
/// use std::time::Duration;
///
/// static PARTNER: RateLimiter = RateLimiter::new(100).burst(10).max_wait(Duration::from_millis(50));
///
/// #[rate_limiter(PARTNER)]                                 // annotate a function
/// async fn load(id: u64) -> io::Result<String> {
///     Ok(format!("row {id}"))
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> io::Result<()> {
/// load(1).await?;
/// PARTNER.run(async { io::Result::Ok("row 2") }).await?;   // call the value
/// PARTNER.run_blocking(|| io::Result::Ok("row 3"))?;       // tasks and blocking threads share rate and queue
/// # Ok(()) }
/// // or stack a layer: ft_tower::RateLimiterLayer::new(&PARTNER)
/// ```
///
/// # The rate
///
/// One call an interval (`per / rate`, rounded up to the nanosecond), up to `burst` of them at once after a pause: in any
/// window, wherever it begins, there are at most `burst + window / interval` calls. What counts is when a call begins.
///
/// A call that has waited is woken by a timer, which is up to two milliseconds late. What it is late does not move those
/// after it, or a rate of a thousand a second would come to half of that: of calls that waited, those of two
/// milliseconds may begin together.
///
/// # Waiting
///
/// First come, first served, and nobody overtakes. How long a call has to wait is known when it comes: where that is more
/// than [`max_wait`](Self::max_wait) or than its [`Deadline`] leaves, less the two milliseconds that a timer may be late, it is
/// refused there and then. At most 65,536 calls
/// wait. A call that gives up loses nothing of the rate.
///
/// A waiting future must be polled or dropped, as one that waits for a lock: those behind it wait for it.
///
/// # Events
///
/// `refused` for each refusal.
///
/// # Cancel safety
///
/// Dropping the future of a call while it waits gives its place to the next one. A call that has begun has been counted.
///
/// # Panics
///
/// When a future waits outside a tokio runtime with time enabled, as every tokio timer does; its place is given back.
///
/// # Cost
///
/// One clock read and one atomic operation, without lock or allocation, admitted or refused. Waiting allocates. The algorithm
/// is GCRA (ITU-T I.371) on one number.
pub struct RateLimiter {
    rate: u32,
    per: Duration,
    burst: u32,
    gcra: Gcra,
    max_wait: Duration,
    /// The theoretical arrival time in nanoseconds, and in the lowest bit whether anybody waits: then it changes under the
    /// lock only.
    state: AtomicU64,
    turns: Mutex<Turns>,
    /// Which of the limiters of one [`Keyed`](crate::Keyed) it is.
    key: Option<Box<str>>,
}

/// In `RateLimiter::state`: somebody waits.
const WAITING: u64 = 1;

/// How many wait at the most, however long they may.
const LONGEST_QUEUE: usize = 65_536;

impl RateLimiter {
    /// `rate` calls a second; another time is set with [`per`](Self::per).
    ///
    /// # Panics
    ///
    /// On zero, and on more than one a nanosecond; in a constant, and so in an attribute, that is a compile error.
    #[track_caller]
    pub const fn new(rate: u32) -> Self {
        let per = Duration::from_secs(1);
        Self {
            rate,
            per,
            burst: 1,
            gcra: Gcra::new(rate, per, 1),
            max_wait: Duration::ZERO,
            state: AtomicU64::new(0),
            turns: Mutex::new(Turns::new()),
            key: None,
        }
    }

    /// The time in which that many calls may begin: 1 s by default.
    ///
    /// # Panics
    ///
    /// On zero, on less than a nanosecond a call, and where the burst would take longer than 146 years to come back.
    #[track_caller]
    pub const fn per(mut self, per: Duration) -> Self {
        self.gcra = Gcra::new(self.rate, per, self.burst);
        self.per = per;
        self
    }

    /// How many calls may begin at once after a pause: 1 by default.
    ///
    /// # Panics
    ///
    /// On zero, and where the burst would take longer than 146 years to come back.
    #[track_caller]
    pub const fn burst(mut self, burst: u32) -> Self {
        self.gcra = Gcra::new(self.rate, self.per, burst);
        self.burst = burst;
        self
    }

    /// How long a call may wait for its turn: not at all by default.
    pub const fn max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// How many calls wait.
    pub fn waiting(&self) -> u32 {
        // No longer than `LONGEST_QUEUE`.
        lock(&self.turns).len() as u32
    }

    /// Which one it is of a [`Keyed`](crate::Keyed).
    fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The session of one call that returns `R`: what the attribute uses.
    #[inline]
    pub fn calls<R: Refusable>(&self) -> RateLimiterCalls<&Self, R::Value, R::Error> {
        RateLimiterCalls::begin(self)
    }

    /// As [`calls`](Self::calls), for a session that holds the limiter: a future that a layer answers with.
    #[inline]
    pub fn calls_of<R: Refusable, P: Deref<Target = Self>>(policy: P) -> RateLimiterCalls<P, R::Value, R::Error> {
        RateLimiterCalls::begin(policy)
    }

    /// Runs the future when its turn comes.
    ///
    /// # Errors
    ///
    /// Its own; [`Rejected::RateLimited`](crate::Rejected::RateLimited) when it would have to wait too long.
    #[inline]
    pub fn run<T, E, F>(&self, future: F) -> RateLimiterRun<&Self, F, E>
    where
        F: Future<Output = Result<T, E>>,
        E: FromRejected,
    {
        self.calls::<Result<T, E>>().run(future)
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
    pub fn at(&self, site: &'static Site) -> RateLimiterWith<'_> {
        RateLimiterWith::new(self, site)
    }

    /// Begins a call now. If it has to wait: for how many nanoseconds, zero where that is for those before it to say.
    #[inline]
    fn try_take(&self) -> Result<(), u64> {
        let mut state = self.state.load(Ordering::Relaxed);
        while state & WAITING == 0 {
            // Read after the state: a moment before the call that wrote it would look as if this one came too early.
            let next = self.gcra.decide(theoretical(state), time::nanos())?;
            match self.state.compare_exchange_weak(state, word(next), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(current) => state = current,
            }
        }
        Err(0)
    }

    /// Begins a call after all, takes a place in the queue, or says when to come back.
    #[cold]
    #[inline(never)]
    fn join(&self, wait: u64) -> Result<Joined, Duration> {
        if self.max_wait.is_zero() {
            // Nobody ever waits, so the wait is known: what is refused under overload must cost little.
            return Err(Duration::from_nanos(wait));
        }
        let patience = Deadline::current().map_or(self.max_wait, |deadline| self.max_wait.min(deadline.to_wait()));
        let mut turns = lock(&self.turns);
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            let (now, before) = (time::nanos(), turns.len());
            let next = match self.gcra.decide(theoretical(state), now) {
                Ok(next) if before == 0 => word(next),
                _ => {
                    let wait = self.gcra.wait_behind(theoretical(state), now, before);
                    if wait > patience || before >= LONGEST_QUEUE {
                        return Err(wait);
                    }
                    state | WAITING
                }
            };
            match self.state.compare_exchange_weak(state, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) if next & WAITING == 0 => return Ok(Joined::Begun),
                Ok(_) => return Ok(Joined::Queue(turns.join())),
                Err(current) => state = current,
            }
        }
    }

    /// How it stands with this ticket. If it is not the first one, `waker` hears when it is.
    fn look(&self, ticket: Ticket, waker: &task::Waker) -> Turn {
        let mut turns = lock(&self.turns);
        if !turns.is_first(ticket) {
            let before = turns.listen(ticket, waker);
            drop(turns);
            drop(before);
            return Turn::Behind;
        }
        let state = self.state.load(Ordering::Relaxed);
        match self.gcra.decide_waited(theoretical(state), time::nanos()) {
            Err(wait) => Turn::In(Duration::from_nanos(wait)),
            Ok(next) => {
                let (_, own) = turns.leave(ticket);
                // Nobody else writes while somebody waits.
                self.state.store(word(next) | if turns.is_empty() { 0 } else { WAITING }, Ordering::Relaxed);
                let next = turns.first();
                drop(turns);
                drop(own);
                wake(next);
                Turn::Come
            }
        }
    }

    /// As [`join`](Self::join), and waits for the turn to come.
    #[cold]
    #[inline(never)]
    fn wait_blocking(&self, wait: u64) -> Result<(), Duration> {
        let Joined::Queue(ticket) = self.join(wait)? else { return Ok(()) };
        let thread = Parked::here();
        loop {
            match self.look(ticket, thread.waker()) {
                Turn::Come => return Ok(()),
                Turn::In(wait) => thread.park(Some(wait)),
                Turn::Behind => thread.park(None),
            }
        }
    }

    /// Gives up a place in the queue.
    fn leave(&self, ticket: Ticket) {
        let mut turns = lock(&self.turns);
        let first = turns.is_first(ticket);
        let (left, own) = turns.leave(ticket);
        if left && turns.is_empty() {
            self.state.fetch_and(!WAITING, Ordering::Relaxed);
        }
        let next = if first { turns.first() } else { None };
        drop(turns);
        drop(own);
        wake(next);
    }
}

const POLICY: &str = "rate_limiter";

#[inline]
fn theoretical(state: u64) -> u64 {
    state >> 1
}

#[inline]
fn word(theoretical: u64) -> u64 {
    theoretical << 1
}

fn wake(waker: Option<task::Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

enum Joined {
    Begun,
    Queue(Ticket),
}

enum Turn {
    Come,
    /// The first one, who has to wait this long.
    In(Duration),
    Behind,
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter")
            .field("key", &self.key)
            .field("rate", &self.rate)
            .field("per", &self.per)
            .field("burst", &self.burst)
            .field("max_wait", &self.max_wait)
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

impl keyed::sealed::Sealed for RateLimiter {}

impl Template for RateLimiter {
    fn fresh(&self, key: &str) -> Self {
        Self {
            rate: self.rate,
            per: self.per,
            burst: self.burst,
            gcra: self.gcra,
            max_wait: self.max_wait,
            state: AtomicU64::new(0),
            turns: Mutex::new(Turns::new()),
            key: Some(key.into()),
        }
    }

    fn is_idle(&self) -> bool {
        let state = self.state.load(Ordering::Relaxed);
        state & WAITING == 0 && theoretical(state) <= time::nanos()
    }
}
