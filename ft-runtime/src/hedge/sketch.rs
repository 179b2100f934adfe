//! How long calls take: a histogram that many threads fill without waiting for each other.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::counter::stripe;
use crate::sync::{AtomicU32, AtomicU64};

/// Stripes, as a counter has them.
const STRIPES: usize = crate::counter::STRIPES;
/// Microseconds below 8 have a bucket each; above, 8 buckets share each doubling. So a bucket is at most an eighth wider
/// than what it starts at.
const EXACT: u64 = 8;
const PER_DOUBLING: usize = 8;
/// Up to 2^32 µs, more than an hour; what takes longer is in the last one.
const DOUBLINGS: usize = 29;
const BUCKETS: usize = EXACT as usize + DOUBLINGS * PER_DOUBLING;

/// How many records one stripe takes between two looks at all of them.
const EVERY: u32 = 64;
/// How many records are kept at the most: then each bucket loses half, and so what was long ago fades.
const KEPT: u64 = 4096;
/// `quantile` while too few calls are on record.
const UNKNOWN: u64 = u64::MAX;

/// Latencies of one policy, and the quantile of them that it waits for.
#[derive(Debug)]
pub(crate) struct Sketch {
    stripes: [Stripe; STRIPES],
    /// In nanoseconds, as of the last look; or [`UNKNOWN`].
    quantile: AtomicU64,
    /// One thread looks at a time.
    looking: AtomicU32,
}

#[derive(Debug)]
#[repr(align(64))]
struct Stripe {
    /// How many records it took since the last look.
    fresh: AtomicU32,
    buckets: [AtomicU32; BUCKETS],
}

impl Sketch {
    pub(crate) const fn new() -> Self {
        Self {
            stripes: [const { Stripe { fresh: AtomicU32::new(0), buckets: [const { AtomicU32::new(0) }; BUCKETS] } };
                STRIPES],
            quantile: AtomicU64::new(UNKNOWN),
            looking: AtomicU32::new(0),
        }
    }

    /// The quantile as of the last look; `None` while too few calls are on record.
    #[inline]
    pub(crate) fn quantile(&self) -> Option<Duration> {
        let nanos = self.quantile.load(Relaxed);
        (nanos != UNKNOWN).then(|| Duration::from_nanos(nanos))
    }

    /// A call that was ready at once: it took no time worth measuring.
    #[inline]
    pub(crate) fn record_at_once(&self, wanted: Wanted) {
        self.bump(0, wanted);
    }

    pub(crate) fn record(&self, took: Duration, wanted: Wanted) {
        self.bump(bucket(took), wanted);
    }

    #[inline]
    fn bump(&self, bucket: usize, wanted: Wanted) {
        let stripe = &self.stripes[stripe()];
        stripe.buckets[bucket].fetch_add(1, Relaxed);
        let fresh = stripe.fresh.fetch_add(1, Relaxed) + 1;
        // While the quantile is unknown each record may be the one that makes it known.
        if fresh >= EVERY || self.quantile.load(Relaxed) == UNKNOWN {
            self.look(wanted);
        }
    }

    /// Adds the stripes up. Records that come meanwhile are seen by this look or by the next.
    #[cold]
    #[inline(never)]
    fn look(&self, wanted: Wanted) {
        if self.looking.swap(1, std::sync::atomic::Ordering::Acquire) == 1 {
            return;
        }
        let mut counts = [0_u64; BUCKETS];
        for stripe in &self.stripes {
            stripe.fresh.store(0, Relaxed);
            for (sum, count) in counts.iter_mut().zip(&stripe.buckets) {
                *sum += u64::from(count.load(Relaxed));
            }
        }
        let total: u64 = counts.iter().sum();
        if total >= u64::from(wanted.warm_up) {
            let nanos = u64::try_from(rank(&counts, total, wanted.millionths).as_nanos()).unwrap_or(UNKNOWN - 1);
            self.quantile.store(nanos, Relaxed);
        }
        if total > KEPT {
            // Others only add, so there always is what is taken away.
            for count in self.stripes.iter().flat_map(|stripe| &stripe.buckets) {
                count.fetch_sub(count.load(Relaxed) / 2, Relaxed);
            }
        }
        self.looking.store(0, std::sync::atomic::Ordering::Release);
    }
}

