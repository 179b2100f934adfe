//! What an operator does to a run: cancel it, let it go on, start another one from the middle of it.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::claim::next_token;
use super::runs::{input_of, run_columns, run_record};
use super::states::forget_states;
use super::steps::steps_of;
use super::{Ask, Executed};
use crate::checkpoint::error::StoreError;
use crate::checkpoint::record::{Fork, RunRecord, RunStatus, StepRecord, UnixMillis};
use crate::checkpoint::sqlite::writer::Hands;

/// Ends a run for good.
pub(in crate::checkpoint::sqlite) struct Cancel {
    pub(in crate::checkpoint::sqlite) run: String,
    pub(in crate::checkpoint::sqlite) at: UnixMillis,
}

impl Ask for Cancel {
    type Answer = bool;

    fn execute(&self, db: &Connection, hands: &mut Hands) -> Executed<bool> {
        let cancelled = db
            .prepare_cached(
                "UPDATE ft_run SET status = 'cancelled', owner = NULL, interrupted = 0, updated_at = max(updated_at, ?2), \
                 finished_at = ?2, expires_at = ?2 + keep_unfinished WHERE run = ?1 AND finished_at IS NULL",
            )?
            .execute(params![self.run, self.at])?;
        if cancelled > 0 {
            forget_states(db, &self.run, &hands.values)?;
        }
        Ok(Ok(cancelled > 0))
    }
}

/// Lets a parked run go on.
pub(in crate::checkpoint::sqlite) struct Resume {
    pub(in crate::checkpoint::sqlite) run: String,
    pub(in crate::checkpoint::sqlite) at: UnixMillis,
}

impl Ask for Resume {
    type Answer = bool;

    fn execute(&self, db: &Connection, _: &mut Hands) -> Executed<bool> {
        let resumed = db
            .prepare_cached(
                "UPDATE ft_run SET status = 'running', interrupted = 1, recoveries = 0, updated_at = max(updated_at, ?2) \
                 WHERE run = ?1 AND status = 'parked'",
            )?
            .execute(params![self.run, self.at])?;
        Ok(Ok(resumed > 0))
    }
}

impl Ask for Fork {
    type Answer = RunRecord;

    fn execute(&self, db: &Connection, hands: &mut Hands) -> Executed<RunRecord> {
        let values = &hands.values;
        let find = |run: &str| {
            db.prepare_cached(concat!("SELECT ", run_columns!(), " FROM ft_run WHERE run = ?1"))?
                .query_row([run], run_record)
                .optional()
        };
        if find(&self.into)?.is_some() {
            return Ok(Err(StoreError::RunExists { run: self.into.clone() }));
        }
        let no_such_step = || StoreError::NoSuchStep { run: self.run.clone(), step: self.from.clone() };
        let Some(origin) = find(&self.run)? else {
            return Ok(Err(no_such_step()));
        };
        let mut steps = steps_of(db, &self.run, values.files())?;
        let Some(before) = steps.iter().position(|step| *step.key == *self.from) else {
            return Ok(Err(no_such_step()));
        };
        steps.truncate(before);
        let moved = |moved: Result<Vec<u8>, StoreError>| {
            let mut moved: Arc<[u8]> = moved?.into();
            values.keep_now(&mut moved).map(|()| moved)
        };
        let input = input_of(db, &self.run, values.files())?;
        let input = match input.map(|input| moved(self.relocate_input(&input))).transpose() {
            Ok(input) => input,
            Err(error) => return Ok(Err(error)),
        };
        let token = next_token(db, 0)?;
        let fork = self.record(&origin, token, steps.len() as u64);
        db.prepare_cached(
            "INSERT INTO ft_run (run, function, version, status, owner, token, attempts, incarnation, created_at, \
             updated_at, keep_unfinished, arguments, steps, input) \
             SELECT ?2, function, version, 'running', NULL, ?3, 0, ?3, ?4, ?4, keep_unfinished, arguments, ?5, ?6 \
             FROM ft_run WHERE run = ?1",
        )?
        .execute(params![self.run, self.into, token as i64, self.at, fork.steps as i64, input.as_deref()])?;
        if let Some(input) = &input {
            values.named(db, &self.into, input)?;
        }
        for step in steps {
            let StepRecord { key, seq, schema, input, version, recorded_at, .. } = &step;
            let value = match moved(self.relocate(&step, origin.incarnation, token)) {
                Ok(value) => value,
                Err(error) => return Ok(Err(error)),
            };
            db.prepare_cached(
                "INSERT INTO ft_step (run, seq, key, schema, input, value, token, version, recorded_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                self.into,
                *seq as i64,
                &**key,
                schema,
                input.as_bytes().as_slice(),
                &*value,
                token as i64,
                version,
                recorded_at
            ])?;
            values.named(db, &self.into, &value)?;
        }
        debug_assert_eq!(fork.status, RunStatus::Running);
        Ok(Ok(fork))
    }
}
