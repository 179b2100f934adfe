//! From the tables of an earlier version to those of this one: one transaction, by one process that is alone.

use std::path::Path;

use rusqlite::{Connection, Transaction, params};

use super::{Found, SCHEMA, begin, explain, fold, identify};
use crate::checkpoint::envelope::{self, Place};
use crate::checkpoint::error::StoreError;
use crate::checkpoint::owner;
use crate::checkpoint::sealing::Sealing;

/// What leads from each version to the next one.
const STEPS: [fn(&Transaction<'_>) -> rusqlite::Result<()>; SCHEMA as usize - 1] = [to_2, to_3];

/// Brings the tables up to this version.
///
/// Processes of the earlier version would go on writing as they know it, so none may have the store open. Of several
/// that start at once, the first one migrates and the others find it done.
pub(super) fn migrate(connection: &mut Connection, path: &Path, owners: &Path) -> Result<(), StoreError> {
    let transaction = begin(connection, path)?;
    let Found::Older(found) = identify(&transaction, path)? else {
        return Ok(());
    };
    let living = owner::living(owners)
        .map_err(|error| StoreError::NotWritable { path: owners.to_owned(), reason: error.to_string() })?;
    if living > 0 {
        return Err(StoreError::OlderSchemaInUse { path: path.to_owned(), found, supported: SCHEMA, living });
    }
    let migrated = || -> rusqlite::Result<()> {
        for step in &STEPS[found as usize - 1..] {
            step(&transaction)?;
        }
        transaction.pragma_update(None, "user_version", SCHEMA)?;
        transaction.commit()
    };
    migrated()
        .and_then(|()| fold(connection))
        .map_err(|error| explain(error, path, "bringing its tables up to this version"))
}

/// Steps are counted in the run's row, and the number of a state's version is part of its place.
fn to_2(db: &Transaction<'_>) -> rusqlite::Result<()> {
    db.execute_batch(
        "INSERT INTO ft_meta (name, value) VALUES ('commits', 0), ('identity', random());
         ALTER TABLE ft_run ADD COLUMN steps INTEGER NOT NULL DEFAULT 0;
         UPDATE ft_run SET steps = (SELECT coalesce(max(seq), 0) FROM ft_step WHERE ft_step.run = ft_run.run);
         ALTER TABLE ft_run ADD COLUMN keep_unfinished INTEGER NOT NULL DEFAULT 7776000000;
         ALTER TABLE ft_run ADD COLUMN arguments BLOB;
         ALTER TABLE ft_run ADD COLUMN recoveries INTEGER NOT NULL DEFAULT 0;
         CREATE INDEX ft_run_unfinished ON ft_run (updated_at + keep_unfinished) WHERE finished_at IS NULL;",
    )?;
    let mut versions = db.prepare(
        "SELECT ft_state.run, name, generation, type_name, value, incarnation FROM ft_state JOIN ft_run USING (run)",
    )?;
    let mut numbered = db.prepare("UPDATE ft_state SET value = ?4 WHERE run = ?1 AND name = ?2 AND generation = ?3")?;
    let mut rows = versions.query([])?;
    while let Some(row) = rows.next()? {
        let (run, name, generation): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (type_name, value): (String, Vec<u8>) = (row.get(3)?, row.get(4)?);
        let (incarnation, number) = (row.get::<_, i64>(5)? as u64, generation as u64);
        let from = Place::Unnumbered { incarnation, run: &run, name: &name, type_name: &type_name };
        let to = Place::State { incarnation, run: &run, name: &name, type_name: &type_name, generation: number };
        // What is damaged stays so, and is found when it is loaded.
        if let Ok(value) = envelope::relocate(&value, &from, &to, &Sealing::default()) {
            numbered.execute(params![run, name, generation, value])?;
        }
    }
    Ok(())
}

/// Runs that go on by themselves: their arguments are recorded, and whether they are to go on. And values that have files.
fn to_3(db: &Transaction<'_>) -> rusqlite::Result<()> {
    db.execute_batch(
        "ALTER TABLE ft_run ADD COLUMN interrupted INTEGER NOT NULL DEFAULT 0;
         ALTER TABLE ft_run ADD COLUMN input BLOB;
         CREATE INDEX ft_run_left ON ft_run (updated_at, run)
             WHERE finished_at IS NULL AND (owner IS NOT NULL OR interrupted);
         CREATE TABLE ft_value (file TEXT NOT NULL PRIMARY KEY, run TEXT NOT NULL) WITHOUT ROWID;
         CREATE INDEX ft_value_run ON ft_value (run);",
    )
}
