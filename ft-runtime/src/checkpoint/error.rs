//! What can go wrong with runs, steps, saved state and the store under them.
//!
//! Every message says what was found, where, and what to do; and in every one of these cases the store is left as
//! it was.

mod run;
mod store;

pub use self::run::CheckpointError;
pub use self::store::StoreError;
use crate::rejected::Rejected;

impl From<StoreError> for CheckpointError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::RunCancelled { run } => Self::Cancelled { run },
            error => Self::Store(error),
        }
    }
}

impl From<CheckpointError> for Rejected {
    fn from(error: CheckpointError) -> Self {
        Self::Checkpoint(Box::new(error))
    }
}

impl From<StoreError> for Rejected {
    fn from(error: StoreError) -> Self {
        CheckpointError::from(error).into()
    }
}
