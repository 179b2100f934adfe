//! The policy stepped in: a family of errors of its own, never mixed with "the call failed".

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::fault::{Fault, FaultKind};

/// A policy refused the call, or cut it off.
///
/// A function with a policy that can refuse must be able to return one: `E: From<Rejected>`. `anyhow::Error`,
/// `Box<dyn Error>` and `io::Error` can already; a `thiserror` enum needs one variant, `#[error(transparent)] Rejected(#[from]
/// Rejected)`; or return `Result<T, ft_runtime::Error<E>>`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejected {
    /// The time limit passed. The call may have run.
    TimedOut {
        /// The time that the call had: its limit, or what was left of a deadline around it where that was less.
        limit: Duration,
    },
    /// The circuit breaker is open: the call was not started.
    CircuitOpen {
        /// When the breaker admits a probe.
        retry_after: Duration,
    },
    /// The bulkhead and its queue are full: the call was not started.
    BulkheadFull,
    /// Over the rate: the call was not started.
    RateLimited {
        /// When the next call fits.
        retry_after: Duration,
    },
    /// The deadline of the caller had passed already, or would pass before the call could start.
    DeadlinePassed,
    /// No target could be asked: none is configured, or all are disabled. The call was not started.
    NoTarget,
    /// The call that did the work for several callers panicked: its panic is its own, and this is what the others see.
    LeaderPanicked,
    /// A fault that was injected to see what happens.
    Injected,
    /// The process is shutting down and starts no new work.
    ShuttingDown,
    /// A value that is only known at run time makes no sense.
    Invalid(Invalid),
    /// The checkpoint store refused, or a stored value could not be used.
    #[cfg(feature = "checkpoint")]
    Checkpoint(Box<crate::checkpoint::CheckpointError>),
}

impl Rejected {
    /// The stable lower-case name of the reason, as events and metrics print it.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TimedOut { .. } => "timed_out",
            Self::CircuitOpen { .. } => "circuit_open",
            Self::BulkheadFull => "bulkhead_full",
            Self::RateLimited { .. } => "rate_limited",
            Self::DeadlinePassed => "deadline_passed",
            Self::NoTarget => "no_target",
            Self::LeaderPanicked => "leader_panicked",
            Self::Injected => "injected",
            Self::ShuttingDown => "shutting_down",
            Self::Invalid(_) => "invalid",
            #[cfg(feature = "checkpoint")]
            Self::Checkpoint(_) => "checkpoint",
        }
    }

    /// Whether the call was kept from the other side, so that its refusal says nothing of how that one does: everything
    /// but a call that was cut off, one whose leader panicked, and an injected fault.
    ///
    /// Errors that are judged by their [`Fault`] are asked so by themselves. A predicate of your own asks it where it should
    /// not take such a refusal for a failure:
    ///
    /// ```
    /// use ft_runtime::{Bulkhead, CircuitBreaker, CircuitState, Error, Rejected};
    /// let (breaker, full) = (CircuitBreaker::new().consecutive(1), || Err::<(), _>(Error::Rejected(Rejected::BulkheadFull)));
    /// let is_refused = |error: &Error<String>| matches!(error, Error::Rejected(rejected) if rejected.kept_the_call_back());
    /// breaker.unless(is_refused).run_blocking(full).unwrap_err();
    /// assert_eq!(breaker.state(), CircuitState::Closed);
    /// ```
    pub const fn kept_the_call_back(&self) -> bool {
        !matches!(self, Self::TimedOut { .. } | Self::LeaderPanicked | Self::Injected)
    }
}

impl Rejected {
    /// Whether the process is shutting down, so that nothing in it is to be tried again or sent elsewhere, although another
    /// process may.
    pub(crate) fn is_the_end(&self) -> bool {
        #[cfg(feature = "checkpoint")]
        if let Self::Checkpoint(error) = self {
            return matches!(**error, crate::checkpoint::CheckpointError::ShuttingDown { .. });
        }
        matches!(self, Self::ShuttingDown)
    }
}

