//! Which runs a living process executes, as somebody else sees it.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};

use super::Look;
use crate::checkpoint::owner;
use crate::checkpoint::record::Holder;
use crate::checkpoint::sqlite::schema::BUSY_TIMEOUT;
use crate::checkpoint::sqlite::values::Files;

/// Asks for the living owners of some runs.
pub(in crate::checkpoint::sqlite) struct Holders {
    pub(in crate::checkpoint::sqlite) runs: Vec<String>,
    pub(in crate::checkpoint::sqlite) path: PathBuf,
    pub(in crate::checkpoint::sqlite) owners: PathBuf,
}

impl Look for Holders {
    type Answer = Vec<Holder>;

    fn look(&self, db: &Connection, _: &Files) -> rusqlite::Result<Vec<Holder>> {
        let mut held = Vec::new();
        for run in &self.runs {
            let owner = db
                .prepare_cached("SELECT owner FROM ft_run WHERE run = ?1 AND owner IS NOT NULL")?
                .query_row([run], |row| row.get::<_, String>(0))
                .optional()?;
            held.extend(owner.map(|owner| Holder::new(&**run, owner)));
        }
        if held.is_empty() {
            return Ok(held);
        }
        // Owners are asked for under the write lock, for a moment; nothing is written, the log is not folded either.
        let mut beside = Connection::open_with_flags(
            &self.path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        beside.busy_timeout(BUSY_TIMEOUT)?;
        beside.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        let alone = beside.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut living: HashMap<String, bool> = HashMap::new();
        for holder in &held {
            if !living.contains_key(&holder.owner) {
                let alive = owner::is_alive(&self.owners, &holder.owner).map_err(failed)?;
                living.insert(holder.owner.clone(), alive);
            }
        }
        drop(alone);
        held.retain(|holder| living.get(&holder.owner) == Some(&true));
        for holder in &mut held {
            holder.process = owner::process(&self.owners, &holder.owner);
        }
        Ok(held)
    }
}

/// The owners' directory cannot be read.
fn failed(error: io::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}
