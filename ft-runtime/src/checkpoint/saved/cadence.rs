//! When a mark saves.

use std::time::{Duration, Instant};

use crate::checkpoint::Every;
use crate::time;

/// When the next save is due.
#[derive(Debug)]
pub(super) struct Cadence {
    every: Every,
    saved: Instant,
    looked: Instant,
    /// Marks between the last look at the clock and the next one.
    span: u64,
    interval: Duration,
    between_failures: Duration,
}

/// Saving by itself: never more often than this, ..
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// .. nor less often than this, ..
const MAX_INTERVAL: Duration = Duration::from_secs(15 * 60);

/// .. unless it would take more than this part of the time.
const MAX_OVERHEAD: f64 = 0.035;

/// The clock is read at least at every so many marks, in case they become slow.
const MAX_SPAN: u64 = 256;

impl Cadence {
    pub(super) fn new(every: Every, between_failures: Duration) -> Self {
        let now = time::now();
        let interval = match every {
            Every::Elapsed(time) => time,
            _ => MIN_INTERVAL,
        };
        Self { every, saved: now, looked: now, span: 1, interval, between_failures }
    }

    pub(super) fn first_look(every: Every) -> u64 {
        match every {
            Every::Marks(marks) => marks,
            _ => 1,
        }
    }

    /// Whether to save now: since when, or how many marks later to ask again.
    pub(super) fn due(&mut self) -> Result<Instant, u64> {
        let now = time::now();
        if let Every::Marks(_) = self.every {
            return Ok(now);
        }
        let since_save = now.saturating_duration_since(self.saved);
        let Some(remaining) = self.interval.checked_sub(since_save).filter(|left| !left.is_zero()) else {
            return Ok(now);
        };
        let took = now.saturating_duration_since(self.looked);
        self.looked = now;
        self.span = next_span(self.span, took, remaining.min(self.interval / 16));
        Err(self.span)
    }

    /// A save was handed over that began at `began`: the marks until the next look.
    pub(super) fn restart(&mut self, began: Instant) -> u64 {
        let now = time::now();
        let cost = now.saturating_duration_since(began);
        self.saved(now);
        match self.every {
            Every::Marks(marks) => marks,
            Every::Elapsed(_) => 1,
            Every::Auto => {
                self.interval = auto_interval(cost, self.between_failures);
                1
            }
        }
    }

    pub(super) fn saved(&mut self, now: Instant) {
        self.saved = now;
        self.looked = now;
        self.span = 1;
    }
}

/// How long to leave between saves of which one takes `cost`, in a run that fails after `between_failures`.
fn auto_interval(cost: Duration, between_failures: Duration) -> Duration {
    let best = best_interval(cost.as_secs_f64(), between_failures.as_secs_f64());
    let best = Duration::try_from_secs_f64(best).unwrap_or(MAX_INTERVAL).clamp(MIN_INTERVAL, MAX_INTERVAL);
    let bound = Duration::try_from_secs_f64(cost.as_secs_f64() * (1.0 / MAX_OVERHEAD - 1.0)).unwrap_or(Duration::MAX);
    best.max(bound)
}

/// The interval with the least time lost to saving and to doing again what was not saved (Daly 2006, of higher order), all
/// in seconds.
fn best_interval(cost: f64, between_failures: f64) -> f64 {
    if cost >= 2.0 * between_failures {
        return between_failures;
    }
    let ratio = cost / (2.0 * between_failures);
    (2.0 * cost * between_failures).sqrt() * (1.0 + ratio.sqrt() / 3.0 + ratio / 9.0) - cost
}

/// How many marks to go before the clock is read again, if the last `span` marks took `took` and it should be read
/// after about `goal`.
fn next_span(span: u64, took: Duration, goal: Duration) -> u64 {
    let fits = (goal.as_nanos() * u128::from(span)).checked_div(took.as_nanos());
    let fits = fits.map_or(u64::MAX, |marks| marks.min(u128::from(u64::MAX)) as u64);
    fits.clamp(1, span * 2).min(MAX_SPAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saving_by_itself_takes_at_most_its_share_of_the_time() {
        let month = Duration::from_secs(30 * 24 * 60 * 60);
        for millis in [1, 35, 350, 35_000, 3_500_000] {
            let cost = Duration::from_millis(millis);
            for between_failures in [Duration::ZERO, Duration::from_secs(60), month] {
                let interval = auto_interval(cost, between_failures);
                let share = cost.as_secs_f64() / (interval + cost).as_secs_f64();
                assert!(share <= 0.0351, "{cost:?} every {interval:?} is {share}");
                assert!(interval >= MIN_INTERVAL);
            }
        }
        assert_eq!(auto_interval(Duration::MAX, month), Duration::MAX);
        assert_eq!(auto_interval(Duration::from_secs(1), Duration::MAX), MAX_INTERVAL);
    }

    #[test]
    fn the_best_interval_is_dalys() {
        let minutes = |cost, between_failures| best_interval(cost * 60.0, between_failures * 60.0) / 60.0;
        for (between_failures, expected) in [(24.0 * 60.0, 116.7), (6.0 * 60.0, 56.7), (15.0, 9.14)] {
            let found = minutes(5.0, between_failures);
            assert!((found - expected).abs() < 0.06, "{found} is not {expected}");
        }
        // A millisecond of saving and six hours without a failure.
        assert!((best_interval(0.001, 21_600.0) - 6.57).abs() < 0.01);
        assert_eq!(best_interval(3.0, 1.0), 1.0);
    }

    #[test]
    fn the_clock_is_read_rarely_at_fast_marks_and_always_at_slow_ones() {
        let goal = Duration::from_millis(60);
        let mut span = 1;
        for _ in 0..20 {
            span = next_span(span, Duration::from_nanos(10) * span as u32, goal);
        }
        assert_eq!(span, MAX_SPAN);
        // The same marks become slow: the very next look comes at each of them.
        assert_eq!(next_span(span, Duration::from_millis(100) * span as u32, goal), 1);
        assert_eq!(next_span(1, Duration::ZERO, goal), 2);
    }
}