/// What is asked of the sketch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// The quantile, in millionths.
    pub(crate) millionths: u32,
    /// How many calls must be on record.
    pub(crate) warm_up: u32,
}

/// The smallest latency that this share of the calls does not exceed, as far as buckets can tell.
fn rank(counts: &[u64; BUCKETS], total: u64, millionths: u32) -> Duration {
    let wanted = (total * u64::from(millionths)).div_ceil(1_000_000).max(1);
    let mut seen = 0;
    for (bucket, count) in counts.iter().enumerate() {
        seen += count;
        if seen >= wanted {
            return top(bucket);
        }
    }
    top(BUCKETS - 1)
}

fn bucket(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    if micros < EXACT {
        return micros as usize;
    }
    let doubling = micros.ilog2() as usize - 3;
    // The three bits behind the first one.
    let part = (micros >> doubling) as usize & (PER_DOUBLING - 1);
    (EXACT as usize + doubling * PER_DOUBLING + part).min(BUCKETS - 1)
}

/// The longest latency of a bucket: a hedge is rather late than early.
fn top(bucket: usize) -> Duration {
    let Some(above) = bucket.checked_sub(EXACT as usize) else {
        return Duration::from_micros(bucket as u64);
    };
    let (doubling, part) = (above / PER_DOUBLING, above % PER_DOUBLING);
    Duration::from_micros(((EXACT + part as u64 + 1) << doubling) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const P95: Wanted = Wanted { millionths: 950_000, warm_up: 20 };

    #[test]
    fn a_bucket_holds_what_is_at_most_an_eighth_apart() {
        let mut micros = 0_u64;
        while micros < 1 << 32 {
            let took = Duration::from_micros(micros);
            let top = top(bucket(took));
            assert!(top >= took, "{took:?} in a bucket up to {top:?}");
            assert!(top.as_micros() <= took.as_micros() + took.as_micros() / 8, "{took:?}, {top:?}");
            micros += micros / 50 + 1;
        }
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn the_quantile_is_known_after_the_warm_up_and_close() {
        let sketch = Sketch::new();
        for call in 1..=19 {
            sketch.record(Duration::from_millis(call), P95);
            assert_eq!(sketch.quantile(), None);
        }
        sketch.record(Duration::from_millis(20), P95);
        let quantile = sketch.quantile().unwrap();
        assert!((19_000..22_000).contains(&quantile.as_micros()), "{quantile:?}");
    }

    #[test]
    fn calls_that_are_ready_at_once_pull_the_quantile_down() {
        let sketch = Sketch::new();
        (0..1_000).for_each(|_| sketch.record_at_once(P95));
        (0..10).for_each(|_| sketch.record(Duration::from_secs(1), P95));
        assert_eq!(sketch.quantile(), Some(Duration::ZERO));
    }

    #[test]
    fn what_was_long_ago_fades() {
        let sketch = Sketch::new();
        (0..100_000).for_each(|_| sketch.record(Duration::from_millis(1), P95));
        (0..8_000).for_each(|_| sketch.record(Duration::from_millis(100), P95));
        assert!(sketch.quantile() > Some(Duration::from_millis(90)), "{:?}", sketch.quantile());
    }

    #[test]
    fn the_count_of_many_threads_never_falls_below_zero() {
        static SKETCH: Sketch = Sketch::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..20_000).for_each(|call| SKETCH.record(Duration::from_micros(call % 500), P95)));
            }
        });
        let counts = SKETCH.stripes.iter().flat_map(|stripe| &stripe.buckets).map(|count| count.load(Relaxed));
        assert!(counts.map(u64::from).sum::<u64>() <= 2 * KEPT + 4 * u64::from(EVERY) * STRIPES as u64);
    }
}
