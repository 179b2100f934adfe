//! The JSON of what stands in a store. Fields may be added; none is renamed or taken away.

use ft_runtime::checkpoint::{Finding, RunRecord, StateRecord, StepRecord, Store, UnixMillis};
use serde::{Serialize, Serializer};

use crate::human::rfc3339;
use crate::standing::{Holders, Standing};
use crate::value::Recorded;

/// A run.
#[derive(Debug, Serialize)]
pub(crate) struct Run {
    run: String,
    standing: &'static str,
    why: String,
    status: &'static str,
    function: String,
    version: u32,
    steps: u64,
    attempts: u32,
    recoveries: u32,
    owner: Option<Owner>,
    token: u64,
    incarnation: u64,
    output_size: Option<u64>,
    created_at: Moment,
    updated_at: Moment,
    finished_at: Option<Moment>,
    expires_at: Option<Moment>,
}

#[derive(Debug, Serialize)]
struct Owner {
    id: String,
    lives: bool,
    process: Option<String>,
}

impl Run {
    pub(crate) fn new(run: &RunRecord, holders: &Holders) -> Self {
        let standing = Standing::of(run, holders);
        let owner = run.owner.as_ref().map(|id| Owner {
            id: id.clone(),
            lives: standing == Standing::Running,
            process: holders.get(&run.run).and_then(|holder| holder.process.clone()),
        });
        Self {
            run: run.run.clone(),
            standing: standing.as_str(),
            why: standing.why(run, holders),
            status: run.status.as_str(),
            function: run.function.clone(),
            version: run.version,
            steps: run.steps,
            attempts: run.attempts,
            recoveries: run.recoveries,
            owner,
            token: run.token,
            incarnation: run.incarnation,
            output_size: run.output_len,
            created_at: Moment(run.created_at),
            updated_at: Moment(run.updated_at),
            finished_at: run.finished_at.map(Moment),
            expires_at: run.expires_at.map(Moment),
        }
    }
}

/// A recorded step.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    seq: u64,
    step: String,
    recorded_at: Moment,
    arguments: String,
    schema: u16,
    version: u32,
    token: u64,
    size: usize,
    #[serde(flatten)]
    value: ValueOf,
}

impl Step {
    pub(crate) fn new(store: &Store, run: &RunRecord, step: &StepRecord) -> Self {
        Self {
            seq: step.seq,
            step: step.key.to_string(),
            recorded_at: Moment(step.recorded_at),
            arguments: step.input.to_string(),
            schema: step.schema,
            version: step.version,
            token: step.token,
            size: step.value.len(),
            value: ValueOf(Recorded::open(store, &step.value, &run.place_of_step(step))),
        }
    }
}

/// A version of a saved state.
#[derive(Debug, Serialize)]
pub(crate) struct State {
    name: String,
    generation: u64,
    type_name: String,
    saved_at: Moment,
    steps: u64,
    schema: Option<u16>,
    version: u32,
    token: u64,
    size: usize,
    #[serde(flatten)]
    value: ValueOf,
}

impl State {
    pub(crate) fn new(store: &Store, run: &RunRecord, state: &StateRecord) -> Self {
        let value = Recorded::open(store, &state.value, &run.place_of_state(state));
        Self {
            name: state.name.to_string(),
            generation: state.generation,
            type_name: state.type_name.clone(),
            saved_at: Moment(state.recorded_at),
            steps: state.steps,
            schema: value.schema(),
            version: state.version,
            token: state.token,
            size: state.value.len(),
            value: ValueOf(value),
        }
    }
}

/// The output of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Output {
    size: usize,
    schema: Option<u16>,
    #[serde(flatten)]
    value: ValueOf,
}

impl Output {
    pub(crate) fn new(store: &Store, run: &RunRecord, sealed: &[u8]) -> Self {
        let value = Recorded::open(store, sealed, &run.place_of_output());
        Self { size: sealed.len(), schema: value.schema(), value: ValueOf(value) }
    }

    pub(crate) fn size(&self) -> u64 {
        self.size as u64
    }

    pub(crate) fn recorded(&self) -> &Recorded {
        &self.value.0
    }
}

/// `outcome`, `value` and `problem`.
#[derive(Debug)]
struct ValueOf(Recorded);

impl Serialize for ValueOf {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("outcome", &self.0.outcome())?;
        map.serialize_entry("value", &self.0.value())?;
        map.serialize_entry("problem", &self.0.problem())?;
        map.end()
    }
}

/// A defect.
#[derive(Debug, Serialize)]
pub(crate) struct Defect {
    run: Option<String>,
    at: Option<String>,
    what: String,
}

impl From<&Finding> for Defect {
    fn from(finding: &Finding) -> Self {
        Self { run: finding.run.clone(), at: finding.at.clone(), what: finding.what.clone() }
    }
}

/// RFC 3339.
#[derive(Debug)]
pub(crate) struct Moment(pub(crate) UnixMillis);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&rfc3339(self.0))
    }
}
