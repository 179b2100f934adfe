//! How long to wait before the next attempt.

use std::time::Duration;

use crate::random;

/// The waits between attempts: a shape, a cap and a jitter.
///
/// # Defaults
///
/// | setting | default |
/// |---|---|
/// | shape | exponential from 100 ms, factor 2 |
/// | [`max_delay`](Self::max_delay) | 10 s, or the base where that is more |
/// | [`jitter`](Self::jitter) | [`Jitter::Full`] |
///
/// No delay is ever longer than `max_delay`, jitter included, and delays stay spread at the cap.
///
/// ```
/// use ft_runtime::{Backoff, Jitter};
/// use std::time::Duration;
///
/// const DB: Backoff = Backoff::exponential(Duration::from_millis(500)).max_delay(Duration::from_secs(3)).jitter(Jitter::None);
/// let delays: Vec<_> = DB.delays().take(4).map(|delay| delay.as_millis()).collect();
/// assert_eq!(delays, [500, 1000, 2000, 3000]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    shape: Shape,
    base: Duration,
    max_delay: Duration,
    jitter: Jitter,
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    Fixed,
    Linear,
    Exponential { factor: f64 },
    Fibonacci,
    Custom(fn(u32) -> Duration),
}

impl PartialEq for Shape {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fixed, Self::Fixed) | (Self::Linear, Self::Linear) | (Self::Fibonacci, Self::Fibonacci) => true,
            (Self::Exponential { factor: one }, Self::Exponential { factor: two }) => one == two,
            (Self::Custom(one), Self::Custom(two)) => std::ptr::fn_addr_eq(*one, *two),
            _ => false,
        }
    }
}

/// How delays are spread, so that callers that failed together do not come back together.
///
/// Names and formulas of the first four follow "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015); every
/// delay is drawn anew for each attempt of each call.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Jitter {
    /// The delay as computed.
    None,
    /// Uniform between zero and the delay: the widest spread, the default.
    Full,
    /// Half the delay, plus uniform up to the other half.
    Equal,
    /// Uniform between the base and three times the previous delay, whatever the shape.
    Decorrelated,
    /// Uniform within this fraction of the delay, up and down: `Proportional(0.25)` is ±25 %. Made by [`Jitter::proportional`].
    Proportional(f64),
}

impl Jitter {
    /// Uniform within this fraction of the delay, up and down.
    ///
    /// # Panics
    ///
    /// Unless `0 < fraction <= 1`; in a constant that is a compile error.
    #[track_caller]
    pub const fn proportional(fraction: f64) -> Self {
        assert!(
            fraction > 0.0 && fraction <= 1.0,
            "the fraction of a proportional jitter must be above 0 and at most 1"
        );
        Self::Proportional(fraction)
    }
}

const DEFAULT_MAX_DELAY: Duration = Duration::from_secs(10);

impl Backoff {
    /// The same delay every time, or with the default jitter any time up to it: `.jitter(Jitter::None)` for the delay itself.
    ///
    /// # Panics
    ///
    /// On zero; no wait at all is [`Backoff::none`].
    #[track_caller]
    pub const fn fixed(delay: Duration) -> Self {
        Self::shaped(Shape::Fixed, delay)
    }

    /// `base`, 2 `base`, 3 `base`, ..
    ///
    /// # Panics
    ///
    /// On zero.
    #[track_caller]
    pub const fn linear(base: Duration) -> Self {
        Self::shaped(Shape::Linear, base)
    }

    /// `base`, 2 `base`, 4 `base`, .. (see [`factor`](Self::factor))
    ///
    /// # Panics
    ///
    /// On zero.
    #[track_caller]
    pub const fn exponential(base: Duration) -> Self {
        Self::shaped(Shape::Exponential { factor: 2.0 }, base)
    }

    /// `base`, `base`, 2 `base`, 3 `base`, 5 `base`, ..
    ///
    /// # Panics
    ///
    /// On zero.
    #[track_caller]
    pub const fn fibonacci(base: Duration) -> Self {
        Self::shaped(Shape::Fibonacci, base)
    }

    /// What `delay` answers for the n-th retry, counted from 1; capped and spread like the others.
    pub const fn custom(delay: fn(u32) -> Duration) -> Self {
        Self { shape: Shape::Custom(delay), base: Duration::ZERO, max_delay: DEFAULT_MAX_DELAY, jitter: Jitter::Full }
    }

