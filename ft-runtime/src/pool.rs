//! The targets of a failover: several that can do the same work.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use crate::health::{Change, Monitor};
use crate::rejected::Invalid;
use crate::roster::{self, Common, MOST_MEMBERS, Roster, TargetStatus, sealed::Sealed};

/// Targets that can do the same work, each with a name, a tier and a health.
///
/// Cheap to clone; the clones share the targets and their health, and so do all the doors that use them. They are
/// asked tier by tier, 0 first, within a tier in the order in which they were given.
///
/// ```
/// use ft_runtime::{Failover, Pool};
/// use std::io;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # struct Db(bool);
/// # impl Db { async fn get(&self, _key: &str) -> io::Result<u32> { if self.0 { Ok(7) } else { Err(io::ErrorKind::ConnectionRefused.into()) } } }
/// # let (eu, us, archive) = (Db(false), Db(true), Db(true));
/// let replicas = Pool::of([("eu", eu), ("us", us)]).with_tier(1, "archive", archive);
///
/// let value: io::Result<u32> = Failover::new().call(&replicas, |db| async move { db.get("answer").await }).await;
/// assert_eq!(value.unwrap(), 7); // "eu" refused, "us" answered
/// # }
/// ```
///
/// An empty pool is allowed: calls on it are refused with [`Rejected::NoTarget`](crate::Rejected::NoTarget).
pub struct Pool<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    entries: Vec<Arc<Entry<T>>>,
    common: Arc<Common>,
}

struct Entry<T> {
    member: Arc<Member>,
    value: T,
}

/// What all views of a target share.
struct Member {
    name: Cow<'static, str>,
    tier: u8,
    monitor: Monitor,
}

impl<T> Pool<T> {
    /// A pool of no targets.
    pub fn new() -> Self {
        Self::made_of(Vec::new(), Arc::new(Common::new()))
    }

