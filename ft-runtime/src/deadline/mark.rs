//! The deadline in force on a thread, in one word.

use std::cell::Cell;
use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::time;

thread_local! {
    /// The deadline of the call that this thread is polling.
    static CURRENT: Cell<Mark> = const { Cell::new(Mark::NONE) };
}

/// What the word says: no deadline, a moment, or a limit that begins to run when the clock is read for the first time.
///
/// Moments are smaller than limits, and limits smaller than none, so that the nearer of two moments, or the shorter of
/// two limits, is the smaller word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark(u64);

/// The bit of a limit.
const LIMIT: u64 = 1 << 63;

/// The anchor as a moment. There must be moments before it: a paused clock stands still while another thread, on the
/// real one, sets the anchor.
const ORIGIN: u64 = 1 << 62;

impl Mark {
    /// No deadline.
    pub(crate) const NONE: Self = Self(u64::MAX);

    /// The longest limit: 292 years.
    const LONGEST: Self = Self(u64::MAX - 1);

    /// The last moment: 146 years after the anchor.
    const LAST: Self = Self(LIMIT - 1);

    /// A limit that is not running yet.
    pub(crate) const fn limit(limit: Duration) -> Self {
        let nanos = limit.as_nanos();
        if nanos < (Self::LONGEST.0 - LIMIT) as u128 { Self(LIMIT | nanos as u64) } else { Self::LONGEST }
    }

    /// A moment.
    pub(crate) fn at(at: Instant) -> Self {
        let anchor = anchor();
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX).min(ORIGIN - 1);
        match at.checked_duration_since(anchor) {
            Some(after) => Self(ORIGIN + nanos(after)),
            None => Self(ORIGIN - nanos(anchor.saturating_duration_since(at))),
        }
    }

    /// What is in force on this thread, as a moment or none: a limit begins to run now, at the latest.
    pub(crate) fn current() -> Self {
        let current = CURRENT.get();
        if current.is_open() && current != Self::NONE { resolve(Self::now()) } else { current }
    }

    /// The present moment.
    pub(crate) fn now() -> Self {
        Self::at(time::now())
    }

    /// No moment: a limit, or no deadline at all.
    #[inline]
    pub(crate) const fn is_open(self) -> bool {
        self.0 >= LIMIT
    }

    /// The moment itself, or `None` where this is no moment.
    pub(crate) fn instant(self) -> Option<Instant> {
        let anchor = anchor();
        match self.0 {
            LIMIT.. => None,
            // Not so far from the anchor, on either side, that an `Instant` could not hold it; the anchor will do.
            ORIGIN.. => Some(anchor.checked_add(Duration::from_nanos(self.0 - ORIGIN)).unwrap_or(anchor)),
            _ => Some(anchor.checked_sub(Duration::from_nanos(ORIGIN - self.0)).unwrap_or(anchor)),
        }
    }

    /// How long the limit is.
    pub(crate) const fn length(self) -> Duration {
        Duration::from_nanos(self.0 & !LIMIT)
    }

    /// The limit that ends at this moment and began at `start`.
    pub(crate) const fn since(self, start: Self) -> Self {
        Self(LIMIT | self.0.saturating_sub(start.0))
    }

    /// Where a limit ends that begins to run at `start`; a moment, and none, stay what they are.
    pub(crate) fn from(self, start: Self) -> Self {
        if self.is_open() && self != Self::NONE { Self(start.0 + (self.0 & !LIMIT)).min(Self::LAST) } else { self }
    }

    /// When this limit began to run, if it ends at `end`.
    const fn start(self, end: Self) -> Self {
        Self(end.0.saturating_sub(self.0 & !LIMIT))
    }
}

impl Default for Mark {
    fn default() -> Self {
        Self::NONE
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.instant() {
            Some(instant) => instant.fmt(f),
            None if *self == Self::NONE => f.write_str("never"),
            None => write!(f, "{:?} from the first poll on", self.length()),
        }
    }
}

/// What is in force on this thread, and maybe not running yet.
#[inline]
pub(super) fn in_force() -> Mark {
    CURRENT.get()
}

