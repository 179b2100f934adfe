//! The parts that look at values: which are good enough, and what the others count as.

use std::fmt;
use std::time::Duration;

use super::sealed;
use crate::fault::FaultKind;
use crate::observe::GaveUp;

/// The part of a judgement that looks at values.
pub trait Settles<T>: sealed::Sealed {
    /// Is the value good enough?
    fn settles(&self, value: &T) -> bool;

    /// What it counts as when it is not.
    fn class(&self, value: &T) -> Option<Class> {
        (!self.settles(value)).then_some(Class::new(FaultKind::Transient))
    }

    /// Writes what reports may show of a value that is not good enough.
    ///
    /// # Errors
    ///
    /// Only when the formatter refuses.
    fn describe(&self, _value: &T, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that is not good enough yet")
    }
}

/// What a value that is a failure counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    pub(super) kind: FaultKind,
    pub(super) retry_after: Option<Duration>,
    pub(super) barred: Option<GaveUp>,
}

impl Class {
    /// A failure of this kind; a permanent one is not made again.
    pub const fn new(kind: FaultKind) -> Self {
        let retry_after = match kind {
            FaultKind::Throttled { retry_after } => retry_after,
            _ => None,
        };
        Self { kind, retry_after, barred: None }
    }

    /// How long the other side asked to be left alone.
    pub const fn retry_after(self, retry_after: Option<Duration>) -> Self {
        let kind = match self.kind {
            FaultKind::Throttled { .. } => FaultKind::Throttled { retry_after },
            kind => kind,
        };
        Self { kind, retry_after, ..self }
    }

    /// A failure of the other side that must not be made again, for this reason.
    pub const fn barred(self, reason: GaveUp) -> Self {
        Self { barred: Some(reason), ..self }
    }
}

/// Knows which values are failures, though they came as `Ok`. Functions `Fn(&T) -> Option<Class>` do.
///
/// ```
/// use ft_runtime::judge::{Class, Judge};
/// use ft_runtime::FaultKind;
///
/// struct Page { status: u16 }
/// let judge = Judge::by_fault().classify(|page: &Page| match page.status {
///     429 => Some(Class::new(FaultKind::Throttled { retry_after: None })),
///     500.. => Some(Class::new(FaultKind::Transient)),
///     _ => None, // an answer
/// });
/// # let _ = judge;
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not know which values of `{T}` are failures",
    note = "a function can tell: `|value: &{T}| -> Option<Class>`"
)]
pub trait Classify<T: ?Sized> {
    /// What the value counts as; `None` is a success.
    fn classify(&self, value: &T) -> Option<Class>;

    /// Writes what reports may show of a value that is a failure: never payloads or secrets.
    ///
    /// # Errors
    ///
    /// Only when the formatter refuses.
    fn describe(&self, _value: &T, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that counts as a failure")
    }
}

impl<T: ?Sized, F: Fn(&T) -> Option<Class>> Classify<T> for F {
    fn classify(&self, value: &T) -> Option<Class> {
        self(value)
    }
}

/// Every value is good enough.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnyValue;

impl<T> Settles<T> for AnyValue {
    #[inline]
    fn settles(&self, _value: &T) -> bool {
        true
    }
}

/// A value is good enough once the predicate says so.
#[derive(Clone, Copy, Debug, Default)]
pub struct Until<F>(pub(super) F);

impl<T, F: Fn(&T) -> bool> Settles<T> for Until<F> {
    #[inline]
    fn settles(&self, value: &T) -> bool {
        (self.0)(value)
    }
}

/// Values are failures of a kind, as the classification says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Classified<C>(pub(super) C);

impl<C> Classified<C> {
    /// The part for this classification.
    pub const fn new(classify: C) -> Self {
        Self(classify)
    }
}

impl<T, C: Classify<T>> Settles<T> for Classified<C> {
    #[inline]
    fn settles(&self, value: &T) -> bool {
        self.0.classify(value).is_none()
    }

    fn class(&self, value: &T) -> Option<Class> {
        self.0.classify(value)
    }

    fn describe(&self, value: &T, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.describe(value, f)
    }
}
