//! hyper's errors know whether a connection was made, and how it ended.

use std::error::Error as StdError;
use std::fmt;

use hyper_util::client::legacy;

use crate::fault::{Fault, FaultKind, known_kind_of_chain};

/// What the other side wrote and cannot be read, and mistakes of the program, are `Permanent`. For everything else the
/// connection is to blame: a known cause (an `io::Error`) decides, and without one it is `Transient`, since the request may
/// have run: a connection that was closed before the whole answer was there.
impl Fault for hyper::Error {
    fn kind(&self) -> FaultKind {
        if self.is_parse() || self.is_user() {
            return FaultKind::Permanent;
        }
        self.source().and_then(known_kind_of_chain).unwrap_or(FaultKind::Transient)
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A fixed text for each kind of error; causes are links of their own.
        write!(f, "http: {self}")
    }
}

/// A connection that was never made is `Unsent`, whatever kept it; otherwise as [`hyper::Error`].
impl Fault for legacy::Error {
    fn kind(&self) -> FaultKind {
        if self.is_connect() {
            return FaultKind::Unsent;
        }
        self.source().and_then(known_kind_of_chain).unwrap_or(FaultKind::Transient)
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_connect() { "http client: not connected" } else { "http client" })?;
        match self.source().and_then(|cause| cause.downcast_ref::<hyper::Error>()) {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}
