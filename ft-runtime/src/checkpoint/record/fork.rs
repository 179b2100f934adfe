//! A run that starts from the middle of another one.

use std::fmt;
use std::sync::Arc;

use super::{RunRecord, RunStatus, StepRecord, UnixMillis, unix_now};
use crate::checkpoint::envelope::{self, Place};
use crate::checkpoint::error::StoreError;
use crate::checkpoint::sealing::Sealing;

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
    sealing: Relocating,
}

/// The keys that a fork or an import needs: equal to all others, since they are none of what is asked for.
#[derive(Clone, Default)]
pub(super) struct Relocating(pub(super) Arc<Sealing>);

impl PartialEq for Relocating {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Relocating {}

impl fmt::Debug for Relocating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Relocating")
    }
}

impl Fork {
    /// Starts `into` from the step `from` of `run`, now.
    pub fn new(run: impl Into<String>, from: impl Into<String>, into: impl Into<String>) -> Self {
        let sealing = Relocating::default();
        Self { run: run.into(), from: from.into(), into: into.into(), at: unix_now(), sealing }
    }

    /// With what the handle's values are sealed with.
    pub(crate) fn sealed(self, sealing: &Arc<Sealing>) -> Self {
        Self { sealing: Relocating(Arc::clone(sealing)), ..self }
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

    /// The value of a step of the run that was started by the grant `from`, sealed for its place in the new one, which
    /// starts with the grant `to`.
    ///
    /// A store calls it inside of its transaction: what is encrypted is bound to its place, and the keys are not the
    /// store's but those of the handle that asked for the fork.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unreadable`] for a value that cannot be opened; the store answers with it and changes nothing.
    pub fn relocate(&self, step: &StepRecord, from: u64, to: u64) -> Result<Vec<u8>, StoreError> {
        let place = |incarnation, run| Place::Step { incarnation, run, key: &step.key, input: step.input };
        let (from, to) = (place(from, &self.run), place(to, &self.into));
        self.moved(&step.value, &from, &to, &step.key, &format!("step `{}`", step.key))
    }

    /// As [`relocate`](Self::relocate), for the recorded arguments of the run.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unreadable`] as there.
    pub fn relocate_input(&self, input: &[u8]) -> Result<Vec<u8>, StoreError> {
        let (from, to) = (Place::Input { run: &self.run }, Place::Input { run: &self.into });
        self.moved(input, &from, &to, "its recorded arguments", "the recorded arguments")
    }

    fn moved(
        &self,
        value: &[u8],
        from: &Place<'_>,
        to: &Place<'_>,
        step: &str,
        what: &str,
    ) -> Result<Vec<u8>, StoreError> {
        envelope::relocate(value, from, to, &self.sealing.0).map_err(|error| StoreError::Unreadable {
            run: self.run.clone(),
            step: step.to_owned(),
            reason: error.about(&self.run, what.to_owned(), 0).to_string(),
        })
    }
}
