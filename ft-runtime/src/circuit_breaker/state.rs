//! What a circuit breaker shows of itself.

use std::fmt;
use std::time::Duration;

use super::machine::{Gate, Machine};
use super::rules::{Nanos, Rules};

/// The state of a [`CircuitBreaker`](crate::CircuitBreaker).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CircuitState {
    /// Calls go through and are counted.
    Closed,
    /// Calls are refused.
    Open,
    /// A few calls go through, to find out whether the other side is well again.
    HalfOpen,
    /// By hand: calls are refused.
    ForcedOpen,
    /// By hand: calls go through and are counted, and it never opens.
    ForcedClosed,
    /// By hand: calls go through, and nothing is counted.
    Disabled,
}

impl CircuitState {
    /// The stable lower-case name, as events and reports print it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
            Self::Disabled => "disabled",
        }
    }
}

impl fmt::Display for CircuitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A [`CircuitBreaker`](crate::CircuitBreaker) at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitSnapshot {
    /// The one state it is in.
    pub state: CircuitState,
    /// How many calls are in the window.
    pub calls: u64,
    /// How many of them were failures.
    pub failures: u64,
    /// How many of them were slow.
    pub slow: u64,
    /// How many calls it has refused since it was made; in shadow mode, would have.
    pub refused: u64,
    /// How often it has opened by itself since it was made.
    pub opened: u64,
    /// How long calls are refused yet; `None` where they are not, or where only a person ends it.
    pub retry_after: Option<Duration>,
}

impl CircuitSnapshot {
    pub(super) fn of(machine: &mut Machine, rules: &Rules, refused: u64, now: Nanos) -> Self {
        machine.advance(rules, now);
        let tally = machine.tally();
        let retry_after = match machine.gate(rules) {
            Gate::Until(moment) if now < moment => Some(Duration::from_nanos(moment - now)),
            _ => None,
        };
        Self {
            state: machine.state(),
            calls: tally.calls,
            failures: tally.failures,
            slow: tally.slow,
            refused,
            opened: machine.opened(),
            retry_after,
        }
    }
}
