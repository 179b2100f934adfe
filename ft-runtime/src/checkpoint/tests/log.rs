//! Damage to SQLite's log, which SQLite takes for its end.

use std::fs;
use std::path::{Path, PathBuf};

use super::World;
use crate::checkpoint::scratch::Scratch;
use crate::checkpoint::sqlite::Sqlite;
use crate::checkpoint::{Backend, Claim, Lease, Step, StoreError};

const STEPS: usize = 6;

/// What `kill -9` leaves of a store after six steps: database, log and mark.
struct Killed {
    scratch: Scratch,
    log: Vec<u8>,
}

impl Killed {
    fn new() -> Self {
        let world = World::sqlite();
        let store = Sqlite::open_as_new_owner(&world.path()).unwrap();
        let _ = store.claim(Claim::new("r", "work")).wait().unwrap();
        for n in 0..STEPS {
            let _ = store.append(vec![Step::new(Lease::new("r", 1), format!("s{n}"), *b"v")]).wait().unwrap();
        }
        let scratch = Scratch::new();
        for name in ["ft.db", "ft.db-wal", "ft.db.mark"] {
            fs::copy(world.scratch.join(name), scratch.join(name)).unwrap();
        }
        let log = fs::read(scratch.join("ft.db-wal")).unwrap();
        Self { scratch, log }
    }

    fn path(&self) -> PathBuf {
        self.scratch.join("ft.db")
    }

    /// A copy with this log, or none.
    fn with_log(&self, log: Option<&[u8]>) -> Scratch {
        let copy = Scratch::new();
        for name in ["ft.db", "ft.db.mark"] {
            fs::copy(self.scratch.join(name), copy.join(name)).unwrap();
        }
        if let Some(log) = log {
            fs::write(copy.join("ft.db-wal"), log).unwrap();
        }
        copy
    }
}

fn steps(path: &Path) -> Result<usize, StoreError> {
    let store = Sqlite::open_as_new_owner(path)?;
    Ok(store.steps("r").wait()?.len())
}

#[test]
fn a_log_that_is_whole_is_read() {
    let killed = Killed::new();
    assert_eq!(steps(&killed.path()), Ok(STEPS));
}

#[test]
fn a_log_that_is_damaged_cut_or_gone_is_refused_and_left_as_it_is() {
    let killed = Killed::new();
    let flipped = (0..killed.log.len()).step_by(331).map(|at| {
        let mut log = killed.log.clone();
        log[at] ^= 0x10;
        Some(log)
    });
    let cut = (0..killed.log.len()).step_by(1511).map(|len| Some(killed.log[..len].to_vec()));
    let mut refused = 0;
    for log in flipped.chain(cut).chain([None]) {
        let copy = killed.with_log(log.as_deref());
        match steps(&copy.join("ft.db")) {
            Err(StoreError::CommitsLost { acknowledged, found, .. }) => {
                assert!(found < acknowledged);
                assert_eq!(
                    fs::read(copy.join("ft.db-wal")).ok().filter(|log| !log.is_empty()),
                    log.filter(|log| !log.is_empty())
                );
                refused += 1;
            }
            opened => assert_eq!(opened, Ok(STEPS), "something acknowledged is gone, and nobody said so"),
        }
    }
    assert!(refused > 50, "{refused} were refused");
}

#[test]
fn without_its_mark_the_store_goes_on_from_what_is_left() {
    let killed = Killed::new();
    let copy = killed.with_log(None);
    fs::remove_file(copy.join("ft.db.mark")).unwrap();
    // This is the limit: nothing says that there was more. It is also what somebody who accepts the loss does.
    assert!(steps(&copy.join("ft.db")).unwrap() < STEPS);
    // From then on it is a whole store again.
    assert!(steps(&copy.join("ft.db")).is_ok());
}

#[test]
fn a_database_of_which_only_the_name_is_left_is_no_new_store() {
    let killed = Killed::new();
    for left in [&b"S"[..], b""] {
        fs::write(killed.path(), left).unwrap();
        let refused = steps(&killed.path());
        assert!(matches!(refused, Err(StoreError::CommitsLost { found: 0, .. })), "{refused:?}");
    }
    assert_eq!(fs::read(killed.scratch.join("ft.db-wal")).unwrap(), killed.log, "its log is still there");
    // Whoever accepts the loss says so.
    fs::remove_file(killed.scratch.join("ft.db.mark")).unwrap();
    assert_eq!(steps(&killed.path()), Ok(0));
}

#[test]
fn a_store_whose_file_was_exchanged_is_not_gone_on_with_after_a_failure() {
    let world = World::sqlite();
    let store = Sqlite::open_as_new_owner(&world.path()).unwrap();
    let _ = store.claim(Claim::new("r", "work")).wait().unwrap();
    for name in ["ft.db", "ft.db-wal", "ft.db-shm"] {
        fs::remove_file(world.scratch.join(name)).unwrap();
    }
    store.fail_next_commit();
    store.claim(Claim::new("s", "work")).wait().unwrap_err();
    let refused = store.claim(Claim::new("s", "work")).wait();
    assert!(matches!(refused, Err(StoreError::Damaged { .. })), "{refused:?}");
}

#[test]
fn a_new_store_in_the_place_of_a_deleted_one_owes_nothing_to_its_mark() {
    let killed = Killed::new();
    for name in ["ft.db", "ft.db-wal"] {
        fs::remove_file(killed.scratch.join(name)).unwrap();
    }
    assert_eq!(steps(&killed.path()), Ok(0));
}

#[test]
fn a_torn_mark_keeps_nobody_out() {
    let killed = Killed::new();
    for mark in [&b""[..], b"FTM1", &[0; 24]] {
        fs::write(killed.scratch.join("ft.db.mark"), mark).unwrap();
        assert_eq!(steps(&killed.path()), Ok(STEPS));
    }
}
