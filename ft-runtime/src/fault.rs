//! What an error says about itself: may the call be made again?

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::observe;
use crate::rejected::Rejected;

/// What kind of failure an error is, and so what a policy may do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// The same call will fail the same way: a declined card, a missing file, a bad argument. Never retried.
    Permanent,
    /// The call may have run, and may succeed when it is made again: a timeout, a reset connection.
    Transient,
    /// The call provably never ran: a refused connection, a full bulkhead. Safe to repeat even where it is not idempotent.
    Unsent,
    /// The other side asks for patience.
    Throttled {
        /// How long it asked to be left alone, if it said so.
        retry_after: Option<Duration>,
    },
}

impl FaultKind {
    /// The stable lower-case name of the kind, as reports and metrics print it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Transient => "transient",
            Self::Unsent => "unsent",
            Self::Throttled { .. } => "throttled",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error that knows whether its call may be made again.
///
/// Without `on`, `unless` or `when`, policies ask the error itself. So nobody retries a declined card by accident:
/// an error that says nothing does not compile.
///
/// Derive it:
///
/// ```
/// use ft_runtime::{Fault, FaultKind};
/// # use std::time::Duration;
/// #[derive(Debug, Fault)]
/// enum PayError {
///     #[fault(transient)]
///     Unreachable,
///     #[fault(permanent)]
///     Declined,
///     #[fault(throttled, retry_after = after)]
///     Busy { after: Duration },
/// }
///
/// assert_eq!(PayError::Declined.kind(), FaultKind::Permanent);
/// assert_eq!(PayError::Busy { after: Duration::from_secs(2) }.retry_after(), Some(Duration::from_secs(2)));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which of its errors may be tried again",
    label = "this error is not a `Fault`",
    note = "let the error say it: `#[derive(ft_runtime::Fault)]` with `#[fault(transient)]` or `#[fault(permanent)]` on each variant",
    note = "or say it in the attribute: `on = PATTERN`, `unless = PATTERN`, `when = predicate`; `on = _` is every error"
)]
pub trait Fault {
    /// What kind of failure this is.
    fn kind(&self) -> FaultKind;

    /// How long the other side asked to be left alone. A retry waits at least that long.
    fn retry_after(&self) -> Option<Duration> {
        match self.kind() {
            FaultKind::Throttled { retry_after } => retry_after,
            _ => None,
        }
    }

    /// The refusal of one of our own policies, if that is what this error carries.
    fn rejected(&self) -> Option<&Rejected> {
        None
    }

    /// Writes what the fault log and events may show. The default is the name of the type; never put arguments,
    /// payloads or secrets here.
    ///
    /// # Errors
    ///
    /// As any `fmt` call: only when the formatter refuses.
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::any::type_name::<Self>())
    }

    /// Is it worth trying again at all (transient, unsent or throttled)? Made for `when = Fault::is_retryable`.
    fn is_retryable(&self) -> bool {
        !self.is_permanent()
    }

    /// Is this [`FaultKind::Permanent`]?
    fn is_permanent(&self) -> bool {
        matches!(self.kind(), FaultKind::Permanent)
    }

    /// Is this [`FaultKind::Transient`]? Made for `when = Fault::is_transient`.
    fn is_transient(&self) -> bool {
        matches!(self.kind(), FaultKind::Transient)
    }

    /// Is this [`FaultKind::Unsent`]?
    fn is_unsent(&self) -> bool {
        matches!(self.kind(), FaultKind::Unsent)
    }

    /// Is this [`FaultKind::Throttled`]?
    fn is_throttled(&self) -> bool {
        matches!(self.kind(), FaultKind::Throttled { .. })
    }
}

// ===== impl io::Error =====

/// A refused or unreachable peer is `Unsent`; a broken, reset or slow connection is `Transient`; everything else
/// (missing file, denied permission, bad data) is `Permanent`. An `io::Error` made from another error asks that error.
impl Fault for io::Error {
    fn kind(&self) -> FaultKind {
        use io::ErrorKind as K;
        match self.kind() {
            K::ConnectionRefused
            | K::HostUnreachable
            | K::NetworkUnreachable
            | K::NetworkDown
            | K::AddrNotAvailable => FaultKind::Unsent,
            K::ConnectionReset
            | K::ConnectionAborted
            | K::NotConnected
            | K::BrokenPipe
            | K::TimedOut
            | K::WouldBlock
            | K::Interrupted
            | K::UnexpectedEof
            | K::ResourceBusy => FaultKind::Transient,
            _ => self.get_ref().map_or(FaultKind::Permanent, |inner| kind_of_chain(inner)),
        }
    }

    fn rejected(&self) -> Option<&Rejected> {
        self.get_ref().and_then(|inner| rejected_in_chain(inner))
    }

    fn retry_after(&self) -> Option<Duration> {
        self.get_ref().and_then(|inner| hint_of_chain(inner))
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "io: {}", self.kind())?;
        match self.get_ref() {
            Some(inner) => describe_link(inner, f),
            None => Ok(()),
        }
    }
}

// ===== impl Infallible =====

/// Never asked: the service inside that cannot fail, below layers that can.
impl Fault for std::convert::Infallible {
    fn kind(&self) -> FaultKind {
        match *self {}
    }
}

// ===== impl boxed errors =====

macro_rules! boxed {
    ($($error:ty),*) => {$(
        /// The first known error in the chain of sources decides ([`Rejected`], `io::Error`, those of features); an unknown one is permanent.
        impl Fault for $error {
            fn kind(&self) -> FaultKind {
                kind_of_chain(&**self)
            }

            fn retry_after(&self) -> Option<Duration> {
                hint_of_chain(&**self)
            }

            fn rejected(&self) -> Option<&Rejected> {
                rejected_in_chain(&**self)
            }

            fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                describe_chain(&**self, f)
            }
        }
    )*};
}

