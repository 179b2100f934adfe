//! `tonic::Status` knows by its code what may be done about it, and can hold a refusal of ours.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tonic::metadata::MetadataValue;
use tonic::{Code, ConnectError, Status, TimeoutExpired};

use crate::fault::{Fault, FaultKind, chain, rejected_in_chain};
use crate::rejected::Rejected;

const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// A refusal of ours that became a status is what it was, and a connection that was never made is `Unsent`. Otherwise the
/// code says it: `UNAVAILABLE`, `UNKNOWN`, `INTERNAL` and `DEADLINE_EXCEEDED` are `Transient`, as is a time limit of
/// tonic's own; `RESOURCE_EXHAUSTED`, and any of these with a pushback (`grpc-retry-pushback-ms`), is `Throttled` with
/// that hint. A pushback that is negative or cannot be read forbids another attempt, so it is `Permanent`, as everything
/// else is. Reports show the code and never the message.
///
/// ```
/// use ft_runtime::{Backoff, retry, timeout};
/// use tonic::{Code, Status};
///
/// #[retry(max_attempts = 3, backoff = Backoff::exponential(50ms))]
/// #[timeout(2s)]                                        // a `Status` can hold the refusal
/// async fn stock(id: u64) -> Result<u32, Status> {
///     if id == 0 { Err(Status::not_found("no such article")) } else { Ok(7) }
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// assert_eq!(stock(1).await.unwrap(), 7);
/// assert_eq!(stock(0).await.unwrap_err().code(), Code::NotFound);
/// # }
/// ```
impl Fault for Status {
    fn kind(&self) -> FaultKind {
        if let Some(rejected) = self.rejected() {
            return rejected.kind();
        }
        if comes_from::<ConnectError>(self) {
            return FaultKind::Unsent;
        }
        let kind = match self.code() {
            Code::Unavailable | Code::Unknown | Code::Internal | Code::DeadlineExceeded => FaultKind::Transient,
            Code::Cancelled if comes_from::<TimeoutExpired>(self) => FaultKind::Transient,
            Code::ResourceExhausted => FaultKind::Throttled { retry_after: None },
            _ => return FaultKind::Permanent,
        };
        match pushback(self) {
            None => kind,
            Some(Some(wait)) => FaultKind::Throttled { retry_after: Some(wait) },
            Some(None) => FaultKind::Permanent,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match (self.rejected(), self.kind()) {
            (Some(rejected), _) => rejected.retry_after(),
            (None, FaultKind::Throttled { retry_after }) => retry_after,
            _ => None,
        }
    }

    fn rejected(&self) -> Option<&Rejected> {
        self.source().and_then(rejected_in_chain)
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rejected() {
            Some(rejected) => rejected.describe(f),
            None => write!(f, "grpc: {:?}", self.code()),
        }
    }
}

/// The refusal travels inside, where [`Fault`] finds it. Whoever gets the status over the wire sees the code, the reason in
/// one word, and the wait as a pushback: over the rate and bulkhead full are `RESOURCE_EXHAUSTED`; circuit open, no target
/// and shutting down `UNAVAILABLE`; timed out and no time left `DEADLINE_EXCEEDED`; an invalid value `INVALID_ARGUMENT`;
/// everything else `INTERNAL`.
impl From<Rejected> for Status {
    fn from(rejected: Rejected) -> Self {
        let code = match rejected {
            Rejected::RateLimited { .. } | Rejected::BulkheadFull => Code::ResourceExhausted,
            Rejected::CircuitOpen { .. } | Rejected::NoTarget | Rejected::ShuttingDown => Code::Unavailable,
            Rejected::TimedOut { .. } | Rejected::DeadlinePassed => Code::DeadlineExceeded,
            Rejected::Invalid(_) => Code::InvalidArgument,
            _ => Code::Internal,
        };
        let mut status = Self::new(code, rejected.reason());
        if let Some(wait) = rejected.retry_after() {
            let millis = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
            status.metadata_mut().insert(PUSHBACK, MetadataValue::from(millis));
        }
        status.set_source(Arc::new(rejected));
        status
    }
}

fn comes_from<E: StdError + 'static>(status: &Status) -> bool {
    status.source().is_some_and(|source| chain(source).any(|link| link.is::<E>()))
}

