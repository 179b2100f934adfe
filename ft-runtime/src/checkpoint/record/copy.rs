//! All of a run at one moment: to be checked, and to be carried to another store.

use std::collections::HashSet;
use std::sync::Arc;

use super::fork::Relocating;
use super::{Finding, RunRecord, RunStatus, StateRecord, StepRecord, UnixMillis, unix_now};
use crate::checkpoint::envelope::{EnvelopeError, Header, Place, relocate};
use crate::checkpoint::error::StoreError;
use crate::checkpoint::sealing::Sealing;

/// No store has granted so many tokens. Beyond it, SQLite could not count on.
const MAX_TOKEN: u64 = 1 << 53;

/// All that a store holds of a run, read at one moment.
///
/// ```
/// use ft_runtime::checkpoint::{Claim, Claimed, Store};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), ft_runtime::StoreError> {
/// let (store, other) = (Store::open("memory:")?, Store::open("memory:")?);
/// let _ = store.backend().claim(Claim::new("order-42", "place_order")).await?;
///
/// let copy = store.export("order-42").await?.unwrap();
/// assert!(copy.findings().is_empty());
/// let imported = other.import(copy, None).await?;
/// assert_eq!((&*imported.run, imported.owner), ("order-42", None));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunCopy {
    /// The run itself.
    pub run: RunRecord,
    /// Its recorded steps, in the order in which they were recorded.
    pub steps: Vec<StepRecord>,
    /// Its saved states: by name, and for each name the newest version first.
    pub states: Vec<StateRecord>,
    /// Its sealed arguments, if they were recorded.
    pub input: Option<Arc<[u8]>>,
    /// Its sealed output, if it is finished.
    pub output: Option<Arc<[u8]>>,
}

impl RunCopy {
    /// A run of which nothing is recorded.
    #[must_use]
    pub fn new(run: RunRecord) -> Self {
        Self { run, steps: Vec::new(), states: Vec::new(), input: None, output: None }
    }

    /// What is wrong with it: damaged values, and steps that are missing. What is encrypted is checked without its key:
    /// it is whole. Whether it was made with that key is said by [`Store::unseal`](crate::checkpoint::Store::unseal).
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let run = &*self.run.run;
        let mut findings = Vec::new();
        let mut find = |at: Option<String>, what: String| findings.push(Finding::new(Some(run.into()), at, what));
        for (expected, step) in (1..).zip(&self.steps) {
            if step.seq != expected {
                find(
                    Some(at_step(step)),
                    format!("it is number {} of the run where {expected} was expected", step.seq),
                );
                break;
            }
        }
        if self.run.steps != self.steps.len() as u64 {
            find(None, format!("it has recorded {} steps, and {} are there", self.run.steps, self.steps.len()));
        }
        let mut keys = HashSet::new();
        for step in &self.steps {
            if !keys.insert(&step.key) {
                find(Some(at_step(step)), "it is recorded twice".into());
            }
        }
        for (at, place, value) in self.values() {
            // What is intact and cannot be understood here, as a newer version's, is none of our business.
            if let Err(EnvelopeError::Corrupt { what }) = Header::read(value, &place) {
                find(Some(at), format!("it is damaged: {what}"));
            }
        }
        match (self.run.status, &self.output) {
            (RunStatus::Finished, None) => find(None, "it is finished and has no output".into()),
            (RunStatus::Finished, Some(_)) | (_, None) => {}
            (status, Some(_)) => find(None, format!("it is {} and has an output", status.as_str())),
        }
        findings
    }

    /// Every value that is recorded of it: what it is called, where it stands, and the sealed bytes.
    pub fn values(&self) -> impl Iterator<Item = (String, Place<'_>, &Arc<[u8]>)> {
        let steps = self.steps.iter().map(|step| (at_step(step), self.run.place_of_step(step), &step.value));
        let states = self.states.iter().map(|state| (at_state(state), self.run.place_of_state(state), &state.value));
        let input = self.input.iter().map(|input| ("arguments".to_owned(), self.run.place_of_input(), input));
        let output = self.output.iter().map(|output| ("output".to_owned(), self.run.place_of_output(), output));
        steps.chain(states).chain(input).chain(output)
    }
}

