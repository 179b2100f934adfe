//! The judgement: which outcomes of a call count as what.
//!
//! It is given on the session of one call, never stored in a policy value: the types of closures could not be named
//! there. Without one, the error's own [`Fault`] judges, alike at every door.

use std::fmt;
use std::time::Duration;

use crate::fault::{Fault, FaultKind};
use crate::rejected::Rejected;

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
    /// The error's own [`Fault`] judges.
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

    /// Takes the hint of the other side from the error.
    pub fn retry_after<F>(self, hint: F) -> Judge<A, V, U, Hint<F>> {
        Judge { accept: self.accept, veto: self.veto, until: self.until, hint: Hint(hint) }
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
            Ok(value) if self.until.settles(value) => Verdict::Settled,
            Ok(_) => Verdict::Failed {
                again: true,
                kind: FaultKind::Transient,
                retry_after: None,
                refused: false,
                named: false,
            },
            Err(error) => {
                let accepted = self.accept.accepts(error);
                Verdict::Failed {
                    again: accepted.again && !self.veto.vetoes(error),
                    kind: accepted.kind,
                    retry_after: self.hint.hints(error).or(accepted.retry_after),
                    refused: accepted.refused,
                    named: accepted.named,
                }
            }
        }
    }

    fn describe(&self, outcome: &Result<T, E>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match outcome {
            Ok(_) => f.write_str("a value that is not good enough yet"),
            Err(error) => self.accept.describe(error, f),
        }
    }
}

/// What the accepting part knows of an error.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    again: bool,
    kind: FaultKind,
    retry_after: Option<Duration>,
    refused: bool,
    named: bool,
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

/// The part of a judgement that looks at values.
pub trait Settles<T>: sealed::Sealed {
    /// Is the value good enough?
    fn settles(&self, value: &T) -> bool;
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
        Accepted {
            again: kind != FaultKind::Permanent,
            kind,
            retry_after: error.retry_after(),
            refused: error.rejected().is_some_and(Rejected::kept_the_call_back),
            named: false,
        }
    }

    fn describe(&self, error: &E, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        error.describe(f)
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
    first: A,
    second: F,
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
    first: V,
    second: F,
}

