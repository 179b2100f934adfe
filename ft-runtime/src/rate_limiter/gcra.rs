//! The rule of a rate: pure, on one number, time passed in.
//!
//! The generic cell rate algorithm (ITU-T I.371): the *theoretical arrival time* is when the next call would come if calls
//! came evenly. Each call moves it on by one interval, and a call may come before it by up to `burst - 1` intervals. That
//! is a bucket of `burst` tokens, filled one an interval, without the bucket.

use std::time::Duration;

use crate::time;

/// All times in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gcra {
    interval: u64,
    /// How far ahead of its theoretical time a call may come.
    tolerance: u64,
}

/// No burst takes longer to come back than this, and no clock of ours gets there: sums of the two stay below 2^63.
const LONGEST: u128 = 1 << 62;

/// How late the timer of a call that waited may be.
const LATE: u64 = time::whole_nanos(time::LATE);

/// A clock that has stepped back by less is waited for. Clocks of several threads differ by far less.
const STEP: u64 = 1_000_000_000;

impl Gcra {
    /// # Panics
    ///
    /// On settings that make no rate.
    #[track_caller]
    pub(super) const fn new(rate: u32, per: Duration, burst: u32) -> Self {
        assert!(rate >= 1, "the rate of a limiter must be at least 1");
        assert!(!per.is_zero(), "the time of a rate must be longer than zero");
        assert!(per.as_nanos() >= rate as u128, "the rate of a limiter must be at most one call a nanosecond");
        assert!(burst >= 1, "the burst of a limiter must be at least 1: a single call is a burst of one");
        // Rounded up, so that no window ever holds one call too many.
        let interval = per.as_nanos().div_ceil(rate as u128);
        // The first comparison keeps the product in range.
        assert!(
            interval < LONGEST && interval * (burst as u128) < LONGEST,
            "the burst of a limiter must come back within 146 years: burst * per / rate is longer"
        );
        Self { interval: interval as u64, tolerance: interval as u64 * (burst as u64 - 1) }
    }

    /// A call now: the theoretical arrival time after it, or how long until it fits.
    #[inline]
    pub(super) const fn decide(&self, theoretical: u64, now: u64) -> Result<u64, u64> {
        self.decide_for(theoretical, now, now)
    }

    /// As [`decide`](Self::decide), for a call that has waited: that its timer was late costs nobody after it a turn.
    pub(super) const fn decide_waited(&self, theoretical: u64, now: u64) -> Result<u64, u64> {
        self.decide_for(theoretical, now, now.saturating_sub(LATE))
    }

    /// A call now that may count as one of `from` on.
    #[inline]
    const fn decide_for(&self, theoretical: u64, now: u64, from: u64) -> Result<u64, u64> {
        let earliest = theoretical.saturating_sub(self.tolerance);
        if now < earliest {
            let wait = earliest - now;
            // No call is further ahead than that: this was another clock, and the rate begins anew.
            return if wait > self.interval + STEP { Ok(now + self.interval) } else { Err(wait) };
        }
        Ok(if theoretical > from { theoretical } else { from } + self.interval)
    }

