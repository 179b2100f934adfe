//! The parts that look at errors: which are tried again, which never, and what hint is in them.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use super::sealed;
use crate::fault::{self, Fault, FaultKind};
use crate::rejected::Rejected;

/// What the accepting part knows of an error.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    pub(super) again: bool,
    pub(super) kind: FaultKind,
    pub(super) retry_after: Option<Duration>,
    pub(super) refused: bool,
    pub(super) named: bool,
}

/// The accepting part of a judgement.
pub trait Accept: sealed::Sealed {
    /// The part once the user said something about errors: the error's `Fault` is no longer asked.
    type Explicit: Accept;
    /// See [`Self::Explicit`].
    fn explicit(self) -> Self::Explicit;
}

/// An accepting part that knows errors of type `E`.
pub trait Accepts<E>: Accept {
    /// What it says of the error.
    fn accepts(&self, error: &E) -> Accepted;

    /// Writes what reports may show of the error.
    ///
    /// # Errors
    ///
    /// Only when the formatter refuses.
    fn describe(&self, _error: &E, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::any::type_name::<E>())
    }
}

/// The vetoing part of a judgement.
pub trait Vetoes<E>: sealed::Sealed {
    /// Does it forbid another attempt?
    fn vetoes(&self, error: &E) -> bool;
}

/// The part of a judgement that finds the hint.
pub trait Hints<E>: sealed::Sealed {
    /// How long the other side asked to be left alone.
    fn hints(&self, error: &E) -> Option<Duration>;
}

/// The error's own [`Fault`] judges: the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByFault;

impl Accept for ByFault {
    type Explicit = Every;
    fn explicit(self) -> Every {
        Every
    }
}

impl<E: Fault> Accepts<E> for ByFault {
    fn accepts(&self, error: &E) -> Accepted {
        let kind = error.kind();
        let rejected = error.rejected();
        Accepted {
            again: kind != FaultKind::Permanent && !rejected.is_some_and(Rejected::is_the_end),
            kind,
            retry_after: error.retry_after(),
            refused: rejected.is_some_and(Rejected::kept_the_call_back),
            named: false,
        }
    }

    fn describe(&self, error: &E, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        error.describe(f)
    }
}

/// The first known cause in the error's chain of sources judges.
#[derive(Clone, Copy, Debug)]
pub struct ByCause {
    pub(super) unknown: FaultKind,
}

impl Accept for ByCause {
    type Explicit = Every;
    fn explicit(self) -> Every {
        Every
    }
}

impl<E: StdError + 'static> Accepts<E> for ByCause {
    fn accepts(&self, error: &E) -> Accepted {
        let kind = fault::known_kind_of_chain(error).unwrap_or(self.unknown);
        let rejected = fault::rejected_in_chain(error);
        Accepted {
            again: kind != FaultKind::Permanent && !rejected.is_some_and(Rejected::is_the_end),
            kind,
            retry_after: fault::hint_of_chain(error),
            refused: rejected.is_some_and(Rejected::kept_the_call_back),
            named: false,
        }
    }

    fn describe(&self, error: &E, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fault::describe_chain(error, f)
    }
}

/// Every error is accepted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Every;

impl Accept for Every {
    type Explicit = Self;
    fn explicit(self) -> Self {
        self
    }
}

impl<E> Accepts<E> for Every {
    fn accepts(&self, _error: &E) -> Accepted {
        Accepted { again: true, kind: FaultKind::Transient, retry_after: None, refused: false, named: false }
    }
}

/// Both parts must accept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Both<A, F> {
    pub(super) first: A,
    pub(super) second: F,
}

impl<A: Accept, F> Accept for Both<A, F> {
    type Explicit = Self;
    fn explicit(self) -> Self {
        self
    }
}

impl<E, A: Accepts<E>, F: Fn(&E) -> bool> Accepts<E> for Both<A, F> {
    fn accepts(&self, error: &E) -> Accepted {
        let first = self.first.accepts(error);
        let again = first.again && (self.second)(error);
        Accepted { again, named: again, kind: if again { FaultKind::Transient } else { FaultKind::Permanent }, ..first }
    }
}

/// Nothing is vetoed.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoVeto;

impl<E> Vetoes<E> for NoVeto {
    fn vetoes(&self, _error: &E) -> bool {
        false
    }
}

/// Either part may veto.
#[derive(Clone, Copy, Debug, Default)]
pub struct Either<V, F> {
    pub(super) first: V,
    pub(super) second: F,
}

impl<E, V: Vetoes<E>, F: Fn(&E) -> bool> Vetoes<E> for Either<V, F> {
    fn vetoes(&self, error: &E) -> bool {
        self.first.vetoes(error) || (self.second)(error)
    }
}

/// The accepting part gives the hint, if anybody does.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHint;

impl<E> Hints<E> for NoHint {
    fn hints(&self, _error: &E) -> Option<Duration> {
        None
    }
}

/// The function finds the hint.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hint<F>(pub(super) F);

impl<E, F: Fn(&E) -> Option<Duration>> Hints<E> for Hint<F> {
    fn hints(&self, error: &E) -> Option<Duration> {
        (self.0)(error)
    }
}