fn at_step(step: &StepRecord) -> String {
    format!("step `{}`", step.key)
}

fn at_state(state: &StateRecord) -> String {
    format!("state `{}` version {}", state.name, state.generation)
}

/// Puts a copy into a store, as a run that nobody executes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Import {
    /// What to put in.
    pub copy: RunCopy,
    /// The id that it gets. Under another one than it had it is another run: its steps get other idempotency keys.
    pub into: String,
    /// When.
    pub at: UnixMillis,
    sealing: Relocating,
}

impl Import {
    /// Puts `copy` in under its own id, now.
    #[must_use]
    pub fn new(copy: RunCopy) -> Self {
        Self { into: copy.run.run.clone(), copy, at: unix_now(), sealing: Relocating::default() }
    }

    /// With what the handle's values are sealed with.
    pub(crate) fn sealed(self, sealing: &Arc<Sealing>) -> Self {
        Self { sealing: Relocating(Arc::clone(sealing)), ..self }
    }

    /// Whether it gets another id than it had.
    pub(crate) fn renames(&self) -> bool {
        self.into != self.copy.run.run
    }

    /// A token that the store must have left behind before it grants one: the imported run's tokens stay the past.
    pub(crate) fn last_token(&self) -> u64 {
        self.copy.run.token.max(self.copy.run.incarnation)
    }

    /// Refuses what should not get into any store.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let refused = |reason: String| StoreError::NotImported { run: self.copy.run.run.clone(), reason };
        if self.last_token() >= MAX_TOKEN {
            return Err(refused(format!("its token is {}, which no store has granted", self.last_token())));
        }
        match self.copy.findings().first() {
            Some(finding) => Err(refused(finding.to_string())),
            None => Ok(()),
        }
    }

    /// The copy as it stands in its new place, by the grant of `token`. Checked before.
    pub(crate) fn settled(&self, token: u64) -> Result<RunCopy, StoreError> {
        let (from, mut copy) = (&self.copy.run, self.copy.clone());
        let renamed = self.renames();
        let to = &mut copy.run;
        to.run.clone_from(&self.into);
        to.owner = None;
        to.token = token;
        // The same run goes on with the same idempotency keys: what it has begun over there is recognised.
        to.incarnation = if renamed { token } else { from.incarnation };
        // What went on by itself over there does so here.
        to.interrupted = to.status == RunStatus::Running && (from.interrupted || from.owner.is_some());
        if to.finished_at.is_none() {
            to.updated_at = to.updated_at.max(self.at);
            if renamed {
                // Two stores may count their incarnations alike, and start a run of this id at different moments.
                to.created_at = self.at;
            }
        }
        if !renamed {
            return Ok(copy);
        }
        let to = copy.run.clone();
        let moved = |value: &[u8], from: &Place<'_>, to: &Place<'_>| -> Result<Arc<[u8]>, StoreError> {
            let moved = relocate(value, from, to, &self.sealing.0).map(Arc::from);
            moved.map_err(|error| StoreError::NotImported {
                run: self.copy.run.run.clone(),
                reason: error.about(&self.copy.run.run, "a value".into(), 0).to_string(),
            })
        };
        for step in &mut copy.steps {
            step.value = moved(&step.value, &from.place_of_step(step), &to.place_of_step(step))?;
        }
        for state in &mut copy.states {
            state.value = moved(&state.value, &from.place_of_state(state), &to.place_of_state(state))?;
        }
        if let Some(input) = &mut copy.input {
            *input = moved(input, &from.place_of_input(), &to.place_of_input())?;
        }
        if let Some(output) = &mut copy.output {
            *output = moved(output, &from.place_of_output(), &to.place_of_output())?;
        }
        Ok(copy)
    }
}
