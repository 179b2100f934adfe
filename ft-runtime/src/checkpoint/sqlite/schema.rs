//! The tables, and a connection that is known to be power-safe.

mod migrate;

use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use crate::checkpoint::error::StoreError;

/// "ftck": tells our databases from every other SQLite file.
pub(super) const APPLICATION_ID: i32 = 0x6674_636b;

/// Version of the tables, in `PRAGMA user_version`. Whoever raises it writes a migration from the one before, and a store
/// for `tests/corpus`.
pub(super) const SCHEMA: u32 = 3;

/// How long a transaction of another process is waited for.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait where SQLite does not, before it is tried again.
const BUSY_PAUSE: Duration = Duration::from_millis(2);

/// Primary keys are clustered, so that a step costs one page of data and one of index.
///
/// `token` in `ft_meta` is the last token that was granted: counted for the store and not in the run's row, so that a
/// run which is deleted and started anew does not count from 1 again. `commits` and `identity` are for the mark.
const TABLES: &str = "
CREATE TABLE ft_meta (
    name        TEXT    NOT NULL PRIMARY KEY,
    value       INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO ft_meta (name, value) VALUES ('token', 0), ('commits', 0), ('identity', random());
CREATE TABLE ft_run (
    run         TEXT    NOT NULL PRIMARY KEY,
    function    TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    status      TEXT    NOT NULL,
    owner       TEXT,
    token       INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    steps       INTEGER NOT NULL DEFAULT 0,
    keep_unfinished INTEGER NOT NULL DEFAULT 7776000000,
    arguments   BLOB,
    recoveries  INTEGER NOT NULL DEFAULT 0,
    interrupted INTEGER NOT NULL DEFAULT 0,
    input       BLOB,
    output      BLOB,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    finished_at INTEGER,
    expires_at  INTEGER
);
CREATE INDEX ft_run_finished ON ft_run (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX ft_run_unfinished ON ft_run (updated_at + keep_unfinished) WHERE finished_at IS NULL;
CREATE INDEX ft_run_expires ON ft_run (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX ft_run_left ON ft_run (updated_at, run) WHERE finished_at IS NULL AND (owner IS NOT NULL OR interrupted);
CREATE TABLE ft_step (
    run         TEXT    NOT NULL,
    seq         INTEGER NOT NULL,
    key         TEXT    NOT NULL,
    schema      INTEGER NOT NULL,
    input       BLOB    NOT NULL,
    value       BLOB    NOT NULL,
    token       INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (run, seq)
) WITHOUT ROWID;
CREATE UNIQUE INDEX ft_step_key ON ft_step (run, key);
CREATE TABLE ft_value (
    file        TEXT    NOT NULL PRIMARY KEY,
    run         TEXT    NOT NULL
) WITHOUT ROWID;
CREATE INDEX ft_value_run ON ft_value (run);
CREATE TABLE ft_state (
    run         TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    generation  INTEGER NOT NULL,
    type_name   TEXT    NOT NULL,
    value       BLOB    NOT NULL,
    steps       INTEGER NOT NULL,
    token       INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (run, name, generation)
) WITHOUT ROWID;
";

/// What a database file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Empty.
    New,
    /// A store with the tables of this version.
    Current,
    /// A store with those of an earlier one.
    Older(u32),
}

/// Opens a connection, creates the tables in a new database, brings those of an earlier version up to this one, and
/// refuses what is not ours or not safe.
pub(super) fn connect(path: &Path, owners: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = open_to_write(path, flags)?;
    // What is not ours is refused before anything is written, the switch to WAL included.
    let found = identify_at_rest(&mut connection, path)?;
    switch_to_wal(&connection).map_err(|error| explain(error, path, "switching to its write-ahead log"))?;
    make_power_safe(&connection, path)?;
    match found {
        Found::New => create(&mut connection, path)?,
        Found::Older(_) => migrate::migrate(&mut connection, path, owners)?,
        Found::Current => {}
    }
    Ok(connection)
}

/// As [`connect`], to a store that is there with the tables of this version; any other is refused as it is.
pub(super) fn connect_existing(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = open_to_write(path, flags)?;
    must_be_current(&mut connection, path)?;
    make_power_safe(&connection, path)?;
    Ok(connection)
}

/// Opens a connection that cannot write, to a store that is there with the tables of this version.
pub(super) fn connect_to_look(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = connect_to_read(path)?;
    must_be_current(&mut connection, path)?;
    Ok(connection)
}

fn must_be_current(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    match identify_at_rest(connection, path)? {
        Found::Current => Ok(()),
        Found::New => Err(StoreError::NoStore { url: format!("sqlite:{}", path.display()) }),
        Found::Older(found) => Err(StoreError::OlderSchema { path: path.to_owned(), found, supported: SCHEMA }),
    }
}

fn open_to_write(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(64);
        // Plans do not depend on what is bound: otherwise a cached statement is prepared anew for new values.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        Ok(connection)
    };
    open().map_err(|error| explain(error, path, "opening it"))
}

/// Opens a connection that cannot write, to a store that is open already.
pub(super) fn connect_to_read(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        Ok(connection)
    };
    open().map_err(|error| explain(error, path, "opening it to read"))
}

