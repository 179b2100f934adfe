//! Records in an SQLite database of the caller's, with `rusqlite`.

use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row as SqlRow, Savepoint, Transaction, params};

use super::super::record::{millis, unix_now};
use super::PRUNED_AT_ONCE;
use super::error::TxError;
use super::records::{Answer, At, BlockingRecords, Records, Row};

/// Creates the table of records where it is missing; for migrations.
pub const TABLE: &str = "
CREATE TABLE IF NOT EXISTS ft_tx_step (
    run         TEXT    NOT NULL,
    incarnation INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    key         TEXT    NOT NULL,
    schema      INTEGER NOT NULL,
    input       BLOB    NOT NULL,
    value       BLOB    NOT NULL,
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (run, incarnation, started_at, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ft_tx_step_recorded_at ON ft_tx_step (recorded_at);
";

/// Creates the table of records where it is missing.
///
/// # Errors
///
/// What SQLite said.
pub fn create_table(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(TABLE)
}

/// Deletes records that are older than this, the oldest first, 10 000 at most; and says how many.
///
/// A step whose record is gone is executed again: keep them for as long as its run may be resumed
/// (see [what to know](super#what-to-know)).
///
/// ```
/// # use ft_runtime::checkpoint::tx::sqlite;
/// # use std::time::Duration;
/// # let db = rusqlite::Connection::open_in_memory()?;
/// # sqlite::create_table(&db)?;
/// const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// while sqlite::prune(&db, 100 * DAY)? > 0 {}
/// # Ok::<(), rusqlite::Error>(())
/// ```
///
/// # Errors
///
/// What SQLite said.
pub fn prune(db: &Connection, older_than: Duration) -> rusqlite::Result<u64> {
    let before = unix_now().saturating_sub(millis(older_than));
    let pruned = db.execute(
        "DELETE FROM ft_tx_step WHERE (run, incarnation, started_at, key) IN (SELECT run, incarnation, started_at, key \
         FROM ft_tx_step WHERE recorded_at < ?1 ORDER BY recorded_at LIMIT ?2)",
        params![before, PRUNED_AT_ONCE],
    )?;
    Ok(pruned as u64)
}

impl super::Transaction for Transaction<'_> {}
impl super::BlockingTransaction for Transaction<'_> {}
impl super::Transaction for Savepoint<'_> {}
impl super::BlockingTransaction for Savepoint<'_> {}

impl BlockingRecords for Transaction<'_> {
    fn find_blocking(&self, at: &At<'_>) -> Result<Option<Row>, TxError> {
        find(self, at)
    }

    fn insert_blocking(&self, at: &At<'_>, row: &Row) -> Result<(), TxError> {
        insert(self, at, row)
    }
}

impl BlockingRecords for Savepoint<'_> {
    fn find_blocking(&self, at: &At<'_>) -> Result<Option<Row>, TxError> {
        find(self, at)
    }

    fn insert_blocking(&self, at: &At<'_>, row: &Row) -> Result<(), TxError> {
        insert(self, at, row)
    }
}

impl Records for Transaction<'_> {
    fn find<'a>(&'a self, at: &'a At<'a>) -> Answer<'a, Option<Row>> {
        Box::pin(std::future::ready(find(self, at)))
    }

    fn insert<'a>(&'a self, at: &'a At<'a>, row: &'a Row) -> Answer<'a, ()> {
        Box::pin(std::future::ready(insert(self, at, row)))
    }
}

impl Records for Savepoint<'_> {
    fn find<'a>(&'a self, at: &'a At<'a>) -> Answer<'a, Option<Row>> {
        Box::pin(std::future::ready(find(self, at)))
    }

    fn insert<'a>(&'a self, at: &'a At<'a>, row: &'a Row) -> Answer<'a, ()> {
        Box::pin(std::future::ready(insert(self, at, row)))
    }
}

fn find(db: &Connection, at: &At<'_>) -> Result<Option<Row>, TxError> {
    in_transaction(db)?;
    let row = |row: &SqlRow<'_>| {
        let bytes = |column| -> rusqlite::Result<_> {
            Ok(row.get_ref(column)?.as_bytes_or_null()?.unwrap_or_default().to_vec())
        };
        Ok(Row { schema: row.get(0)?, input: bytes(1)?, value: bytes(2)? })
    };
    db.prepare_cached(
        "SELECT schema, input, value FROM ft_tx_step WHERE run = ?1 AND incarnation = ?2 AND started_at = ?3 AND key = ?4",
    )
    .and_then(|mut statement| {
        statement.query_row(params![at.run, at.incarnation as i64, at.started_at, at.key], row).optional()
    })
    .map_err(explain)
}

fn insert(db: &Connection, at: &At<'_>, row: &Row) -> Result<(), TxError> {
    in_transaction(db)?;
    // Rolls all of the transaction back where the record is there: what was done a second time cannot be committed.
    db.prepare_cached(
        "INSERT OR ROLLBACK INTO ft_tx_step (run, incarnation, started_at, key, schema, input, value, recorded_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )
    .and_then(|mut statement| {
        let At { run, incarnation, started_at, key } = *at;
        let incarnation = incarnation as i64;
        statement.execute(params![run, incarnation, started_at, key, row.schema, row.input, row.value, unix_now()])
    })
    .map(drop)
    .map_err(explain)
}

/// Whoever has ended the transaction, by an SQL statement of its own, must not have the record committed alone.
fn in_transaction(db: &Connection) -> Result<(), TxError> {
    if db.is_autocommit() { Err(TxError::Ended) } else { Ok(()) }
}

fn explain(error: rusqlite::Error) -> TxError {
    let reason = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => TxError::Conflict,
        _ if reason.contains("no such table: ft_tx_step") => TxError::NoTable,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => TxError::Failed { reason, transient: true },
        _ => TxError::Failed { reason, transient: false },
    }
}
