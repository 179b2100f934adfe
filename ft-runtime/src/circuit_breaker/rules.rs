//! The settings of a circuit breaker, as its decisions read them.

use super::Abandoned;

/// Nanoseconds on the steady clock.
pub(super) type Nanos = u64;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// The rate of failures at which it opens.
    pub(super) rate: f64,
    /// The rate of slow calls at which it opens.
    pub(super) slow_rate: f64,
    /// What is slower is slow.
    pub(super) slow: Option<Nanos>,
    pub(super) span: Span,
    /// Before so many calls are in, no rate is looked at; `None` is the default, fitted to the span.
    pub(super) min_calls: Option<u32>,
    /// So many failures in a row open it, too.
    pub(super) consecutive: Option<u32>,
    pub(super) open: Nanos,
    /// How far the open period grows.
    pub(super) max_open: Option<Nanos>,
    pub(super) probes: u32,
    pub(super) abandoned: Abandoned,
    pub(super) shadow: bool,
}

/// What a window looks back on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    /// The last calls.
    Calls(u32),
    /// The calls of the last so many nanoseconds.
    Time(Nanos),
}

/// Calls before a rate is looked at, unless it is set.
const MIN_CALLS: u32 = 20;

impl Rules {
    pub(super) const DEFAULT: Self = Self {
        rate: 0.5,
        slow_rate: 0.5,
        slow: None,
        span: Span::Calls(100),
        min_calls: None,
        consecutive: None,
        open: 5_000_000_000,
        max_open: None,
        probes: 1,
        abandoned: Abandoned::Ignore,
        shadow: false,
    };

    /// How many calls must be in before a rate is looked at.
    pub(super) const fn min_calls(&self) -> u32 {
        match (self.min_calls, self.span) {
            (Some(calls), _) => calls,
            (None, Span::Calls(calls)) if calls < MIN_CALLS => calls,
            (None, _) => MIN_CALLS,
        }
    }

    /// The `nth` open period in a row, counted from 0: twice the one before, up to the cap.
    pub(super) fn open_period(&self, nth: u32) -> Nanos {
        match self.max_open {
            None => self.open,
            Some(cap) => self.open.saturating_mul(2u64.saturating_pow(nth)).min(cap),
        }
    }

    /// Does every call need the time of its end?
    #[inline]
    pub(super) const fn reads_clock_at_end(&self) -> bool {
        self.slow.is_some() || matches!(self.span, Span::Time(_))
    }
}
