//! The `backoff` crate, 0.4, spoken in both directions, for programs that still use it.
//!
//! It is unmaintained (RUSTSEC-2025-0012) and pulls in `instant`, which is too (RUSTSEC-2024-0384); so the feature is off by
//! default. Switch function by function, then turn it off.

use std::fmt;
use std::time::Duration;

use ::backoff::ExponentialBackoff;

use crate::backoff::{Backoff, Delays, Jitter};
use crate::fault::{Fault, FaultKind};
use crate::rejected::Invalid;
use crate::retry::Retry;

/// The same waits: `initial_interval`, `multiplier`, `max_interval`, and `randomization_factor` as a proportional jitter.
/// `max_elapsed_time` is not a back-off here but the deadline of a [`Retry`]: convert into that to keep it.
impl TryFrom<ExponentialBackoff> for Backoff {
    type Error = Invalid;

    fn try_from(theirs: ExponentialBackoff) -> Result<Self, Invalid> {
        let ExponentialBackoff { initial_interval, randomization_factor, multiplier, max_interval, .. } = theirs;
        let mut wrong = Vec::new();
        if initial_interval.is_zero() {
            wrong.push("initial_interval is zero: it must be longer, or use Backoff::none()".to_owned());
        }
        if !(multiplier.is_finite() && multiplier >= 1.0) {
            wrong.push(format!("multiplier is {multiplier}: it must be a finite number of at least 1"));
        }
        if max_interval < initial_interval {
            wrong.push(format!("max_interval {max_interval:?} is shorter than initial_interval {initial_interval:?}"));
        }
        if !(0.0..=1.0).contains(&randomization_factor) {
            wrong.push(format!("randomization_factor is {randomization_factor}: it must be between 0 and 1"));
        }
        if !wrong.is_empty() {
            return Err(Invalid::new(format!("this ExponentialBackoff cannot become a Backoff: {}", wrong.join("; "))));
        }
        let jitter =
            if randomization_factor == 0.0 { Jitter::None } else { Jitter::proportional(randomization_factor) };
        Ok(Self::exponential(initial_interval).factor(multiplier).max_delay(max_interval).jitter(jitter))
    }
}

/// The same waits, no limit on attempts, and `max_elapsed_time` as the deadline.
impl TryFrom<ExponentialBackoff> for Retry {
    type Error = Invalid;

    fn try_from(theirs: ExponentialBackoff) -> Result<Self, Invalid> {
        let limit = theirs.max_elapsed_time;
        let retry = Self::new().max_attempts(u32::MAX).backoff(Backoff::try_from(theirs)?);
        match limit {
            Some(Duration::ZERO) => Err(Invalid::new("max_elapsed_time is zero: it must be longer, or None")),
            Some(limit) => Ok(retry.deadline(limit)),
            None => Ok(retry),
        }
    }
}

/// Our delays where `backoff` wants its own trait: `backoff::future::retry(policy.delays(), ..)`. They never end by
/// themselves; limit them with `.take(n)` of the caller or the deadline of a [`Retry`].
impl ::backoff::backoff::Backoff for Delays {
    fn reset(&mut self) {
        Delays::reset(self);
    }

    fn next_backoff(&mut self) -> Option<Duration> {
        self.next()
    }
}

/// `permanent` is permanent, `transient` transient, `retry_after` throttled.
impl<E> Fault for ::backoff::Error<E> {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Permanent(_) => FaultKind::Permanent,
            Self::Transient { retry_after: None, .. } => FaultKind::Transient,
            Self::Transient { retry_after, .. } => FaultKind::Throttled { retry_after: *retry_after },
        }
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::any::type_name::<E>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::backoff::backoff::Backoff as _;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn their_exponential_backoff_becomes_ours() {
        let theirs = ExponentialBackoff {
            initial_interval: 500 * MS,
            multiplier: 1.5,
            max_interval: 60_000 * MS,
            randomization_factor: 0.0,
            ..ExponentialBackoff::default()
        };
        let ours = Backoff::try_from(theirs).unwrap();
        assert_eq!(ours.delays().take(3).collect::<Vec<_>>(), [500 * MS, 750 * MS, 1125 * MS]);
        assert!(Retry::try_from(ExponentialBackoff::default()).is_ok());
    }

    #[test]
    fn nonsense_is_refused_with_every_wrong_field_named() {
        let nonsense = ExponentialBackoff {
            initial_interval: Duration::ZERO,
            multiplier: 0.5,
            randomization_factor: 2.0,
            ..ExponentialBackoff::default()
        };
        let message = Backoff::try_from(nonsense).unwrap_err().to_string();
        for field in ["initial_interval", "multiplier", "randomization_factor"] {
            assert!(message.contains(field), "{message}");
        }
    }

    #[test]
    fn our_delays_drive_their_retry() {
        let mut delays = Backoff::exponential(100 * MS).jitter(Jitter::None).delays();
        assert_eq!([delays.next_backoff(), delays.next_backoff()], [Some(100 * MS), Some(200 * MS)]);
        ::backoff::backoff::Backoff::reset(&mut delays);
        assert_eq!(delays.next_backoff(), Some(100 * MS));
    }

    #[test]
    fn their_errors_are_faults() {
        assert_eq!(::backoff::Error::permanent("x").kind(), FaultKind::Permanent);
        assert_eq!(::backoff::Error::transient("x").kind(), FaultKind::Transient);
        assert_eq!(::backoff::Error::retry_after("x", 5 * MS).retry_after(), Some(5 * MS));
    }
}
