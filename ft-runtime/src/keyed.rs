//! One state for each key.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};
use std::sync::Arc;

use crate::sync::{Mutex, lock};

/// One policy with state for each key: a breaker for each host, a rate for each tenant.
///
/// A key is anything that can be printed; two keys are the same when their first 1,024 bytes of text are. The state of a key is
/// made from the template when the key first comes.
///
/// ```
/// use ft_runtime::{CircuitBreaker, Keyed, circuit_breaker};
/// use std::io;
///
/// static HOSTS: Keyed<CircuitBreaker> = Keyed::new(CircuitBreaker::new().consecutive(3)).max_keys(200);
///
/// #[circuit_breaker(HOSTS, key = host)]                              // a value that several functions share
/// async fn fetch(host: &str) -> io::Result<String> {
///     Ok(format!("page of {host}"))
/// }
///
/// #[circuit_breaker(consecutive = 3, key = host, max_keys = 200)]    // or one of this function's own
/// async fn ping(host: &str) -> io::Result<()> {
///     Ok(())
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> io::Result<()> {
/// fetch("a.example").await?;
/// HOSTS.of("b.example").run(async { io::Result::Ok(()) }).await?;    // called by hand
/// assert_eq!(HOSTS.entries().len(), 2);
/// # ping("a.example").await }
/// ```
///
/// # Bound
///
/// [`max_keys`](Self::max_keys) states are kept, 1,024 by default. When a new key comes and all places are taken, one of the keys
/// is forgotten: the one that was called longest ago among those that have nothing to remember (a closed breaker without
/// failures, a limiter that has recovered) and are not in use; where there is none such, the one that was called longest
/// ago. Only 64 places are looked at for it, the next 64 each time, so that a flood of keys stays cheap; up to 64
/// keys the choice is exact. Calls in flight keep the state that they began with.
///
/// # Cost
///
/// A lookup takes a lock for as long as it searches, and allocates for a new key only.
pub struct Keyed<P> {
    template: P,
    max_keys: u32,
    table: Mutex<Table<P>>,
}

/// How many bytes of a key count.
const KEY_BYTES: usize = 1024;

/// How many places are looked at to find one for a new key.
const LOOKED_AT: usize = 64;

impl<P: Template> Keyed<P> {
    /// States made from `template`, for up to 1,024 keys.
    pub const fn new(template: P) -> Self {
        let table = Table { places: BTreeMap::new(), entries: Vec::new(), uses: 0, hand: 0 };
        Self { template, max_keys: 1024, table: Mutex::new(table) }
    }

    /// How many keys are remembered: 1,024 by default.
    ///
    /// # Panics
    ///
    /// On zero; in a constant that is a compile error.
    #[track_caller]
    pub const fn max_keys(mut self, max_keys: u32) -> Self {
        assert!(max_keys >= 1, "max_keys must be at least 1");
        self.max_keys = max_keys;
        self
    }

    /// The state of this key; made now, if there is none.
    pub fn of<K: Display + ?Sized>(&self, key: &K) -> Arc<P> {
        // The key is printed before the lock is taken: what prints it is the user's.
        with_text(key, |text| {
            let mut table = lock(&self.table);
            match table.find(text) {
                Some(value) => value,
                None => table.add(text, Arc::new(self.template.fresh(text)), self.max_keys as usize),
            }
        })
    }

    /// The state of this key, if there is one. Looking does not count as a use.
    pub fn get<K: Display + ?Sized>(&self, key: &K) -> Option<Arc<P>> {
        with_text(key, |text| {
            let table = lock(&self.table);
            table.places.get(text).map(|place| Arc::clone(&table.entries[*place].value))
        })
    }

    /// All keys that are remembered, in their order, with their states.
    pub fn entries(&self) -> Vec<(String, Arc<P>)> {
        let table = lock(&self.table);
        let value = |place: usize| Arc::clone(&table.entries[place].value);
        table.places.iter().map(|(key, place)| (String::from(&**key), value(*place))).collect()
    }
}

impl<P: Template> fmt::Debug for Keyed<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = lock(&self.table).entries.len();
        f.debug_struct("Keyed").field("keys", &keys).field("max_keys", &self.max_keys).finish_non_exhaustive()
    }
}

/// A policy with state that [`Keyed`] can keep one of for each key. Bounds name it, nobody else implements it.
pub trait Template: sealed::Sealed + Sized {
    /// The same settings, with a state of its own.
    fn fresh(&self, key: &str) -> Self;

    /// Would a fresh one do the same? Then this one may be forgotten.
    fn is_idle(&self) -> bool;
}

pub(crate) mod sealed {
    /// Implemented by the policies of this crate.
    pub trait Sealed {}
}

struct Table<P> {
    /// The place of each key in `entries`.
    places: BTreeMap<Arc<str>, usize>,
    entries: Vec<Entry<P>>,
    /// How many lookups there have been: the clock by which "longest ago" is told.
    uses: u64,
    /// Where the next search for a place begins.
    hand: usize,
}

struct Entry<P> {
    key: Arc<str>,
    value: Arc<P>,
    used: u64,
}

impl<P: Template> Table<P> {
    fn find(&mut self, key: &str) -> Option<Arc<P>> {
        self.uses += 1;
        let entry = &mut self.entries[*self.places.get(key)?];
        entry.used = self.uses;
        Some(Arc::clone(&entry.value))
    }

