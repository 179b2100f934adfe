//! Which state a request meets: one for all, or one for each key.

use std::fmt::{self, Display};
use std::ops::Deref;
use std::sync::Arc;

use ft_runtime::{Keyed, Shared, Template};

/// Finds the policy of a request. Implemented for [`One`] and [`ByKey`]; bounds name it, nobody else implements it.
pub trait Select<Req>: sealed::Sealed {
    /// The policy.
    type Policy;
    /// How it is held for one call.
    type Held: Deref<Target = Self::Policy>;
    /// The policy of this request.
    fn select(&self, request: &Req) -> Self::Held;
    /// The policy of every request, where that is known before one comes.
    fn any(&self) -> Option<&Self::Policy>;
}

/// The same policy for all requests.
#[derive(Debug)]
pub struct One<P: 'static>(pub(crate) Shared<P>);

impl<P> Clone for One<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P, Req> Select<Req> for One<P> {
    type Policy = P;
    type Held = Shared<P>;

    #[inline]
    fn select(&self, _request: &Req) -> Shared<P> {
        self.0.clone()
    }

    #[inline]
    fn any(&self) -> Option<&P> {
        Some(&self.0)
    }
}

/// A policy for each key: the function finds the key in the request.
pub struct ByKey<P: 'static, F> {
    pub(crate) keyed: Shared<Keyed<P>>,
    pub(crate) key: F,
}

impl<P, F: Clone> Clone for ByKey<P, F> {
    fn clone(&self) -> Self {
        Self { keyed: self.keyed.clone(), key: self.key.clone() }
    }
}

impl<P, F> fmt::Debug for ByKey<P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByKey").finish_non_exhaustive()
    }
}

impl<P: Template, F, K, Req> Select<Req> for ByKey<P, F>
where
    F: Fn(&Req) -> K,
    K: Display,
{
    type Policy = P;
    type Held = Arc<P>;

    fn select(&self, request: &Req) -> Arc<P> {
        self.keyed.of(&(self.key)(request))
    }

    fn any(&self) -> Option<&P> {
        None
    }
}

mod sealed {
    pub trait Sealed {}
    impl<P> Sealed for super::One<P> {}
    impl<P, F> Sealed for super::ByKey<P, F> {}
}
