//! Saving states and reading them.

use std::sync::Arc;

use rusqlite::{Connection, Row, Rows, params};

use super::runs::touch;
use super::{Ask, Executed, Look, count, fence, fenced, file_of, senseless, value};
use crate::checkpoint::error::StoreError;
use crate::checkpoint::failpoint;
use crate::checkpoint::record::{SaveState, StateRecord};
use crate::checkpoint::sqlite::values::{Files, Values};
use crate::checkpoint::sqlite::writer::Hands;

/// Saves a version of a state.
pub(in crate::checkpoint::sqlite) struct Save {
    state: SaveState,
    /// The newest value at the time of writing. If the batch fails it is gone, and the error says so at the next mark, which
    /// saves a newer one.
    taken: Option<(u64, Arc<[u8]>)>,
}

impl Save {
    pub(in crate::checkpoint::sqlite) fn new(state: SaveState) -> Self {
        Self { state, taken: None }
    }
}

impl Ask for Save {
    type Answer = ();

    fn prepare(&mut self, values: &Values) -> Result<(), StoreError> {
        self.taken = self.state.value.take();
        self.taken.as_mut().map_or(Ok(()), |(_, value)| values.keep(value))
    }

    fn execute(&self, db: &Connection, hands: &mut Hands) -> Executed<()> {
        let Self { state, taken: Some((generation, value)) } = self else {
            return Ok(Ok(()));
        };
        let run = &*state.lease.run;
        let number = |generation| {
            i64::try_from(generation).map_err(|_| senseless(format!("state `{}` has no end of versions", state.name)))
        };
        let (generation, bad) = (number(*generation)?, state.bad.map(number).transpose()?);
        let inserted = db
            .prepare_cached(concat!(
                "INSERT INTO ft_state (run, token, name, generation, type_name, value, steps, version, recorded_at) ",
                "SELECT ?1, ?2, ?4, ?5, ?6, ?7, steps, ?8, ?9 FROM ft_run WHERE ",
                fence!()
            ))?
            .execute(params![
                run,
                state.lease.token as i64,
                hands.owner(),
                &*state.name,
                generation,
                state.type_name,
                &**value,
                state.version,
                state.at
            ])?;
        if inserted == 0 {
            return fenced(db, run).map(Err);
        }
        hands.values.named(db, run, value)?;
        if let Err(error) = failpoint::pass("state: inserted") {
            return Ok(Err(error));
        }
        let mut older = db.prepare_cached(concat!(
            "DELETE FROM ft_state WHERE run = ?1 AND name = ?2 AND generation <> ?3 AND generation <> ",
            "(SELECT coalesce(max(generation), -1) FROM ft_state WHERE run = ?1 AND name = ?2 AND generation < ?3 ",
            "AND generation <> ?4) RETURNING ",
            file_of!("value")
        ))?;
        unname(older.query(params![run, &*state.name, generation, bad.unwrap_or(-1)])?, db, &hands.values)?;
        touch(db, run, state.at)?;
        Ok(Ok(()))
    }
}

/// Deletes the states of a run.
pub(super) fn forget_states(db: &Connection, run: &str, values: &Values) -> rusqlite::Result<()> {
    let mut states = db.prepare_cached(concat!("DELETE FROM ft_state WHERE run = ?1 RETURNING ", file_of!("value")))?;
    unname(states.query([run])?, db, values)
}

/// Notes which files the deleted rows named.
fn unname(mut deleted: Rows<'_>, db: &Connection, values: &Values) -> rusqlite::Result<()> {
    while let Some(row) = deleted.next()? {
        if let Some(stored) = row.get_ref(0)?.as_bytes_or_null()? {
            values.unnamed(db, stored)?;
        }
    }
    Ok(())
}

/// Reads the versions of a state.
pub(in crate::checkpoint::sqlite) struct States {
    pub(in crate::checkpoint::sqlite) run: String,
    pub(in crate::checkpoint::sqlite) name: String,
}

impl Look for States {
    type Answer = Vec<StateRecord>;

    fn look(&self, db: &Connection, files: &Files) -> rusqlite::Result<Vec<StateRecord>> {
        db.prepare_cached(concat!(
            "SELECT name, generation, type_name, value, steps, token, version, recorded_at FROM ft_state ",
            "WHERE run = ?1 AND name = ?2 ORDER BY generation DESC"
        ))?
        .query_map([&self.run, &self.name], |row| state_record(row, files))?
        .collect()
    }
}

/// Reads the versions of every state of a run.
pub(in crate::checkpoint::sqlite) struct Saved(pub(in crate::checkpoint::sqlite) String);

impl Look for Saved {
    type Answer = Vec<StateRecord>;

    fn look(&self, db: &Connection, files: &Files) -> rusqlite::Result<Vec<StateRecord>> {
        saved_of(db, &self.0, files)
    }
}

pub(super) fn saved_of(db: &Connection, run: &str, files: &Files) -> rusqlite::Result<Vec<StateRecord>> {
    db.prepare_cached(concat!(
        "SELECT name, generation, type_name, value, steps, token, version, recorded_at FROM ft_state ",
        "WHERE run = ?1 ORDER BY name, generation DESC"
    ))?
    .query_map([run], |row| state_record(row, files))?
    .collect()
}

fn state_record(row: &Row<'_>, files: &Files) -> rusqlite::Result<StateRecord> {
    Ok(StateRecord {
        name: row.get_ref(0)?.as_str()?.into(),
        generation: count(row, 1)?,
        type_name: row.get(2)?,
        value: value(row, 3, files)?,
        steps: count(row, 4)?,
        token: count(row, 5)?,
        version: row.get(6)?,
        recorded_at: row.get(7)?,
    })
}
