//! What may be deleted, and what was.

use std::time::Duration;

use super::{RunRecord, RunStatus, UnixMillis, millis, unix_now};

/// Which runs [`Store::gc`](super::super::Store::gc) deletes.
///
/// Results whose time is over (`keep`) always go. More goes by age and by number, for each status apart. A run that a
/// living process executes never goes, whatever its age.
///
/// ```
/// use ft_runtime::checkpoint::{Gc, RunStatus, Store};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), ft_runtime::StoreError> {
/// # let store = Store::open("memory:")?;
/// let month = Duration::from_secs(30 * 24 * 60 * 60);
/// let gc = Gc::new().older_than(RunStatus::Running, month).at_most(RunStatus::Finished, 10_000);
/// loop {
///     let collected = store.gc(gc.clone()).await?;
///     for run in &collected.runs {
///         println!("deleted {} ({})", run.run, run.status.as_str());
///     }
///     if !collected.more {
///         break;
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gc {
    /// Only ids that start with this.
    pub prefix: String,
    /// Only runs that stand here.
    pub only: Option<RunStatus>,
    /// Only say what would go.
    pub dry_run: bool,
    /// At most so many at once (default 1000): a long transaction keeps everybody else waiting.
    pub limit: u32,
    /// The time of day.
    pub at: UnixMillis,
    pub(in crate::checkpoint) older_than: [Option<Duration>; RunStatus::ALL.len()],
    pub(in crate::checkpoint) at_most: [Option<u32>; RunStatus::ALL.len()],
}

impl Gc {
    /// Deletes results whose time is over, and nothing else.
    #[must_use]
    pub fn new() -> Self {
        let (older_than, at_most) = ([None; RunStatus::ALL.len()], [None; RunStatus::ALL.len()]);
        Self { prefix: String::new(), only: None, dry_run: false, limit: 1000, at: unix_now(), older_than, at_most }
    }

    /// Only runs whose ids start with this.
    #[must_use]
    pub fn prefix(self, prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), ..self }
    }

    /// Runs of this status that nobody has touched (started, resumed, recorded in, ended) for so long.
    #[must_use]
    pub fn older_than(mut self, status: RunStatus, age: Duration) -> Self {
        self.older_than[status as usize] = Some(age);
        self
    }

    /// All runs of this status but the newest `number`.
    #[must_use]
    pub fn at_most(mut self, status: RunStatus, number: u32) -> Self {
        self.at_most[status as usize] = Some(number);
        self
    }

    /// Only runs that stand here, whatever else is asked for.
    #[must_use]
    pub fn only(self, status: RunStatus) -> Self {
        Self { only: Some(status), ..self }
    }

    /// Only says what would go.
    #[must_use]
    pub fn dry_run(self, dry_run: bool) -> Self {
        Self { dry_run, ..self }
    }

    /// At most so many at once.
    #[must_use]
    pub fn limit(self, limit: u32) -> Self {
        Self { limit, ..self }
    }

    /// Runs of this status last touched at this moment or before are too old.
    #[must_use]
    pub fn touched_before(&self, status: RunStatus) -> Option<UnixMillis> {
        self.older_than[status as usize].map(|age| self.at.saturating_sub(millis(age)))
    }

    /// How many runs of this status may stay.
    #[must_use]
    pub fn number(&self, status: RunStatus) -> Option<u32> {
        self.at_most[status as usize]
    }
}

impl Default for Gc {
    fn default() -> Self {
        Self::new()
    }
}

/// What [`Store::gc`](super::super::Store::gc) has deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Collected {
    /// The runs as they were, the one touched longest ago first.
    pub runs: Vec<RunRecord>,
    /// There are more to delete: the limit was reached.
    pub more: bool,
}

impl Collected {
    /// Of all `doomed` runs, the first `limit` in the order in which they go.
    #[must_use]
    pub fn of(mut doomed: Vec<RunRecord>, limit: u32) -> Self {
        doomed.sort_by(|a, b| (a.updated_at, &a.run).cmp(&(b.updated_at, &b.run)));
        doomed.dedup_by(|a, b| a.run == b.run);
        let limit = limit as usize;
        let more = doomed.len() > limit;
        doomed.truncate(limit);
        Self { runs: doomed, more }
    }
}

/// A run that a store has deleted by itself, on the way of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forgotten {
    /// The run.
    pub run: String,
    /// Where it stood.
    pub status: RunStatus,
    /// Why.
    pub why: Excess,
}

impl Forgotten {
    /// A run that was deleted.
    pub fn new(run: impl Into<String>, status: RunStatus, why: Excess) -> Self {
        Self { run: run.into(), status, why }
    }
}

/// Why a store deletes a run by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Excess {
    /// Its time is over: `keep`, or `keep_unfinished`.
    Age,
    /// The store holds more runs of its kind than it may; this was the oldest one.
    Number,
}

impl Excess {
    /// The stable lower-case name, as events print it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Number => "number",
        }
    }
}