    /// No wait at all, unless the other side asks for one.
    pub const fn none() -> Self {
        Self { shape: Shape::Fixed, base: Duration::ZERO, max_delay: DEFAULT_MAX_DELAY, jitter: Jitter::None }
    }

    #[track_caller]
    const fn shaped(shape: Shape, base: Duration) -> Self {
        assert!(!base.is_zero(), "the delay must be longer than zero; `Backoff::none()` does not wait");
        let max_delay = if base.as_nanos() > DEFAULT_MAX_DELAY.as_nanos() { base } else { DEFAULT_MAX_DELAY };
        Self { shape, base, max_delay, jitter: Jitter::Full }
    }

    /// The factor of an exponential back-off: 2 by default.
    ///
    /// # Panics
    ///
    /// When the factor is below 1 or not finite, or the shape is not exponential.
    #[track_caller]
    pub const fn factor(self, factor: f64) -> Self {
        assert!(factor.is_finite() && factor >= 1.0, "the factor must be a finite number of at least 1");
        assert!(matches!(self.shape, Shape::Exponential { .. }), "only an exponential back-off has a factor");
        Self { shape: Shape::Exponential { factor }, ..self }
    }

    /// The longest delay: 10 s by default.
    ///
    /// # Panics
    ///
    /// When it is shorter than the base.
    #[track_caller]
    pub const fn max_delay(self, max_delay: Duration) -> Self {
        assert!(max_delay.as_nanos() >= self.base.as_nanos(), "max_delay must be at least the first delay");
        Self { max_delay, ..self }
    }

    /// How delays are spread: [`Jitter::Full`] by default.
    pub const fn jitter(self, jitter: Jitter) -> Self {
        Self { jitter, ..self }
    }

    /// The longest delay.
    pub const fn longest(&self) -> Duration {
        self.max_delay
    }

    /// The delays one after the other, without end, drawn anew for each call of this function.
    pub fn delays(&self) -> Delays {
        Delays { backoff: *self, retry: 0, previous: Duration::ZERO }
    }

    /// The delay before the n-th retry (counted from 1), after `previous` was waited, with randomness from `rng`.
    pub(crate) fn delay(&self, retry: u32, previous: Duration, rng: &mut fastrand::Rng) -> Duration {
        let max = self.max_delay;
        let plain = self.plain(retry).min(max);
        match self.jitter {
            Jitter::None => plain,
            Jitter::Full => uniform(Duration::ZERO, plain, rng),
            Jitter::Equal => uniform(plain / 2, plain, rng),
            Jitter::Decorrelated => {
                let highest = previous.max(self.base).saturating_mul(3).min(max);
                uniform(self.base.min(highest), highest, rng)
            }
            Jitter::Proportional(fraction) => {
                // Near the cap the window slides down instead of being cut, so that its width stays.
                let fraction = if fraction.is_finite() { fraction.clamp(0.0, 1.0) } else { 0.0 };
                let highest = times(plain, 1.0 + fraction).min(max);
                uniform(times(highest, (1.0 - fraction) / (1.0 + fraction)), highest, rng)
            }
        }
    }

    /// The delay without cap and jitter.
    fn plain(&self, retry: u32) -> Duration {
        match self.shape {
            Shape::Fixed => self.base,
            Shape::Linear => self.base.saturating_mul(retry.max(1)),
            Shape::Exponential { factor } => times(self.base, powi(factor, retry.max(1) - 1)),
            Shape::Fibonacci => self.base.saturating_mul(fibonacci(retry)),
            Shape::Custom(delay) => delay(retry),
        }
    }

    /// The hint of the other side, spread upward only: by at most what this back-off would have waited, and never
    /// past the cap.
    pub(crate) fn after_hint(&self, hint: Duration, retry: u32, rng: &mut fastrand::Rng) -> Duration {
        let spread = match self.jitter {
            Jitter::None => Duration::ZERO,
            _ => self.plain(retry).min(self.max_delay),
        };
        uniform(hint, hint.saturating_add(spread).min(self.max_delay).max(hint), rng)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::exponential(Duration::from_millis(100))
    }
}

/// The delays of a [`Backoff`], one after the other.
#[derive(Clone, Debug)]
pub struct Delays {
    backoff: Backoff,
    retry: u32,
    previous: Duration,
}

