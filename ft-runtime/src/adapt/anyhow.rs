//! `anyhow::Error` is judged by the first cause we know.

use std::fmt;
use std::time::Duration;

use crate::fault::{Fault, FaultKind, describe_chain, hint_of_chain, kind_of_chain, rejected_in_chain};
use crate::rejected::Rejected;

/// The first known error in the chain of causes decides ([`Rejected`], `io::Error`, those of features); an unknown one is permanent.
impl Fault for anyhow::Error {
    fn kind(&self) -> FaultKind {
        kind_of_chain(self.as_ref())
    }

    fn retry_after(&self) -> Option<Duration> {
        hint_of_chain(self.as_ref())
    }

    fn rejected(&self) -> Option<&Rejected> {
        rejected_in_chain(self.as_ref())
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe_chain(self.as_ref(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn context_on_top_does_not_hide_the_cause() {
        let error =
            Err::<(), _>(std::io::Error::from(std::io::ErrorKind::ConnectionReset)).context("loading").unwrap_err();
        assert_eq!(error.kind(), FaultKind::Transient);
        assert_eq!(anyhow::anyhow!("declined").kind(), FaultKind::Permanent);
        let refused = anyhow::Error::from(Rejected::BulkheadFull);
        assert!(matches!(refused.rejected(), Some(Rejected::BulkheadFull)));
    }
}
