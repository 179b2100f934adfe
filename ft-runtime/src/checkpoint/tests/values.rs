//! Large values, in files beside the database.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::World;
use crate::checkpoint::sqlite::Sqlite;
use crate::checkpoint::{
    Again, Backend, Checkpoint, CheckpointError, Claim, Claimed, Filter, Finish, Gc, Lease, Saved, Step, Store,
    StoreError,
};
use crate::{Error, Rejected};

type Failed = Error<String>;
type Out = Result<String, Failed>;

/// Beside the database, if values have more than 100 bytes.
fn store(world: &World) -> Store {
    world.store().files_above(100)
}

fn large(letter: &str) -> String {
    letter.repeat(1000)
}

fn crash() -> Failed {
    Failed::Failed("crash".into())
}

async fn step(key: u32, value: String) -> Out {
    Checkpoint::new().step("step").key(&key).calls::<Out>().run(async { Ok(value) }).await
}

fn run<B: Future<Output = Out>>(store: &Store, id: &str, body: B) -> impl Future<Output = Out> + use<B> {
    let (store, id) = (store.clone(), id.to_owned());
    async move { store.scope(Checkpoint::new().run(id).named("work").calls::<Out>().run(body)).await }
}

/// The files, in no order.
fn files(world: &World) -> Vec<PathBuf> {
    match fs::read_dir(world.scratch.join("ft.db.values")) {
        Ok(files) => files.map(|entry| entry.unwrap().path()).collect(),
        Err(_) => Vec::new(),
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, Failed>) -> CheckpointError {
    match outcome {
        Err(Error::Rejected(Rejected::Checkpoint(error))) => *error,
        other => panic!("not refused: {other:?}"),
    }
}

fn rows_hold(world: &World, bytes: u32) {
    let db = rusqlite::Connection::open(world.path()).unwrap();
    let most = "SELECT max(coalesce((SELECT max(length(value)) FROM ft_step), 0), \
                coalesce((SELECT max(length(value)) FROM ft_state), 0), \
                coalesce((SELECT max(length(output)) FROM ft_run), 0))";
    assert_eq!(db.query_row(most, [], |row| row.get::<_, u32>(0)).unwrap(), bytes);
}

fn age(file: &PathBuf, age: Duration) {
    File::options().write(true).open(file).unwrap().set_modified(SystemTime::now() - age).unwrap();
}

const OLD: Duration = Duration::from_secs(2 * 60 * 60);

#[tokio::test]
async fn a_large_value_has_a_file_and_is_read_back_by_whoever_goes_on() {
    let world = World::sqlite();
    let failing = run(&store(&world), "r", async {
        step(1, large("a")).await?;
        step(2, "small".into()).await?;
        let mut state = Saved::<String>::load("state").await?;
        *state = large("b");
        state.commit().await?;
        Err(crash())
    });
    failing.await.unwrap_err();
    assert_eq!(files(&world).len(), 2);
    rows_hold(&world, 36);

    let body = async {
        let state = Saved::<String>::load("state").await?;
        Ok(step(1, "executed".into()).await? + &step(2, "executed".into()).await? + &state)
    };
    let expected = large("a") + "small" + &large("b");
    assert_eq!(run(&store(&world), "r", body).await.unwrap(), expected);
    assert_eq!(files(&world).len(), 2, "the step and the result; the state is gone");
    assert_eq!(run(&world.store(), "r", async { panic!("executed") }).await.unwrap(), expected);

    let listed = world.store().runs(Filter::default()).await.unwrap();
    let output = world.store().output("r").await.unwrap().unwrap();
    assert_eq!(listed[0].output_len, Some(output.len() as u64));
    assert!(output.len() > expected.len());
}

#[tokio::test]
async fn the_limit_is_for_the_value_as_it_is_stored_and_may_be_off() {
    for (above, number) in [(100, 1), (10_000, 0), (u64::MAX, 0)] {
        let world = World::sqlite();
        let store = world.store().files_above(above);
        let small = run(&store, "small", async { Ok("x".repeat(40)) });
        small.await.unwrap();
        run(&store, "large", async { Ok(large("a")) }).await.unwrap();
        assert_eq!(files(&world).len(), number);
    }
}

#[tokio::test]
async fn a_missing_or_damaged_file_is_damage_that_names_it() {
    type Damage = fn(&PathBuf);
    let damages: [(Damage, &str); 3] = [
        (|file| fs::remove_file(file).unwrap(), "is missing"),
        (|file| File::options().write(true).open(file).unwrap().set_len(7).unwrap(), "has 7 bytes and not 10"),
        (
            |file| {
                let mut bytes = fs::read(file).unwrap();
                bytes[500] ^= 1;
                fs::write(file, bytes).unwrap();
            },
            "is damaged: its checksum",
        ),
    ];
    for (damage, reason) in damages {
        let world = World::sqlite();
        let failing = async {
            step(1, large("a")).await?;
            Err(crash())
        };
        run(&store(&world), "r", failing).await.unwrap_err();
        let file = files(&world).remove(0);
        damage(&file);
        let error = refused(run(&store(&world), "r", step(1, large("executed"))).await);
        let text = error.to_string();
        assert!(matches!(error, CheckpointError::Corrupt { .. }), "{text}");
        for part in [reason, file.to_str().unwrap(), "step `step(1)`", "run `r`"] {
            assert!(text.contains(part), "`{part}` is not in: {text}");
        }
    }
}

#[tokio::test]
async fn a_state_whose_newest_file_is_gone_falls_back_to_the_version_before() {
    let world = World::sqlite();
    let failing = run(&store(&world), "r", async {
        let mut state = Saved::<String>::load("state").await?;
        *state = large("a");
        state.commit().await?;
        let first = files(&world);
        *state = large("b");
        state.commit().await?;
        files(&world).iter().filter(|file| !first.contains(file)).for_each(|file| fs::remove_file(file).unwrap());
        Err(crash())
    });
    failing.await.unwrap_err();
    let loaded = run(&store(&world), "r", async { Ok(Saved::<String>::load("state").await?.clone()) });
    assert_eq!(loaded.await.unwrap(), large("a"));
}

#[tokio::test]
async fn the_files_of_a_state_are_no_more_than_its_versions() {
    let world = World::sqlite();
    let failing = run(&store(&world), "r", async {
        let mut state = Saved::<String>::load("state").await?;
        for letter in ["a", "b", "c", "d", "e"] {
            *state = large(letter);
            state.commit().await?;
        }
        Err(crash())
    });
    failing.await.unwrap_err();
    assert_eq!(files(&world).len(), 2);
}

#[tokio::test]
async fn what_ends_a_run_removes_its_files_and_no_others() {
    let world = World::sqlite();
    let store = store(&world);
    run(&store, "other", async { Ok(large("o")) }).await.unwrap();
    let kept = files(&world);
    let work = async || {
        let body = async {
            step(1, large("a")).await?;
            let mut state = Saved::<String>::load("state").await?;
            *state = large("b");
            state.commit().await?;
            Ok(large("c"))
        };
        run(&store, "r", body).await.unwrap();
        assert_eq!(files(&world).len(), 3);
    };
    work().await;
    assert_eq!(store.delete("r").await, Ok(true));
    assert_eq!(files(&world), kept);
    work().await;
    let gc = Gc::new().prefix("r").older_than(crate::checkpoint::RunStatus::Finished, Duration::ZERO);
    assert_eq!(store.gc(gc.clone().dry_run(true)).await.unwrap().runs.len(), 1);
    assert_eq!(files(&world).len(), 3, "that was only a question");
    assert_eq!(store.gc(gc).await.unwrap().runs.len(), 1);
    assert_eq!(files(&world), kept);

    for letter in ["a", "b"] {
        let again = Checkpoint::new().again(Again::Always).run("daily").named("daily").calls::<Out>();
        store.scope(again.run(step(1, large(letter)))).await.unwrap();
        assert_eq!(files(&world).len(), 3, "a step and a result of the last start");
    }
}

#[tokio::test]
async fn a_fork_has_files_of_its_own() {
    let world = World::sqlite();
    let store = store(&world);
    let body = |tail: &'static str| async move { Ok(step(1, large("a")).await? + &step(2, tail.into()).await?) };
    run(&store, "r", body("b")).await.unwrap();
    store.fork("r", "step(2)", "new").await.unwrap();
    assert_eq!(files(&world).len(), 3);
    store.delete("r").await.unwrap();
    assert_eq!(run(&store, "new", body("c")).await.unwrap(), large("a") + "c");
}

#[tokio::test]
async fn files_that_nothing_names_go_when_they_are_an_hour_old_and_what_is_named_or_not_ours_stays() {
    let world = World::sqlite();
    let store = store(&world);
    run(&store, "r", async { Ok(large("a")) }).await.unwrap();
    let named = files(&world).remove(0);
    let directory = world.scratch.join("ft.db.values");
    let (old, passing) = (directory.join("a".repeat(32)), directory.join("b".repeat(32) + ".tmp"));
    let (young, foreign) = (directory.join("c".repeat(32)), directory.join("notes.txt"));
    for file in [&old, &passing, &young, &foreign] {
        fs::write(file, b"left behind").unwrap();
    }
    for file in [&named, &old, &passing, &foreign] {
        age(file, OLD);
    }
    let mut left = vec![named.clone(), young.clone(), foreign.clone()];
    left.sort();
    store.gc(Gc::new()).await.unwrap();
    let mut found = files(&world);
    found.sort();
    assert_eq!(found, left);
    // And without anybody's asking, when the store is opened.
    age(&young, OLD);
    drop(store);
    let _ = world.store().runs(Filter::default()).await.unwrap();
    let _ = world.owner().claim(Claim::new("x", "x")).wait().unwrap();
    assert!(!young.exists() && named.exists() && foreign.exists());
}

#[tokio::test]
async fn a_file_that_cannot_be_written_fails_its_own_request_and_names_the_place() {
    let world = World::sqlite();
    let store = store(&world);
    // A file where the directory should be: nothing can be created in it, whoever asks.
    fs::write(world.scratch.join("ft.db.values"), b"in the way").unwrap();
    let error = refused(run(&store, "r", step(1, large("a"))).await);
    let text = error.to_string();
    assert!(matches!(error, CheckpointError::Store(StoreError::Failed { .. })), "{text}");
    assert!(text.contains("ft.db.values") && text.contains("large value"), "{text}");
    run(&store, "other", step(1, "small".into())).await.unwrap();
    fs::remove_file(world.scratch.join("ft.db.values")).unwrap();
    assert_eq!(run(&store, "r", step(1, large("b"))).await.unwrap(), large("b"));
}

#[test]
fn a_commit_that_fails_removes_nothing() {
    let world = World::sqlite();
    let store = Sqlite::open_as_new_owner(&world.path()).unwrap();
    store.files_above(100);
    let Claimed::Granted(granted) = store.claim(Claim::new("r", "work")).wait().unwrap() else { panic!("not granted") };
    let lease = Lease::new("r", granted.token);
    let value = vec![7; 1000];
    let _ = store.append(vec![Step::new(lease.clone(), "a", value.clone())]).wait().unwrap();
    store.finish(Finish::new(lease, value.clone())).wait().unwrap();
    store.fail_next_commit();
    store.delete("r").wait().unwrap_err();
    assert_eq!(files(&world).len(), 2);
    assert_eq!(&*store.steps("r").wait().unwrap()[0].value, &*value);
    assert_eq!(&*store.output("r").wait().unwrap().unwrap(), &*value);
    assert_eq!(store.delete("r").wait(), Ok(true));
    assert_eq!(files(&world).len(), 0);
}

#[test]
fn a_refused_write_leaves_a_file_that_nothing_names_and_the_next_one_is_unharmed() {
    let world = World::sqlite();
    let store = Sqlite::open_as_new_owner(&world.path()).unwrap();
    store.files_above(100);
    let Claimed::Granted(granted) = store.claim(Claim::new("r", "work")).wait().unwrap() else { panic!("not granted") };
    let append = |token, key: &'static str| {
        let steps = vec![Step::new(Lease::new("r", token), key, vec![token as u8; 1000])];
        store.append(steps).wait().unwrap()
    };
    append(granted.token + 1, "fenced");
    append(granted.token, "a");
    append(granted.token, "a");
    assert_eq!(store.steps("r").wait().unwrap().len(), 1);
    let left = files(&world);
    assert_eq!(left.len(), 3);
    left.iter().for_each(|file| age(file, OLD));
    let _ = store.gc(Gc::new()).wait().unwrap();
    assert_eq!(files(&world).len(), 1);
    assert_eq!(&*store.steps("r").wait().unwrap()[0].value, &[granted.token as u8; 1000]);
}

#[test]
fn large_arguments_have_one_file_for_all_claims() {
    let world = World::sqlite();
    let input: std::sync::Arc<[u8]> = vec![5; 1000].into();
    for _ in 0..3 {
        let store = Sqlite::open_as_new_owner(&world.path()).unwrap();
        store.files_above(100);
        let claim = Claim { input: Some(input.clone()), ..Claim::new("r", "work") };
        assert!(matches!(store.claim(claim).wait().unwrap(), Claimed::Granted(_)));
        assert_eq!(store.input("r").wait().unwrap(), Some(input.clone()));
        assert_eq!(store.list(Filter::default()).wait().unwrap()[0].input_len, Some(1000));
    }
    assert_eq!(files(&world).len(), 1);
}