    /// A pool of targets of one tier, asked in this order.
    ///
    /// # Panics
    ///
    /// When a name is empty, longer than 128 bytes or given twice, or there are more than 1024 targets. See
    /// [`try_of`](Self::try_of) for lists that come from outside.
    #[track_caller]
    pub fn of<N: Into<Cow<'static, str>>>(targets: impl IntoIterator<Item = (N, T)>) -> Self {
        targets.into_iter().fold(Self::new(), |pool, (name, target)| pool.with(name, target))
    }

    /// As [`of`](Self::of), for lists that come from outside.
    ///
    /// # Errors
    ///
    /// [`Invalid`] where `of` panics.
    pub fn try_of<N: Into<Cow<'static, str>>>(targets: impl IntoIterator<Item = (N, T)>) -> Result<Self, Invalid> {
        targets.into_iter().try_fold(Self::new(), |pool, (name, target)| pool.try_with(0, name, target))
    }

    /// This pool with one more target, in tier 0. The targets that were there keep their health.
    ///
    /// # Panics
    ///
    /// As [`of`](Self::of).
    #[track_caller]
    pub fn with(self, name: impl Into<Cow<'static, str>>, target: T) -> Self {
        self.with_tier(0, name, target)
    }

    /// This pool with one more target, in this tier: it is asked when nobody in a lower one can be.
    ///
    /// # Panics
    ///
    /// As [`of`](Self::of).
    #[track_caller]
    pub fn with_tier(self, tier: u8, name: impl Into<Cow<'static, str>>, target: T) -> Self {
        match self.try_with(tier, name, target) {
            Ok(pool) => pool,
            // Documented: a list that is wrong in the program text is a bug there.
            Err(invalid) => panic!("{invalid}"),
        }
    }

    /// As [`with_tier`](Self::with_tier), for targets that come from outside.
    ///
    /// # Errors
    ///
    /// [`Invalid`] where `of` panics.
    pub fn try_with(self, tier: u8, name: impl Into<Cow<'static, str>>, target: T) -> Result<Self, Invalid> {
        let name = name.into();
        roster::check_name(&name)
            .map_err(|why| Invalid::new(format!("{why}: {:?}", name.chars().take(32).collect::<String>())))?;
        if self.shared.entries.iter().any(|entry| entry.member.name == name) {
            return Err(Invalid::new(format!("two targets of a pool have the same name: {name:?}")));
        }
        if self.shared.entries.len() == MOST_MEMBERS {
            return Err(Invalid::new(format!("a pool holds at most {MOST_MEMBERS} targets")));
        }
        let mut entries = self.shared.entries.clone();
        let at = entries.partition_point(|entry| entry.member.tier <= tier);
        entries.insert(
            at,
            Arc::new(Entry { member: Arc::new(Member { name, tier, monitor: Monitor::new() }), value: target }),
        );
        Ok(Self::made_of(entries, Arc::clone(&self.shared.common)))
    }

    /// A pool of other values for the same targets: they share their health with these.
    ///
    /// ```
    /// # use ft_runtime::Pool;
    /// let hosts = Pool::of([("a", "10.0.0.1:80"), ("b", "10.0.0.2:80")]);
    /// let urls = hosts.map(|host| format!("http://{host}/"));
    /// hosts.disable("a");
    /// assert_eq!(urls.snapshot()[0].health, ft_runtime::Health::Disabled);
    /// ```
    pub fn map<U>(&self, mut value: impl FnMut(&T) -> U) -> Pool<U> {
        let entries = self.shared.entries.iter();
        let entries =
            entries.map(|entry| Arc::new(Entry { member: Arc::clone(&entry.member), value: value(&entry.value) }));
        Pool::made_of(entries.collect(), Arc::clone(&self.shared.common))
    }

    /// How many targets there are.
    pub fn len(&self) -> usize {
        self.shared.entries.len()
    }

    /// Is there no target?
    pub fn is_empty(&self) -> bool {
        self.shared.entries.is_empty()
    }

    /// The targets, in the order in which they are asked.
    pub fn iter(&self) -> impl Iterator<Item = Target<T>> + '_ {
        self.shared.entries.iter().map(|entry| Target { entry: Arc::clone(entry) })
    }

    /// How every target is doing, in the order in which they are asked.
    pub fn snapshot(&self) -> Vec<TargetStatus> {
        self.shared.entries.iter().map(|entry| entry.member.status()).collect()
    }

    /// Gives a target no new calls while others can take them; calls in flight are not touched. `false` when there is
    /// no target of this name.
    pub fn drain(&self, name: &str) -> bool {
        self.by_hand(name, Monitor::drain)
    }

    /// Gives a target no calls at all. `false` when there is no target of this name.
    pub fn disable(&self, name: &str) -> bool {
        self.by_hand(name, Monitor::disable)
    }

    /// Puts a target back, whatever kept it out, with a clean record. `false` when there is no target of this name.
    pub fn enable(&self, name: &str) -> bool {
        self.by_hand(name, Monitor::enable)
    }

    fn by_hand(&self, name: &str, change: impl FnOnce(&Monitor) -> Option<Change>) -> bool {
        let found = self.shared.entries.iter().find(|entry| entry.member.name == name);
        if let Some(entry) = found {
            roster::tell(None, name, change(&entry.member.monitor));
        }
        found.is_some()
    }

    pub(crate) fn target(&self, index: usize) -> Target<T> {
        Target { entry: Arc::clone(&self.shared.entries[index]) }
    }

    fn made_of(entries: Vec<Arc<Entry<T>>>, common: Arc<Common>) -> Self {
        Self { shared: Arc::new(Shared { entries, common }) }
    }
}

impl Member {
    fn status(&self) -> TargetStatus {
        TargetStatus { name: self.name.clone().into_owned(), tier: self.tier, health: self.monitor.health() }
    }
}

impl<T> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.snapshot()).finish()
    }
}

impl<T> Roster for Pool<T> {}

impl<T> Sealed for Pool<T> {
    #[inline]
    fn len(&self) -> usize {
        self.shared.entries.len()
    }

    fn name(&self, index: usize) -> &str {
        &self.shared.entries[index].member.name
    }

    #[inline]
    fn monitor(&self, index: usize) -> &Monitor {
        &self.shared.entries[index].member.monitor
    }

    #[inline]
    fn common(&self) -> &Common {
        &self.shared.common
    }
}

/// One target of a pool: derefs to what was put in. Cheap to clone, and holds on to the target whatever happens to the
/// pool.
pub struct Target<T> {
    entry: Arc<Entry<T>>,
}

impl<T> Target<T> {
    /// The name under which it was put in.
    pub fn name(&self) -> &str {
        &self.entry.member.name
    }

