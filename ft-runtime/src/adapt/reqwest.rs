//! `reqwest::Error` knows whether a request was sent and what was answered.

use std::fmt;

use crate::fault::{Fault, FaultKind};

/// A connection that was never made is `Unsent`; a cut or slow one is `Transient`. Of the statuses (after
/// `error_for_status`) 429 and 503 are `Throttled` without a hint (the error does not carry the header), 408, 500, 502
/// and 504 are `Transient`; everything else is `Permanent`. Reports never show the URL: it may hold secrets.
impl Fault for reqwest::Error {
    fn kind(&self) -> FaultKind {
        if self.is_connect() {
            return FaultKind::Unsent;
        }
        if let Some(status) = self.status() {
            return match status.as_u16() {
                429 | 503 => FaultKind::Throttled { retry_after: None },
                408 | 500 | 502 | 504 => FaultKind::Transient,
                _ => FaultKind::Permanent,
            };
        }
        if self.is_builder() || self.is_redirect() || self.is_decode() {
            return FaultKind::Permanent;
        }
        if self.is_timeout() || self.is_request() || self.is_body() {
            FaultKind::Transient
        } else {
            FaultKind::Permanent
        }
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.is_timeout() {
            "timed out"
        } else if self.is_connect() {
            "not connected"
        } else if self.is_body() {
            "body cut off"
        } else if self.is_decode() {
            "body not readable"
        } else if self.is_redirect() {
            "too many redirects"
        } else if self.is_builder() {
            "request not valid"
        } else {
            "request failed"
        };
        match self.status() {
            Some(status) => write!(f, "http status {}", status.as_u16()),
            None => f.write_str(what),
        }
    }
}
