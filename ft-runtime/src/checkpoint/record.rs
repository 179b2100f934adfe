//! What a store is asked to write, and what it answers: plain data, free of serde and of generics.
//!
//! Fields may be added, so each is made by its constructor and changed field by field.

mod abandoned;
mod claim;
mod copy;
mod finding;
mod fork;
mod retention;
mod run;
mod states;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use self::abandoned::{Abandoned, Left};
pub use self::claim::{Claim, Claimed, Granted};
pub(crate) use self::claim::{KEEP_UNFINISHED, MAX_RECOVERIES};
pub use self::copy::{Import, RunCopy};
pub use self::finding::Finding;
pub use self::fork::Fork;
pub use self::retention::{Collected, Excess, Forgotten, Gc};
pub use self::run::{Holder, RunRecord, RunStatus};
pub use self::states::{Newest, SaveState, StateRecord};
use super::fingerprint::InputHash;

/// Milliseconds since 1970-01-01T00:00Z.
pub type UnixMillis = i64;

/// The time of day, for records and their expiry. Nothing waits on it.
pub(crate) fn unix_now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    millis(since)
}

pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The right to write to one run: what every write is checked against, in the transaction that writes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// The run.
    pub run: Arc<str>,
    /// New with every claim and never granted again, even if the run is deleted; a write with an older one is refused.
    pub token: u64,
}

impl Lease {
    /// The right that a claim of `run` was granted with `token`.
    pub fn new(run: impl Into<Arc<str>>, token: u64) -> Self {
        Self { run: run.into(), token }
    }
}

/// A step's result on its way into the store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// Who writes.
    pub lease: Lease,
    /// Name and key of the step, unique in its run.
    pub key: Arc<str>,
    /// Schema of the value.
    pub schema: u16,
    /// Fingerprint of the arguments.
    pub input: InputHash,
    /// The sealed value.
    pub value: Arc<[u8]>,
    /// Version of the code that executes the run.
    pub version: u32,
    /// When it was recorded.
    pub at: UnixMillis,
}

impl Step {
    /// A step without arguments, recorded now: schema and version are 0.
    pub fn new(lease: Lease, key: impl Into<Arc<str>>, value: impl Into<Arc<[u8]>>) -> Self {
        let (input, at) = (InputHash::default(), unix_now());
        Self { lease, key: key.into(), schema: 0, input, value: value.into(), version: 0, at }
    }
}

/// A recorded step.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepRecord {
    /// Name and key of the step, unique in its run.
    pub key: Arc<str>,
    /// Its place among the steps of the run: 1, 2, 3, .. A gap is damage.
    pub seq: u64,
    /// Schema of the value.
    pub schema: u16,
    /// Fingerprint of the arguments.
    pub input: InputHash,
    /// The sealed value.
    pub value: Arc<[u8]>,
    /// Token of the claim that recorded it.
    pub token: u64,
    /// Version of the code that executed the run.
    pub version: u32,
    /// When it was recorded.
    pub recorded_at: UnixMillis,
}

impl StepRecord {
    /// What is recorded of `step`, the `seq`-th of its run.
    #[must_use]
    pub fn new(seq: u64, step: Step) -> Self {
        let Step { lease, key, schema, input, value, version, at } = step;
        Self { key, seq, schema, input, value, token: lease.token, version, recorded_at: at }
    }
}

/// The answer for one [`Step`] of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Appended {
    /// The step is durable.
    Recorded {
        /// Its place in the run.
        seq: u64,
    },
    /// The key was recorded before; that record stands.
    Already(StepRecord),
    /// The run was cancelled; nothing was written.
    Cancelled,
    /// The writer does not hold the run any more; nothing was written.
    Fenced {
        /// Who holds it now, if anyone does.
        owner: Option<String>,
    },
}

/// Ends a run with its result: the output is kept, the saved states are deleted, in one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finish {
    /// Who writes.
    pub lease: Lease,
    /// The sealed output.
    pub output: Arc<[u8]>,
    /// When the output may be forgotten and the name is free again; `None`: when the run is started again.
    pub expires_at: Option<UnixMillis>,
    /// When it finished.
    pub at: UnixMillis,
}

impl Finish {
    /// Ends a run now; its output is kept until the run is started again.
    pub fn new(lease: Lease, output: impl Into<Arc<[u8]>>) -> Self {
        Self { lease, output: output.into(), expires_at: None, at: unix_now() }
    }
}

/// Which runs to list, in the order of their ids.
///
/// ```
/// use ft_runtime::checkpoint::{Filter, RunStatus};
///
/// let orders = Filter::default().prefix("order-").status(RunStatus::Running).limit(100);
/// # assert_eq!((&*orders.prefix, orders.status, orders.limit), ("order-", Some(RunStatus::Running), 100));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Filter {
    /// Only ids that start with this.
    pub prefix: String,
    /// Only runs that stand here.
    pub status: Option<RunStatus>,
    /// Only ids after this one: the last id of the page before.
    pub after: Option<String>,
    /// At most so many (default 1000).
    pub limit: u32,
}

impl Filter {
    /// Only ids that start with this.
    #[must_use]
    pub fn prefix(self, prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), ..self }
    }

    /// Only runs that stand here.
    #[must_use]
    pub fn status(self, status: RunStatus) -> Self {
        Self { status: Some(status), ..self }
    }

    /// Only ids after this one: the last id of the page before.
    #[must_use]
    pub fn after(self, run: impl Into<String>) -> Self {
        Self { after: Some(run.into()), ..self }
    }

    /// At most so many.
    #[must_use]
    pub fn limit(self, limit: u32) -> Self {
        Self { limit, ..self }
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self { prefix: String::new(), status: None, after: None, limit: 1000 }
    }
}

/// The answer to a renewal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Renewed {
    /// Runs that this process held and holds no longer: they must stop.
    pub lost: Vec<String>,
    /// When to renew again; `None` where the kernel watches over the owner and no renewal is needed.
    pub next: Option<Duration>,
}
