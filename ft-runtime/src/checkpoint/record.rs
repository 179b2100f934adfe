//! What a store is asked to write, and what it answers: plain data, free of serde and of generics.
//!
//! Fields may be added, so each is made by its constructor and changed field by field.

mod fork;
mod retention;
mod states;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use self::fork::Fork;
pub use self::retention::{Collected, Excess, Forgotten, Gc};
pub use self::states::{Newest, SaveState, StateRecord};
use super::arguments::Arguments;
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

/// How long a run that is not finished is kept by default: 90 days.
pub(crate) const KEEP_UNFINISHED: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// How often a run is recovered by default without getting any further.
pub(crate) const MAX_RECOVERIES: u32 = 10;

/// Asks to execute a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claim {
    /// The run.
    pub run: Arc<str>,
    /// The function that executes it: the run belongs to the first one that claims it.
    pub function: Arc<str>,
    /// Version of the code that claims it.
    pub version: u32,
    /// What it is called with. A run that was started with something else is refused, unless it goes `again`.
    pub arguments: Arguments,
    /// A finished run starts again instead of answering.
    pub again: bool,
    /// How often in a row the run is taken over from a process that died, without having recorded anything since, before
    /// it is parked.
    pub max_recoveries: u32,
    /// How long the run is kept without being touched while it is not finished.
    pub keep_unfinished: Duration,
    /// The time of day, for expiry. A store with a clock of its own uses that.
    pub at: UnixMillis,
}

impl Claim {
    /// Asks for `run` now, by version 0 of `function`, not again if it is finished, to be kept for 90 days
    /// until it is, and parked after 10 recoveries.
    pub fn new(run: impl Into<Arc<str>>, function: impl Into<Arc<str>>) -> Self {
        let keep_unfinished = KEEP_UNFINISHED;
        let (run, function, arguments) = (run.into(), function.into(), Arguments::default());
        let (max_recoveries, at) = (MAX_RECOVERIES, unix_now());
        Self { run, function, version: 0, arguments, again: false, max_recoveries, keep_unfinished, at }
    }
}

impl Claim {
    /// The arguments that keep it from a run that was started with `recorded`.
    pub(crate) fn differing(&self, recorded: &Arguments) -> Option<Claimed> {
        let differ: Vec<String> = recorded.differing(&self.arguments).into_iter().map(String::from).collect();
        (!self.again && !differ.is_empty()).then_some(Claimed::OtherArguments { differ })
    }
}

/// The answer to a [`Claim`]. Nothing was changed unless it is `Granted`, or the run is parked now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Claimed {
    /// The run is the claimer's, until it is finished or released.
    Granted(Granted),
    /// The run is finished, and this is its sealed output.
    Finished(Arc<[u8]>),
    /// The run was cancelled.
    Cancelled,
    /// The run is parked.
    Parked {
        /// How often it was recovered in vain.
        recoveries: u32,
        /// It is this claim that has parked it.
        now: bool,
    },
    /// A living owner executes the run.
    Busy {
        /// That owner.
        owner: String,
    },
    /// The run belongs to another function.
    OtherFunction {
        /// That function.
        recorded: String,
    },
    /// The run was started with other arguments.
    OtherArguments {
        /// The names of those that differ.
        differ: Vec<String>,
    },
    /// Another version of the code started the run.
    OtherVersion {
        /// That version.
        recorded: u32,
    },
}

/// A run that was claimed, with all that is recorded of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Granted {
    /// What to write with from now on.
    pub token: u64,
    /// How often the run was claimed since it was started, this time included.
    pub attempts: u32,
    /// Which start of the run this is: the token of the claim that started it, which no other start in the store has.
    pub incarnation: u64,
    /// How many steps were recorded. Counted apart from them, so that none can be lost unseen.
    pub recorded: u64,
    /// Its recorded steps, in the order in which they were recorded.
    pub steps: Vec<StepRecord>,
    /// When it was started.
    pub created_at: UnixMillis,
    /// Other runs that the store has forgotten on the way.
    pub forgotten: Vec<Forgotten>,
}

impl Granted {
    /// A grant of a run that was started now and has recorded `steps`, as many as were `recorded`.
    #[must_use]
    pub fn new(token: u64, attempts: u32, incarnation: u64, recorded: u64, steps: Vec<StepRecord>) -> Self {
        let created_at = unix_now();
        Self { token, attempts, incarnation, recorded, steps, created_at, forgotten: Vec::new() }
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

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RunStatus {
    /// Started, not finished; being executed if it has an owner that lives.
    Running,
    /// Ended with a result.
    Finished,
    /// Ended by an operator.
    Cancelled,
    /// Recovered too often without getting any further: it waits for an operator.
    Parked,
}

impl RunStatus {
    pub(crate) const ALL: [Self; 4] = [Self::Running, Self::Finished, Self::Cancelled, Self::Parked];

    /// The name that stands in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
            Self::Parked => "parked",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// What the store knows of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunRecord {
    /// The run's id.
    pub run: String,
    /// The function that it belongs to.
    pub function: String,
    /// Version of the code that started it.
    pub version: u32,
    /// What it was started with.
    pub arguments: Arguments,
    /// Where it stands.
    pub status: RunStatus,
    /// Who executes it, if anyone does.
    pub owner: Option<String>,
    /// The token of its last claim.
    pub token: u64,
    /// How often it was claimed since it was started.
    pub attempts: u32,
    /// Which start of the run this is: the token of the claim that started it, which no other start in the store has.
    pub incarnation: u64,
    /// How often in a row it was taken over from a process that died, without having recorded anything since.
    pub recoveries: u32,
    /// How many steps it has recorded.
    pub steps: u64,
    /// Bytes of its sealed output, if it is finished; [`Store::output`](super::Store::output) reads them.
    pub output_len: Option<u64>,
    /// How long it is kept without being touched while it is not finished.
    pub keep_unfinished: Duration,
    /// When it was started.
    pub created_at: UnixMillis,
    /// When it was last claimed, given back or ended, or, within an hour, recorded in.
    pub updated_at: UnixMillis,
    /// When it finished.
    pub finished_at: Option<UnixMillis>,
    /// When its output may be forgotten.
    pub expires_at: Option<UnixMillis>,
}

impl RunRecord {
    /// A run that `owner` starts with this claim and this token.
    ///
    /// ```
    /// use ft_runtime::checkpoint::{Claim, RunRecord, RunStatus};
    ///
    /// let run = RunRecord::started(&Claim::new("order-42", "place_order"), "owner", 7);
    /// assert_eq!((run.status, run.token, run.attempts, run.incarnation), (RunStatus::Running, 7, 1, 7));
    /// ```
    pub fn started(claim: &Claim, owner: impl Into<String>, token: u64) -> Self {
        Self {
            run: claim.run.to_string(),
            function: claim.function.to_string(),
            version: claim.version,
            arguments: claim.arguments.clone(),
            status: RunStatus::Running,
            owner: Some(owner.into()),
            token,
            attempts: 1,
            incarnation: token,
            recoveries: 0,
            steps: 0,
            output_len: None,
            keep_unfinished: claim.keep_unfinished,
            created_at: claim.at,
            updated_at: claim.at,
            finished_at: None,
            expires_at: None,
        }
    }

    /// Whether its time is over, if nobody executes it.
    pub(crate) fn is_over(&self, now: UnixMillis) -> bool {
        let over = match self.finished_at {
            Some(_) => self.expires_at,
            None => Some(self.updated_at.saturating_add(millis(self.keep_unfinished))),
        };
        over.is_some_and(|at| at <= now)
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
