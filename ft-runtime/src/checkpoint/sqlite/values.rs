//! Large values: files beside the database, in `ft.db.values`.
//!
//! A value above the limit goes to a file of its own, which holds the sealed bytes as a row would. It is written under a
//! passing name, synced, renamed, its directory is synced; and only then the row that names it is committed. So a row never
//! names a file that a power cut could take away. In the row stands, all numbers little-endian:
//!
//! ```text
//! magic "FTV1" | name, 16 bytes | length of the file u64 | crc32 of the file u32 | crc32 of these 32 bytes u32
//! ```
//!
//! The file is called by the name in 32 hexadecimal digits. No name is used twice. The table `ft_value` has a row for each
//! file that is named, with the run that it belongs to; it is written and deleted in the transaction that writes or
//! deletes the row that names the file, and a file is removed when that has been committed. Files without a row, which
//! a killed process leaves, are removed when they are an hour old.

mod pointer;

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, TransactionBehavior};
use sha2::{Digest, Sha256};

pub(super) use self::pointer::Pointer;
use super::requests::senseless;
use super::{create_directories, fsync};
use crate::checkpoint::envelope;
use crate::checkpoint::error::StoreError;

/// Values above this many bytes get a file of their own, unless the store is told another limit.
pub(super) const ABOVE: u64 = 256 * 1024;

/// How old a file without a row must be to be removed: a writer may be about to name it.
const LEFT_BEHIND: Duration = Duration::from_secs(60 * 60);

/// What is appended to the name of a file that is being written.
const PASSING: &str = ".tmp";

/// The files, for whoever reads them.
pub(super) struct Files {
    directory: PathBuf,
    /// A file was not there. Where somebody else may have removed it together with its row, the row is read again.
    missed: Cell<bool>,
}

/// The files, for the one who writes them.
pub(super) struct Values {
    files: Files,
    above: Arc<AtomicU64>,
    owner: String,
    /// How many files this owner has written.
    written: Cell<u64>,
    /// A name is not durable yet.
    unsynced: Cell<bool>,
    /// Files whose rows are deleted in this transaction.
    doomed: RefCell<Vec<String>>,
    /// Somebody has asked to remove what was left behind.
    sweeps: Cell<bool>,
}

impl Files {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, missed: Cell::new(false) }
    }

    /// The value of which `stored` is read in a row.
    pub(super) fn read(&self, stored: &[u8]) -> Arc<[u8]> {
        let Some(pointer) = Pointer::parse(stored) else { return stored.into() };
        let path = self.directory.join(pointer.file());
        match read(&path, &pointer) {
            Ok(value) => value.into(),
            Err(reason) => {
                self.missed.set(true);
                envelope::lost(&format!("its file {} {reason}", path.display())).into()
            }
        }
    }

    /// Whether a file could not be read since this was asked last.
    pub(super) fn missed(&self) -> bool {
        self.missed.replace(false)
    }

    /// Those that are old enough to be removed, if nothing names them.
    fn old(&self) -> io::Result<Vec<String>> {
        let mut old = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let Ok(file) = entry.file_name().into_string() else { continue };
            // What is not ours stays.
            if !pointer::is_name(file.strip_suffix(PASSING).unwrap_or(&file)) {
                continue;
            }
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let age = modified.ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
            if age.is_some_and(|age| age >= LEFT_BEHIND) {
                old.push(file);
            }
        }
        Ok(old)
    }
}

impl Values {
    pub(super) fn new(directory: PathBuf, above: Arc<AtomicU64>, owner: &str) -> Self {
        Self {
            files: Files::new(directory),
            above,
            owner: owner.to_owned(),
            written: Cell::new(0),
            unsynced: Cell::new(false),
            doomed: RefCell::default(),
            sweeps: Cell::new(false),
        }
    }

    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    /// Writes a large value to a file, and leaves in its place what stands for it in a row. Before the row is written,
    /// the names have to be [synced](Self::sync).
    pub(super) fn keep(&self, value: &mut Arc<[u8]>) -> Result<(), StoreError> {
        if value.len() as u64 > self.above.load(Ordering::Relaxed) {
            *value = self.write(value)?.to_bytes().as_slice().into();
        }
        Ok(())
    }

    /// As [`keep`](Self::keep), and syncs: for what is only known inside of the transaction.
    pub(super) fn keep_now(&self, value: &mut Arc<[u8]>) -> Result<(), StoreError> {
        self.keep(value)?;
        self.sync()
    }

