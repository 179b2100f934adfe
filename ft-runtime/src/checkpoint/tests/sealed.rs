//! Values that are compressed or encrypted in the store.

use super::World;
use crate::checkpoint::envelope::Place;
use crate::checkpoint::{
    Checkpoint, CheckpointError, Compression, Inputs, Keys, LeftToGo, Recovery, Saved, Store, WhyLeft,
};
use crate::{Error, Rejected};

type Failed = Error<String>;
type Out = Result<String, Failed>;

const SECRET: &str = "4111-1111-1111-1111";

fn keys() -> Keys {
    Keys::new(1, [1; 32])
}

async fn step(key: u32, value: impl Into<String>) -> Out {
    let value = value.into();
    Checkpoint::new().step("step").key(&key).calls::<Out>().run(async { Ok(value) }).await
}

/// A step, a saved state and, unless it is to fail, a result: all with the secret in it.
async fn work(store: &Store, ends: bool) -> Out {
    let run = Checkpoint::new().run("r").named("work").calls::<Out>();
    store
        .scope(run.run(async {
            let answer = step(1, SECRET).await?;
            let mut state = Saved::<String>::load("state").await?;
            state.push_str(SECRET);
            state.commit().await?;
            if ends { Ok(answer + &state) } else { Err(Failed::Failed("crash".into())) }
        }))
        .await
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, Failed>) -> CheckpointError {
    match outcome {
        Err(Error::Rejected(Rejected::Checkpoint(error))) => *error,
        other => panic!("not refused: {other:?}"),
    }
}

/// All that the store keeps on the disk.
fn on_disk(world: &World) -> Vec<u8> {
    let files = std::fs::read_dir(world.scratch.path()).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).flat_map(|path| std::fs::read(path).unwrap()).collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn nothing_that_is_recorded_stands_in_the_store_as_it_is_if_it_is_encrypted() {
    for (keys, seen) in [(Some(keys()), false), (None, true)] {
        let world = World::sqlite();
        let store = match keys {
            Some(keys) => world.store().encrypt(keys),
            None => world.store(),
        };
        work(&store, false).await.unwrap_err();
        assert_eq!(holds(&on_disk(&world), SECRET), seen);
        work(&store, true).await.unwrap();
        assert_eq!(holds(&on_disk(&world), SECRET), seen);
    }
}

/// A run that goes on by itself, with the secret among its arguments; left before its end.
async fn leave(store: &Store) {
    let run = Checkpoint::new().run("r").named("pays").recover(Inputs::new().with("card", SECRET)).calls::<Out>();
    let begun = tokio::sync::Notify::new();
    tokio::select! {
        biased;
        _ = store.scope(run.run(async { begun.notify_one(); std::future::pending().await })) => unreachable!(),
        () = begun.notified() => {}
    }
}

#[tokio::test]
async fn the_arguments_that_start_a_run_again_are_encrypted_too() {
    for (keys, seen) in [(Some(keys()), false), (None, true)] {
        let world = World::sqlite();
        let store = match keys {
            Some(keys) => world.store().encrypt(keys),
            None => world.store(),
        };
        leave(&store).await;
        assert!(store.input("r").await.unwrap().is_some());
        assert_eq!(holds(&on_disk(&world), SECRET), seen);
    }
}

#[tokio::test]
async fn a_run_whose_arguments_need_a_key_that_is_not_there_is_left_and_goes_on_where_it_is() {
    for world in World::all() {
        leave(&world.store().encrypt(keys())).await;
        let recover = async |store: Store| {
            let pays = |run: LeftToGo| async move {
                let card = run.inputs().unwrap().get::<String>("card").unwrap();
                Checkpoint::new().run(run.id()).named("pays").calls::<Out>().run(async { Ok(card) }).await
            };
            let mut recovered = Recovery::new().factory("pays", pays).store(&store).start().await.unwrap();
            recovered.ended().await;
            recovered
        };
        for (store, known, text) in [
            (world.store(), vec![], "run `r` of `pays`: "),
            (world.store().encrypt(Keys::new(2, [2; 32])), vec![2], "opened with key 2;"),
        ] {
            let recovered = recover(store).await;
            let what = String::from("the recorded arguments");
            let missing = CheckpointError::KeyMissing { run: "r".into(), what, key: 1, known };
            assert!(recovered.started.is_empty());
            assert_eq!(recovered.left.iter().map(|left| &left.why).collect::<Vec<_>>(), [&WhyLeft::BadInputs(missing)]);
            let said = recovered.to_string();
            assert!(said.contains("the recorded arguments") && said.contains("encrypted with key 1"), "{said}");
            assert!(said.contains(text), "{said}");
        }
        let store = world.store().encrypt(keys());
        assert_eq!(recover(store.clone()).await.started, ["r"]);
        let again = Checkpoint::new().run("r").named("pays").calls::<Out>();
        assert_eq!(store.scope(again.run(async { panic!("executed again") })).await.unwrap(), SECRET);
    }
}

