//! How much was acknowledged, noted outside of the database and its log.
//!
//! SQLite takes a log that is damaged, cut or missing for one that ended there, and goes on as if what was committed after
//! that had never been. So the database counts its commits, and a file beside it (`ft.db.mark`) says how many were
//! acknowledged: fewer in the database means that some are lost. The mark is written after each commit and not synced,
//! so it may lag behind, after a power cut by what the operating system had not written yet; it is never ahead.
//!
//! ```text
//! magic "FTM1" | identity of the store u64 | commits u64 | crc32 u32
//! ```

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;

use super::schema;
use crate::checkpoint::error::StoreError;

const MAGIC: [u8; 4] = *b"FTM1";
const LEN: usize = 24;

/// No database is smaller; SQLite takes what is for a new one.
const SMALLEST: u64 = 512;

/// How long a database may stay empty that another process is making.
const IN_THE_MAKING: Duration = Duration::from_millis(500);

const LOOK: Duration = Duration::from_millis(5);

/// The mark of one store, open for writing.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
    path: PathBuf,
    identity: u64,
}

/// What the database says of itself.
struct Counted {
    identity: u64,
    commits: u64,
}

impl Mark {
    /// Opens the mark beside a database, refusing one that has fewer commits than were acknowledged.
    pub(super) fn open(path: PathBuf, database: &Path, connection: &Connection) -> Result<Self, StoreError> {
        let not_writable = |error: io::Error| StoreError::NotWritable { path: path.clone(), reason: error.to_string() };
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(not_writable)?;
        // First the mark, then the database: another process may commit in between.
        let marked = read(&mut file);
        let counted = counted(connection, database)?;
        refuse_loss(marked, &counted, database, &path)?;
        let mut mark = Self { file, path, identity: counted.identity };
        if marked.is_none_or(|(identity, _)| identity != counted.identity) {
            mark.write(counted.commits)
                .and_then(|()| mark.file.sync_all())
                .map_err(|error| StoreError::NotWritable { path: mark.path.clone(), reason: error.to_string() })?;
        }
        Ok(mark)
    }

    /// Whether a database that was opened anew is the one that this process knows, and holds all that was acknowledged.
    pub(super) fn check(&mut self, database: &Path, connection: &Connection) -> Result<(), StoreError> {
        let marked = read(&mut self.file);
        let counted = counted(connection, database)?;
        if counted.identity != self.identity {
            let reason = "another database stands in its place".into();
            return Err(StoreError::Damaged { path: database.to_owned(), reason });
        }
        refuse_loss(marked, &counted, database, &self.path)
    }

    /// Notes that so many commits may be acknowledged now.
    pub(super) fn note(&mut self, commits: u64) {
        // A mark that lags behind notices less, and is right again after the next commit.
        let _ = self.write(commits);
    }

    fn write(&mut self, commits: u64) -> io::Result<()> {
        let mut bytes = [0; LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..12].copy_from_slice(&self.identity.to_le_bytes());
        bytes[12..20].copy_from_slice(&commits.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..20]);
        bytes[20..].copy_from_slice(&crc.to_le_bytes());
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&bytes)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let _ = self.file.sync_data();
    }
}

/// Refuses a database of which hardly more is left than its name: SQLite would take it for a new one, and everything would
/// run again. One whose name is gone as well is new indeed: somebody has deleted it.
pub(super) fn refuse_emptied(mark: &Path, database: &Path) -> Result<(), StoreError> {
    let is_empty = || database.metadata().is_ok_and(|found| found.len() < SMALLEST);
    let acknowledged = || File::open(mark).ok().and_then(|mut mark| read(&mut mark)).map_or(0, |(_, commits)| commits);
    for _ in 0..IN_THE_MAKING.as_millis() / LOOK.as_millis() {
        if !is_empty() || acknowledged() == 0 {
            return Ok(());
        }
        // Another process may be making it, beside the mark of one that was deleted. It is counted and slept in real
        // time: no clock of a test moves another process.
        thread::sleep(LOOK);
    }
    let (path, mark) = (database.to_owned(), mark.to_owned());
    Err(StoreError::CommitsLost { path, mark, acknowledged: acknowledged(), found: 0 })
}

/// Whether a database holds all that was acknowledged, without touching its mark.
pub(super) fn look(path: &Path, database: &Path, connection: &Connection) -> Result<(), StoreError> {
    // First the mark, then the database: another process may commit in between. Without a mark nothing is known.
    let marked = File::open(path).ok().and_then(|mut file| read(&mut file));
    refuse_loss(marked, &counted(connection, database)?, database, path)
}

/// Counts one more commit, in its transaction.
pub(super) fn count(db: &Connection) -> rusqlite::Result<u64> {
    let commits: i64 = db
        .prepare_cached("UPDATE ft_meta SET value = value + 1 WHERE name = 'commits' RETURNING value")?
        .query_row([], |row| row.get(0))?;
    Ok(commits as u64)
}

/// Identity and commits; `None` if the file is new, or torn by a power cut.
fn read(file: &mut File) -> Option<(u64, u64)> {
    let mut bytes = [0; LEN];
    file.seek(SeekFrom::Start(0)).ok()?;
    file.read_exact(&mut bytes).ok()?;
    let number = |at: usize| {
        let mut number = [0; 8];
        number.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(number)
    };
    let crc = crc32fast::hash(&bytes[..20]).to_le_bytes();
    (bytes[..4] == MAGIC && bytes[20..] == crc).then(|| (number(4), number(12)))
}

fn counted(connection: &Connection, database: &Path) -> Result<Counted, StoreError> {
    let number = |name: &str| {
        connection.query_row("SELECT value FROM ft_meta WHERE name = ?1", [name], |row| row.get::<_, i64>(0))
    };
    let read = || Ok(Counted { identity: number("identity")? as u64, commits: number("commits")? as u64 });
    read().map_err(|error| schema::explain(error, database, "counting its commits"))
}

fn refuse_loss(marked: Option<(u64, u64)>, counted: &Counted, database: &Path, mark: &Path) -> Result<(), StoreError> {
    match marked {
        // The mark of another store, whose file was here before.
        Some((identity, _)) if identity != counted.identity => Ok(()),
        Some((_, acknowledged)) if acknowledged > counted.commits => Err(StoreError::CommitsLost {
            path: database.to_owned(),
            mark: mark.to_owned(),
            acknowledged,
            found: counted.commits,
        }),
        _ => Ok(()),
    }
}