impl Delays {
    /// Starts again from the first delay.
    pub fn reset(&mut self) {
        *self = self.backoff.delays();
    }
}

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.retry = self.retry.saturating_add(1);
        self.previous = random::with(|rng| self.backoff.delay(self.retry, self.previous, rng));
        Some(self.previous)
    }
}

/// Uniform in `[low, high]`, in nanoseconds.
fn uniform(low: Duration, high: Duration, rng: &mut fastrand::Rng) -> Duration {
    let width = high.saturating_sub(low).as_nanos();
    if width == 0 {
        return low;
    }
    let drawn = rng.u128(0..=width);
    let (seconds, nanos) = (drawn / 1_000_000_000, drawn % 1_000_000_000);
    // Both fit: `drawn` is at most the nanoseconds of a `Duration`.
    low.saturating_add(Duration::new(seconds as u64, nanos as u32))
}

/// `duration * factor`, in nanoseconds; the longest duration where that does not fit.
fn times(duration: Duration, factor: f64) -> Duration {
    const NANOS: f64 = 1e9;
    let nanos = duration.as_secs_f64() * NANOS * factor;
    // Whole nanoseconds are exact up to 2^53 of them (104 days); beyond that a delay need not be.
    if nanos.is_nan() {
        Duration::ZERO
    } else if nanos < u64::MAX as f64 {
        Duration::from_nanos(nanos.round() as u64)
    } else {
        Duration::try_from_secs_f64(nanos / NANOS).unwrap_or(Duration::MAX)
    }
}

fn powi(factor: f64, exponent: u32) -> f64 {
    factor.powi(i32::try_from(exponent).unwrap_or(i32::MAX))
}

