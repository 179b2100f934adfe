//! So many at a time.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::sync::atomic::Ordering;
use std::task;
use std::time::Duration;

use crate::deadline::Deadline;
use crate::keyed::{self, Template};
use crate::observe::{self, What};
use crate::outcome::Refusable;
use crate::rejected::FromRejected;
use crate::site::Site;
use crate::sync::{AtomicU32, AtomicU64, Mutex, lock};
use crate::time;
use crate::turn::{Parked, Ticket, Turns};

mod adaptive;
mod call;
#[cfg(test)]
mod tests;

use adaptive::{Call, Controller};
pub use call::{BulkheadCalls, BulkheadRun, BulkheadWith};

/// Lets so many calls run at a time; a few more may wait, the others are refused at once.
///
/// It keeps a slow dependency from taking every thread, connection and byte of the program with it: what is beyond the
/// limit fails fast, with [`Rejected::BulkheadFull`](crate::Rejected::BulkheadFull), which never reached the other side.
///
/// State is shared by reference: a `static`, an `Arc`, or the attribute's own; clones of a layer share it too.
///
/// # When not to use it
///
/// Where what it protects has a bound of its own with a queue in front (a connection pool with a time limit on
/// waiting). To hold the number of calls *in a time*, use [`RateLimiter`](crate::RateLimiter).
///
/// # Defaults
///
/// | setting | default |
/// |---|---|
/// | limit | must be written: [`new`](Self::new), or [`adaptive`](Self::adaptive) |
/// | [`queue`](Self::queue) | 0: nobody waits |
/// | [`max_wait`](Self::max_wait) | 1 s, where there is a queue |
///
/// # Three doors
///
/// ```
/// use ft_runtime::{Bulkhead, bulkhead};
/// use std::io;
/// use std::time::Duration;
///
/// static DB: Bulkhead = Bulkhead::new(16).queue(32).max_wait(Duration::from_millis(500));
///
/// #[bulkhead(DB)]                                          // annotate a function
/// async fn load(id: u64) -> io::Result<String> {
///     Ok(format!("row {id}"))
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> io::Result<()> {
/// load(1).await?;
/// DB.run(async { io::Result::Ok("row 2") }).await?;        // call the value
/// DB.run_blocking(|| io::Result::Ok("row 3"))?;            // tasks and blocking threads share limit and queue
/// # Ok(()) }
/// // or stack a layer: ft_tower::BulkheadLayer::new(&DB)
/// ```
///
/// # Waiting
///
/// First come, first served: a permit that comes free goes to whoever waits longest, and nobody overtakes. A call waits no
/// longer than [`max_wait`](Self::max_wait) and than its [`Deadline`] leaves (less two milliseconds: a timer may be so
/// late, and a refusal that comes first says that the call never ran), and holds nothing of what is inside meanwhile:
/// the body has not begun. A free permit is taken whatever time is left.
///
/// A waiting future must be polled or dropped, as one that waits for a lock: its turn comes to it, not to those behind it.
///
/// # Events
///
/// `refused` for each refusal, `limit` when an adaptive limit changes.
///
/// # Cancel safety
///
/// Dropping the future of a call at any point gives back its place or its permit, and wakes whoever is next; so does a panic.
///
/// # Panics
///
/// When a future waits in the queue outside a tokio runtime with time enabled, as every tokio timer does; its place is given
/// back.
///
/// # Cost
///
/// Taking and giving back a free permit are one atomic operation each, without lock, clock or allocation (an adaptive one
/// reads the clock twice and takes a lock). Waiting allocates.
pub struct Bulkhead {
    /// How many are inside (the lower half) and how many wait (the upper half), so that one look decides.
    places: AtomicU64,
    limit: AtomicU32,
    queue: u32,
    max_wait: Duration,
    turns: Mutex<Turns>,
    controller: Option<Mutex<Controller>>,
    /// Which of the bulkheads of one [`Keyed`](crate::Keyed) it is.
    key: Option<Box<str>>,
}

/// One who waits, in `Bulkhead::places`.
const WAITING: u64 = 1 << 32;

impl Bulkhead {
    /// At most `limit` calls at a time.
    ///
    /// # Panics
    ///
    /// On zero; in a constant, and so in an attribute, that is a compile error.
    #[track_caller]
    pub const fn new(limit: u32) -> Self {
        assert!(limit >= 1, "the limit of a bulkhead must be at least 1");
        Self::with(limit, None)
    }

    /// A limit that finds itself between `min` and `max`, from the latency of the calls: it begins at `min`, grows while it is
    /// reached and calls are no slower for it, and falls when they take half as long again as they should.
    ///
    /// What they should take is measured, and measured anew: one round of calls in 64 runs at half the limit, and when
    /// halving the limit has not made slow calls faster, slow is what they are now. A fall is judged on calls that began
    /// after the one before it, so a burst makes the limit fall once. A limit that is not reached neither grows nor falls.
    ///
    /// It suits work that takes about as long each time; calls that differ by orders of magnitude need a bulkhead each.
    /// The rule is a gradient of latencies, as in Netflix's concurrency-limits, with its baseline measured instead of averaged.
    ///
    /// # Panics
    ///
    /// When `min` is zero or above `max`.
    #[track_caller]
    pub const fn adaptive(min: u32, max: u32) -> Self {
        assert!(min >= 1, "the lowest limit of a bulkhead must be at least 1");
        assert!(min <= max, "the lowest limit of a bulkhead must not be above its highest");
        Self::with(min, Some(Controller::new(min, max)))
    }

    const fn with(limit: u32, controller: Option<Controller>) -> Self {
        Self {
            places: AtomicU64::new(0),
            limit: AtomicU32::new(limit),
            queue: 0,
            max_wait: Duration::from_secs(1),
            turns: Mutex::new(Turns::new()),
            controller: match controller {
                Some(controller) => Some(Mutex::new(controller)),
                None => None,
            },
            key: None,
        }
    }

    /// How many calls may wait for a permit: none by default, and then nobody waits whatever
    /// [`max_wait`](Self::max_wait) says.
    pub const fn queue(mut self, queue: u32) -> Self {
        self.queue = queue;
        self
    }

    /// How long a call waits for a permit, where there is a [`queue`](Self::queue): 1 s by default. With [`Duration::MAX`] it waits as long as its deadline
    /// leaves, or for ever.
    pub const fn max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// The limit in force.
    pub fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    /// How many calls are inside.
    pub fn in_flight(&self) -> u32 {
        inside(self.places.load(Ordering::Relaxed))
    }

    /// How many calls wait.
    pub fn waiting(&self) -> u32 {
        waiting(self.places.load(Ordering::Relaxed))
    }

    /// Which one it is of a [`Keyed`](crate::Keyed).
    fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The session of one call that returns `R`: what the attribute uses.
    #[inline]
    pub fn calls<R: Refusable>(&self) -> BulkheadCalls<&Self, R::Value, R::Error> {
        BulkheadCalls::begin(self)
    }

    /// As [`calls`](Self::calls), for a session that holds the bulkhead: a future that a layer answers with.
    #[inline]
    pub fn calls_of<R: Refusable, P: Deref<Target = Self>>(policy: P) -> BulkheadCalls<P, R::Value, R::Error> {
        BulkheadCalls::begin(policy)
    }

    /// Runs the future when there is room for it.
    ///
    /// # Errors
    ///
    /// Its own; [`Rejected::BulkheadFull`](crate::Rejected::BulkheadFull) when there was no room in time.
    #[inline]
    pub fn run<T, E, F>(&self, future: F) -> BulkheadRun<&Self, F, E>
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
    pub fn at(&self, site: &'static Site) -> BulkheadWith<'_> {
        BulkheadWith::new(self, site)
    }

    /// Takes a permit, unless all are taken or somebody waits for one.
    #[inline]
    fn try_take(&self) -> bool {
        let limit = u64::from(self.limit.load(Ordering::Relaxed));
        let mut places = self.places.load(Ordering::Relaxed);
        // One who waits is worth more than any limit.
        while places < limit {
            match self.places.compare_exchange_weak(places, places + 1, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => places = now,
            }
        }
        false
    }

    /// Gives a permit back.
    #[inline]
    fn give_back(&self) {
        if self.places.fetch_sub(1, Ordering::Release) >= WAITING {
            self.hand_on();
        }
    }

    /// Hands free permits to those who wait.
    #[cold]
    #[inline(never)]
    fn hand_on(&self) {
        loop {
            let mut turns = lock(&self.turns);
            let places = self.places.load(Ordering::Relaxed);
            if waiting(places) == 0 || inside(places) >= self.limit.load(Ordering::Relaxed) {
                return;
            }
            // While somebody waits only we, who hold the lock, let anybody in: there still is room.
            self.places.fetch_add(1_u64.wrapping_sub(WAITING), Ordering::Acquire);
            let next = turns.call();
            drop(turns);
            if let Some(next) = next {
                next.wake();
            }
        }
    }

    /// Takes a permit or a place in the queue. `None` when there is neither, or no time to wait.
    fn enter(&self) -> Option<Joined> {
        if self.try_take() {
            return Some(Joined::Inside);
        }
        if self.is_full() {
            return None;
        }
        let patience = self.patience();
        if patience.is_some_and(|patience| patience.is_zero()) {
            return None;
        }
        self.join(patience)
    }

    /// As [`enter`](Self::enter), and waits for the turn to come. When the call begins, as [`clock`](Self::clock) says.
    #[cold]
    #[inline(never)]
    fn enter_blocking(&self) -> Option<u64> {
        let Joined::Queue(ticket, patience) = self.enter()? else { return Some(self.clock()) };
        let until = patience.map(|patience| time::later(time::now(), patience));
        let thread = Parked::here();
        while !self.admits(ticket, thread.waker()) {
            let left = until.map(|until| until.saturating_duration_since(time::now()));
            if left.is_some_and(|left| left.is_zero()) && self.leave(ticket) {
                return None;
            }
            thread.park(left);
        }
        Some(self.clock())
    }

    /// Takes a permit after all, or a place in the queue. `None` when there is neither.
    fn join(&self, patience: Option<Duration>) -> Option<Joined> {
        let mut turns = lock(&self.turns);
        let mut places = self.places.load(Ordering::Relaxed);
        loop {
            let free = places < u64::from(self.limit.load(Ordering::Relaxed));
            if !free && waiting(places) >= self.queue {
                return None;
            }
            let joined = places + if free { 1 } else { WAITING };
            match self.places.compare_exchange_weak(places, joined, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) if free => return Some(Joined::Inside),
                Ok(_) => return Some(Joined::Queue(turns.join(), patience)),
                Err(now) => places = now,
            }
        }
    }

    /// Gives up a place in the queue: `false` when it had become a permit already.
    fn leave(&self, ticket: Ticket) -> bool {
        let mut turns = lock(&self.turns);
        let (left, waker) = turns.leave(ticket);
        if left {
            self.places.fetch_sub(WAITING, Ordering::Relaxed);
        }
        drop(turns);
        drop(waker);
        left
    }

    /// Has the turn of this ticket come? If not, `waker` hears of it.
    fn admits(&self, ticket: Ticket, waker: &task::Waker) -> bool {
        let mut turns = lock(&self.turns);
        let (admits, before) = (!turns.holds(ticket), turns.listen(ticket, waker));
        drop(turns);
        drop(before);
        admits
    }

    /// Full, as far as can be seen without the lock: what is refused under overload must cost little.
    fn is_full(&self) -> bool {
        let places = self.places.load(Ordering::Relaxed);
        inside(places) >= self.limit() && waiting(places) >= self.queue
    }

    /// How long a call that comes now may wait; `None` is for ever.
    fn patience(&self) -> Option<Duration> {
        let left = Deadline::current().map(Deadline::to_wait);
        let own = (self.max_wait < Duration::MAX).then_some(self.max_wait);
        [left, own].into_iter().flatten().min()
    }

    /// When a call begins that just took a permit, where that matters.
    fn clock(&self) -> u64 {
        if self.controller.is_some() { time::nanos().max(PLAIN + 1) } else { PLAIN }
    }

    /// Takes a permit where that is all there is to do.
    #[inline]
    fn try_enter(&self) -> bool {
        self.controller.is_none() && self.try_take()
    }

    /// A call that began then, as [`clock`](Self::clock) said, gives its permit back.
    #[inline]
    fn end(&self, began: u64, answered: bool, site: Option<&'static Site>) {
        if began == PLAIN {
            self.give_back();
        } else {
            self.learn(began, answered, site);
        }
    }

    /// Learns from the latency of a call, and gives its permit back.
    #[cold]
    #[inline(never)]
    fn learn(&self, began: u64, answered: bool, site: Option<&'static Site>) {
        if let Some(controller) = &self.controller {
            let call = Call { began, ended: time::nanos(), in_flight: self.in_flight(), answered };
            let mut controller = lock(controller);
            let changed = controller.learn(call);
            if let Some((_, to)) = changed {
                // Under the lock, so that the last one to decide is the last one to write.
                self.limit.store(to, Ordering::Relaxed);
            }
            drop(controller);
            if let Some((from, to)) = changed {
                observe::emit(site, POLICY, What::Limit { key: self.key.as_deref().unwrap_or(""), from, to });
            }
        }
        self.give_back();
        // A limit that has grown has room for more than this one.
        self.hand_on();
    }
}

const POLICY: &str = "bulkhead";

fn inside(places: u64) -> u32 {
    places as u32
}

fn waiting(places: u64) -> u32 {
    (places >> 32) as u32
}

impl fmt::Debug for Bulkhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bulkhead")
            .field("key", &self.key)
            .field("limit", &self.limit())
            .field("in_flight", &self.in_flight())
            .field("queue", &self.queue)
            .field("waiting", &self.waiting())
            .field("max_wait", &self.max_wait)
            .finish_non_exhaustive()
    }
}

impl keyed::sealed::Sealed for Bulkhead {}

impl Template for Bulkhead {
    fn fresh(&self, key: &str) -> Self {
        let controller = self.controller.as_ref().map(|controller| lock(controller).fresh());
        let limit = controller.as_ref().map_or(self.limit(), Controller::limit);
        let fresh = Self::with(limit, controller).queue(self.queue).max_wait(self.max_wait);
        Self { key: Some(key.into()), ..fresh }
    }

    fn is_idle(&self) -> bool {
        // What an adaptive one has learned is worth keeping.
        self.places.load(Ordering::Relaxed) == 0 && self.controller.is_none()
    }
}

/// How a call goes on that could not just take a permit.
enum Joined {
    Inside,
    /// With the time to wait.
    Queue(Ticket, Option<Duration>),
}

/// When a call began, where that does not matter. A moment is greater.
const PLAIN: u64 = 1;
