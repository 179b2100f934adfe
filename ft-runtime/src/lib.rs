//! Fault tolerance for Rust: annotate a function, call a policy value, or stack a tower layer, and the same policy
//! protects the work in all three.
#![cfg_attr(docsrs, feature(doc_cfg))]

// Lets the expansions of our own attributes find `::ft_runtime` in this crate's tests.
extern crate self as ft_runtime;

mod adapt;
mod attempt;
mod attributes;
mod backoff;
mod budget;
mod bulkhead;
mod chaos;
#[cfg(feature = "checkpoint")]
pub mod checkpoint;
mod circuit_breaker;
mod coalesce;
mod context;
mod counter;
mod deadline;
mod error;
mod failover;
mod fallback;
mod fault;
mod faults;
mod health;
mod hedge;
pub mod judge;
mod keyed;
pub mod observe;
mod outcome;
mod pool;
mod random;
mod rate_limiter;
mod rejected;
mod retry;
mod roster;
mod round;
mod shared;
mod site;
mod sync;
pub mod testing;
mod time;
mod timeout;
mod turn;
mod wait;

pub use attempt::Attempt;
#[doc(inline)]
pub use attributes::{Fault, checkpoint, failover, retry, timeout};
pub use backoff::{Backoff, Delays, Jitter};
pub use budget::{Charge, RetryBudget};
#[cfg(feature = "checkpoint")]
pub use checkpoint::{
    Again, Checkpoint, CheckpointError, Every, IdempotencyKey, Saved, Store, StoreError, idempotency_key,
};
pub use context::{Context, Scoped};
pub use deadline::{Deadline, Under};
pub use error::Error;
pub use failover::{Among, Candidates, Failover, FailoverWith, Over, Prefer};
pub use fault::{Fault, FaultKind};
pub use faults::FaultEntry;
pub use health::Health;
pub use outcome::{Outcome, Refusable};
pub use pool::{AsPool, Pool, Target, Targets};
pub use rejected::{FromRejected, Invalid, Rejected};
pub use retry::{Attempts, Hint, Retry, RetryWith};
pub use roster::{Roster, TargetStatus};
pub use shared::Shared;
pub use site::{Entered, Site, sites};
pub use timeout::{Timeout, TimeoutCalls, TimeoutWith, TimingOut};
pub use wait::{Wait, Waiting};

/// What `ft-tower` needs beyond the documented surface. Not for anybody else, and without any promise.
#[doc(hidden)]
pub mod door {
    pub use crate::deadline::{under, under_blocking};
    pub use crate::observe::refused;
    pub use crate::round::{Advance, Round};
    pub use crate::time::{Sleep, sleep};
}
