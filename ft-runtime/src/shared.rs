//! State that several callers share.

use std::ops::Deref;
use std::sync::Arc;

/// A policy with state, shared: a `&'static X` (the usual `static`) or an `Arc<X>`.
///
/// ```
/// use ft_runtime::{RetryBudget, Shared};
/// static BUDGET: RetryBudget = RetryBudget::new();
///
/// let of_a_static: Shared<RetryBudget> = (&BUDGET).into();
/// let of_an_arc: Shared<RetryBudget> = std::sync::Arc::new(RetryBudget::new()).into();
/// # let _ = (of_a_static, of_an_arc);
/// ```
#[derive(Debug)]
pub enum Shared<X: 'static> {
    /// Lives for the whole program.
    Static(&'static X),
    /// Lives as long as somebody holds it.
    Counted(Arc<X>),
}

impl<X> Clone for Shared<X> {
    fn clone(&self) -> Self {
        match self {
            Self::Static(value) => Self::Static(value),
            Self::Counted(value) => Self::Counted(Arc::clone(value)),
        }
    }
}

impl<X> Deref for Shared<X> {
    type Target = X;

    #[inline]
    fn deref(&self) -> &X {
        match self {
            Self::Static(value) => value,
            Self::Counted(value) => value,
        }
    }
}

impl<X> From<&'static X> for Shared<X> {
    fn from(value: &'static X) -> Self {
        Self::Static(value)
    }
}

impl<X> From<Arc<X>> for Shared<X> {
    fn from(value: Arc<X>) -> Self {
        Self::Counted(value)
    }
}

impl<X> From<&Arc<X>> for Shared<X> {
    fn from(value: &Arc<X>) -> Self {
        Self::Counted(Arc::clone(value))
    }
}
