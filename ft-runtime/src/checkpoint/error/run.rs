//! Why a run, a step or a saved state could not go on.

use std::error::Error;
use std::fmt;

use super::StoreError;
use crate::checkpoint::counted::counted;
use crate::fault::{Fault, FaultKind};

/// Why a run, a step or a saved state could not go on.
///
/// Nothing recorded is overwritten in any of these cases, and a recorded step is never executed again on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The store could not be opened, read or written. The run stays resumable.
    Store(StoreError),
    /// The run is being executed already, by another living process or in this one.
    RunBusy {
        /// The run.
        run: String,
        /// The owner that holds it.
        owner: String,
    },
    /// The run id belongs to another function.
    RunIdReused {
        /// The run.
        run: String,
        /// The function that the run belongs to.
        recorded: String,
        /// The function that asked for it now.
        now: String,
    },
    /// The run was started with other arguments.
    RunInputChanged {
        /// The run.
        run: String,
        /// The names of those that differ.
        arguments: Vec<String>,
    },
    /// Another version of the code started the run.
    VersionChanged {
        /// The run.
        run: String,
        /// The version that started it.
        recorded: u32,
        /// The version of this code.
        now: u32,
    },
    /// The run was cancelled; cancelled is final.
    Cancelled {
        /// The run.
        run: String,
    },
    /// The run kept dying without getting any further, and waits for an operator.
    Parked {
        /// The run.
        run: String,
        /// How often it was recovered in vain.
        recoveries: u32,
    },
    /// The process is shutting down: the run was not begun, or was stopped and given back for another process to go on with.
    ShuttingDown {
        /// The run.
        run: String,
    },
    /// A step was recorded with other arguments.
    InputChanged {
        /// The run.
        run: String,
        /// The step.
        step: String,
        /// Fingerprint of the arguments when it was recorded.
        recorded: String,
        /// Fingerprint of the arguments now.
        now: String,
    },
    /// A step, or a saved state, was used twice under one key.
    DuplicateKey {
        /// The run.
        run: String,
        /// The step or state.
        step: String,
    },
    /// A step counted by its calls stands in a run with saved state, where the count does not survive a resume.
    KeyNeeded {
        /// The run.
        run: String,
        /// The step.
        step: String,
    },
    /// The run returned `Ok` while steps of it were still executing. Their results belong to it: it stays resumable.
    StepsExecuting {
        /// The run.
        run: String,
        /// How many steps.
        steps: usize,
    },
    /// There is no run around a step that asked for one, or around a saved state.
    NoRun {
        /// The step or state.
        step: String,
    },
    /// The name of a run, step or state cannot be used.
    BadName {
        /// What it was to name.
        what: &'static str,
        /// The name as given, cut if it is long.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A step in a transaction has no key.
    TxKeyNeeded {
        /// The run.
        run: String,
        /// The step, with the number that it would have.
        step: String,
    },
    /// Another execution has recorded a step in its transaction while this one was executing it.
    TxConflict {
        /// The run.
        run: String,
        /// The step.
        step: String,
    },
    /// The database of a step's transaction has no table for its record.
    TxTableMissing {
        /// The run.
        run: String,
        /// The step.
        step: String,
    },
    /// There is no transaction to record a step in: it was ended, or none was begun.
    TxEnded {
        /// The run.
        run: String,
        /// The step.
        step: String,
    },
    /// The database of a step's transaction failed to read or to write its record.
    TxFailed {
        /// The run.
        run: String,
        /// The step.
        step: String,
        /// What was being done.
        doing: &'static str,
        /// What the database said.
        reason: String,
        /// Whether the same transaction may succeed later without anyone changing anything.
        transient: bool,
    },
    /// A value is too large to be recorded.
    TooLarge {
        /// The run.
        run: String,
        /// What the value belongs to.
        what: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// A value could not be serialised.
    Encode {
        /// The run.
        run: String,
        /// What the value belongs to.
        what: String,
        /// What the serialiser said.
        reason: String,
    },
    /// A value was serialised, but what came out cannot be read back; found before anything was recorded.
    NotRoundTrip {
        /// The run.
        run: String,
        /// The step.
        step: String,
        /// What the deserialiser said.
        reason: String,
    },
    /// A recorded value does not fit the type that is asked for now.
    Decode {
        /// The run.
        run: String,
        /// What the value belongs to.
        what: String,
        /// What was recorded: schema and, where known, type.
        recorded: String,
        /// What is asked for now.
        now: String,
        /// What does not fit.
        reason: String,
    },
    /// A recorded value has a newer schema than this code.
    FutureSchema {
        /// The run.
        run: String,
        /// What the value belongs to.
        what: String,
        /// The schema recorded.
        recorded: u16,
        /// The schema of this code.
        now: u16,
    },
    /// A recorded value is damaged.
    Corrupt {
        /// The run.
        run: String,
        /// What the value belongs to.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A recorded value is encrypted with a key that the store handle was not given.
    KeyMissing {
        /// The run.
        run: String,
        /// What the value belongs to.
        what: String,
        /// The id of the key.
        key: u32,
        /// The ids of those that the handle was given.
        known: Vec<u32>,
    },
    /// A recorded value cannot be opened with the key that the store handle has under its id.
    WrongKey {
        /// The run.
        run: String,
        /// What the value belongs to.
        what: String,
        /// The id of the key.
        key: u32,
    },
    /// A recorded value is not encrypted, and the store handle has keys.
    NotEncrypted {
        /// The run.
        run: String,
        /// What the value belongs to.
        what: String,
    },
}

impl Fault for CheckpointError {
    /// Transient where the same call may succeed later without anyone changing anything.
    fn kind(&self) -> FaultKind {
        match self {
            Self::RunBusy { .. }
            | Self::ShuttingDown { .. }
            | Self::TxConflict { .. }
            | Self::TxFailed { transient: true, .. }
            | Self::Store(
                StoreError::Failed { .. }
                | StoreError::Locked { .. }
                | StoreError::LeaseLost { .. }
                | StoreError::RunBusy { .. }
                | StoreError::DeadlinePassed,
            ) => FaultKind::Transient,
            _ => FaultKind::Permanent,
        }
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::RunBusy { run, owner } => write!(
                f,
                "run `{run}` is being executed already (owner {owner}); wait for it to end, or give this work a run id of its own"
            ),
            Self::RunIdReused { run, recorded, now } => write!(
                f,
                "run `{run}` belongs to the function `{recorded}`, and `{now}` asked for it now; give each function its own run ids, or delete the old run"
            ),
            Self::RunInputChanged { run, arguments } => write!(
                f,
                "run `{run}` was started with other arguments (`{}`); its records were not used; put what tells inputs apart into its id (`run = format!(..)`), leave out what does not decide the work, or has no order, as a `HashSet` (`skip(..)`), or delete the run",
                arguments.join("`, `")
            ),
            Self::VersionChanged { run, recorded, now } => write!(
                f,
                "run `{run}` was started by version {recorded} of its code and this is version {now}; finish it with version {recorded}, set `version = {recorded}` if the change does not matter to it, let this version take it over with `migrate = function`, or delete the run"
            ),
            Self::ShuttingDown { run } => write!(
                f,
                "the process is shutting down: run `{run}` was not begun, or was stopped and given back; another process goes on with it, or takes the call"
            ),
            Self::Cancelled { run } => write!(f, "run `{run}` was cancelled; delete it to use its name again"),
            Self::Parked { run, recoveries } => write!(
                f,
                "run `{run}` was recovered {} in a row without getting any further, and is parked; find out what ends its process, then let it go on with Store::resume, or cancel it",
                counted(*recoveries, "time", "times")
            ),
            Self::InputChanged { run, step, recorded, now } => write!(
                f,
                "step `{step}` of run `{run}` was recorded with other arguments (fingerprint {recorded}, now {now}); its record was not used; give calls with different arguments different keys (`key = ..`), or leave arguments out that do not matter (`skip(..)`)"
            ),
            Self::DuplicateKey { run, step } => write!(
                f,
                "`{step}` is used twice in run `{run}`; its key must tell the calls apart: put what differs into `key = ..`; if a retry around several steps calls them again, put it on each step, or on the run"
            ),
            Self::KeyNeeded { run, step } => write!(
                f,
                "step `{step}` needs `key = ..`, because run `{run}` has saved state: after a resume its n-th call is not the n-th one any more"
            ),
            Self::StepsExecuting { run, steps } => write!(
                f,
                "run `{run}` returned while {steps} of its steps were still executing; wait for their tasks, or abort them, before it returns"
            ),
            Self::NoRun { step } => {
                write!(f, "`{step}` needs a run around it; call it from a function with `#[checkpoint(run = ..)]`")
            }
            Self::BadName { what, name, reason } => {
                write!(f, "`{name}` cannot name a {what}: {reason}")
            }
            Self::TxKeyNeeded { run, step } => write!(
                f,
                "step `{step}` of run `{run}` is recorded in a transaction and needs `key = ..`: counting its calls would take a second try, after its transaction was rolled back, for another step"
            ),
            Self::TxConflict { run, step } => write!(
                f,
                "another execution has done step `{step}` of run `{run}` meanwhile, and committed it; roll this transaction back and call again, then the step answers with that record"
            ),
            Self::TxTableMissing { run, step } => write!(
                f,
                "step `{step}` of run `{run}` cannot be recorded: the database of its transaction has no table `ft_tx_step`; create it once with create_table of ft_runtime::checkpoint::tx::sqlite or ::postgres, or put their TABLE into your migrations"
            ),
            Self::TxEnded { run, step } => write!(
                f,
                "step `{step}` of run `{run}` has no transaction to be recorded in; begin one before the step, and let its caller end it: a step itself neither commits nor rolls back"
            ),
            Self::TxFailed { run, step, doing, reason, .. } => write!(
                f,
                "the database failed when {doing} of step `{step}` in run `{run}`: {reason}; roll the transaction back"
            ),
            Self::TooLarge { run, what, limit } => write!(
                f,
                "the value of {what} in run `{run}` is larger than {limit} bytes; record a reference to it (a path, a key) instead of the data"
            ),
            Self::Encode { run, what, reason } => {
                write!(f, "the value of {what} in run `{run}` cannot be serialised: {reason}; nothing was recorded")
            }
            Self::NotRoundTrip { run, step, reason } => write!(
                f,
                "the result of step `{step}` in run `{run}` cannot be read back once it is serialised: {reason}; nothing was recorded; its Serialize and Deserialize must agree"
            ),
            Self::Decode { run, what, recorded, now, reason } => write!(
                f,
                "{what} of run `{run}` was recorded as {recorded} and is read as {now}: {reason}; make the type read the old form (`#[serde(default)]`, `#[serde(alias = ..)]`), finish the run with the code that started it, or delete the run"
            ),
            Self::FutureSchema { run, what, recorded, now } => write!(
                f,
                "{what} of run `{run}` has schema {recorded} and this code reads up to {now}; finish the run with the newer code"
            ),
            Self::Corrupt { run, what, reason } => write!(
                f,
                "{what} of run `{run}` is damaged: {reason}; restore the store from a backup, or delete the run to start it again from nothing"
            ),
            Self::KeyMissing { run, what, key, known } => write!(
                f,
                "{what} of run `{run}` is encrypted with key {key}, and the store was opened with {}; give it that key with Store::encrypt (`Keys::and`), or in FT_STORE_KEY",
                Ids(known)
            ),
            Self::WrongKey { run, what, key } => write!(
                f,
                "{what} of run `{run}` is encrypted with key {key} and does not open with what was given under that id: it is another key, or somebody without it has written the value; give the right key, or restore the store from a backup"
            ),
            Self::NotEncrypted { run, what } => write!(
                f,
                "{what} of run `{run}` is not encrypted, and the store was opened with keys; if it was recorded before there were any, read it with `Keys::and_plain`, else somebody without a key has written it"
            ),
        }
    }
}

/// Keys that are known, by their ids.
struct Ids<'a>(&'a [u32]);

impl fmt::Display for Ids<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<String> = self.0.iter().map(u32::to_string).collect();
        match ids.len() {
            0 => f.write_str("none"),
            1 => write!(f, "key {}", ids[0]),
            _ => write!(f, "keys {}", ids.join(", ")),
        }
    }
}

impl Error for CheckpointError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}
