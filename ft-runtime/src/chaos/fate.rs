//! What happens to one call, drawn from a seed.

use std::time::Duration;

use super::Chaos;

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) delay: Option<Duration>,
    pub(super) panics: bool,
    pub(super) fails: bool,
}

impl Chaos {
    /// What happens to the call of this number: a function of its arguments alone.
    pub(super) fn fate(&self, seed: u64, number: u64) -> Fate {
        let draw = |fault| mixed(seed ^ mixed(number.wrapping_mul(3).wrapping_add(fault)));
        Fate {
            delay: self.latency.says_yes(draw(0)).then_some(self.delay),
            panics: self.panics.says_yes(draw(1)),
            fails: self.errors.says_yes(draw(2)),
        }
    }
}

/// A share of calls, in 2^32 parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ratio(u64);

impl Ratio {
    pub(super) const NEVER: Self = Self(0);
    const ONE: u64 = 1 << 32;

    #[track_caller]
    pub(super) const fn of(ratio: f64) -> Self {
        // NaN is neither.
        assert!(ratio >= 0.0 && ratio <= 1.0, "a ratio of chaos must be between 0 and 1");
        Self((ratio * Self::ONE as f64) as u64)
    }

    fn says_yes(self, drawn: u64) -> bool {
        drawn >> 32 < self.0
    }
}

/// Scatters numbers that follow each other (the finaliser of SplitMix64).
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
