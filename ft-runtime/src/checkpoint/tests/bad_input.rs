//! Bad input: a clear typed error, and nothing overwritten.

use std::fs;

use super::World;
use crate::checkpoint::{Checkpoint, CheckpointError, RunSession, Saved, Store, StoreError};
use crate::{Error, Rejected};

type Out = Result<u32, Error<String>>;

fn run(id: &str) -> RunSession<u32, Error<String>> {
    Checkpoint::new().run(id).named("work").calls::<Out>()
}

async fn step(key: u32) -> Out {
    Checkpoint::new().step("step").key(&key).input(&(key,)).calls::<Out>().run(async { Ok(key) }).await
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, Error<String>>) -> CheckpointError {
    match outcome {
        Err(Error::Rejected(Rejected::Checkpoint(error))) => *error,
        other => panic!("not refused: {other:?}"),
    }
}

fn open(path: &std::path::Path) -> Result<Store, StoreError> {
    Store::open(&format!("sqlite:{}", path.display()))
}

#[test]
fn an_unknown_scheme_names_those_that_are_known() {
    for url in ["redis://host/db", "ft.db", ""] {
        let error = Store::open(url).unwrap_err();
        assert_eq!(error, StoreError::UnknownScheme { url: url.into() });
        assert!(error.to_string().contains("sqlite:PATH") && error.to_string().contains("memory:"));
    }
}

#[test]
fn a_path_that_cannot_be_written_is_named() {
    let world = World::sqlite();
    let file = world.scratch.join("file");
    fs::write(&file, b"mine").unwrap();
    for path in [file.join("ft.db"), world.scratch.path().to_owned(), std::path::PathBuf::new()] {
        let error = open(&path).unwrap_err();
        assert!(matches!(error, StoreError::NotWritable { .. }), "{error:?}");
    }
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}

#[test]
fn a_file_that_is_no_database_stays_as_it_was() {
    for len in [1, 50, 5000] {
        let world = World::sqlite();
        let content = b"notes ".repeat(len);
        fs::write(world.path(), &content).unwrap();
        assert_eq!(open(&world.path()).unwrap_err(), StoreError::NotADatabase { path: world.path() });
        assert_eq!(fs::read(world.path()).unwrap(), content);
    }
}

#[test]
fn another_programs_database_stays_as_it_was() {
    for (sql, application_id) in [("CREATE TABLE mine (x)", 0), ("PRAGMA application_id = 42", 42)] {
        let world = World::sqlite();
        rusqlite::Connection::open(world.path()).unwrap().execute_batch(sql).unwrap();
        let before = fs::read(world.path()).unwrap();
        assert_eq!(open(&world.path()).unwrap_err(), StoreError::Foreign { path: world.path(), application_id });
        assert_eq!(fs::read(world.path()).unwrap(), before);
    }
}

#[test]
fn a_newer_schema_is_refused_and_stays_as_it_was() {
    let world = World::sqlite();
    drop(open(&world.path()).unwrap());
    rusqlite::Connection::open(world.path()).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let before = fs::read(world.path()).unwrap();
    let error = open(&world.path()).unwrap_err();
    assert_eq!(error, StoreError::NewerSchema { path: world.path(), found: 99, supported: 3 });
    assert_eq!(fs::read(world.path()).unwrap(), before);
}

#[tokio::test]
async fn a_damaged_step_is_neither_used_nor_executed_again() {
    for sql in [
        "UPDATE ft_step SET value = substr(value, 1, length(value) - 1)",
        "UPDATE ft_step SET value = substr(value, 1, 28) || x'07'",
        "UPDATE ft_step SET value = CAST(substr(value, 1, 28) || x'07' AS BLOB)",
        "UPDATE ft_step SET value = x''",
    ] {
        let world = World::sqlite();
        let store = world.store();
        let failed = store.scope(run("r").run(async {
            step(5).await?;
            Err(Error::Failed("crash".into()))
        }));
        failed.await.unwrap_err();
        world.tamper(sql);
        let before = store.steps("r").await.unwrap();
        let error = refused(store.scope(run("r").run(step(5))).await);
        assert!(matches!(&error, CheckpointError::Corrupt { run, what, .. } if run == "r" && what.contains("step(5)")));
        assert_eq!(store.steps("r").await.unwrap(), before);
    }
}

