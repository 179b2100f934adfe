//! What bounds the call that a thread is polling.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::time;

thread_local! {
    static CURRENT: Cell<Bound> = const { Cell::new(Bound::None) };
}

/// No deadline, one that is as good as set but whose clock was not read yet, or a moment.
///
/// Two words, told apart by the part of a moment that holds its nanoseconds: no conversion is paid on the way in and out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Bound {
    #[default]
    None,
    /// So long, from when the clock is read for the first time.
    For(Limit),
    Until(Instant),
}

impl Bound {
    /// What is in force on this thread, as a moment or none: a limit begins to run now, at the latest.
    #[inline]
    pub(crate) fn current() -> Self {
        let bound = get();
        let Self::For(limit) = bound else { return bound };
        let until = Self::Until(limit.after(time::now()));
        set(until);
        until
    }

    /// Puts another one in force, whatever is around it, and answers that.
    pub(super) fn replace(self) -> Self {
        CURRENT.with(|current| current.replace(self))
    }

    /// The moment, if it is one.
    pub(crate) const fn instant(self) -> Option<Instant> {
        match self {
            Self::Until(at) => Some(at),
            _ => None,
        }
    }
}

/// The length of time that a call may take, in nanoseconds; 584 years where it is longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Limit(u64);

impl Limit {
    pub(crate) const fn new(limit: Duration) -> Self {
        let nanos = limit.as_nanos();
        Self(if nanos < u64::MAX as u128 { nanos as u64 } else { u64::MAX })
    }

    pub(crate) const fn duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    #[inline]
    fn after(self, start: Instant) -> Instant {
        time::later(start, self.duration())
    }

    fn before(self, end: Instant) -> Instant {
        end.checked_sub(self.duration()).unwrap_or(end)
    }
}

/// Where the deadline around a call is kept while the call's own is in force. It stays where it is: all that a call with
/// nothing around it pays is one store and one comparison.
#[derive(Debug, Default)]
pub(crate) enum Around {
    #[default]
    Nothing,
    /// A limit, and the one that is in force instead.
    Limit(Limit, Limit),
    Moment(Instant),
}

/// While it lives, a deadline is in force on this thread; dropped, a panic included, what was around is again.
#[derive(Debug)]
#[must_use = "the deadline is in force while this lives"]
pub(crate) struct Entered<'a> {
    around: &'a Around,
}

/// The deadline around has passed.
#[derive(Debug)]
pub(crate) struct Passed;

impl Around {
    /// Enters the nearer of this moment and what is around.
    #[inline]
    pub(crate) fn until(&mut self, moment: Instant) -> Entered<'_> {
        if nothing_around() {
            set(Bound::Until(moment));
        } else {
            self.until_within(moment);
        }
        Entered { around: self }
    }

    /// Enters this limit, which runs once the clock is read, or the deadline around where that is nearer: then `limit`
    /// becomes what is left.
    #[inline]
    pub(crate) fn limited(&mut self, limit: &mut Limit) -> Result<Entered<'_>, Passed> {
        if nothing_around() {
            set(Bound::For(*limit));
        } else {
            self.limited_within(limit)?;
        }
        Ok(Entered { around: self })
    }

    #[inline(never)]
    fn until_within(&mut self, moment: Instant) {
        *self = Self::Nothing;
        if let Bound::Until(around) = Bound::current() {
            *self = Self::Moment(around);
            set(Bound::Until(moment.min(around)));
        }
    }

    #[inline(never)]
    fn limited_within(&mut self, limit: &mut Limit) -> Result<(), Passed> {
        let Bound::For(around) = get() else { return self.limited_until(limit) };
        *limit = around.min(*limit);
        *self = Self::Limit(around, *limit);
        set(Bound::For(*limit));
        Ok(())
    }

    #[inline(never)]
    fn limited_until(&mut self, limit: &mut Limit) -> Result<(), Passed> {
        let Bound::Until(around) = Bound::current() else { return Ok(()) };
        let now = time::now();
        let left = around.saturating_duration_since(now);
        if left.is_zero() {
            return Err(Passed);
        }
        *self = Self::Moment(around);
        if left < limit.duration() {
            *limit = Limit::new(left);
        } else {
            set(Bound::Until(limit.after(now)));
        }
        Ok(())
    }

    #[inline(never)]
    fn restore(&self) {
        match *self {
            Self::Nothing => set(Bound::None),
            Self::Moment(moment) => set(Bound::Until(moment)),
            Self::Limit(around, within) => match get() {
                Bound::Until(end) => began(around, within, end),
                _ => set(Bound::For(around)),
            },
        }
    }
}