/// What fault logs say of a call that was cut off.
pub(crate) const TIMED_OUT: &str = "timed out";

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { limit } => write!(f, "timed out after {limit:?}"),
            Self::CircuitOpen { retry_after } => write!(f, "circuit open, next probe in {retry_after:?}"),
            Self::BulkheadFull => f.write_str("bulkhead full"),
            Self::RateLimited { retry_after } => write!(f, "over the rate limit, next call fits in {retry_after:?}"),
            Self::DeadlinePassed => f.write_str("the deadline leaves no time for the call"),
            Self::NoTarget => f.write_str("no target to call: the pool is empty or every target is disabled"),
            Self::LeaderPanicked => f.write_str("the call that did the work for this one panicked"),
            Self::Injected => f.write_str("an injected fault"),
            Self::ShuttingDown => f.write_str("shutting down: no new work is started"),
            Self::Invalid(invalid) => invalid.fmt(f),
            #[cfg(feature = "checkpoint")]
            Self::Checkpoint(error) => error.fmt(f),
        }
    }
}

impl StdError for Rejected {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            #[cfg(feature = "checkpoint")]
            Self::Checkpoint(error) => error.source(),
            _ => None,
        }
    }
}

/// The refusal travels inside, and [`Fault`] finds it there.
impl From<Rejected> for io::Error {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::TimedOut { .. } => Self::new(io::ErrorKind::TimedOut, rejected),
            // No other kind of its own: what may be done about it is for the refusal to say.
            _ => Self::other(rejected),
        }
    }
}

impl Fault for Rejected {
    fn kind(&self) -> FaultKind {
        match self {
            Self::CircuitOpen { .. } | Self::BulkheadFull | Self::RateLimited { .. } | Self::NoTarget => {
                FaultKind::Unsent
            }
            Self::TimedOut { .. } | Self::LeaderPanicked | Self::Injected => FaultKind::Transient,
            Self::DeadlinePassed | Self::ShuttingDown | Self::Invalid(_) => FaultKind::Permanent,
            #[cfg(feature = "checkpoint")]
            Self::Checkpoint(error) => error.kind(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::CircuitOpen { retry_after } | Self::RateLimited { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    fn rejected(&self) -> Option<&Rejected> {
        Some(self)
    }

    /// Without the figures of this one call: the fault log counts equal faults together.
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { .. } => f.write_str(TIMED_OUT),
            Self::CircuitOpen { .. } => f.write_str("circuit open"),
            Self::RateLimited { .. } => f.write_str("over the rate limit"),
            _ => write!(f, "{self}"),
        }
    }
}

/// A setting that makes no sense, found where it was only known at run time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    message: String,
}

impl Invalid {
    /// An explanation that says what is wrong, where, and what would be right.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Invalid {}

/// An error type that can hold a [`Rejected`].
///
/// Implemented for every `E: From<Rejected>`; implement `From`, not this.
#[diagnostic::on_unimplemented(
    message = "this policy can refuse a call, so the error type `{Self}` must be able to hold a `Rejected`",
    label = "`{Self}` does not implement `From<ft_runtime::Rejected>`",
    note = "add a variant: `#[error(transparent)] Rejected(#[from] ft_runtime::Rejected)`",
    note = "or return `Result<T, ft_runtime::Error<E>>`, `anyhow::Result<T>` or `Result<T, Box<dyn Error + Send + Sync>>`",
    note = "around a service whose error is `Infallible`, put the layers into `ft_tower::http::AnswerRefusalsLayer`"
)]
pub trait FromRejected {
    /// The refusal as an error of this type.
    fn from_rejected(rejected: Rejected) -> Self;
}

#[diagnostic::do_not_recommend]
impl<E: From<Rejected>> FromRejected for E {
    fn from_rejected(rejected: Rejected) -> Self {
        E::from(rejected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_io_error_keeps_what_the_refusal_says() {
        let second = Duration::from_secs(1);
        let all = || {
            [
                Rejected::TimedOut { limit: second },
                Rejected::CircuitOpen { retry_after: second },
                Rejected::NoTarget,
                Rejected::DeadlinePassed,
            ]
        };
        for (rejected, same) in all().into_iter().zip(all()) {
            let error = io::Error::from_rejected(rejected);
            assert_eq!((Fault::kind(&error), error.retry_after()), (same.kind(), same.retry_after()));
            assert_eq!(error.rejected().map(Rejected::reason), Some(same.reason()));
        }
    }
}
