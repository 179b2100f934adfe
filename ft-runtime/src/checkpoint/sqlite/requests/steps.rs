//! Recording steps and reading them.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::runs::touch;
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

    fn execute(&self, db: &Connection, hands: &mut Hands) -> Executed<Vec<Appended>> {
        let appended = self.0.iter().map(|step| append(step, db, hands));
        appended.collect::<rusqlite::Result<_>>().map(Ok)
    }
}

fn append(step: &Step, db: &Connection, hands: &Hands) -> rusqlite::Result<Appended> {
    let run = &*step.lease.run;
    let seq = db
        .prepare_cached(concat!(
            "INSERT INTO ft_step (run, token, seq, key, schema, input, value, version, recorded_at) ",
            "SELECT ?1, ?2, (SELECT steps + 1 FROM ft_run WHERE run = ?1), ?4, ?5, ?6, ?7, ?8, ?9 ",
            "WHERE ",
            fence!(),
            " ON CONFLICT (run, key) DO NOTHING RETURNING seq"
        ))?
        .query_row(
            params![
                run,
                step.lease.token as i64,
                hands.owner(),
                &*step.key,
                step.schema,
                step.input.as_bytes().as_slice(),
                &*step.value,
                step.version,
                step.at
            ],
            |row| count(row, 0),
        )
        .optional()?;
    if let Some(seq) = seq {
        hands.values.named(db, run, &step.value)?;
        db.prepare_cached("UPDATE ft_run SET steps = ?2, recoveries = 0 WHERE run = ?1")?
            .execute(params![run, seq as i64])?;
        touch(db, run, step.at)?;
        return Ok(Appended::Recorded { seq });
    }
    let held: bool = db
        .prepare_cached(concat!("SELECT ", fence!()))?
        .query_row(params![run, step.lease.token as i64, hands.owner()], |row| row.get(0))?;
    let recorded = db
        .prepare_cached(concat!(
            "SELECT key, seq, schema, input, value, token, version, recorded_at FROM ft_step ",
            "WHERE run = ?1 AND key = ?2"
        ))?
        .query_row(params![run, &*step.key], |row| step_record(row, hands.values.files()))
        .optional()?;
    match recorded {
        Some(recorded) if held => Ok(Appended::Already(recorded)),
        _ => match fenced(db, run)? {
            StoreError::RunCancelled { .. } => Ok(Appended::Cancelled),
            StoreError::Fenced { owner, .. } => Ok(Appended::Fenced { owner }),
            _ => Ok(Appended::Fenced { owner: None }),
        },
    }
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
