//! What a protected function returns.

use crate::rejected::FromRejected;

/// The return type of a protected function: a `Result`.
///
/// Policies read the outcome of a call to decide what to do next, so every door (attribute, call, layer) asks for
/// it. It is implemented for `Result<T, E>` and for nothing else; type aliases such as `io::Result<T>` are results too.
#[diagnostic::on_unimplemented(
    message = "a protected function must return a `Result`, not `{Self}`",
    label = "not a `Result`",
    note = "a policy acts on failures: return `Result<T, E>`"
)]
pub trait Outcome: sealed::Sealed {
    /// The type of a success.
    type Value;
    /// The type of a failure.
    type Error;
}

impl<T, E> Outcome for Result<T, E> {
    type Value = T;
    type Error = E;
}

/// An [`Outcome`] whose error can hold a [`Rejected`](crate::Rejected): what a policy that may refuse a call asks for.
pub trait Refusable: Outcome<Error: FromRejected> {
    /// The outcome of a call that the policy refused.
    fn refused(rejected: crate::Rejected) -> Self;
}

impl<T, E: FromRejected> Refusable for Result<T, E> {
    fn refused(rejected: crate::Rejected) -> Self {
        Err(E::from_rejected(rejected))
    }
}

mod sealed {
    pub trait Sealed {}
    impl<T, E> Sealed for Result<T, E> {}
}
