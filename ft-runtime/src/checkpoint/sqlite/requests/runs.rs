//! Ending runs, giving them back, deleting and listing them.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::states::forget_states;
use super::{Ask, Executed, Look, count, fence, fenced, is_senseless, reason, senseless, value, value_len};
use crate::checkpoint::arguments::Arguments;
use crate::checkpoint::error::StoreError;
use crate::checkpoint::record::{Filter, Finish, RunRecord, RunStatus, UnixMillis};
use crate::checkpoint::sqlite::values::{Files, Values};
use crate::checkpoint::sqlite::writer::Hands;

/// What [`run_record`] reads. The length of arguments and outputs is known without reading them: what is as long as that
/// which stands for a file may be that.
macro_rules! run_columns {
    () => {
        "run, function, version, status, owner, token, attempts, incarnation, \
         iif(octet_length(output) = 36, output, octet_length(output)), created_at, updated_at, finished_at, expires_at, \
         steps, keep_unfinished, arguments, recoveries, interrupted, \
         iif(octet_length(input) = 36, input, octet_length(input))"
    };
}
pub(super) use run_columns;

impl Ask for Finish {
    type Answer = ();

    fn size(&self) -> usize {
        self.output.len()
    }

    fn prepare(&mut self, values: &Values) -> Result<(), StoreError> {
        values.keep(&mut self.output)
    }

    fn execute(&self, db: &Connection, hands: &mut Hands) -> Executed<()> {
        let run = &*self.lease.run;
        let finished = db
            .prepare_cached(concat!(
                "UPDATE ft_run SET status = 'finished', owner = NULL, output = ?4, updated_at = ?5, finished_at = ?5, ",
                "expires_at = ?6 WHERE ",
                fence!()
            ))?
            .execute(params![run, self.lease.token as i64, hands.owner(), &*self.output, self.at, self.expires_at])?;
        if finished == 0 {
            return fenced(db, run).map(Err);
        }
        hands.values.named(db, run, &self.output)?;
        forget_states(db, run, &hands.values)?;
        Ok(Ok(()))
    }

    fn settle(&self, _: Result<&(), &StoreError>, hands: &mut Hands) {
        hands.let_go(&self.lease.run, self.lease.token);
    }
}

/// Deletes a run.
pub(in crate::checkpoint::sqlite) struct Delete(pub(in crate::checkpoint::sqlite) String);

impl Ask for Delete {
    type Answer = bool;

    fn execute(&self, db: &Connection, hands: &mut Hands) -> Executed<bool> {
        let owner = db
            .prepare_cached("SELECT owner FROM ft_run WHERE run = ?1")?
            .query_row([&self.0], |row| row.get::<_, Option<String>>(0))
            .optional()?
            .flatten();
        match hands.living(&self.0, owner) {
            Ok(None) => delete(db, &self.0, &hands.values).map(Ok),
            Ok(Some(owner)) => Ok(Err(StoreError::RunBusy { run: self.0.clone(), owner })),
            Err(error) => Ok(Err(error)),
        }
    }
}

/// Reads the recorded arguments of a run.
pub(in crate::checkpoint::sqlite) struct Input(pub(in crate::checkpoint::sqlite) String);

impl Look for Input {
    type Answer = Option<Arc<[u8]>>;

    fn look(&self, db: &Connection, files: &Files) -> rusqlite::Result<Option<Arc<[u8]>>> {
        input_of(db, &self.0, files)
    }
}

pub(super) fn input_of(db: &Connection, run: &str, files: &Files) -> rusqlite::Result<Option<Arc<[u8]>>> {
    db.prepare_cached("SELECT input FROM ft_run WHERE run = ?1 AND input IS NOT NULL")?
        .query_row([run], |row| value(row, 0, files))
        .optional()
}

/// Reads the output of a run.
pub(in crate::checkpoint::sqlite) struct Output(pub(in crate::checkpoint::sqlite) String);

impl Look for Output {
    type Answer = Option<Arc<[u8]>>;

    fn look(&self, db: &Connection, files: &Files) -> rusqlite::Result<Option<Arc<[u8]>>> {
        output_of(db, &self.0, files)
    }
}