/// The server's pushback: a wait, or (inside) none where it asked not to be called again, which is also the meaning of what
/// cannot be read. Of several the strictest.
fn pushback(status: &Status) -> Option<Option<Duration>> {
    let mut longest = None;
    for value in status.metadata().get_all(PUSHBACK) {
        let digits = value.to_str().ok().map(str::trim);
        let digits = digits.filter(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()));
        let Some(digits) = digits else { return Some(None) };
        // Only digits: what does not fit is too large.
        longest = longest.max(Some(Duration::from_millis(digits.parse().unwrap_or(u64::MAX))));
    }
    longest.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(1500);

    fn pushed(code: Code, values: &[&'static str]) -> Status {
        let mut status = Status::new(code, "password=hunter2");
        for value in values {
            status.metadata_mut().append(PUSHBACK, MetadataValue::from_static(value));
        }
        status
    }

    #[test]
    fn a_code_says_what_may_be_tried_again() {
        for number in 0..17 {
            let kind = match number {
                2 | 4 | 13 | 14 => FaultKind::Transient,
                8 => FaultKind::Throttled { retry_after: None },
                _ => FaultKind::Permanent,
            };
            assert_eq!(Status::new(Code::from(number), "").kind(), kind, "{number}");
        }
    }

    #[test]
    fn case_11_a_pushback_is_a_wait_and_a_negative_or_unreadable_one_forbids_another_attempt() {
        let kind = |values: &[&'static str]| pushed(Code::Unavailable, values).kind();
        let wait = |ms| FaultKind::Throttled { retry_after: Some(Duration::from_millis(ms)) };
        assert_eq!((kind(&["250"]), kind(&["0"]), kind(&["5", "250"])), (wait(250), wait(0), wait(250)));
        assert_eq!(kind(&["99999999999999999999999"]), wait(u64::MAX));
        for told in [&["-1"][..], &[""], &["soon"], &["+5"], &["5", "-1"]] {
            assert_eq!(kind(told), FaultKind::Permanent, "{told:?}");
        }
        assert_eq!(pushed(Code::ResourceExhausted, &["7"]).retry_after(), Some(Duration::from_millis(7)));
        assert_eq!(pushed(Code::NotFound, &["7"]).kind(), FaultKind::Permanent, "an answer");
    }

    #[test]
    fn a_connection_that_was_never_made_is_unsent_and_a_time_limit_of_tonic_passes() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let unsent = Status::from_error(Box::new(ConnectError(Box::new(refused))));
        assert_eq!((unsent.code(), unsent.kind()), (Code::Unavailable, FaultKind::Unsent));
        let late = Status::from_error(Box::new(TimeoutExpired(())));
        assert_eq!((late.code(), late.kind()), (Code::Cancelled, FaultKind::Transient));
    }

    #[test]
    fn a_refusal_keeps_what_it_says_and_tells_the_other_side_when_to_come_back() {
        for (rejected, code, pushback) in [
            (Rejected::RateLimited { retry_after: SOON }, Code::ResourceExhausted, Some("1500")),
            (Rejected::CircuitOpen { retry_after: Duration::from_nanos(1) }, Code::Unavailable, Some("1")),
            (Rejected::BulkheadFull, Code::ResourceExhausted, None),
            (Rejected::TimedOut { limit: SOON }, Code::DeadlineExceeded, None),
            (Rejected::Injected, Code::Internal, None),
        ] {
            let status = Status::from(rejected.clone());
            assert_eq!((status.code(), status.message()), (code, rejected.reason()));
            assert_eq!(status.metadata().get(PUSHBACK).map(|value| value.to_str().unwrap()), pushback);
            assert_eq!((status.kind(), status.retry_after()), (rejected.kind(), rejected.retry_after()));
            assert_eq!(Fault::rejected(&status), Some(&rejected));
            let boxed: Box<dyn StdError + Send + Sync> = Box::new(status);
            assert_eq!((boxed.kind(), Fault::rejected(&boxed)), (rejected.kind(), Some(&rejected)));
        }
    }

    #[test]
    fn a_hint_is_found_in_a_box_too() {
        let boxed: Box<dyn StdError> = Box::new(pushed(Code::Unavailable, &["7"]));
        assert_eq!(boxed.retry_after(), Some(Duration::from_millis(7)));
        let io = std::io::Error::other(pushed(Code::Unavailable, &["7"]));
        assert_eq!(io.retry_after(), Some(Duration::from_millis(7)));
    }

    #[test]
    fn reports_show_the_code_and_never_the_message() {
        let boxed: Box<dyn StdError> = Box::new(pushed(Code::Unavailable, &[]));
        let shown = crate::observe::text(&crate::observe::Describe(|f: &mut fmt::Formatter<'_>| boxed.describe(f)));
        assert_eq!(shown, "error: grpc: Unavailable");
    }
}
