//! A run, as a store knows it.

use std::time::Duration;

use super::{Claim, UnixMillis, millis};
use crate::checkpoint::arguments::Arguments;

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
    /// Nobody executes it because its execution was dropped or its process was shutting down, and not because it failed:
    /// it is to go on by itself.
    pub interrupted: bool,
    /// How often it was claimed since it was started.
    pub attempts: u32,
    /// Which start of the run this is: the token of the claim that started it, which no other start in the store has.
    pub incarnation: u64,
    /// How often in a row it was taken over from a process that died, without having recorded anything since.
    pub recoveries: u32,
    /// How many steps it has recorded.
    pub steps: u64,
    /// Bytes of its recorded arguments, if they were recorded; [`Store::input`](crate::checkpoint::Store::input) reads them.
    pub input_len: Option<u64>,
    /// Bytes of its sealed output, if it is finished; [`Store::output`](crate::checkpoint::Store::output) reads them.
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
            interrupted: false,
            attempts: 1,
            incarnation: token,
            recoveries: 0,
            steps: 0,
            input_len: claim.input.as_ref().map(|input| input.len() as u64),
            output_len: None,
            keep_unfinished: claim.kept(),
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