/// As [`Mark::current`], where the clock was read already.
pub(super) fn resolve(now: Mark) -> Mark {
    let resolved = CURRENT.get().from(now);
    CURRENT.set(resolved);
    resolved
}

/// Puts another one in force, whatever is around it, and answers that.
pub(super) fn replace(mark: Mark) -> Mark {
    CURRENT.replace(mark)
}

/// While it lives, a deadline is in force; dropped, a panic included, what was around is again.
#[derive(Debug)]
pub(crate) struct Entered {
    around: Mark,
    set: Mark,
}

impl Entered {
    /// The nearer of `moment` and what is around.
    pub(crate) fn nearer(moment: Mark) -> Self {
        let around = Mark::current();
        Self::set(around, around.min(moment))
    }

    /// Where neither `limit` nor what is around is a moment: the shorter of both.
    #[inline]
    pub(crate) fn shorter(limit: Mark, around: Mark) -> Self {
        Self::set(around, around.min(limit))
    }

    #[inline]
    fn set(around: Mark, set: Mark) -> Self {
        CURRENT.set(set);
        Self { around, set }
    }

    /// Where somebody inside had the clock read, and the limit began to run: its end, and the limit.
    #[inline]
    pub(crate) fn began(&self) -> Option<(Mark, Mark)> {
        let current = CURRENT.get();
        (current != self.set).then_some((current, self.set))
    }
}

impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        let restored = match self.began() {
            None => self.around,
            // The limits around began to run with it.
            Some((end, limit)) => self.around.from(limit.start(end)),
        };
        CURRENT.set(restored);
    }
}

fn anchor() -> Instant {
    static ANCHOR: OnceLock<Instant> = OnceLock::new();
    *ANCHOR.get_or_init(time::now)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_moment_comes_back_to_the_nanosecond_also_from_before_the_anchor() {
        let anchor = anchor();
        for at in [anchor, anchor + Duration::from_nanos(1), anchor + 1000 * SECOND, anchor - SECOND] {
            assert_eq!(Mark::at(at).instant(), Some(at));
        }
        assert!(Mark::at(anchor - SECOND) < Mark::at(anchor));
    }

    #[test]
    fn a_limit_without_end_is_a_limit_and_ends_at_a_moment() {
        let longest = Mark::limit(Duration::MAX);
        assert!(longest.is_open() && longest < Mark::NONE);
        let end = longest.from(Mark::now());
        assert!(!end.is_open() && end.instant().is_some());
    }

    #[test]
    fn none_never_begins_to_run() {
        assert_eq!(Mark::NONE.from(Mark::now()), Mark::NONE);
        assert_eq!(Mark::NONE.instant(), None);
        assert_eq!(Mark::current(), Mark::NONE);
    }

    #[test]
    fn whoever_reads_the_clock_starts_every_limit_around_at_that_moment() {
        let entered = Entered::shorter(Mark::limit(3 * SECOND), in_force());
        {
            let _within = Entered::shorter(Mark::limit(SECOND), in_force());
            let now = Mark::now();
            assert_eq!(resolve(now), Mark::limit(SECOND).from(now));
            assert_eq!(Mark::current(), Mark::limit(SECOND).from(now), "and read it once");
        }
        let (end, limit) = entered.began().unwrap();
        assert_eq!(limit, Mark::limit(3 * SECOND));
        assert_eq!(end.since(limit.start(end)), limit);
        drop(entered);
        assert_eq!(in_force(), Mark::NONE);
    }

    proptest! {
        #[test]
        fn the_end_of_a_limit_tells_its_length_and_its_start(nanos in 1..u64::MAX >> 3, ago in 0..1_000_000_u64) {
            let start = Mark::at(anchor() - Duration::from_micros(ago));
            let limit = Mark::limit(Duration::from_nanos(nanos));
            let end = limit.from(start);
            prop_assert_eq!(end.since(start), limit);
            prop_assert_eq!(limit.start(end), start);
            prop_assert_eq!(limit.length(), Duration::from_nanos(nanos));
        }
    }
}