/// Whoever had the clock read inside, `within` a limit that ends at `end`, has started the one `around` as well.
#[cold]
fn began(around: Limit, within: Limit, end: Instant) {
    set(Bound::Until(around.after(within.before(end))));
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        match self.around {
            Around::Nothing => set(Bound::None),
            around => around.restore(),
        }
    }
}

// `LocalKey::get` and `set` wrap the value once more on its way, which costs as much as the rest together.

#[inline]
fn get() -> Bound {
    CURRENT.with(Cell::get)
}

#[inline]
fn set(bound: Bound) {
    CURRENT.with(|current| current.set(bound));
}

/// Looks where it stands: what is not read is not copied.
#[inline]
fn nothing_around() -> bool {
    CURRENT.with(|current| matches!(current.get(), Bound::None))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limit(seconds: u32) -> Limit {
        Limit::new(SECOND * seconds)
    }

    #[test]
    fn a_bound_takes_two_words() {
        assert_eq!(size_of::<Bound>(), 16);
    }

    #[test]
    fn a_limit_that_nobody_asks_about_never_begins() {
        let (mut outer, mut inner) = (Around::default(), Around::default());
        let outer = outer.limited(&mut limit(3)).unwrap();
        let mut short = limit(9);
        let inner = inner.limited(&mut short).unwrap();
        assert_eq!((get(), short), (Bound::For(limit(3)), limit(3)), "the shorter one counts");
        drop(inner);
        assert_eq!(get(), Bound::For(limit(3)));
        drop(outer);
        assert_eq!(get(), Bound::None);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_starts_every_limit_around_at_that_moment() {
        let (mut outer, mut inner) = (Around::default(), Around::default());
        let began = time::now();
        let outer = outer.limited(&mut limit(3)).unwrap();
        let inner = inner.limited(&mut limit(1)).unwrap();
        assert_eq!(Bound::current(), Bound::Until(began + SECOND));
        tokio::time::advance(SECOND / 2).await;
        assert_eq!(Bound::current(), Bound::Until(began + SECOND), "once");
        drop(inner);
        assert_eq!(get(), Bound::Until(began + 3 * SECOND));
        drop(outer);
        assert_eq!(get(), Bound::None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_within_a_moment_gets_what_is_left_or_is_refused() {
        let now = time::now();
        let (mut outer, mut inner) = (Around::default(), Around::default());
        let outer = outer.until(now + SECOND);
        let mut long = limit(2);
        drop(inner.limited(&mut long).unwrap());
        assert_eq!(long, limit(1));
        let mut short = Limit::new(SECOND / 2);
        let within = inner.limited(&mut short).unwrap();
        assert_eq!(get(), Bound::Until(now + SECOND / 2));
        drop(within);
        assert_eq!(get(), Bound::Until(now + SECOND));
        tokio::time::advance(SECOND).await;
        inner = Around::default();
        inner.limited(&mut short).unwrap_err();
        drop(outer);
        assert_eq!(get(), Bound::None);
    }

    #[test]
    fn a_moment_within_a_limit_starts_it() {
        let (mut outer, mut inner) = (Around::default(), Around::default());
        let outer = outer.limited(&mut limit(1)).unwrap();
        let far = time::now() + 100 * SECOND;
        let inner = inner.until(far);
        let end = get().instant().unwrap();
        assert!(end < far);
        drop(inner);
        assert_eq!(get(), Bound::Until(end));
        drop(outer);
        assert_eq!(get(), Bound::None);
    }

    #[test]
    fn what_was_around_is_there_again_after_a_panic() {
        let panics = || {
            let (mut outer, mut inner) = (Around::default(), Around::default());
            let _outer = outer.limited(&mut limit(1));
            let _inner = inner.limited(&mut limit(1));
            panic!("inside");
        };
        std::panic::catch_unwind(panics).unwrap_err();
        assert_eq!(get(), Bound::None);
    }

    #[test]
    fn a_limit_without_end_is_one() {
        let longest = Limit::new(Duration::MAX);
        assert!(longest.after(time::now()) > time::now());
        assert_eq!(longest.min(limit(1)), limit(1));
    }
}