pub(super) fn output_of(db: &Connection, run: &str, files: &Files) -> rusqlite::Result<Option<Arc<[u8]>>> {
    db.prepare_cached("SELECT output FROM ft_run WHERE run = ?1 AND output IS NOT NULL")?
        .query_row([run], |row| value(row, 0, files))
        .optional()
}

impl Look for Filter {
    type Answer = Vec<RunRecord>;

    fn look(&self, db: &Connection, _: &Files) -> rusqlite::Result<Vec<RunRecord>> {
        // `substr` instead of LIKE, in which a user's `%` and `_` would mean something.
        db.prepare_cached(concat!(
            "SELECT ",
            run_columns!(),
            " FROM ft_run WHERE run >= ?1 AND substr(run, 1, length(?1)) = ?1 ",
            "AND (?2 IS NULL OR status = ?2) AND (?3 IS NULL OR run > ?3) ORDER BY run LIMIT ?4"
        ))?
        .query_map(params![self.prefix, self.status.map(RunStatus::as_str), self.after, self.limit], run_record)?
        .collect()
    }
}

pub(super) fn run_record(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    read_record(row).map_err(|error| match row.get_ref(0).map(|run| run.as_str().unwrap_or("?")) {
        Ok(run) if is_senseless(&error) => senseless(format!("the row of run `{run}`: {}", reason(&error))),
        _ => error,
    })
}

fn read_record(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    let status = row.get_ref(3)?.as_str()?;
    let status = RunStatus::from_name(status).ok_or_else(|| senseless(format!("unknown status `{status}`")))?;
    Ok(RunRecord {
        run: row.get(0)?,
        function: row.get(1)?,
        version: row.get(2)?,
        arguments: arguments(row, 15)?,
        status,
        owner: row.get(4)?,
        token: count(row, 5)?,
        interrupted: row.get(17)?,
        attempts: row.get(6)?,
        incarnation: count(row, 7)?,
        recoveries: row.get(16)?,
        steps: count(row, 13)?,
        keep_unfinished: Duration::from_millis(count(row, 14)?),
        input_len: value_len(row, 18)?,
        output_len: value_len(row, 8)?,
        created_at: row.get(9)?,
        updated_at: row.get(10)?,
        finished_at: row.get(11)?,
        expires_at: row.get(12)?,
    })
}

/// Those of a run of an earlier version are not known.
fn arguments(row: &Row<'_>, column: usize) -> rusqlite::Result<Arguments> {
    let bytes = row.get_ref(column)?.as_bytes_or_null()?.unwrap_or_default();
    Arguments::from_bytes(bytes).ok_or_else(|| senseless("its arguments are none".into()))
}

/// Whether there is something to [`touch`] at this moment. Within the hour its age is left at that: it decides about weeks,
/// and stands in indexes.
macro_rules! to_touch {
    ($at:literal) => {
        concat!("(updated_at < ", $at, " - 3600000 OR recoveries > 0)")
    };
}
pub(super) use to_touch;

/// Says that a run was recorded in, and so got further.
pub(super) fn touch(db: &Connection, run: &str, at: UnixMillis) -> rusqlite::Result<()> {
    db.prepare_cached(concat!(
        "UPDATE ft_run SET updated_at = iif(updated_at < ?2 - 3600000, ?2, updated_at), recoveries = 0 ",
        "WHERE run = ?1 AND ",
        to_touch!("?2")
    ))?
    .execute(params![run, at])
    .map(drop)
}

/// Deletes the steps and states of a run, and with those all its files; arguments and output are replaced.
pub(super) fn forget(db: &Connection, run: &str, values: &Values) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM ft_step WHERE run = ?1")?.execute([run])?;
    db.prepare_cached("DELETE FROM ft_state WHERE run = ?1")?.execute([run])?;
    values.all_unnamed(db, run)
}

pub(super) fn delete(db: &Connection, run: &str, values: &Values) -> rusqlite::Result<bool> {
    forget(db, run, values)?;
    let deleted = db.prepare_cached("DELETE FROM ft_run WHERE run = ?1")?.execute([run])?;
    Ok(deleted > 0)
}