    /// Its tier; 0 is asked first.
    pub fn tier(&self) -> u8 {
        self.entry.member.tier
    }
}

impl<T> Deref for Target<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.entry.value
    }
}

impl<T> Clone for Target<T> {
    fn clone(&self) -> Self {
        Self { entry: Arc::clone(&self.entry) }
    }
}

impl<T> fmt::Debug for Target<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("name", &self.name()).field("tier", &self.tier()).finish_non_exhaustive()
    }
}

/// What `x in EXPR` of `#[failover]` takes: a [`Pool`], a reference to one, an `Arc` or a `LazyLock` of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a pool of targets",
    label = "expected a `Pool`, or a reference to one",
    note = "build one with `Pool::of([(\"name\", target), ..])`"
)]
pub trait AsPool {
    /// What the targets are.
    type Item;
    /// The pool itself; its clones share everything.
    fn as_pool(&self) -> Pool<Self::Item>;
}

impl<T> AsPool for Pool<T> {
    type Item = T;
    #[inline]
    fn as_pool(&self) -> Pool<T> {
        self.clone()
    }
}

impl<P: AsPool + ?Sized> AsPool for &P {
    type Item = P::Item;
    #[inline]
    fn as_pool(&self) -> Pool<P::Item> {
        P::as_pool(self)
    }
}

impl<P: AsPool + ?Sized> AsPool for Arc<P> {
    type Item = P::Item;
    #[inline]
    fn as_pool(&self) -> Pool<P::Item> {
        P::as_pool(self)
    }
}

impl<P: AsPool> AsPool for LazyLock<P> {
    type Item = P::Item;
    #[inline]
    fn as_pool(&self) -> Pool<P::Item> {
        P::as_pool(self)
    }
}

/// The functions of `#[failover(to = [..])]`: names and their health, in a `static` beside the function.
///
/// ```
/// use ft_runtime::{Failover, Targets};
/// use std::io;
///
/// fn from_primary() -> io::Result<u32> { Err(io::ErrorKind::ConnectionRefused.into()) }
/// fn from_replica() -> io::Result<u32> { Ok(7) }
///
/// fn read() -> io::Result<u32> {
///     static TARGETS: Targets<2> = Targets::new(["from_primary", "from_replica"]);
///     let mut candidates = Failover::new().among::<io::Result<u32>, 2>(&TARGETS).start();
///     loop {
///         let index = candidates.index();
///         let outcome = candidates.run_blocking(|| match index { 1 => from_replica(), _ => from_primary() });
///         if !candidates.again(&outcome) { break outcome; }
///     }
/// }
/// assert_eq!(read().unwrap(), 7);
/// ```
#[derive(Debug)]
pub struct Targets<const N: usize> {
    names: [&'static str; N],
    monitors: [Monitor; N],
    common: Common,
}

impl<const N: usize> Targets<N> {
    /// Targets with these names, asked in this order.
    ///
    /// # Panics
    ///
    /// When there is none or a name is empty, longer than 128 bytes or given twice; in a `static` that is a compile error.
    #[track_caller]
    pub const fn new(names: [&'static str; N]) -> Self {
        assert!(N >= 1, "a failover needs at least one target");
        let mut at = 0;
        while at < N {
            if let Err(why) = roster::check_name(names[at]) {
                panic!("{}", why);
            }
            let mut before = 0;
            while before < at {
                assert!(
                    !same(names[before], names[at]),
                    "a target is named twice: each is asked at most once in a call"
                );
                before += 1;
            }
            at += 1;
        }
        Self { names, monitors: [const { Monitor::new() }; N], common: Common::new() }
    }

    /// How every target is doing, in the order in which they are asked.
    pub fn snapshot(&self) -> Vec<TargetStatus> {
        (self.names.iter().zip(&self.monitors))
            .map(|(name, monitor)| TargetStatus { name: (*name).to_owned(), tier: 0, health: monitor.health() })
            .collect()
    }
}

impl<const N: usize> Roster for &Targets<N> {}

impl<const N: usize> Sealed for &Targets<N> {
    #[inline]
    fn len(&self) -> usize {
        N
    }

    fn name(&self, index: usize) -> &str {
        self.names[index]
    }

    #[inline]
    fn monitor(&self, index: usize) -> &Monitor {
        &self.monitors[index]
    }

    #[inline]
    fn common(&self) -> &Common {
        &self.common
    }
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}
