//! Who lives on this host: one locked file for each process start.
//!
//! The kernel lets the lock go when the process dies, however it dies, so a free lock means a dead owner. Process ids
//! would lie across containers and are reused; a lock is neither.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

/// As much of what a process calls itself is read, in bytes.
const MAX_PROCESS: u64 = 256;

/// This process start, alive as long as the value is.
#[derive(Debug)]
pub(crate) struct Owner {
    id: String,
    path: PathBuf,
    /// Holds the lock.
    _file: File,
}

impl Owner {
    /// Enters the directory of owners as a new one.
    pub(crate) fn enter(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        loop {
            let id = fresh_id();
            let path = directory.join(&id);
            let mut file = File::create_new(&path)?;
            // Between its creation and its lock, a sweep may have taken the file for a dead owner's and removed it.
            // Once it is locked and still there, nobody else can remove it.
            match file.try_lock() {
                Ok(()) if path.try_exists()? => {
                    // For people; nothing is decided by it.
                    let _ = file.write_all(this_process().as_bytes());
                    return Ok(Self { id, path, _file: file });
                }
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // A file that stays is a dead owner's, which the next sweep removes.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether an owner's process still lives. Asked under the store's write lock, as [`sweep`] is called, so that no two
/// processes try one lock at the same moment and take each other for the owner.
pub(crate) fn is_alive(directory: &Path, id: &str) -> io::Result<bool> {
    let file = match File::open(directory.join(id)) {
        Ok(file) => file,
        // Only who holds its lock removes an owner's file.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// What the process of an owner calls itself, for people to read.
pub(crate) fn process(directory: &Path, id: &str) -> Option<String> {
    let mut name = Vec::new();
    File::open(directory.join(id)).ok()?.take(MAX_PROCESS).read_to_end(&mut name).ok()?;
    readable(&String::from_utf8_lossy(&name))
}

/// What somebody else has written down for people, as it can be shown.
pub(crate) fn readable(name: &str) -> Option<String> {
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    Some(name).filter(|name| !name.is_empty())
}

/// What this process calls itself.
pub(crate) fn this_process() -> String {
    let id = std::process::id();
    let program = std::env::current_exe().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    match program {
        Some(program) => format!("process {id} ({program})"),
        None => format!("process {id}"),
    }
}

/// How many owners live. Called under the store's write lock.
pub(crate) fn living(directory: &Path) -> io::Result<usize> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut living = 0;
    for entry in entries {
        let entry = entry?;
        living += usize::from(is_alive(directory, &entry.file_name().to_string_lossy())?);
    }
    Ok(living)
}

/// Removes the files of dead owners. Called under the store's write lock.
pub(crate) fn sweep(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let Ok(file) = File::open(&path) else {
            continue;
        };
        if file.try_lock().is_ok() {
            // Removed while it is locked: see `Owner::enter`.
            let _ = fs::remove_file(&path);
        }
    }
    Ok(())
}

/// A UUID that no other process start has.
pub(crate) fn fresh_id() -> String {
    use std::hash::{BuildHasher, RandomState};

    let mut seed = Sha256::new();
    // The standard library's hash keys come from the operating system's randomness, new for each thread and
    // advanced for each state; process and time keep forked copies apart.
    for round in 0..4u8 {
        seed.update(RandomState::new().hash_one(round).to_le_bytes());
    }
    seed.update(std::process::id().to_le_bytes());
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    seed.update(since.unwrap_or_default().as_nanos().to_le_bytes());
    uuid(&seed.finalize().into())
}

/// The first 128 bits of a digest as a UUID of version 8 (custom).
pub(crate) fn uuid(digest: &[u8; 32]) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        use std::fmt::Write;
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;

    #[test]
    fn an_owner_lives_until_it_is_dropped_and_leaves_no_file() {
        let scratch = Scratch::new();
        let owner = Owner::enter(scratch.path()).unwrap();
        let id = owner.id().to_owned();
        assert!(is_alive(scratch.path(), &id).unwrap());
        drop(owner);
        assert!(!is_alive(scratch.path(), &id).unwrap());
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_sweep_removes_the_dead_and_spares_the_living() {
        let scratch = Scratch::new();
        let living = Owner::enter(scratch.path()).unwrap();
        // What `kill -9` leaves: the file, and no lock on it.
        let dead = fresh_id();
        fs::write(scratch.path().join(&dead), b"").unwrap();
        assert!(!is_alive(scratch.path(), &dead).unwrap());
        sweep(scratch.path()).unwrap();
        assert!(!scratch.path().join(&dead).exists());
        assert!(is_alive(scratch.path(), living.id()).unwrap());
    }

    #[test]
    fn ids_are_uuids_and_never_the_same() {
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| fresh_id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 36));
    }
}
