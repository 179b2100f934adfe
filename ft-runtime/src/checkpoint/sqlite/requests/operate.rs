//! What an operator does to a run: cancel it, let it go on, start another one from the middle of it.

use rusqlite::{Connection, OptionalExtension, params};

use super::claim::next_token;
use super::runs::{input_of, run_columns, run_record};
use super::steps::steps_of;
use super::{Ask, Executed};
use crate::checkpoint::envelope::relocate;
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

    fn execute(&self, db: &Connection, _: &mut Hands) -> Executed<bool> {
        let cancelled = db
            .prepare_cached(
                "UPDATE ft_run SET status = 'cancelled', owner = NULL, interrupted = 0, updated_at = max(updated_at, ?2), \
                 finished_at = ?2, expires_at = ?2 + keep_unfinished WHERE run = ?1 AND finished_at IS NULL",
            )?
            .execute(params![self.run, self.at])?;
        if cancelled > 0 {
            db.prepare_cached("DELETE FROM ft_state WHERE run = ?1")?.execute([&self.run])?;
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

    fn execute(&self, db: &Connection, _: &mut Hands) -> Executed<RunRecord> {
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
        let mut steps = steps_of(db, &self.run)?;
        let Some(before) = steps.iter().position(|step| *step.key == *self.from) else {
            return Ok(Err(no_such_step()));
        };
        steps.truncate(before);
        let (from, to) = self.input_places();
        let input = match input_of(db, &self.run)?.map(|input| relocate(&input, &from, &to)) {
            Some(None) => return Ok(Err(self.damaged_input())),
            input => input.flatten(),
        };
        let token = next_token(db, 0)?;
        let fork = self.record(&origin, token, steps.len() as u64);
        db.prepare_cached(
            "INSERT INTO ft_run (run, function, version, status, owner, token, attempts, incarnation, created_at, \
             updated_at, keep_unfinished, arguments, steps, input) \
             SELECT ?2, function, version, 'running', NULL, ?3, 0, ?3, ?4, ?4, keep_unfinished, arguments, ?5, ?6 \
             FROM ft_run WHERE run = ?1",
        )?
        .execute(params![self.run, self.into, token as i64, self.at, fork.steps as i64, input])?;
        for step in steps {
            let StepRecord { key, seq, schema, input, version, recorded_at, .. } = &step;
            let (from, to) = self.places(&step, origin.incarnation, token);
            let Some(value) = relocate(&step.value, &from, &to) else {
                return Ok(Err(self.damaged(&step)));
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
                value,
                token as i64,
                version,
                recorded_at
            ])?;
        }
        debug_assert_eq!(fork.status, RunStatus::Running);
        Ok(Ok(fork))
    }
}