impl<E, V: Vetoes<E>, F: Fn(&E) -> bool> Vetoes<E> for Either<V, F> {
    fn vetoes(&self, error: &E) -> bool {
        self.first.vetoes(error) || (self.second)(error)
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
pub struct Until<F>(F);

impl<T, F: Fn(&T) -> bool> Settles<T> for Until<F> {
    #[inline]
    fn settles(&self, value: &T) -> bool {
        (self.0)(value)
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
pub struct Hint<F>(F);

impl<E, F: Fn(&E) -> Option<Duration>> Hints<E> for Hint<F> {
    fn hints(&self, error: &E) -> Option<Duration> {
        (self.0)(error)
    }
}

mod sealed {
    pub trait Sealed {}
    impl<A, V, U, H> Sealed for super::Judge<A, V, U, H> {}
    impl Sealed for super::ByFault {}
    impl Sealed for super::Every {}
    impl<A, F> Sealed for super::Both<A, F> {}
    impl Sealed for super::NoVeto {}
    impl<V, F> Sealed for super::Either<V, F> {}
    impl Sealed for super::AnyValue {}
    impl<F> Sealed for super::Until<F> {}
    impl Sealed for super::NoHint {}
    impl<F> Sealed for super::Hint<F> {}
}

/// Writes the judgement setters of a session: `$session<.., T, E, Judge<..>>` with a field `judge`.
macro_rules! judgement_setters {
    ($make:ident) => {
        /// Only errors that match are tried again: `on = PATTERN` of the attributes. With [`when`](Self::when), both must say yes.
pub fn on<F: Fn(&E) -> bool>(self, accept: F) -> $make!(crate::judge::Both<A::Explicit, F>, V, U, H) {
            self.when(accept)
        }

        /// Only errors that the predicate says yes to are tried again: `when = expr` of the attributes.
pub fn when<F: Fn(&E) -> bool>(self, accept: F) -> $make!(crate::judge::Both<A::Explicit, F>, V, U, H) {
            self.judged(|judge| judge.when(accept))
        }

        /// Errors that match are never tried again, whatever else says so: `unless = PATTERN` of the attributes.
        /// Without [`on`](Self::on) and [`when`](Self::when), all others are.
pub fn unless<F: Fn(&E) -> bool>(self, veto: F) -> $make!(A::Explicit, crate::judge::Either<V, F>, U, H) {
            self.judged(|judge| judge.unless(veto))
        }

        /// A value that the predicate says no to is tried again: `until = expr` of the attributes. The last one is
        /// returned as it is.
        pub fn until<F: Fn(&T) -> bool>(self, good: F) -> $make!(A, V, crate::judge::Until<F>, H) {
            self.judged(|judge| judge.until(good))
        }

        /// Where the hint of the other side ("come back in 2 s") is found, for errors that are not judged by their
        /// [`Fault`](crate::Fault): `retry_after = expr` of the attributes.
        pub fn retry_after<F: Fn(&E) -> Option<std::time::Duration>>(
            self,
            hint: F,
        ) -> $make!(A, V, U, crate::judge::Hint<F>) {
            self.judged(|judge| judge.retry_after(hint))
        }
    };
}
pub(crate) use judgement_setters;

#[cfg(test)]
mod tests {
    use super::*;

    fn again<J: Judgement<u32, &'static str>>(judge: &J, outcome: Result<u32, &'static str>) -> bool {
        matches!(judge.judge(&outcome), Verdict::Failed { again: true, .. })
    }

    #[test]
    fn unless_beats_on_and_everything_else_stops() {
        let judge = Judge::by_fault().when(|e: &&str| e.starts_with("io")).unless(|e: &&str| *e == "io: fatal");
        assert!(again(&judge, Err("io: reset")));
        assert!(!again(&judge, Err("io: fatal")));
        assert!(!again(&judge, Err("declined")));
        assert!(!again(&judge, Ok(1)));
    }

    #[test]
    fn the_order_of_the_parts_does_not_matter() {
        let judge = Judge::by_fault().unless(|e: &&str| *e == "io: fatal").when(|e: &&str| e.starts_with("io"));
        assert!(again(&judge, Err("io: reset")));
        assert!(!again(&judge, Err("io: fatal")));
        assert!(!again(&judge, Err("declined")));
    }

    #[test]
    fn unless_alone_accepts_all_others() {
        let judge = Judge::by_fault().unless(|e: &&str| *e == "declined");
        assert!(again(&judge, Err("reset")));
        assert!(!again(&judge, Err("declined")));
    }

    #[test]
    fn on_and_when_must_both_say_yes() {
        let judge = Judge::by_fault().when(|e: &&str| e.len() > 2).when(|e: &&str| e.starts_with('x'));
        assert!(again(&judge, Err("xyz")));
        assert!(!again(&judge, Err("xy")));
        assert!(!again(&judge, Err("abc")));
    }

    #[test]
    fn until_looks_at_the_value_and_leaves_errors_to_the_rest() {
        let judge = Judge::by_fault().when(|_: &&str| false).until(|value: &u32| *value > 2);
        assert!(again(&judge, Ok(2)));
        assert!(!again(&judge, Ok(3)));
        assert!(!again(&judge, Err("any")));
    }

    #[test]
    fn a_hint_comes_from_the_given_function() {
        let judge = Judge::by_fault().unless(|_: &&str| false).retry_after(|_: &&str| Some(Duration::from_secs(1)));
        let verdict = Judgement::<u32, &str>::judge(&judge, &Err("busy"));
        assert!(matches!(verdict, Verdict::Failed { retry_after: Some(hint), .. } if hint == Duration::from_secs(1)));
    }
}