#[tokio::test]
async fn a_row_that_makes_no_sense_fails_its_own_run_and_no_other() {
    let world = World::sqlite();
    let store = world.store();
    for id in ["r", "other"] {
        let failed = store.scope(run(id).run(async {
            step(1).await?;
            Err(Error::Failed("crash".into()))
        }));
        failed.await.unwrap_err();
    }
    for (makes, undoes) in [
        ("ft_step SET input = x'00'", "ft_step SET input = zeroblob(16)"),
        ("ft_step SET token = -1", "ft_step SET token = 1"),
        ("ft_step SET seq = -1", "ft_step SET seq = 1"),
        ("ft_run SET status = 'asleep'", "ft_run SET status = 'running'"),
        ("ft_run SET incarnation = -1", "ft_run SET incarnation = 1"),
        ("ft_run SET attempts = 4294967295", "ft_run SET attempts = 1"),
        ("ft_run SET attempts = -1", "ft_run SET attempts = 1"),
        ("ft_run SET token = 9223372036854775807", "ft_run SET token = 1"),
        ("ft_run SET token = -1", "ft_run SET token = 1"),
        ("ft_run SET steps = -1", "ft_run SET steps = 1"),
    ] {
        world.tamper(&format!("UPDATE {makes} WHERE run = 'r'"));
        let error = refused(store.scope(run("r").run(async { step(1).await })).await);
        assert!(matches!(error, CheckpointError::Store(StoreError::Damaged { .. })), "{makes}: {error:?}");
        assert_eq!(store.scope(run("other").run(async { step(1).await })).await.unwrap(), 1);
        world.tamper(&format!("UPDATE {undoes} WHERE run = 'r'"));
    }
    world.tamper("UPDATE ft_run SET token = -1 WHERE run = 'r'");
    let error = store.runs(Default::default()).await.unwrap_err();
    assert!(error.to_string().contains("the row of run `r`: its token is -1"), "{error}");
    assert_eq!(store.delete("r").await, Ok(true));
    assert_eq!(store.runs(Default::default()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_state_at_the_end_of_its_numbers_fails_its_own_run() {
    let world = World::sqlite();
    let store = world.store();
    let crash = async || {
        let body = async {
            let mut state = Saved::<u32>::load("state").await?;
            *state += 1;
            state.commit().await?;
            Err(Error::Failed("crash".into()))
        };
        store.scope(Checkpoint::new().every(1).run("r").named("work").calls::<Out>().run(body)).await.unwrap_err()
    };
    assert!(matches!(crash().await, Error::Failed(_)));
    for generation in [-1, i64::MAX] {
        world.tamper(&format!("UPDATE ft_state SET generation = {generation}"));
        let error = refused(Err::<(), _>(crash().await));
        let found =
            matches!(error, CheckpointError::Store(StoreError::Damaged { .. }) | CheckpointError::Corrupt { .. });
        assert!(found, "{generation}: {error:?}");
    }
    assert_eq!(store.scope(run("other").run(async { step(1).await })).await.unwrap(), 1);
}

#[tokio::test]
async fn a_step_that_damage_has_hidden_leaves_a_hole_that_is_found() {
    let world = World::sqlite();
    let store = world.store();
    let failed = store.scope(run("r").run(async {
        step(1).await?;
        step(2).await?;
        Err(Error::Failed("crash".into()))
    }));
    failed.await.unwrap_err();
    world.tamper("DELETE FROM ft_step WHERE seq = 1");
    let error = refused(store.scope(run("r").run(step(1))).await);
    assert!(matches!(&error, CheckpointError::Corrupt { reason, .. } if reason == "1 of 2 recorded steps are there"));
    // The refusal gave the run back.
    assert_eq!(store.runs(Default::default()).await.unwrap()[0].owner, None);
}

#[tokio::test]
async fn the_newest_step_and_all_steps_are_missed_when_they_are_lost() {
    for (lost, left) in [("seq = 2", 1), ("seq > 0", 0)] {
        let world = World::sqlite();
        let store = world.store();
        let failed = store.scope(run("r").run(async {
            step(1).await?;
            step(2).await?;
            Err(Error::Failed("crash".into()))
        }));
        failed.await.unwrap_err();
        world.tamper(&format!("DELETE FROM ft_step WHERE {lost}"));
        let error = refused(store.scope(run("r").run(async { panic!("executed") })).await);
        let said = format!("{left} of 2 recorded steps are there");
        assert!(matches!(&error, CheckpointError::Corrupt { reason, .. } if *reason == said), "{lost}: {error:?}");
    }
}

#[tokio::test]
async fn a_run_whose_row_is_lost_does_not_start_beside_its_steps() {
    let world = World::sqlite();
    let store = world.store();
    let failed = store.scope(run("r").run(async {
        step(1).await?;
        Err(Error::Failed("crash".into()))
    }));
    failed.await.unwrap_err();
    world.tamper("DELETE FROM ft_run");
    let error = refused(store.scope(run("r").run(async { panic!("executed") })).await);
    assert!(matches!(error, CheckpointError::Store(StoreError::Damaged { .. })), "{error:?}");
    // Deleting it is how somebody says that it may.
    let _ = store.delete("r").await.unwrap();
    assert_eq!(store.scope(run("r").run(step(1))).await.unwrap(), 1);
}

#[tokio::test]
async fn a_record_whose_place_is_damaged_is_found_before_anything_is_executed() {
    for tampered in [
        // One bit: the step would be taken for one that was never recorded.
        "UPDATE ft_step SET key = 'step(3)' WHERE seq = 1",
        "UPDATE ft_step SET input = zeroblob(16) WHERE seq = 1",
        "UPDATE ft_run SET incarnation = incarnation + 1",
        "UPDATE ft_step SET value = (SELECT value FROM ft_step WHERE seq = 2) WHERE seq = 1",
    ] {
        let world = World::sqlite();
        let store = world.store();
        let failed = store.scope(run("r").run(async {
            step(1).await?;
            step(2).await?;
            Err(Error::Failed("crash".into()))
        }));
        failed.await.unwrap_err();
        world.tamper(tampered);
        let error = refused(store.scope(run("r").run(async { panic!("executed") })).await);
        assert!(matches!(error, CheckpointError::Corrupt { .. }), "{tampered}: {error:?}");
    }
}

#[tokio::test]
async fn a_state_under_another_name_or_with_another_type_name_is_corrupt() {
    for tampered in ["UPDATE ft_state SET name = 'other'", "UPDATE ft_state SET type_name = 'u16'"] {
        let world = World::sqlite();
        let store = world.store();
        let failed = store.scope(run("r").run(async {
            Saved::<u32>::load("state").await?.commit().await?;
            Err(Error::Failed("crash".into()))
        }));
        failed.await.unwrap_err();
        world.tamper(tampered);
        let name = if tampered.contains("name = 'other'") { "other" } else { "state" };
        let error = refused(store.scope(run("r").run(async { Ok(*Saved::<u32>::load(name).await?) })).await);
        assert!(matches!(error, CheckpointError::Corrupt { .. }), "{tampered}: {error:?}");
    }
}

#[tokio::test]
async fn versions_of_a_state_that_changed_places_are_corrupt() {
    let world = World::sqlite();
    let store = world.store();
    let failed = store.scope(run("r").run(async {
        let mut state = Saved::<u32>::load("state").await?;
        for value in [10, 20] {
            *state = value;
            state.commit().await?;
        }
        Err(Error::Failed("crash".into()))
    }));
    failed.await.unwrap_err();
    world.tamper("UPDATE ft_state SET generation = -generation");
    world.tamper("UPDATE ft_state SET generation = 3 + generation");
    let error = refused(store.scope(run("r").run(async { Ok(*Saved::<u32>::load("state").await?) })).await);
    assert!(matches!(error, CheckpointError::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn a_damaged_result_is_an_error_and_the_run_does_not_start_again() {
    let world = World::sqlite();
    let store = world.store();
    store.scope(run("r").run(async { Ok(7) })).await.unwrap();
    world.tamper("UPDATE ft_run SET output = substr(output, 1, 28) || x'08'");
    let error = refused(store.scope(run("r").run(async { Ok(1) })).await);
    assert!(matches!(error, CheckpointError::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn a_result_of_another_type_names_both_and_stays() {
    for world in World::all() {
        let store = world.store();
        store.scope(run("r").run(async { Ok(7) })).await.unwrap();
        let other = Checkpoint::new().run("r").named("work").calls::<Result<String, Error<String>>>();
        let error = refused(store.scope(other.run(async { Ok(String::new()) })).await);
        assert!(matches!(&error, CheckpointError::Decode { run, .. } if run == "r"), "{error:?}");
        assert_eq!(store.scope(run("r").run(async { Ok(1) })).await.unwrap(), 7);
    }
}

#[tokio::test]
async fn a_run_id_of_another_function_is_refused() {
    for world in World::all() {
        let store = world.store();
        store.scope(run("r").run(async { Err(Error::Failed("crash".into())) })).await.unwrap_err();
        let other = Checkpoint::new().run("r").named("other").calls::<Out>();
        let error = refused(store.scope(other.run(async { Ok(1) })).await);
        let expected = CheckpointError::RunIdReused { run: "r".into(), recorded: "work".into(), now: "other".into() };
        assert_eq!(error, expected);
        assert_eq!(store.scope(run("r").run(async { Ok(7) })).await.unwrap(), 7);
    }
}

#[tokio::test]
async fn a_run_in_flight_of_another_version_is_refused() {
    for world in World::all() {
        let store = world.store();
        store.scope(run("r").run(async { Err(Error::Failed("crash".into())) })).await.unwrap_err();
        let newer = Checkpoint::new().version(2).run("r").named("work").calls::<Out>();
        let error = refused(store.scope(newer.run(async { Ok(1) })).await);
        assert_eq!(error, CheckpointError::VersionChanged { run: "r".into(), recorded: 0, now: 2 });
    }
}

#[tokio::test]
async fn two_processes_on_one_run_are_refused_with_the_owner() {
    for world in World::all() {
        let (first, second) = (world.store(), world.store());
        let outer = first.scope(run("r").run(async {
            let error = refused(second.scope(run("r").run(async { Ok(1) })).await);
            assert_eq!(error, CheckpointError::RunBusy { run: "r".into(), owner: first.owner().into() });
            let error = refused(first.scope(run("r").run(async { Ok(1) })).await);
            assert!(matches!(error, CheckpointError::RunBusy { .. }));
            Ok(7)
        }));
        assert_eq!(outer.await.unwrap(), 7);
    }
}

#[tokio::test]
async fn names_that_nobody_could_read_are_refused() {
    let store = Store::open("memory:").unwrap();
    for id in [String::new(), "x".repeat(256), "a\nb".into()] {
        let error = refused(store.scope(run(&id).run(async { Ok(1) })).await);
        assert!(matches!(error, CheckpointError::BadName { what: "run", .. }), "{error:?}");
    }
    let error = refused(store.scope(run("r").run(async { Ok(*Saved::<u32>::load("").await?) })).await);
    assert!(matches!(error, CheckpointError::BadName { what: "saved state", .. }));
}

#[tokio::test]
async fn a_result_that_is_too_large_is_refused_before_it_is_recorded() {
    let store = Store::open("memory:").unwrap();
    type Large = Result<String, Error<String>>;
    let outcome = store.scope(run("r").run(async {
        let step = Checkpoint::new().step("large").calls::<Large>();
        step.run(async { Ok("x".repeat(65 << 20)) }).await?;
        Ok(1)
    }));
    let error = refused(outcome.await);
    assert!(matches!(error, CheckpointError::TooLarge { .. }), "{error:?}");
    assert!(store.steps("r").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_recorded_error_of_a_step_that_records_none_any_more_is_neither_used_nor_executed_again() {
    for world in World::all() {
        let store = world.store();
        let call = || Checkpoint::new().step("pay").key(&1).calls::<Out>();
        let recorded = store.scope(
            run("r").run(async { call().record_err().run(async { Err(Error::Failed("declined".into())) }).await }),
        );
        assert_eq!(recorded.await, Err(Error::Failed("declined".into())));
        let error = refused(store.scope(run("r").run(async { call().run(async { panic!("executed") }).await })).await);
        assert!(matches!(&error, CheckpointError::Decode { recorded, .. } if recorded == "an error"), "{error:?}");
        // A refusal in an `Error` is no answer of the step.
        let outcome = store
            .scope(run("other").run(async { call().record_err().run(async { Err(Rejected::NoTarget.into()) }).await }));
        assert_eq!(outcome.await, Err(Error::Rejected(Rejected::NoTarget)));
        assert!(store.steps("other").await.unwrap().is_empty());
    }
}
