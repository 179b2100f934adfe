//! gRPC: its status and its pushback, as they stand in the head of an answer.

use std::time::Duration;

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, HeaderValue};
use ft_runtime::FaultKind;
use ft_runtime::judge::Class;
use ft_runtime::observe::GaveUp;

use super::hint::{is_number, text};

pub(super) const STATUS: &str = "grpc-status";
pub(super) const MESSAGE: &str = "grpc-message";
pub(super) const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// The status codes that mean something here; the numbers are those of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code(u8);

impl Code {
    pub(super) const UNKNOWN: Self = Self(2);
    pub(super) const INVALID_ARGUMENT: Self = Self(3);
    pub(super) const DEADLINE_EXCEEDED: Self = Self(4);
    pub(super) const RESOURCE_EXHAUSTED: Self = Self(8);
    pub(super) const INTERNAL: Self = Self(13);
    pub(super) const UNAVAILABLE: Self = Self(14);

    /// The code in the head of an answer, where there is one: the whole answer is there, without messages.
    #[inline]
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(STATUS)?;
        // The protocol says so: what cannot be read is UNKNOWN.
        Some(value.to_str().ok().and_then(|code| code.trim().parse().ok()).map_or(Self::UNKNOWN, Self))
    }

    pub(super) fn header(self) -> HeaderValue {
        HeaderValue::from(u16::from(self.0))
    }

    pub(super) const fn number(self) -> u8 {
        self.0
    }
}

/// What an answer with this status counts as; `None` for an answer that is no failure of the server, or not one that may
/// pass.
pub(super) fn class(code: Code, headers: &HeaderMap) -> Option<Class> {
    let kind = match code {
        Code::UNKNOWN | Code::DEADLINE_EXCEEDED | Code::INTERNAL | Code::UNAVAILABLE => FaultKind::Transient,
        Code::RESOURCE_EXHAUSTED => FaultKind::Throttled { retry_after: None },
        _ => return None,
    };
    Some(match pushback(headers) {
        None => Class::new(kind),
        // The server says when to come back, and so that it did not do the work.
        Some(Some(after)) => Class::new(FaultKind::Throttled { retry_after: Some(after) }),
        Some(None) => Class::new(kind).barred(GaveUp::ToldNotTo),
    })
}

/// The server's pushback: a wait, or (inside) none where it asked not to be called again, which is also the meaning of what
/// cannot be read.
fn pushback(headers: &HeaderMap) -> Option<Option<Duration>> {
    headers.get(PUSHBACK)?;
    let wait = text(headers, PUSHBACK).filter(|value| is_number(value));
    Some(wait.map(|digits| Duration::from_millis(digits.parse().unwrap_or(u64::MAX))))
}

/// Is this the head of a gRPC request?
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(rest) = headers.get(CONTENT_TYPE).and_then(|kind| kind.as_bytes().strip_prefix(b"application/grpc"))
    else {
        return false;
    };
    matches!(rest.first(), None | Some(b'+' | b';'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_grpc_request_is_known_by_its_content_type() {
        for (kind, is) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=x", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            assert_eq!(is_grpc(&head(&[("content-type", kind)])), is, "{kind}");
        }
    }

    #[test]
    fn case_11_a_pushback_is_a_wait_and_a_negative_or_unreadable_one_forbids_another_attempt() {
        let class = |value| class(Code::UNAVAILABLE, &head(&[(PUSHBACK, value)])).unwrap();
        let wait = |ms| Class::new(FaultKind::Throttled { retry_after: Some(Duration::from_millis(ms)) });
        assert_eq!(class("250"), wait(250));
        assert_eq!(class("0"), wait(0));
        assert_eq!(class("99999999999999999999999"), wait(u64::MAX));
        for told in ["-1", "", "soon", "1.5"] {
            assert_eq!(class(told), Class::new(FaultKind::Transient).barred(GaveUp::ToldNotTo), "{told:?}");
        }
    }

    #[test]
    fn a_status_that_cannot_be_read_is_unknown() {
        assert_eq!(Code::of(&head(&[(STATUS, "fourteen")])), Some(Code::UNKNOWN));
        assert_eq!(Code::of(&head(&[(STATUS, "14")])), Some(Code::UNAVAILABLE));
        assert_eq!(Code::of(&head(&[])), None);
    }
}