    /// How long until a call fits that has so many before it; no shorter than [`decide`](Self::decide) says.
    pub(super) fn wait_behind(&self, theoretical: u64, now: u64, before: usize) -> Duration {
        let ahead = self.interval.saturating_mul(before as u64);
        let earliest = theoretical.max(now).saturating_add(ahead).saturating_sub(self.tolerance);
        Duration::from_nanos(earliest.saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A bucket that is filled drop by drop: tokens are counted in nanoseconds of filling.
    struct Bucket {
        interval: u64,
        full: u64,
        level: u64,
        at: u64,
    }

    impl Bucket {
        fn new(interval: u64, burst: u32) -> Self {
            let full = interval * u64::from(burst);
            Self { interval, full, level: full, at: 0 }
        }

        fn take(&mut self, now: u64) -> Result<(), u64> {
            self.level = self.full.min(self.level + (now - self.at));
            self.at = now;
            if self.level < self.interval {
                return Err(self.interval - self.level);
            }
            self.level -= self.interval;
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn case_47_it_decides_as_a_bucket_does_and_no_window_holds_more_than_burst_and_rate_allow(
            rate in 1_u32..2_000,
            per in 1_u64..100,
            burst in 1_u32..50,
            start in 0_u64..1 << 50,
            gaps in prop::collection::vec(0_u64..200_000_000, 1..300),
        ) {
            let gcra = Gcra::new(rate, Duration::from_millis(per * 20), burst);
            let mut bucket = Bucket::new(gcra.interval, burst);
            let (mut theoretical, mut now) = (0, start);
            bucket.at = start;
            let mut taken: Vec<u64> = Vec::new();
            for gap in gaps {
                // Whole intervals as often as any gap: the edges are where a limiter is off by one.
                now += if gap % 3 == 0 { gcra.interval * (gap % 7) } else { gap };
                let decided = gcra.decide(theoretical, now);
                prop_assert_eq!(decided.map(drop), bucket.take(now));
                if let Ok(next) = decided {
                    theoretical = next;
                    taken.push(now);
                }
            }
            for (first, from) in taken.iter().enumerate() {
                for (last, to) in taken.iter().enumerate().skip(first) {
                    let allowed = u64::from(burst) + (to - from) / gcra.interval;
                    prop_assert!((last - first + 1) as u64 <= allowed, "{} calls in {} ns", last - first + 1, to - from);
                }
            }
        }

        #[test]
        fn calls_that_waited_begin_on_time_and_no_window_holds_more_than_two_milliseconds_too_many(
            rate in 1_u32..20_000,
            burst in 1_u32..50,
            late in prop::collection::vec(0_u64..10_000_000, 2..200),
        ) {
            let gcra = Gcra::new(rate, Duration::from_secs(1), burst);
            let (mut theoretical, mut now, start) = (0, 1 << 50, 1 << 50);
            let mut taken: Vec<u64> = Vec::new();
            for late in late {
                theoretical = match gcra.decide(theoretical, now) {
                    Ok(next) => next,
                    Err(wait) => {
                        now += wait + if late % 3 == 0 { late } else { late % 100_000 };
                        gcra.decide_waited(theoretical, now).map_err(|wait| TestCaseError::fail(format!("{wait}")))?
                    }
                };
                taken.push(now);
                let burst = u64::from(burst).min(taken.len() as u64);
                prop_assert!(now >= start + (taken.len() as u64 - burst) * gcra.interval, "never before its time");
            }
            for (first, from) in taken.iter().enumerate() {
                for (last, to) in taken.iter().enumerate().skip(first) {
                    let allowed = u64::from(burst) + (to - from + LATE) / gcra.interval;
                    prop_assert!((last - first + 1) as u64 <= allowed, "{} calls in {} ns", last - first + 1, to - from);
                }
            }
        }

        #[test]
        fn a_call_that_comes_back_when_it_was_told_to_fits_and_a_nanosecond_earlier_it_does_not(
            rate in 1_u32..1_000_000,
            burst in 1_u32..20,
            now in 1_u64..1 << 50,
            before in 0_usize..10,
        ) {
            let gcra = Gcra::new(rate, Duration::from_secs(1), burst);
            let mut theoretical = 0;
            while let Ok(next) = gcra.decide(theoretical, now) {
                theoretical = next;
            }
            let wait = gcra.wait_behind(theoretical, now, before).as_nanos() as u64;
            prop_assert!(wait > 0);
            for number in 0..before {
                let due = gcra.wait_behind(theoretical, now, 0).as_nanos() as u64;
                theoretical = gcra.decide(theoretical, now + due).map_err(|wait| TestCaseError::fail(format!("{number}: {wait}")))?;
            }
            prop_assert_eq!(gcra.decide(theoretical, now + wait - 1), Err(1));
            prop_assert!(gcra.decide(theoretical, now + wait).is_ok());
        }
    }

    #[test]
    fn a_burst_is_exact_at_any_size() {
        for burst in [1, 2, 3, 10, 1_000] {
            let gcra = Gcra::new(100, Duration::from_secs(1), burst);
            let (mut theoretical, now) = (0, 1 << 50);
            let mut taken = 0;
            while let Ok(next) = gcra.decide(theoretical, now) {
                (theoretical, taken) = (next, taken + 1);
            }
            assert_eq!(taken, burst);
        }
    }

    #[test]
    fn the_largest_burst_does_not_overflow() {
        let gcra = Gcra::new(4, Duration::from_secs(1), u32::MAX);
        let now = 1 << 62;
        let last = gcra.decide(now + gcra.tolerance, now).expect("the last of the burst");
        assert!(last < 1 << 63 && gcra.decide(last, now).is_err());
        assert!(gcra.wait_behind(last, now, usize::MAX) > Duration::ZERO);
    }
}
