//! All of a run at once: read to be checked or carried away, and put in again.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::claim::next_token;
use super::runs::{input_of, output_of, run_columns, run_record};
use super::states::saved_of;
use super::steps::steps_of;
use super::{Ask, Executed, Look};
use crate::checkpoint::error::StoreError;
use crate::checkpoint::record::{Import, RunCopy, RunRecord, RunStatus, StateRecord, StepRecord, millis};
use crate::checkpoint::sqlite::values::{Files, Values};
use crate::checkpoint::sqlite::writer::Hands;

/// Reads all of a run, at one moment.
pub(in crate::checkpoint::sqlite) struct Export(pub(in crate::checkpoint::sqlite) String);

impl Look for Export {
    type Answer = Option<RunCopy>;

    fn look(&self, db: &Connection, files: &Files) -> rusqlite::Result<Option<RunCopy>> {
        let moment = db.unchecked_transaction()?;
        let run = moment
            .prepare_cached(concat!("SELECT ", run_columns!(), " FROM ft_run WHERE run = ?1"))?
            .query_row([&self.0], run_record)
            .optional()?;
        let Some(run) = run else { return Ok(None) };
        let (steps, states) = (steps_of(&moment, &self.0, files)?, saved_of(&moment, &self.0, files)?);
        let (input, output) = (input_of(&moment, &self.0, files)?, output_of(&moment, &self.0, files)?);
        Ok(Some(RunCopy { run, steps, states, input, output }))
    }
}

impl Ask for Import {
    type Answer = RunRecord;

    fn size(&self) -> usize {
        let steps: usize = self.copy.steps.iter().map(|step| step.value.len()).sum();
        let states: usize = self.copy.states.iter().map(|state| state.value.len()).sum();
        let (input, output) = (self.copy.input.as_ref(), self.copy.output.as_ref());
        steps + states + input.map_or(0, |input| input.len()) + output.map_or(0, |output| output.len())
    }

    fn prepare(&mut self, values: &Values) -> Result<(), StoreError> {
        self.check()?;
        match self.renames() {
            // They are sealed for their new place first, which is known inside of the transaction.
            true => Ok(()),
            false => values_of(&mut self.copy).try_for_each(|value| values.keep(value)),
        }
    }

    fn execute(&self, db: &Connection, hands: &mut Hands) -> Executed<RunRecord> {
        let there = db.prepare_cached("SELECT 1 FROM ft_run WHERE run = ?1")?.exists([&self.into])?;
        if there {
            return Ok(Err(StoreError::RunExists { run: self.into.clone() }));
        }
        db.prepare_cached("UPDATE ft_meta SET value = max(value, ?1) WHERE name = 'token'")?
            .execute([self.last_token() as i64])?;
        let mut copy = match self.settled(next_token(db, self.last_token())?) {
            Ok(copy) => copy,
            Err(refused) => return Ok(Err(refused)),
        };
        if self.renames() {
            let mut kept = values_of(&mut copy).map(|value| hands.values.keep(value));
            if let Err(failed) = kept.by_ref().collect::<Result<(), _>>().and_then(|()| hands.values.sync()) {
                return Ok(Err(failed));
            }
        }
        insert_run(db, &copy)?;
        copy.steps.iter().try_for_each(|step| insert_step(db, &copy.run.run, step))?;
        copy.states.iter().try_for_each(|state| insert_state(db, &copy.run.run, state))?;
        let run = copy.run.clone();
        values_of(&mut copy).try_for_each(|value| hands.values.named(db, &run.run, value))?;
        Ok(Ok(run))
    }
}

fn values_of(copy: &mut RunCopy) -> impl Iterator<Item = &mut Arc<[u8]>> {
    let steps = copy.steps.iter_mut().map(|step| &mut step.value);
    let states = copy.states.iter_mut().map(|state| &mut state.value);
    steps.chain(states).chain(&mut copy.input).chain(&mut copy.output)
}

fn insert_run(db: &Connection, copy: &RunCopy) -> rusqlite::Result<()> {
    let run = &copy.run;
    db.prepare_cached(
        "INSERT INTO ft_run (run, function, version, status, owner, token, attempts, incarnation, steps, \
         keep_unfinished, arguments, recoveries, output, created_at, updated_at, finished_at, expires_at, \
         interrupted, input) VALUES (?1, ?2, ?3, ?4, NULL, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
    )?
    .execute(params![
        run.run,
        run.function,
        run.version,
        RunStatus::as_str(run.status),
        run.token as i64,
        run.attempts,
        run.incarnation as i64,
        run.steps as i64,
        millis(run.keep_unfinished),
        run.arguments.to_bytes(),
        run.recoveries,
        copy.output.as_deref(),
        run.created_at,
        run.updated_at,
        run.finished_at,
        run.expires_at,
        run.interrupted,
        copy.input.as_deref()
    ])
    .map(drop)
}

fn insert_step(db: &Connection, run: &str, step: &StepRecord) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO ft_step (run, seq, key, schema, input, value, token, version, recorded_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        run,
        step.seq as i64,
        &*step.key,
        step.schema,
        step.input.as_bytes().as_slice(),
        &*step.value,
        step.token as i64,
        step.version,
        step.recorded_at
    ])
    .map(drop)
}

fn insert_state(db: &Connection, run: &str, state: &StateRecord) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO ft_state (run, name, generation, type_name, value, steps, token, version, recorded_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        run,
        &*state.name,
        state.generation as i64,
        state.type_name,
        &*state.value,
        state.steps as i64,
        state.token as i64,
        state.version,
        state.recorded_at
    ])
    .map(drop)
}
