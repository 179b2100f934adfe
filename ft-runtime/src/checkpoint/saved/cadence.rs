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
}

/// Saving by itself: never more often than this, ..
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// .. and at most this part of the time.
const MAX_OVERHEAD: f64 = 0.035;

/// The clock is read at least at every so many marks, in case they become slow.
const MAX_SPAN: u64 = 256;

impl Cadence {
    pub(super) fn new(every: Every) -> Self {
        let now = time::now();
        let interval = match every {
            Every::Elapsed(time) => time,
            _ => MIN_INTERVAL,
        };
        Self { every, saved: now, looked: now, span: 1, interval }
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
                self.interval = auto_interval(cost);
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

/// How long to leave between saves of which one takes `cost`.
fn auto_interval(cost: Duration) -> Duration {
    MIN_INTERVAL.max(Duration::try_from_secs_f64(cost.as_secs_f64() / MAX_OVERHEAD).unwrap_or(Duration::MAX))
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
        assert_eq!(auto_interval(Duration::from_millis(1)), Duration::from_secs(1));
        assert_eq!(auto_interval(Duration::from_millis(35)).as_millis(), 1000);
        assert_eq!(auto_interval(Duration::from_millis(350)).as_millis(), 10_000);
        assert_eq!(auto_interval(Duration::MAX), Duration::MAX);
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