/// The n-th Fibonacci number, counted from 1; saturating.
fn fibonacci(n: u32) -> u32 {
    let (mut one, mut two) = (0u32, 1u32);
    for _ in 1..n {
        if two == u32::MAX {
            break;
        }
        (one, two) = (two, one.saturating_add(two));
    }
    two
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn jitters() -> [Jitter; 6] {
        [
            Jitter::None,
            Jitter::Full,
            Jitter::Equal,
            Jitter::Decorrelated,
            Jitter::proportional(0.25),
            Jitter::proportional(1.0),
        ]
    }

    fn shapes(base: Duration, max: Duration) -> [Backoff; 7] {
        [
            Backoff::fixed(base).max_delay(max),
            Backoff::linear(base).max_delay(max),
            Backoff::exponential(base).max_delay(max),
            Backoff::exponential(base).factor(1.0).max_delay(max),
            Backoff::exponential(base).factor(1e30).max_delay(max),
            Backoff::fibonacci(base).max_delay(max),
            Backoff::custom(|_| Duration::MAX).max_delay(max),
        ]
    }

    /// Case 1.
    #[test]
    fn no_delay_is_longer_than_the_cap_for_any_shape_jitter_attempt_and_seed() {
        for (base, max) in [(100 * MS, 10_000 * MS), (MS, MS), (MS, Duration::MAX), (Duration::MAX, Duration::MAX)] {
            for backoff in shapes(base, max) {
                for jitter in jitters() {
                    for seed in 0..3 {
                        let backoff = backoff.jitter(jitter);
                        let mut rng = fastrand::Rng::with_seed(seed);
                        let mut previous = Duration::ZERO;
                        for retry in (0..50).chain([100, 1_000, 10_000, u32::MAX]) {
                            previous = backoff.delay(retry, previous, &mut rng);
                            assert!(previous <= max, "{backoff:?} retry {retry}: {previous:?}");
                        }
                    }
                }
            }
        }
    }

    /// Case 2.
    #[test]
    fn delays_at_the_cap_stay_spread() {
        let max = 1_000 * MS;
        for (jitter, spread) in [
            (Jitter::Full, 0.95),
            (Jitter::Equal, 0.45),
            (Jitter::Decorrelated, 0.85),
            (Jitter::proportional(0.25), 0.25),
        ] {
            let backoff = Backoff::exponential(100 * MS).max_delay(max).jitter(jitter);
            let mut rng = fastrand::Rng::with_seed(7);
            let delays: Vec<_> = (0..1_000).map(|_| backoff.delay(10_000, max, &mut rng)).collect();
            let width = *delays.iter().max().unwrap() - *delays.iter().min().unwrap();
            assert!(width >= max.mul_f64(spread), "{jitter:?}: {width:?}");
        }
    }

    /// Case 3.
    #[test]
    fn calls_from_one_value_and_from_its_copies_draw_different_jitter_and_a_seed_repeats_it() {
        const DB: Backoff = Backoff::exponential(Duration::from_millis(100));
        let copy = DB;
        let draw = |backoff: Backoff| backoff.delays().take(4).collect::<Vec<_>>();
        assert_ne!(draw(DB), draw(DB));
        assert_ne!(draw(DB), draw(copy));

        let seeded = || {
            let _seed = crate::testing::Seed::fix(42);
            (draw(DB), draw(DB))
        };
        let (first, second) = seeded();
        assert_ne!(first, second);
        assert_eq!(seeded(), (first, second));
    }

    /// Case 4.
    #[test]
    fn jitter_is_drawn_for_each_attempt_below_the_millisecond() {
        let mut rng = fastrand::Rng::with_seed(1);
        let backoff = Backoff::fixed(2 * MS);
        let delays: std::collections::HashSet<_> = (0..100).map(|retry| backoff.delay(retry, MS, &mut rng)).collect();
        assert!(delays.len() > 95);
        assert!(delays.iter().any(|delay| delay.subsec_nanos() % 1_000_000 != 0));
    }

    /// Case 5.
    #[test]
    fn decorrelated_jitter_stays_between_base_and_three_times_the_previous_and_may_go_down() {
        let mut rng = fastrand::Rng::with_seed(3);
        for (base, first) in [(100 * MS, Duration::ZERO), (MS, 5_000 * MS), (9_000 * MS, MS)] {
            let backoff = Backoff::exponential(base).jitter(Jitter::Decorrelated);
            let (mut previous, mut down) = (first, false);
            for retry in 1..200 {
                let delay = backoff.delay(retry, previous, &mut rng);
                assert!(delay >= base && delay <= previous.max(base) * 3 && delay <= backoff.longest());
                down |= delay < previous;
                previous = delay;
            }
            assert!(down);
        }
    }

    /// Case 6.
    #[test]
    fn exponential_from_half_a_second_is_half_a_second_one_two() {
        let delays =
            |backoff: Backoff| backoff.jitter(Jitter::None).delays().take(5).map(|d| d.as_millis()).collect::<Vec<_>>();
        assert_eq!(delays(Backoff::exponential(500 * MS)), [500, 1_000, 2_000, 4_000, 8_000]);
        assert_eq!(delays(Backoff::exponential(100 * MS).factor(1.5)), [100, 150, 225, 337, 506]);
        assert_eq!(delays(Backoff::linear(100 * MS)), [100, 200, 300, 400, 500]);
        assert_eq!(delays(Backoff::fibonacci(100 * MS)), [100, 100, 200, 300, 500]);
        assert_eq!(delays(Backoff::fixed(100 * MS)), [100; 5]);
        assert_eq!(delays(Backoff::none()), [0; 5]);
    }

    /// Case 7.
    #[test]
    fn nonsense_is_refused_when_it_is_built() {
        let refused = |build: fn() -> Backoff| std::panic::catch_unwind(build).is_err();
        for factor in [0.0, -1.0, 0.5, f64::NAN, f64::INFINITY] {
            assert!(std::panic::catch_unwind(|| Backoff::exponential(MS).factor(factor)).is_err(), "{factor}");
        }
        assert!(refused(|| Backoff::exponential(Duration::ZERO)));
        assert!(refused(|| Backoff::fixed(Duration::ZERO)));
        assert!(refused(|| Backoff::linear(MS).factor(2.0)));
        assert!(refused(|| Backoff::linear(2 * MS).max_delay(MS)));
        assert!(std::panic::catch_unwind(|| Jitter::proportional(0.0)).is_err());
        assert!(std::panic::catch_unwind(|| Jitter::proportional(1.5)).is_err());
    }

    #[test]
    fn jitter_after_a_hint_only_goes_upward() {
        let mut rng = fastrand::Rng::with_seed(5);
        let backoff = Backoff::exponential(100 * MS);
        for retry in 1..100 {
            let delay = backoff.after_hint(2_000 * MS, retry, &mut rng);
            assert!(delay >= 2_000 * MS && delay <= backoff.longest());
        }
        assert_eq!(backoff.jitter(Jitter::None).after_hint(2_000 * MS, 1, &mut rng), 2_000 * MS);
    }
}
