//! A store with the tables of an earlier version.

use std::fs;
use std::path::Path;
use std::sync::Barrier;
use std::thread;

use super::World;
use crate::checkpoint::owner::Owner;
use crate::checkpoint::sqlite::Sqlite;
use crate::checkpoint::{Abandoned, Backend, Filter, StoreError};

/// A world with a store of the first version in it.
fn first_version() -> World {
    version(1)
}

fn version(schema: u32) -> World {
    let world = World::sqlite();
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/corpus/store-v{schema}.db"));
    fs::copy(original, world.path()).unwrap();
    world
}

fn schema(world: &World) -> u32 {
    let db = rusqlite::Connection::open(world.path()).unwrap();
    db.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

#[test]
fn steps_that_were_recorded_before_are_counted() {
    let world = first_version();
    let store = Sqlite::open_as_new_owner(&world.path()).unwrap();
    let runs = store.list(Filter::default()).wait().unwrap();
    let counted: Vec<_> = runs.iter().map(|run| (&*run.run, run.steps)).collect();
    assert_eq!(counted, [("daily", 0), ("finished", 2), ("interrupted", 1), ("reindex", 0), ("stopped", 1)]);
    assert_eq!(schema(&world), 3);
}

#[test]
fn runs_that_died_before_are_to_go_on() {
    for before in [1, 2] {
        let world = version(before);
        let store = Sqlite::open_as_new_owner(&world.path()).unwrap();
        let left = store.abandoned(Abandoned::new()).wait().unwrap();
        let left: Vec<_> = left.iter().map(|run| (&*run.run, run.interrupted, run.input_len)).collect();
        assert_eq!(left, [("interrupted", false, None)], "schema {before}");
        assert_eq!(store.input("interrupted").wait(), Ok(None));
        assert_eq!(schema(&world), 3);
    }
}

#[test]
fn of_many_processes_that_start_at_once_one_migrates_and_all_go_on() {
    for _ in 0..10 {
        let world = first_version();
        let (path, gate) = (world.path(), Barrier::new(8));
        thread::scope(|scope| {
            let opening = (0..8).map(|_| {
                scope.spawn(|| {
                    gate.wait();
                    Sqlite::open_as_new_owner(&path).and_then(|store| store.list(Filter::default()).wait())
                })
            });
            let opening: Vec<_> = opening.collect();
            for thread in opening {
                assert_eq!(thread.join().unwrap().unwrap().len(), 5);
            }
        });
    }
}

#[test]
fn nothing_is_migrated_under_a_process_of_the_earlier_version() {
    let world = first_version();
    let owners = world.scratch.join("ft.db.owners");
    let earlier = Owner::enter(&owners).unwrap();
    let error = Sqlite::open_as_new_owner(&world.path()).unwrap_err();
    let expected = StoreError::OlderSchemaInUse { path: world.path(), found: 1, supported: 3, living: 1 };
    assert_eq!(error, expected);
    assert_eq!(schema(&world), 1);
    drop(earlier);
    drop(Sqlite::open_as_new_owner(&world.path()).unwrap());
    assert_eq!(schema(&world), 3);
}

#[test]
fn a_migration_that_is_cut_short_leaves_the_earlier_version() {
    let world = first_version();
    let db = rusqlite::Connection::open(world.path()).unwrap();
    let full = "CREATE TRIGGER full BEFORE UPDATE ON ft_state BEGIN SELECT RAISE(ABORT, 'no room'); END";
    db.execute_batch(full).unwrap();
    let error = Sqlite::open_as_new_owner(&world.path()).unwrap_err();
    assert!(matches!(&error, StoreError::Failed { reason, .. } if reason.contains("no room")), "{error:?}");
    assert_eq!(schema(&world), 1);
    db.execute_batch("DROP TRIGGER full").unwrap();
    drop(Sqlite::open_as_new_owner(&world.path()).unwrap());
    assert_eq!(schema(&world), 3);
}
