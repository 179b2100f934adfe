//! Saving states and reading them.

use rusqlite::{Connection, Row, params};

use super::runs::touch;
use super::{Ask, Executed, Look, blob, count, fence, fenced, senseless};
use crate::checkpoint::record::{SaveState, StateRecord};
use crate::checkpoint::sqlite::writer::Hands;

impl Ask for SaveState {
    type Answer = ();

    fn execute(&self, db: &Connection, hands: &mut Hands) -> Executed<()> {
        // The newest value at the time of writing. If the batch fails it is gone, and the error says so at the next
        // mark, which saves a newer one.
        let Some((generation, value)) = self.value.take() else {
            return Ok(Ok(()));
        };
        let run = &*self.lease.run;
        let number = |generation| {
            i64::try_from(generation).map_err(|_| senseless(format!("state `{}` has no end of versions", self.name)))
        };
        let (generation, bad) = (number(generation)?, self.bad.map(number).transpose()?);
        let inserted = db
            .prepare_cached(concat!(
                "INSERT INTO ft_state (run, token, name, generation, type_name, value, steps, version, recorded_at) ",
                "SELECT ?1, ?2, ?4, ?5, ?6, ?7, (SELECT steps FROM ft_run WHERE run = ?1), ?8, ?9 ",
                "WHERE ",
                fence!()
            ))?
            .execute(params![
                run,
                self.lease.token as i64,
                hands.owner(),
                &*self.name,
                generation,
                self.type_name,
                &*value,
                self.version,
                self.at
            ])?;
        if inserted == 0 {
            return fenced(db, run).map(Err);
        }
        db.prepare_cached(concat!(
            "DELETE FROM ft_state WHERE run = ?1 AND name = ?2 AND generation <> ?3 AND generation <> ",
            "(SELECT coalesce(max(generation), -1) FROM ft_state WHERE run = ?1 AND name = ?2 AND generation < ?3 ",
            "AND generation <> ?4)"
        ))?
        .execute(params![run, &*self.name, generation, bad.unwrap_or(-1)])?;
        touch(db, run, self.at)?;
        Ok(Ok(()))
    }
}

/// Reads the versions of a state.
pub(in crate::checkpoint::sqlite) struct States {
    pub(in crate::checkpoint::sqlite) run: String,
    pub(in crate::checkpoint::sqlite) name: String,
}

impl Look for States {
    type Answer = Vec<StateRecord>;

    fn look(&self, db: &Connection) -> rusqlite::Result<Vec<StateRecord>> {
        db.prepare_cached(concat!(
            "SELECT name, generation, type_name, value, steps, token, version, recorded_at FROM ft_state ",
            "WHERE run = ?1 AND name = ?2 ORDER BY generation DESC"
        ))?
        .query_map([&self.run, &self.name], state_record)?
        .collect()
    }
}

/// Reads the versions of every state of a run.
pub(in crate::checkpoint::sqlite) struct Saved(pub(in crate::checkpoint::sqlite) String);

impl Look for Saved {
    type Answer = Vec<StateRecord>;

    fn look(&self, db: &Connection) -> rusqlite::Result<Vec<StateRecord>> {
        saved_of(db, &self.0)
    }
}

pub(super) fn saved_of(db: &Connection, run: &str) -> rusqlite::Result<Vec<StateRecord>> {
    db.prepare_cached(concat!(
        "SELECT name, generation, type_name, value, steps, token, version, recorded_at FROM ft_state ",
        "WHERE run = ?1 ORDER BY name, generation DESC"
    ))?
    .query_map([run], state_record)?
    .collect()
}

fn state_record(row: &Row<'_>) -> rusqlite::Result<StateRecord> {
    Ok(StateRecord {
        name: row.get_ref(0)?.as_str()?.into(),
        generation: count(row, 1)?,
        type_name: row.get(2)?,
        value: blob(row, 3)?,
        steps: count(row, 4)?,
        token: count(row, 5)?,
        version: row.get(6)?,
        recorded_at: row.get(7)?,
    })
}
