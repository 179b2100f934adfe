//! The error of a call behind a policy, for callers who have no error type of their own to extend.

use std::fmt;
use std::time::Duration;

use crate::fault::{Fault, FaultKind};
use crate::rejected::Rejected;

/// The call failed, or a policy refused it.
///
/// ```
/// use ft_runtime::{Error, Rejected};
///
/// fn read() -> Result<u32, Error<std::num::ParseIntError>> {
///     "12".parse().map_err(Error::Failed)
/// }
/// assert_eq!(read().unwrap(), 12);
/// assert!(matches!(Error::<std::io::Error>::from(Rejected::NoTarget), Error::Rejected(Rejected::NoTarget)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// The call itself failed.
    Failed(E),
    /// A policy stepped in.
    Rejected(Rejected),
}

impl<E> Error<E> {
    /// The error of the call, if the call failed.
    pub fn failed(&self) -> Option<&E> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Rejected(_) => None,
        }
    }
}

impl<E> From<Rejected> for Error<E> {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::Rejected(rejected) => rejected.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(error) => error.source(),
            Self::Rejected(rejected) => rejected.source(),
        }
    }
}

impl<E: Fault> Fault for Error<E> {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Failed(error) => error.kind(),
            Self::Rejected(rejected) => rejected.kind(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Failed(error) => error.retry_after(),
            Self::Rejected(rejected) => rejected.retry_after(),
        }
    }

    fn rejected(&self) -> Option<&Rejected> {
        match self {
            Self::Failed(error) => error.rejected(),
            Self::Rejected(rejected) => Some(rejected),
        }
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.describe(f),
            Self::Rejected(rejected) => rejected.describe(f),
        }
    }
}
