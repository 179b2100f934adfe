//! The judgement: which outcomes of a call count as what.
//!
//! It is given on the session of one call, never stored in a policy value: the types of closures could not be named
//! there. Without one, the error's own [`Fault`] judges, alike at every door.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::fault::{self, Fault, FaultKind};
use crate::observe::GaveUp;
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
    /// Errors that are no [`Fault`] themselves are judged by the first known cause in their chain of sources, as boxed
    /// errors are: an `io::Error` in the error of an HTTP client. Without one they are `unknown`.
    pub fn by_cause(self, unknown: FaultKind) -> Judge<ByCause, V, U, H> {
        Judge { accept: ByCause { unknown }, veto: self.veto, until: self.until, hint: self.hint }
    }
}

/// What a value that is a failure counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    kind: FaultKind,
    retry_after: Option<Duration>,
    barred: Option<GaveUp>,
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

/// A judgement with a gate: what it would have made again is asked for there once more. Layers build one for each call,
/// where the request decides whether it may be repeated.
#[derive(Clone, Copy, Debug)]
pub struct Gated<J, G> {
    judge: J,
    gate: G,
}

impl<J, G> Gated<J, G> {
    /// Puts `gate` behind `judge`.
    pub const fn new(judge: J, gate: G) -> Self {
        Self { judge, gate }
    }
}

/// Knows whether a call may be made again at all, whatever its outcome is worth.
pub trait Gate {
    /// Why a call that failed like this must not be made again; `None` when it may.
    fn bars(&self, kind: FaultKind) -> Option<GaveUp>;
}

impl<T, E, J: Judgement<T, E>, G: Gate> Judgement<T, E> for Gated<J, G> {
    #[inline]
    fn settles(&self, outcome: &Result<T, E>) -> bool {
        self.judge.settles(outcome)
    }

    fn judge(&self, outcome: &Result<T, E>) -> Verdict {
        match self.judge.judge(outcome) {
            Verdict::Failed { again: true, kind, retry_after, refused, named, barred: None } => {
                Verdict::Failed { again: true, kind, retry_after, refused, named, barred: self.gate.bars(kind) }
            }
            verdict => verdict,
        }
    }

    fn describe(&self, outcome: &Result<T, E>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.judge.describe(outcome, f)
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

/// The first known cause in the error's chain of sources judges.
#[derive(Clone, Copy, Debug)]
pub struct ByCause {
    unknown: FaultKind,
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
            again: kind != FaultKind::Permanent,
            kind,
            retry_after: rejected.and_then(Fault::retry_after),
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

/// Values are failures of a kind, as the classification says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Classified<C>(C);

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

        /// Some values are failures, of a kind and with a hint, as `classify` says: `classify = expr` of the
        /// attributes. Takes the place of [`until`](Self::until).
        pub fn classify<C: crate::judge::Classify<T>>(
            self,
            classify: C,
        ) -> $make!(A, V, crate::judge::Classified<C>, H) {
            self.judged(|judge| judge.classify(classify))
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
    fn a_value_counts_as_what_the_classification_says() {
        let second = Some(Duration::from_secs(1));
        let judge = Judge::by_fault().unless(|_: &&str| false).classify(move |value: &u32| match value {
            429 => Some(Class::new(FaultKind::Throttled { retry_after: second })),
            500 => Some(Class::new(FaultKind::Transient)),
            501 => Some(Class::new(FaultKind::Permanent)),
            502 => Some(Class::new(FaultKind::Transient).barred(GaveUp::ToldNotTo)),
            _ => None,
        });
        let verdict = |value| Judgement::<u32, &str>::judge(&judge, &Ok(value));
        assert_eq!(verdict(200), Verdict::Settled);
        assert!(matches!(verdict(429), Verdict::Failed { again: true, retry_after, .. } if retry_after == second));
        assert!(matches!(verdict(500), Verdict::Failed { again: true, kind: FaultKind::Transient, barred: None, .. }));
        assert!(matches!(verdict(501), Verdict::Failed { again: false, kind: FaultKind::Permanent, .. }));
        assert!(matches!(verdict(502), Verdict::Failed { again: true, barred: Some(GaveUp::ToldNotTo), .. }));
    }

    #[test]
    fn a_gate_bars_what_may_have_run_and_keeps_the_reason_of_the_judgement() {
        struct UnsentOnly;
        impl Gate for UnsentOnly {
            fn bars(&self, kind: FaultKind) -> Option<GaveUp> {
                (kind != FaultKind::Unsent).then_some(GaveUp::NotRepeatable)
            }
        }
        let barred = |class: Class| {
            let judge = Judge::by_fault().unless(|_: &&str| false).classify(move |_: &u32| Some(class));
            match Judgement::<u32, &str>::judge(&Gated::new(judge, UnsentOnly), &Ok(1)) {
                Verdict::Failed { barred, .. } => barred,
                Verdict::Settled => unreachable!("every value is a failure"),
            }
        };
        assert_eq!(barred(Class::new(FaultKind::Unsent)), None);
        assert_eq!(barred(Class::new(FaultKind::Transient)), Some(GaveUp::NotRepeatable));
        assert_eq!(barred(Class::new(FaultKind::Unsent).barred(GaveUp::ToldNotTo)), Some(GaveUp::ToldNotTo));
        assert_eq!(barred(Class::new(FaultKind::Permanent)), None);
    }

    #[test]
    fn an_error_that_is_no_fault_is_judged_by_its_first_known_cause() {
        #[derive(Debug)]
        struct Client(std::io::Error);
        impl fmt::Display for Client {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("password=hunter2")
            }
        }
        impl StdError for Client {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                Some(&self.0)
            }
        }
        let judge = Judge::by_fault().by_cause(FaultKind::Permanent);
        let refused: Result<u32, _> = Err(Client(std::io::ErrorKind::ConnectionRefused.into()));
        assert!(matches!(judge.judge(&refused), Verdict::Failed { again: true, kind: FaultKind::Unsent, .. }));
        let shown =
            crate::observe::text(&crate::observe::Describe(|f: &mut fmt::Formatter<'_>| judge.describe(&refused, f)));
        assert_eq!(shown, "error: io: connection refused");
        let limited: Result<u32, _> =
            Err(Client(std::io::Error::other(Rejected::RateLimited { retry_after: Duration::from_secs(2) })));
        assert!(matches!(
            judge.judge(&limited),
            Verdict::Failed { refused: true, retry_after: Some(hint), .. } if hint == Duration::from_secs(2)
        ));
    }

    #[test]
    fn a_hint_comes_from_the_given_function() {
        let judge = Judge::by_fault().unless(|_: &&str| false).retry_after(|_: &&str| Some(Duration::from_secs(1)));
        let verdict = Judgement::<u32, &str>::judge(&judge, &Err("busy"));
        assert!(matches!(verdict, Verdict::Failed { retry_after: Some(hint), .. } if hint == Duration::from_secs(1)));
    }
}