#[tokio::test]
async fn an_encrypted_run_goes_on_and_answers_with_its_key() {
    for world in World::all() {
        work(&world.store().encrypt(keys()), false).await.unwrap_err();
        let newer = Keys::new(2, [2; 32]).and(1, [1; 32]);
        let answer = work(&world.store().encrypt(newer.clone()), true).await.unwrap();
        assert_eq!(answer, SECRET.repeat(3), "the state was loaded, and the step not executed again");
        assert_eq!(work(&world.store().encrypt(newer), true).await.unwrap(), answer);
    }
}

#[tokio::test]
async fn a_missing_or_wrong_key_is_named_and_changes_nothing() {
    for world in World::all() {
        work(&world.store().encrypt(keys()), false).await.unwrap_err();
        let (run, what) = (String::from("r"), String::from("step `step(1)`"));
        let missing = |known| CheckpointError::KeyMissing { run: run.clone(), what: what.clone(), key: 1, known };
        assert_eq!(refused(work(&world.store(), true).await), missing(vec![]));
        let other = refused(work(&world.store().encrypt(Keys::new(2, [1; 32])), true).await);
        assert_eq!(other, missing(vec![2]));
        let text = other.to_string();
        assert!(text.contains("encrypted with key 1") && text.contains("opened with key 2;"), "{text}");
        let wrong = refused(work(&world.store().encrypt(Keys::new(1, [2; 32])), true).await);
        assert_eq!(wrong, CheckpointError::WrongKey { run: run.clone(), what: what.clone(), key: 1 });
        work(&world.store().encrypt(keys()), true).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_recorded_before_there_were_keys_is_read_only_where_that_is_asked_for() {
    for world in World::all() {
        work(&world.store(), false).await.unwrap_err();
        let refused = refused(work(&world.store().encrypt(keys()), true).await);
        assert!(matches!(refused, CheckpointError::NotEncrypted { .. }), "{refused:?}");
        work(&world.store().encrypt(keys().and_plain()), true).await.unwrap();
    }
}

#[tokio::test]
async fn a_fork_takes_encrypted_steps_along() {
    for world in World::all() {
        let store = world.store().encrypt(keys()).compress(Compression::zstd(1));
        let work = |store: Store, id: &'static str, tail: &'static str| async move {
            let run = Checkpoint::new().run(id).named("work").calls::<Out>();
            let body =
                async { Ok(step(1, SECRET.repeat(if tail == "a" { 9 } else { 0 })).await? + &step(2, tail).await?) };
            store.scope(run.run(body)).await
        };
        work(store.clone(), "r", "a").await.unwrap();
        assert!(world.store().fork("r", "step(2)", "locked").await.unwrap_err().to_string().contains("key 1"));
        store.fork("r", "step(2)", "new").await.unwrap();
        assert_eq!(work(store.clone(), "new", "b").await.unwrap(), SECRET.repeat(9) + "b");
        let copy = store.steps("new").await.unwrap().remove(0);
        let place = Place::Step { incarnation: copy.token, run: "new", key: &copy.key, input: copy.input };
        assert_eq!(store.unseal(&copy.value, &place).unwrap().decode(0), Ok(SECRET.repeat(9)));
    }
}

#[tokio::test]
async fn a_compressing_handle_makes_the_store_smaller_and_others_read_it() {
    let (plain, compressed) = (World::sqlite(), World::sqlite());
    let value = "the same again and again ".repeat(400);
    let mut stored = Vec::new();
    for (world, store) in [(&plain, plain.store()), (&compressed, compressed.store().compress(Compression::zstd(3)))] {
        let run = Checkpoint::new().run("r").named("work").calls::<Out>();
        store.scope(run.run(step(1, value.clone()))).await.unwrap();
        let run = Checkpoint::new().run("r").named("work").calls::<Out>();
        assert_eq!(world.store().scope(run.run(async { panic!("executed") })).await.unwrap(), value);
        stored.push(store.runs(Default::default()).await.unwrap()[0].output_len.unwrap());
    }
    assert!(stored[1] < stored[0] / 10, "{stored:?}");
}

#[tokio::test]
async fn keys_are_taken_from_the_environments_text_and_a_bad_one_is_not_repeated() {
    let text = format!("2:{},1:{}", "02".repeat(32), "01".repeat(32));
    for world in World::all() {
        work(&world.store().encrypt(keys()), false).await.unwrap_err();
        work(&world.store().with_keys(Some(text.clone())).unwrap(), true).await.unwrap();
        // Nothing is said, nothing is encrypted.
        for nothing in [None, Some(String::new())] {
            let plain = world.store().with_keys(nothing).unwrap();
            assert!(matches!(refused(work(&plain, true).await), CheckpointError::KeyMissing { key: 2, .. }));
        }
    }
    for bad in ["secret", "1:secret", "x:00", "plain", "1:5f5f", &format!("1:{}", "zz".repeat(32))] {
        let error = Store::open("memory:").unwrap().with_keys(Some(bad.into())).unwrap_err().to_string();
        assert!(error.contains("FT_STORE_KEY") && error.contains("64 hexadecimal digits"), "{error}");
        assert!(!error.contains("secret") && !error.contains("zz"), "{error}");
    }
}
