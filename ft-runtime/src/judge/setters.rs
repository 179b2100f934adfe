//! The setters that every judging session has.

/// Writes the judgement setters of a session: `$session<.., T, E, Judge<..>>` with a field `judge`.
macro_rules! judgement_setters {
    ($make:ident) => {
        /// Only errors that match are failures that the policy acts on: `on = PATTERN` of the attributes. With
        /// [`when`](Self::when), both must say yes.
pub fn on<F: Fn(&E) -> bool>(self, accept: F) -> $make!(crate::judge::Both<A::Explicit, F>, V, U, H) {
            self.when(accept)
        }

        /// Only errors that the predicate says yes to are failures that the policy acts on: `when = expr` of the
        /// attributes.
pub fn when<F: Fn(&E) -> bool>(self, accept: F) -> $make!(crate::judge::Both<A::Explicit, F>, V, U, H) {
            self.judged(|judge| judge.when(accept))
        }

        /// The policy never acts on errors that match, whatever else says so: `unless = PATTERN` of the attributes.
        /// Without [`on`](Self::on) and [`when`](Self::when), it acts on all others.
pub fn unless<F: Fn(&E) -> bool>(self, veto: F) -> $make!(A::Explicit, crate::judge::Either<V, F>, U, H) {
            self.judged(|judge| judge.unless(veto))
        }

        /// A value that the predicate says no to is a failure: `until = expr` of the attributes. The last one is returned
        /// as it is.
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