    /// Makes the names of all files durable that were written since the last time.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        if self.unsynced.replace(false) {
            fsync(&self.files.directory).map_err(|error| self.failed(&self.files.directory, &error))?;
        }
        Ok(())
    }

    /// Notes that a row of `run` holds `stored`, in the same transaction.
    pub(super) fn named(&self, db: &Connection, run: &str, stored: &[u8]) -> rusqlite::Result<()> {
        let Some(pointer) = Pointer::parse(stored) else { return Ok(()) };
        let file = pointer.file();
        db.prepare_cached("INSERT INTO ft_value (file, run) VALUES (?1, ?2)")?.execute([&*file, run])?;
        // It was not named until now, and may have been taken for one that was left behind. From here on it cannot be:
        // that is looked for with the database locked.
        let path = self.files.directory.join(file);
        match path.try_exists() {
            Ok(true) => Ok(()),
            _ => Err(senseless(format!("{} is gone before it was named", path.display()))),
        }
    }

    /// Notes that a row that held `stored` is deleted.
    pub(super) fn unnamed(&self, db: &Connection, stored: &[u8]) -> rusqlite::Result<()> {
        if let Some(pointer) = Pointer::parse(stored) {
            let file = pointer.file();
            db.prepare_cached("DELETE FROM ft_value WHERE file = ?1")?.execute([&file])?;
            self.doomed.borrow_mut().push(file);
        }
        Ok(())
    }

    /// Notes that all rows of a run are deleted.
    pub(super) fn all_unnamed(&self, db: &Connection, run: &str) -> rusqlite::Result<()> {
        let mut deleted = db.prepare_cached("DELETE FROM ft_value WHERE run = ?1 RETURNING file")?;
        for file in deleted.query_map([run], |row| row.get(0))? {
            self.doomed.borrow_mut().push(file?);
        }
        Ok(())
    }

    /// How many files are to be removed; with [`undo`](Self::undo) they become no more than that again.
    pub(super) fn doomed(&self) -> usize {
        self.doomed.borrow().len()
    }

    pub(super) fn undo(&self, doomed: usize) {
        self.doomed.borrow_mut().truncate(doomed);
    }

    /// The transaction is committed: what it has deleted is removed.
    pub(super) fn committed(&self) {
        for file in self.doomed.take() {
            // One that stays is without a row, and goes with those that were left behind.
            let _ = fs::remove_file(self.files.directory.join(pointer::checked(&file)));
        }
    }

    /// Asks for what was left behind to be removed after this transaction.
    pub(super) fn ask_to_sweep(&self) {
        self.sweeps.set(true);
    }

    pub(super) fn is_to_sweep(&self) -> bool {
        self.sweeps.replace(false)
    }

    /// Removes files that are old and that nothing names.
    pub(super) fn sweep(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        // A directory that is not there, or cannot be read, is swept another time.
        let Ok(mut left) = self.files.old() else { return Ok(()) };
        retain_unnamed(connection, &mut left)?;
        if left.is_empty() {
            return Ok(());
        }
        // Nobody names one of them while this transaction lasts, and whoever does so afterwards looks whether it is there.
        let alone = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        retain_unnamed(&alone, &mut left)?;
        for file in left {
            let _ = fs::remove_file(self.files.directory.join(file));
        }
        Ok(())
    }

    fn write(&self, value: &[u8]) -> Result<Pointer, StoreError> {
        let directory = &self.files.directory;
        create_directories(directory).map_err(|error| self.failed(directory, &error))?;
        let pointer = Pointer::new(self.next_name(), value);
        let path = directory.join(pointer.file());
        let passing = directory.join(pointer.file() + PASSING);
        let write = || {
            let mut file = File::options().write(true).create_new(true).open(&passing)?;
            file.write_all(value)?;
            file.sync_all()?;
            fs::rename(&passing, &path)
        };
        write().map_err(|error| {
            // Never synced again: it gets another file the next time.
            let _ = fs::remove_file(&passing);
            self.failed(&path, &error)
        })?;
        self.unsynced.set(true);
        Ok(pointer)
    }

    /// A name that nobody has used: this owner is the only one of its id.
    fn next_name(&self) -> [u8; 16] {
        let number = self.written.get();
        self.written.set(number + 1);
        let digest = Sha256::new().chain_update(&self.owner).chain_update(number.to_le_bytes()).finalize();
        let mut name = [0; 16];
        name.copy_from_slice(&digest[..16]);
        name
    }

    fn failed(&self, path: &Path, error: &io::Error) -> StoreError {
        StoreError::Failed {
            store: self.files.directory.display().to_string(),
            doing: "keeping a large value beside the database",
            reason: format!("{}: {error}", path.display()),
        }
    }
}

fn retain_unnamed(db: &Connection, files: &mut Vec<String>) -> rusqlite::Result<()> {
    let mut named = db.prepare("SELECT EXISTS (SELECT 1 FROM ft_value WHERE file = ?1)")?;
    let mut unnamed = Vec::new();
    for file in files.drain(..) {
        if !named.query_row([&file], |row| row.get::<_, bool>(0))? {
            unnamed.push(file);
        }
    }
    *files = unnamed;
    Ok(())
}

fn read(path: &Path, pointer: &Pointer) -> Result<Vec<u8>, String> {
    let cannot = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "is missing".into(),
        _ => format!("cannot be read: {error}"),
    };
    let file = File::open(path).map_err(cannot)?;
    let found = file.metadata().map_err(cannot)?.len();
    if found != pointer.len {
        return Err(format!("has {found} bytes and not {}", pointer.len));
    }
    let mut value = Vec::new();
    file.take(pointer.len).read_to_end(&mut value).map_err(cannot)?;
    if crc32fast::hash(&value) != pointer.crc {
        return Err("is damaged: its checksum is not the one recorded".into());
    }
    Ok(value)
}
