//! Runs, steps and saved state.

mod around;
mod backend;
pub mod envelope;
mod error;
mod fingerprint;
mod memory;
mod owner;
mod policy;
mod record;
mod run;
mod saved;
#[cfg(test)]
mod scratch;
mod sqlite;
mod step;
mod store;
#[cfg(test)]
mod tests;
mod ticket;
mod value;

pub(crate) use self::around::Around;
pub use self::backend::Backend;
pub use self::error::{CheckpointError, StoreError};
pub use self::fingerprint::{Fingerprint, InputHash};
pub use self::policy::{Again, Checkpoint, Every};
pub use self::record::{
    Appended, Claim, Claimed, Filter, Finish, Granted, Lease, Newest, Renewed, RunRecord, RunStatus, SaveState,
    StateRecord, Step, StepRecord, UnixMillis,
};
pub use self::run::{RunCall, RunSession};
pub use self::saved::Saved;
pub use self::step::{IdempotencyKey, StepCall, StepSession, idempotency_key};
pub use self::store::Store;
pub use self::ticket::{Reply, Ticket, ticket};
pub use self::value::Recorded;

/// How events name this policy.
const POLICY: &str = "checkpoint";

/// Finished runs that are kept; beyond it the oldest are forgotten before their time.
const KEPT_RUNS: usize = if cfg!(test) { 8 } else { 100_000 };

/// Finished runs that one claim forgets at most because their time is over.
const PRUNED_AT_ONCE: usize = if cfg!(test) { 4 } else { 64 };