boxed!(Box<dyn StdError>, Box<dyn StdError + Send>, Box<dyn StdError + Send + Sync>);

/// How far a chain of sources is followed: a chain that is longer, or that loops, is cut here.
const CHAIN: usize = 32;

pub(crate) fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source()).take(CHAIN)
}

/// The kind of the first error in the chain that is known to us; permanent when none is.
pub(crate) fn kind_of_chain(error: &(dyn StdError + 'static)) -> FaultKind {
    known_kind_of_chain(error).unwrap_or(FaultKind::Permanent)
}

/// The kind of the first error in the chain that is known to us.
pub(crate) fn known_kind_of_chain(error: &(dyn StdError + 'static)) -> Option<FaultKind> {
    chain(error).find_map(|link| known(link).map(|fault| fault.kind_of_fault()))
}

/// The hint of the first error in the chain that has one.
pub(crate) fn hint_of_chain(error: &(dyn StdError + 'static)) -> Option<Duration> {
    chain(error).find_map(|link| known(link)?.hint_of_fault())
}

/// The first [`Rejected`] in the chain.
pub(crate) fn rejected_in_chain<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Rejected> {
    chain(error).find_map(|error| {
        // An `io::Error` is no link to the error that it was made from: its source is that one's source.
        error.downcast_ref::<Rejected>().or_else(|| error.downcast_ref::<io::Error>().and_then(Fault::rejected))
    })
}

/// What the chain says of itself: the links that ft knows, by their own `describe`. The text of the others may hold
/// anything, so it is left out unless the user asked for it.
pub(crate) fn describe_chain(error: &(dyn StdError + 'static), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("error")?;
    if observe::shows_unknown_errors() {
        return chain(error).try_for_each(|link| write!(f, ": {link}"));
    }
    chain(error).try_for_each(|link| describe_link(link, f))
}

fn describe_link(link: &(dyn StdError + 'static), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match known(link) {
        Some(fault) => {
            f.write_str(": ")?;
            fault.describe_fault(f)
        }
        None if observe::shows_unknown_errors() => write!(f, ": {link}"),
        None => Ok(()),
    }
}

/// The link, if it is of a type that ft knows.
fn known<'a>(link: &'a (dyn StdError + 'static)) -> Option<&'a dyn Known> {
    fn of<'a, F: Fault + StdError + 'static>(link: &'a (dyn StdError + 'static)) -> Option<&'a dyn Known> {
        link.downcast_ref::<F>().map(|fault| fault as &dyn Known)
    }
    let fault = of::<Rejected>(link).or_else(|| of::<io::Error>(link));
    #[cfg(feature = "reqwest")]
    let fault = fault.or_else(|| of::<reqwest::Error>(link));
    #[cfg(feature = "hyper")]
    let fault = fault.or_else(|| of::<hyper_util::client::legacy::Error>(link)).or_else(|| of::<hyper::Error>(link));
    #[cfg(feature = "tonic")]
    let fault = fault.or_else(|| of::<tonic::Status>(link));
    fault
}

/// What is asked of a known error: unlike [`Fault`] it can be a `dyn`.
trait Known {
    fn kind_of_fault(&self) -> FaultKind;
    fn hint_of_fault(&self) -> Option<Duration>;
    fn describe_fault(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

impl<F: Fault> Known for F {
    fn kind_of_fault(&self) -> FaultKind {
        self.kind()
    }

    fn hint_of_fault(&self) -> Option<Duration> {
        self.retry_after()
    }

    fn describe_fault(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boxed_error_is_judged_by_the_first_known_cause() {
        let refused: Box<dyn StdError + Send + Sync> = Box::new(io::Error::from(io::ErrorKind::ConnectionRefused));
        assert_eq!(refused.kind(), FaultKind::Unsent);

        let unknown: Box<dyn StdError> = "card declined".into();
        assert_eq!(unknown.kind(), FaultKind::Permanent);

        let ours: Box<dyn StdError + Send + Sync> =
            Box::new(Rejected::CircuitOpen { retry_after: Duration::from_secs(3) });
        assert_eq!(ours.kind(), FaultKind::Unsent);
        assert_eq!(ours.retry_after(), Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_refusal_is_found_in_an_io_error_in_a_box() {
        let error: Box<dyn StdError + Send + Sync> = Box::new(io::Error::other(Rejected::BulkheadFull));
        assert!(matches!(error.rejected(), Some(Rejected::BulkheadFull)));
    }

    /// What reports would show.
    fn shown(fault: &impl Fault) -> String {
        observe::text(&observe::Describe(|f: &mut fmt::Formatter<'_>| fault.describe(f)))
    }

    #[test]
    fn reports_show_what_is_known_of_a_boxed_error_and_never_its_text() {
        let secret: Box<dyn StdError + Send + Sync> = "password=hunter2".into();
        assert_eq!(shown(&secret), "error");
        assert_eq!(shown(&io::Error::other("password=hunter2")), "io: other error");
        assert_eq!(shown(&io::Error::from(io::ErrorKind::ConnectionReset)), "io: connection reset");
        let refused: Box<dyn StdError> = Box::new(io::Error::other(Rejected::BulkheadFull));
        assert_eq!(shown(&refused), "error: io: other error: bulkhead full");
    }

    #[test]
    fn an_io_error_made_from_another_error_asks_that_error() {
        let error = io::Error::other(Rejected::BulkheadFull);
        assert_eq!(Fault::kind(&error), FaultKind::Unsent);
        assert!(matches!(error.rejected(), Some(Rejected::BulkheadFull)));
    }
}
