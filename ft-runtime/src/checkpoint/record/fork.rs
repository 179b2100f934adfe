//! A run that starts from the middle of another one.

use super::{RunRecord, RunStatus, StepRecord, UnixMillis, unix_now};
use crate::checkpoint::envelope::Place;
use crate::checkpoint::error::StoreError;

/// Starts the run `into` with the steps that `run` had recorded before its step `from`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fork {
    /// The run to start from; it stays as it is.
    pub run: String,
    /// The first step that the new run executes itself: its key, as [`StepRecord::key`] has it.
    pub from: String,
    /// The new run.
    pub into: String,
    /// When.
    pub at: UnixMillis,
}

impl Fork {
    /// Starts `into` from the step `from` of `run`, now.
    pub fn new(run: impl Into<String>, from: impl Into<String>, into: impl Into<String>) -> Self {
        Self { run: run.into(), from: from.into(), into: into.into(), at: unix_now() }
    }

    /// The new run, made from `origin` by the grant of `token`, with so many steps.
    pub(crate) fn record(&self, origin: &RunRecord, token: u64, steps: u64) -> RunRecord {
        RunRecord {
            run: self.into.clone(),
            status: RunStatus::Running,
            owner: None,
            token,
            interrupted: false,
            attempts: 0,
            incarnation: token,
            recoveries: 0,
            steps,
            output_len: None,
            created_at: self.at,
            updated_at: self.at,
            finished_at: None,
            expires_at: None,
            ..origin.clone()
        }
    }

    /// Where a step stands, and where its copy will.
    pub(crate) fn places<'a>(&'a self, step: &'a StepRecord, from: u64, to: u64) -> (Place<'a>, Place<'a>) {
        let place = |incarnation, run| Place::Step { incarnation, run, key: &step.key, input: step.input };
        (place(from, &self.run), place(to, &self.into))
    }

    /// Where the recorded arguments stand, and where their copy will.
    pub(crate) fn input_places(&self) -> (Place<'_>, Place<'_>) {
        (Place::Input { run: &self.run }, Place::Input { run: &self.into })
    }

    /// Recorded arguments that cannot be copied.
    pub(crate) fn damaged_input(&self) -> StoreError {
        StoreError::Unreadable { run: self.run.clone(), step: "its recorded arguments".into() }
    }

    /// A step whose value cannot be copied.
    pub(crate) fn damaged(&self, step: &StepRecord) -> StoreError {
        StoreError::Unreadable { run: self.run.clone(), step: step.key.to_string() }
    }
}
