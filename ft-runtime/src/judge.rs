//! The judgement: which outcomes of a call count as what.
//!
//! It is given on the session of one call, never stored in a policy value: the types of closures could not be named
//! there. Without one, the error's own [`Fault`](crate::Fault) judges, alike at every door.

use std::fmt;
use std::time::Duration;

use crate::fault::FaultKind;
use crate::observe::GaveUp;

mod errors;
mod gate;
mod setters;
#[cfg(test)]
mod tests;
mod values;

pub use errors::{
    Accept, Accepted, Accepts, Both, ByCause, ByFault, Either, Every, Hint, Hints, NoHint, NoVeto, Vetoes,
};
pub use gate::{Gate, Gated};
pub(crate) use setters::judgement_setters;
pub use values::{AnyValue, Class, Classified, Classify, Settles, Until};

/// Decides what an outcome counts as. Implemented for [`Judge`]; bounds name it, nobody implements it.
pub trait Judgement<T, E>: sealed::Sealed {
    /// Is it a success? The quick question, asked of every outcome.
    fn settles(&self, outcome: &Result<T, E>) -> bool;

    /// What this outcome counts as.
    fn judge(&self, outcome: &Result<T, E>) -> Verdict;

    /// Writes what reports may show of this outcome.
    ///
    /// # Errors
    ///
    /// Only when the formatter refuses.
    fn describe(&self, outcome: &Result<T, E>, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// What an outcome counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// A success: the caller gets it.
    Settled,
    /// A failure.
    #[non_exhaustive]
    Failed {
        /// May the call be made again?
        again: bool,
        /// What kind of failure it is.
        kind: FaultKind,
        /// How long the other side asked to be left alone.
        retry_after: Option<Duration>,
        /// It is a refusal of one of our own policies, which says nothing of the other side. A timeout is none: the other
        /// side was waited for. Nor is an injected fault, which stands for one of the other side.
        refused: bool,
        /// It was named, by `on` or `when`, as one to try again.
        named: bool,
        /// It is a failure, and must not be made again all the same: for this reason.
        barred: Option<GaveUp>,
    },
}

/// A judgement made of up to four parts: who accepts an error as one to try again, who vetoes it, which values are
/// good enough, and where the hint comes from. Built by the setters of the sessions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Judge<A = ByFault, V = NoVeto, U = AnyValue, H = NoHint> {
    accept: A,
    veto: V,
    until: U,
    hint: H,
}

impl Judge {
    /// The error's own [`Fault`](crate::Fault) judges.
    pub const fn by_fault() -> Self {
        Self { accept: ByFault, veto: NoVeto, until: AnyValue, hint: NoHint }
    }
}

impl<A: Accept, V, U, H> Judge<A, V, U, H> {
    /// Only errors that `accept` says yes to are tried again. Given twice, both must say yes.
    pub fn when<F>(self, accept: F) -> Judge<Both<A::Explicit, F>, V, U, H> {
        let accept = Both { first: self.accept.explicit(), second: accept };
        Judge { accept, veto: self.veto, until: self.until, hint: self.hint }
    }

    /// Errors that `veto` says yes to are never tried again, whatever else says so. Without `on` and `when`, all
    /// others are.
    pub fn unless<F>(self, veto: F) -> Judge<A::Explicit, Either<V, F>, U, H> {
        let veto = Either { first: self.veto, second: veto };
        Judge { accept: self.accept.explicit(), veto, until: self.until, hint: self.hint }
    }

    /// A value that `good` says no to counts as a failure to be tried again.
    pub fn until<F>(self, good: F) -> Judge<A, V, Until<F>, H> {
        Judge { accept: self.accept, veto: self.veto, until: Until(good), hint: self.hint }
    }

    /// Some values are failures, of a kind and with a hint, as `classify` says: the answers of an HTTP server are.
    /// Takes the place of [`until`](Self::until).
    pub fn classify<C>(self, classify: C) -> Judge<A, V, Classified<C>, H> {
        Judge { accept: self.accept, veto: self.veto, until: Classified(classify), hint: self.hint }
    }

    /// Every value is good enough again.
    pub fn any_value(self) -> Judge<A, V, AnyValue, H> {
        Judge { accept: self.accept, veto: self.veto, until: AnyValue, hint: self.hint }
    }

    /// Takes the hint of the other side from the error.
    pub fn retry_after<F>(self, hint: F) -> Judge<A, V, U, Hint<F>> {
        Judge { accept: self.accept, veto: self.veto, until: self.until, hint: Hint(hint) }
    }
}

impl<V, U, H> Judge<ByFault, V, U, H> {
    /// Errors that are no [`Fault`](crate::Fault) themselves are judged by the first known cause in their chain of sources, as boxed
    /// errors are: an `io::Error` in the error of an HTTP client. Without one they are `unknown`.
    pub fn by_cause(self, unknown: FaultKind) -> Judge<ByCause, V, U, H> {
        Judge { accept: ByCause { unknown }, veto: self.veto, until: self.until, hint: self.hint }
    }
}

impl<T, E, A, V, U, H> Judgement<T, E> for Judge<A, V, U, H>
where
    A: Accepts<E>,
    V: Vetoes<E>,
    U: Settles<T>,
    H: Hints<E>,
{
    #[inline]
    fn settles(&self, outcome: &Result<T, E>) -> bool {
        matches!(outcome, Ok(value) if self.until.settles(value))
    }

    fn judge(&self, outcome: &Result<T, E>) -> Verdict {
        match outcome {
            Ok(value) => match self.until.class(value) {
                None => Verdict::Settled,
                Some(Class { kind, retry_after, barred }) => Verdict::Failed {
                    again: kind != FaultKind::Permanent,
                    kind,
                    retry_after,
                    refused: false,
                    named: false,
                    barred,
                },
            },
            Err(error) => {
                let accepted = self.accept.accepts(error);
                Verdict::Failed {
                    again: accepted.again && !self.veto.vetoes(error),
                    kind: accepted.kind,
                    retry_after: self.hint.hints(error).or(accepted.retry_after),
                    refused: accepted.refused,
                    named: accepted.named,
                    barred: None,
                }
            }
        }
    }

    fn describe(&self, outcome: &Result<T, E>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match outcome {
            Ok(value) => self.until.describe(value, f),
            Err(error) => self.accept.describe(error, f),
        }
    }
}

mod sealed {
    pub trait Sealed {}
    impl<A, V, U, H> Sealed for super::Judge<A, V, U, H> {}
    impl<J, G> Sealed for super::Gated<J, G> {}
    impl Sealed for super::ByFault {}
    impl Sealed for super::ByCause {}
    impl Sealed for super::Every {}
    impl<A, F> Sealed for super::Both<A, F> {}
    impl Sealed for super::NoVeto {}
    impl<V, F> Sealed for super::Either<V, F> {}
    impl Sealed for super::AnyValue {}
    impl<F> Sealed for super::Until<F> {}
    impl<C> Sealed for super::Classified<C> {}
    impl Sealed for super::NoHint {}
    impl<F> Sealed for super::Hint<F> {}
}
