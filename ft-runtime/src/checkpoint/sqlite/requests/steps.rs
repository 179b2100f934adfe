//! Recording steps and reading them.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::runs::{to_touch, touch};
use super::{Ask, Executed, Look, count, fence, fenced, value};
use crate::checkpoint::error::StoreError;
use crate::checkpoint::fingerprint::InputHash;
use crate::checkpoint::record::{Appended, Step, StepRecord};
use crate::checkpoint::sqlite::values::{Files, Values};
use crate::checkpoint::sqlite::writer::Hands;

/// Records steps.
pub(in crate::checkpoint::sqlite) struct Append(pub(in crate::checkpoint::sqlite) Vec<Step>);

impl Ask for Append {
    type Answer = Vec<Appended>;

    fn size(&self) -> usize {
        self.0.iter().map(|step| step.value.len()).sum()
    }

    fn prepare(&mut self, values: &Values) -> Result<(), StoreError> {
        self.0.iter_mut().try_for_each(|step| values.keep(&mut step.value))
    }

    fn is_trusted(&self) -> bool {
        true
    }

    fn execute(&self, db: &Connection, hands: &mut Hands) -> Executed<Vec<Appended>> {
        let appended = self.0.iter().map(|step| append(step, db, hands));
        appended.collect::<rusqlite::Result<_>>().map(Ok)
    }
}

fn append(step: &Step, db: &Connection, hands: &Hands) -> rusqlite::Result<Appended> {
    let run = &*step.lease.run;
    let Some((seq, to_touch)) = next_seq(step, db, hands)? else {
        return match fenced(db, run)? {
            StoreError::RunCancelled { .. } => Ok(Appended::Cancelled),
            StoreError::Fenced { owner, .. } => Ok(Appended::Fenced { owner }),
            _ => Ok(Appended::Fenced { owner: None }),
        };
    };
    let inserted = db
        .prepare_cached(
            "INSERT INTO ft_step (run, seq, key, schema, input, value, token, version, recorded_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (run, key) DO NOTHING",
        )?
        .execute(params![
            run,
            seq as i64,
            &*step.key,
            step.schema,
            step.input.as_bytes().as_slice(),
            &*step.value,
            step.lease.token as i64,
            step.version,
            step.at
        ])?;
    if inserted == 0 {
        give_back(db, run)?;
        return already(step, db, hands);
    }
    hands.values.named(db, run, &step.value)?;
    if to_touch {
        touch(db, run, step.at)?;
    }
    Ok(Appended::Recorded { seq })
}

/// Takes the next number of the run, and says whether the run is to be touched; `None` where the fence holds it off.
fn next_seq(step: &Step, db: &Connection, hands: &Hands) -> rusqlite::Result<Option<(u64, bool)>> {
    db.prepare_cached(concat!(
        "UPDATE ft_run SET steps = steps + 1 WHERE ",
        fence!(),
        " RETURNING steps, ",
        to_touch!("?4")
    ))?
    .query_row(params![&*step.lease.run, step.lease.token as i64, hands.owner(), step.at], |row| {
        Ok((count(row, 0)?, row.get(1)?))
    })
    .optional()
}

/// Gives a number back that was taken in this transaction.
fn give_back(db: &Connection, run: &str) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE ft_run SET steps = steps - 1 WHERE run = ?1")?.execute([run]).map(drop)
}

/// What stands under the key of a step.
fn already(step: &Step, db: &Connection, hands: &Hands) -> rusqlite::Result<Appended> {
    db.prepare_cached(concat!(
        "SELECT key, seq, schema, input, value, token, version, recorded_at FROM ft_step ",
        "WHERE run = ?1 AND key = ?2"
    ))?
    .query_row(params![&*step.lease.run, &*step.key], |row| step_record(row, hands.values.files()))
    .map(Appended::Already)
}

/// Reads the steps of a run.
pub(in crate::checkpoint::sqlite) struct Steps(pub(in crate::checkpoint::sqlite) String);

impl Look for Steps {
    type Answer = Vec<StepRecord>;

    fn look(&self, db: &Connection, files: &Files) -> rusqlite::Result<Vec<StepRecord>> {
        steps_of(db, &self.0, files)
    }
}

pub(super) fn steps_of(db: &Connection, run: &str, files: &Files) -> rusqlite::Result<Vec<StepRecord>> {
    db.prepare_cached(concat!(
        "SELECT key, seq, schema, input, value, token, version, recorded_at FROM ft_step ",
        "WHERE run = ?1 ORDER BY seq"
    ))?
    .query_map([run], |row| step_record(row, files))?
    .collect()
}

fn step_record(row: &Row<'_>, files: &Files) -> rusqlite::Result<StepRecord> {
    let input = row.get_ref(3)?.as_blob()?;
    let input = input
        .try_into()
        .map_err(|_| rusqlite::Error::FromSqlConversionFailure(3, Type::Blob, "not 16 bytes".into()))?;
    Ok(StepRecord {
        key: row.get_ref(0)?.as_str()?.into(),
        seq: count(row, 1)?,
        schema: row.get(2)?,
        input: InputHash::from_bytes(input),
        value: value(row, 4, files)?,
        token: count(row, 5)?,
        version: row.get(6)?,
        recorded_at: row.get(7)?,
    })
}
