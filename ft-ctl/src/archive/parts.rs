//! The payloads of the frames. Fields may be added, with a default; none is renamed or taken away.

use std::sync::Arc;
use std::time::Duration;

use ft_runtime::checkpoint as store;
use ft_runtime::checkpoint::{
    Arguments, Claim, InputHash, Lease, Newest, RunRecord, RunStatus, SaveState, StateRecord, StepRecord, UnixMillis,
};
use serde::{Deserialize, Serialize};

use super::bytes::Bytes;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Run {
    run: String,
    function: String,
    version: u32,
    arguments: Bytes,
    status: String,
    token: u64,
    attempts: u32,
    incarnation: u64,
    recoveries: u32,
    /// It was being executed, or is to go on by itself.
    interrupted: bool,
    steps: u64,
    input_len: Option<u64>,
    output_len: Option<u64>,
    /// Milliseconds.
    keep_unfinished: u64,
    created_at: UnixMillis,
    updated_at: UnixMillis,
    finished_at: Option<UnixMillis>,
    expires_at: Option<UnixMillis>,
}

impl From<&RunRecord> for Run {
    fn from(run: &RunRecord) -> Self {
        Self {
            run: run.run.clone(),
            function: run.function.clone(),
            version: run.version,
            arguments: Bytes(run.arguments.to_bytes()),
            status: run.status.as_str().into(),
            token: run.token,
            attempts: run.attempts,
            incarnation: run.incarnation,
            recoveries: run.recoveries,
            interrupted: run.interrupted || run.owner.is_some(),
            steps: run.steps,
            input_len: run.input_len,
            output_len: run.output_len,
            keep_unfinished: u64::try_from(run.keep_unfinished.as_millis()).unwrap_or(u64::MAX),
            created_at: run.created_at,
            updated_at: run.updated_at,
            finished_at: run.finished_at,
            expires_at: run.expires_at,
        }
    }
}

impl Run {
    /// `None` if no ft has written this.
    pub(super) fn into_record(self) -> Option<RunRecord> {
        let mut run = RunRecord::started(&Claim::new(self.run, self.function), "", self.token);
        run.owner = None;
        run.version = self.version;
        run.arguments = Arguments::from_bytes(&self.arguments.0)?;
        run.status = RunStatus::from_name(&self.status)?;
        run.attempts = self.attempts;
        run.incarnation = self.incarnation;
        run.recoveries = self.recoveries;
        run.steps = self.steps;
        run.interrupted = self.interrupted;
        run.input_len = self.input_len;
        run.output_len = self.output_len;
        run.keep_unfinished = Duration::from_millis(self.keep_unfinished);
        run.created_at = self.created_at;
        run.updated_at = self.updated_at;
        run.finished_at = self.finished_at;
        run.expires_at = self.expires_at;
        Some(run)
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Step {
    seq: u64,
    key: String,
    schema: u16,
    input: Bytes,
    value: Bytes,
    token: u64,
    version: u32,
    recorded_at: UnixMillis,
}

impl From<&StepRecord> for Step {
    fn from(step: &StepRecord) -> Self {
        Self {
            seq: step.seq,
            key: step.key.to_string(),
            schema: step.schema,
            input: Bytes(step.input.as_bytes().to_vec()),
            value: Bytes(step.value.to_vec()),
            token: step.token,
            version: step.version,
            recorded_at: step.recorded_at,
        }
    }
}

impl Step {
    pub(super) fn into_record(self) -> StepRecord {
        let mut step = store::Step::new(Lease::new("", self.token), self.key, self.value.0);
        step.schema = self.schema;
        // Of another length it is none, and the checksum of the value tells.
        step.input = <[u8; 16]>::try_from(&*self.input.0).map(InputHash::from_bytes).unwrap_or_default();
        step.version = self.version;
        step.at = self.recorded_at;
        StepRecord::new(self.seq, step)
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    name: String,
    generation: u64,
    type_name: String,
    value: Bytes,
    steps: u64,
    token: u64,
    version: u32,
    recorded_at: UnixMillis,
}

impl From<&StateRecord> for State {
    fn from(state: &StateRecord) -> Self {
        Self {
            name: state.name.to_string(),
            generation: state.generation,
            type_name: state.type_name.clone(),
            value: Bytes(state.value.to_vec()),
            steps: state.steps,
            token: state.token,
            version: state.version,
            recorded_at: state.recorded_at,
        }
    }
}

impl State {
    pub(super) fn into_record(self) -> StateRecord {
        let mut state = SaveState::new(Lease::new("", self.token), self.name, "", Arc::new(Newest::default()));
        state.version = self.version;
        state.at = self.recorded_at;
        let mut state = StateRecord::new(state, (self.generation, self.value.0.into()), self.steps);
        state.type_name = self.type_name;
        state
    }
}

/// Recorded arguments, or an output.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Value {
    value: Bytes,
}

impl From<&[u8]> for Value {
    fn from(sealed: &[u8]) -> Self {
        Self { value: Bytes(sealed.to_vec()) }
    }
}

impl Value {
    pub(super) fn into_sealed(self) -> Arc<[u8]> {
        self.value.0.into()
    }
}