/// Begins a transaction that may write, waiting for other processes to end theirs.
pub(super) fn begin<'c>(connection: &'c mut Connection, path: &Path) -> Result<Transaction<'c>, StoreError> {
    connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|error| explain(error, path, "beginning a transaction"))
}

/// Begins a transaction that may write, in which the tables are those of this version and stay so.
pub(super) fn begin_known<'c>(connection: &'c mut Connection, path: &Path) -> Result<Transaction<'c>, StoreError> {
    let transaction = begin(connection, path)?;
    match identify(&transaction, path)? {
        Found::Current => Ok(transaction),
        // Between its opening and now, somebody has put another file in its place.
        _ => {
            Err(StoreError::Damaged { path: path.to_owned(), reason: "its tables changed while it was opened".into() })
        }
    }
}

/// What an SQLite error means for the store.
pub(super) fn explain(error: rusqlite::Error, path: &Path, doing: &'static str) -> StoreError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StoreError::NotADatabase { path },
        Some(ErrorCode::DatabaseCorrupt) => StoreError::Damaged { path, reason: error.to_string() },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked { path, waited: BUSY_TIMEOUT },
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            StoreError::NotWritable { path, reason: error.to_string() }
        }
        _ => StoreError::Failed { store: format!("sqlite:{}", path.display()), doing, reason: error.to_string() },
    }
}

/// As [`identify`], in one snapshot, while other processes may be creating the tables.
fn identify_at_rest(connection: &mut Connection, path: &Path) -> Result<Found, StoreError> {
    let snapshot = connection.transaction().map_err(|error| explain(error, path, "reading its schema version"))?;
    let identified = identify(&snapshot, path);
    drop(snapshot);
    match identified {
        // Before it is refused as another program's, whoever writes to it has to end: it may be ours in the making.
        Err(StoreError::Foreign { application_id: 0, .. }) => match begin(connection, path) {
            Ok(alone) => identify(&alone, path),
            Err(_) => identified,
        },
        identified => identified,
    }
}

/// What the database is; an error if it is another program's or a newer ft's. Inside a transaction: the three numbers
/// belong together.
fn identify(connection: &Connection, path: &Path) -> Result<Found, StoreError> {
    let read = || -> rusqlite::Result<(i32, u32, u32)> {
        let number = |pragma| connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
        Ok((
            number("PRAGMA application_id")? as i32,
            number("PRAGMA user_version")? as u32,
            number("SELECT count(*) FROM sqlite_schema")? as u32,
        ))
    };
    let (application_id, schema, tables) =
        read().map_err(|error| explain(error, path, "reading its schema version"))?;
    match (application_id, schema, tables) {
        (0, 0, 0) => Ok(Found::New),
        (APPLICATION_ID, SCHEMA, _) => Ok(Found::Current),
        (APPLICATION_ID, found @ 1..SCHEMA, _) => Ok(Found::Older(found)),
        (APPLICATION_ID, found, _) if found > SCHEMA => {
            Err(StoreError::NewerSchema { path: path.to_owned(), found, supported: SCHEMA })
        }
        (APPLICATION_ID, found, _) => {
            Err(StoreError::Damaged { path: path.to_owned(), reason: format!("no ft has ever written schema {found}") })
        }
        _ => Err(StoreError::Foreign { path: path.to_owned(), application_id }),
    }
}