    fn add(&mut self, key: &str, value: Arc<P>, max_keys: usize) -> Arc<P> {
        let key: Arc<str> = key.into();
        let entry = Entry { key: Arc::clone(&key), value: Arc::clone(&value), used: self.uses };
        let place = if self.entries.len() < max_keys {
            self.entries.push(entry);
            self.entries.len() - 1
        } else {
            let place = self.spare();
            let old = std::mem::replace(&mut self.entries[place], entry);
            self.places.remove(&old.key);
            place
        };
        self.places.insert(key, place);
        value
    }

    /// The place of a key that may be forgotten. There is at least one entry.
    fn spare(&mut self) -> usize {
        let len = self.entries.len();
        let looked_at = len.min(LOOKED_AT);
        let hand = self.hand;
        self.hand = (hand + looked_at) % len;
        let places = (0..looked_at).map(|ahead| (hand + ahead) % len);
        let worth = |place: &usize| {
            let entry = &self.entries[*place];
            let in_use = Arc::strong_count(&entry.value) > 1;
            (in_use || !entry.value.is_idle(), entry.used)
        };
        places.min_by_key(worth).unwrap_or_default()
    }
}

thread_local! {
    /// Where keys are printed, so that a lookup does not allocate.
    static TEXT: Cell<String> = const { Cell::new(String::new()) };
}

/// Calls `look` with the text of the key, as far as it counts.
fn with_text<K: Display + ?Sized, R>(key: &K, look: impl FnOnce(&str) -> R) -> R {
    // Taken, not borrowed: printing a key may look up another one.
    let mut text = Bounded(TEXT.take());
    text.0.clear();
    // An error only says that the rest does not count.
    let _ = write!(text, "{key}");
    let found = look(&text.0);
    TEXT.set(text.0);
    found
}

struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = KEY_BYTES - self.0.len();
        let end = (0..=room.min(more.len())).rev().find(|end| more.is_char_boundary(*end)).unwrap_or_default();
        self.0.push_str(&more[..end]);
        if end == more.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct State {
        key: String,
        busy: AtomicBool,
    }

    impl State {
        const fn new() -> Self {
            Self { key: String::new(), busy: AtomicBool::new(false) }
        }
    }

    impl sealed::Sealed for State {}
    impl Template for State {
        fn fresh(&self, key: &str) -> Self {
            Self { key: key.to_owned(), busy: AtomicBool::new(false) }
        }
        fn is_idle(&self) -> bool {
            !self.busy.load(Ordering::Relaxed)
        }
    }

    fn keys<P: Template>(keyed: &Keyed<P>) -> Vec<String> {
        keyed.entries().into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn each_key_has_a_state_of_its_own_and_keeps_it() {
        static KEYED: Keyed<State> = Keyed::new(State::new()).max_keys(3);
        let a = KEYED.of("a");
        assert_eq!(a.key, "a");
        assert!(Arc::ptr_eq(&a, &KEYED.of(&format_args!("{}", 'a'))));
        assert!(!Arc::ptr_eq(&a, &KEYED.of("b")));
        assert!(KEYED.get("b").is_some() && KEYED.get("c").is_none());
    }

    #[test]
    fn case_51_keys_without_end_stay_bounded_without_a_call_by_the_user() {
        let keyed = Keyed::new(State::new()).max_keys(100);
        (0..20_000).for_each(|key| drop(keyed.of(&key)));
        assert_eq!(keyed.entries().len(), 100);
        assert_eq!(lock(&keyed.table).places.len(), 100);
    }

    #[test]
    fn the_idle_key_that_was_called_longest_ago_goes_first() {
        let keyed = Keyed::new(State::new()).max_keys(3);
        for key in ["busy", "old", "new"] {
            keyed.of(key).busy.store(key == "busy", Ordering::Relaxed);
        }
        keyed.of("another");
        assert_eq!(keys(&keyed), ["another", "busy", "new"]);
        keyed.of("new");
        keyed.of("one more");
        assert_eq!(keys(&keyed), ["busy", "new", "one more"]);
    }

    #[test]
    fn a_key_in_use_is_kept_and_when_all_are_the_oldest_goes_but_lives_on_for_its_calls() {
        let keyed = Keyed::new(State::new()).max_keys(2);
        let (first, second) = (keyed.of("first"), keyed.of("second"));
        let third = keyed.of("third");
        assert_eq!(keys(&keyed), ["second", "third"]);
        assert_eq!(first.key, "first");
        drop(second);
        keyed.of("third");
        keyed.of("fourth");
        assert_eq!(keys(&keyed), ["fourth", "third"]);
        drop(third);
    }

    #[test]
    fn a_key_counts_by_its_first_bytes_and_its_memory_is_bounded() {
        let keyed = Keyed::new(State::new());
        let long = "ü".repeat(100_000);
        assert!(Arc::ptr_eq(&keyed.of(&long), &keyed.of(&format_args!("{long}!"))));
        assert_eq!(keyed.of(&long).key.len(), KEY_BYTES);
    }

    #[test]
    fn a_key_that_looks_up_another_key_or_panics_while_it_is_printed_harms_nobody() {
        struct Nested<'a>(&'a Keyed<State>, bool);
        impl Display for Nested<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0.of("inner").key)?;
                assert!(!self.1, "a key that cannot be printed");
                f.write_str(" and outer")
            }
        }
        let keyed = Keyed::new(State::new());
        assert_eq!(keyed.of(&Nested(&keyed, false)).key, "inner and outer");
        let nested = Nested(&keyed, true);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| keyed.of(&nested))).is_err());
        assert_eq!(keys(&keyed), ["inner", "inner and outer"]);
    }

    #[test]
    #[should_panic = "max_keys must be at least 1"]
    fn no_keys_are_refused() {
        let _ = Keyed::new(State::new()).max_keys(0);
    }
}
