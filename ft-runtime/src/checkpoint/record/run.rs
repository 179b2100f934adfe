//! A run, as a store knows it.

use std::time::Duration;

use super::{Claim, StateRecord, StepRecord, UnixMillis, millis};
use crate::checkpoint::HTTP_FUNCTION;
use crate::checkpoint::arguments::Arguments;
use crate::checkpoint::envelope::Place;

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
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Running, Self::Finished, Self::Cancelled, Self::Parked];

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

    /// The status of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
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

    /// Whether it is an HTTP request under its key, which goes on when its client sends it again.
    ///
    /// ```
    /// use ft_runtime::checkpoint::{Claim, HTTP_FUNCTION, RunRecord};
    ///
    /// assert!(RunRecord::started(&Claim::new("http-42", HTTP_FUNCTION), "owner", 7).is_http_request());
    /// assert!(!RunRecord::started(&Claim::new("http-42", "place_order"), "owner", 7).is_http_request());
    /// ```
    #[must_use]
    pub fn is_http_request(&self) -> bool {
        // A function that only has its name may record arguments.
        self.function == HTTP_FUNCTION && self.input_len.is_none()
    }

    /// Where the value of a step of this run stands: what [`Envelope::parse`](crate::checkpoint::envelope::Envelope::parse)
    /// asks for.
    #[must_use]
    pub fn place_of_step<'a>(&'a self, step: &'a StepRecord) -> Place<'a> {
        Place::Step { incarnation: self.incarnation, run: &self.run, key: &step.key, input: step.input }
    }

    /// Where the value of a version of a saved state of this run stands.
    #[must_use]
    pub fn place_of_state<'a>(&'a self, state: &'a StateRecord) -> Place<'a> {
        Place::State {
            incarnation: self.incarnation,
            run: &self.run,
            name: &state.name,
            type_name: &state.type_name,
            generation: state.generation,
        }
    }

    /// Where the recorded arguments of this run stand.
    #[must_use]
    pub fn place_of_input(&self) -> Place<'_> {
        Place::Input { run: &self.run }
    }

    /// Where the output of this run stands.
    #[must_use]
    pub fn place_of_output(&self) -> Place<'_> {
        Place::Output { run: &self.run }
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

/// A run that a living owner executes, and what is known of that owner.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Holder {
    /// The run.
    pub run: String,
    /// The owner: one process start.
    pub owner: String,
    /// What the process calls itself, such as `process 4711 (orders)`; numbers of processes mean something on their host,
    /// and in their container, only.
    pub process: Option<String>,
}

impl Holder {
    /// A run and its living owner, of whose process nothing is known.
    pub fn new(run: impl Into<String>, owner: impl Into<String>) -> Self {
        Self { run: run.into(), owner: owner.into(), process: None }
    }
}