/// Switches to WAL, which the database stays in. SQLite does not wait for other processes there, so this does.
fn switch_to_wal(connection: &Connection) -> rusqlite::Result<()> {
    let switch = || connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).or_else(no_row);
    // Counted and slept in real time, as SQLite's own waiting is: no clock of a test moves another process.
    for _ in 0..BUSY_TIMEOUT.as_millis() / BUSY_PAUSE.as_millis() {
        match switch() {
            Err(error) if is_busy(&error) => thread::sleep(BUSY_PAUSE),
            switched => return switched,
        }
    }
    switch()
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Sets what a power cut demands and reads it back: SQLite keeps silent about a setting that it did not take.
fn make_power_safe(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let set = |pragma: &str| connection.query_row(pragma, [], |_| Ok(())).or_else(no_row);
    let read = |pragma| connection.query_row(pragma, [], |row| row.get::<_, rusqlite::types::Value>(0).map(text));
    let weaker = |pragma, wanted, found| StoreError::NotPowerSafe { path: path.to_owned(), pragma, wanted, found };
    let check = || -> rusqlite::Result<Option<StoreError>> {
        set("PRAGMA synchronous = FULL")?;
        // Where a plain fsync stops in the drive's cache (macOS), ask for the one that does not.
        set("PRAGMA fullfsync = ON")?;
        set("PRAGMA checkpoint_fullfsync = ON")?;
        let journal = read("PRAGMA journal_mode")?;
        if journal != "wal" {
            return Ok(Some(weaker("journal_mode", "wal", journal)));
        }
        let synchronous = read("PRAGMA synchronous")?;
        if !matches!(synchronous.as_str(), "2" | "3") {
            return Ok(Some(weaker("synchronous", "2 (FULL)", synchronous)));
        }
        Ok(None)
    };
    match check() {
        Ok(None) => Ok(()),
        Ok(Some(weaker)) => Err(weaker),
        Err(error) => Err(explain(error, path, "making it power-safe")),
    }
}

fn create(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let transaction = begin(connection, path)?;
    // Another process may have been first.
    if identify(&transaction, path)? != Found::New {
        return Ok(());
    }
    transaction
        .execute_batch(TABLES)
        .and_then(|()| transaction.pragma_update(None, "application_id", APPLICATION_ID))
        .and_then(|()| transaction.pragma_update(None, "user_version", SCHEMA))
        .and_then(|()| transaction.commit())
        .and_then(|()| fold(connection))
        .map_err(|error| explain(error, path, "creating its tables"))
}

/// Folds the log into the database, so that a log that is lost later takes the tables with it no more: the store is known
/// by them, and so what it has lost. As far as other processes let it; they do the same.
fn fold(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(()))
}

fn no_row(error: rusqlite::Error) -> rusqlite::Result<()> {
    match error {
        rusqlite::Error::QueryReturnedNoRows => Ok(()),
        error => Err(error),
    }
}

fn text(value: rusqlite::types::Value) -> String {
    match value {
        rusqlite::types::Value::Text(text) => text,
        rusqlite::types::Value::Integer(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_does_not_take_a_setting_is_refused() {
        // In memory there is no log, and SQLite says nothing about it.
        let connection = Connection::open_in_memory().unwrap();
        let refused = make_power_safe(&connection, Path::new("m"));
        assert!(
            matches!(refused, Err(StoreError::NotPowerSafe { pragma: "journal_mode", found, .. }) if found == "memory")
        );
    }
}
