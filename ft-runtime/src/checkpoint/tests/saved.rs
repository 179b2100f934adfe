//! Saved state.

use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::World;
use crate::checkpoint::sqlite::Sqlite;
use crate::checkpoint::{Checkpoint, CheckpointError, Every, RunSession, Saved, Store};
use crate::observe::{self, What};
use crate::{Error, Rejected, site};

type Failed = Error<&'static str>;
type Out = Result<u32, Failed>;

const CRASH: Failed = Error::Failed("crash");

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
struct Progress {
    cursor: u32,
}

fn run(every: impl Into<Every>) -> RunSession<u32, Failed> {
    Checkpoint::new().every(every).run("r").named("count").calls::<Out>()
}

async fn load() -> Result<Saved<Progress>, Rejected> {
    Saved::load("state").await
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, Failed>) -> CheckpointError {
    match outcome {
        Err(Error::Rejected(Rejected::Checkpoint(error))) => *error,
        other => panic!("not refused: {other:?}"),
    }
}

/// Counts to `to` and fails there.
async fn count_and_crash(store: &Store, every: u64, to: u32) -> u32 {
    let from = Mutex::new(0);
    let crashed = store.scope(run(every).run(async {
        let mut state = load().await?;
        *from.lock().unwrap() = state.cursor;
        while state.cursor < to {
            state.cursor += 1;
            state.mark().await?;
        }
        state.cursor += 1000; // not consistent, never marked
        Err(CRASH)
    }));
    crashed.await.unwrap_err();
    from.into_inner().unwrap()
}

/// Leaves two durable versions: 10, and 20.
async fn save_twice_and_crash(store: &Store) {
    let crashed = store.scope(run(1000).run(async {
        let mut state = load().await?;
        for cursor in [10, 20] {
            state.cursor = cursor;
            state.commit().await?;
        }
        Err(CRASH)
    }));
    crashed.await.unwrap_err();
}

#[tokio::test]
async fn a_state_goes_on_from_the_last_save_in_this_process_and_in_the_next() {
    for world in World::all() {
        let store = world.store();
        assert_eq!(count_and_crash(&store, 10, 25).await, 0);
        assert_eq!(count_and_crash(&store, 10, 48).await, 20);
        drop(store);
        assert_eq!(count_and_crash(&world.store(), 10, 50).await, 40);
    }
}

#[tokio::test]
async fn a_state_that_was_not_touched_since_its_mark_is_saved_when_it_is_dropped() {
    for world in World::all() {
        let store = world.store();
        let crashed = store.scope(run(1000).run(async {
            let mut state = load().await?;
            state.cursor = 7;
            state.mark().await?;
            Err(CRASH)
        }));
        crashed.await.unwrap_err();
        let resumed = store.scope(run(1000).run(async { Ok(load().await?.cursor) }));
        assert_eq!(resumed.await.unwrap(), 7);
    }
}

#[tokio::test]
async fn a_commit_is_durable_when_it_returns() {
    for world in World::all() {
        let store = world.store();
        let outcome = store.scope(run(1000).run(async {
            let mut state = load().await?;
            state.cursor = 3;
            state.commit().await?;
            assert_eq!(store.states("r", "state").await.unwrap().len(), 1);
            state.cursor = 4;
            state.commit_blocking()?;
            assert_eq!(store.states("r", "state").await.unwrap().len(), 2);
            Ok(1)
        }));
        outcome.await.unwrap();
        assert!(store.states("r", "state").await.unwrap().is_empty(), "a finished run needs no state");
    }
}

#[tokio::test(start_paused = true)]
async fn time_decides_when_it_is_told_to() {
    let store = Store::open("memory:").unwrap();
    let outcome = store.scope(run(Duration::from_secs(10)).run(async {
        let mut state = load().await?;
        let mut saves = Vec::new();
        for second in 1..=30 {
            tokio::time::advance(Duration::from_secs(1)).await;
            state.cursor = second;
            state.mark().await?;
            let states = store.states("r", "state").await.unwrap();
            saves.push(states.first().map_or(0, |state| state.generation));
        }
        assert_eq!((saves[8], saves[9], saves[18], saves[19], saves[29]), (0, 1, 1, 2, 3));
        Ok(1)
    }));
    outcome.await.unwrap();
}

#[tokio::test]
async fn a_damaged_newest_version_falls_back_to_the_one_before_and_says_so() {
    let world = World::sqlite();
    let store = world.store();
    save_twice_and_crash(&store).await;
    world.tamper("UPDATE ft_state SET value = substr(value, 1, 28) || x'00' WHERE generation = 2");

    let heard = Arc::new(Mutex::new(Vec::new()));
    let hear = Arc::clone(&heard);
    let _listening = observe::subscribe(move |event| {
        if let ("falls_back", What::FellBack { run, state, .. }) = (event.site, &event.what) {
            hear.lock().unwrap().push(format!("{run}/{state}"));
        }
    });
    let resumed = run(1u64).at(site!("falls_back").enter()).run(async {
        let mut state = load().await?;
        let from = state.cursor;
        state.cursor += 1;
        state.commit().await?;
        let kept: Vec<_> = store.states("r", "state").await.unwrap().iter().map(|state| state.generation).collect();
        assert_eq!(kept, [3, 1], "the good one is kept, not the damaged one");
        Ok(from)
    });
    assert_eq!(store.scope(resumed).await.unwrap(), 10);
    assert_eq!(*heard.lock().unwrap(), ["r/state"]);
}

#[tokio::test]
async fn when_both_versions_are_damaged_it_never_starts_from_nothing() {
    let world = World::sqlite();
    let store = world.store();
    save_twice_and_crash(&store).await;
    world.tamper("UPDATE ft_state SET value = substr(value, 1, length(value) - 1)");
    let before = store.states("r", "state").await.unwrap();
    let error = refused(store.scope(run(10).run(async { Ok(load().await?.cursor) })).await);
    assert!(matches!(&error, CheckpointError::Corrupt { run, what, .. } if run == "r" && what.contains("`state`")));
    assert_eq!(store.states("r", "state").await.unwrap(), before);
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Cursor {
    row: u32,
}

#[tokio::test]
async fn a_state_of_another_type_names_both_though_every_field_has_a_default() {
    for world in World::all() {
        let store = world.store();
        count_and_crash(&store, 10, 25).await;
        let before = store.states("r", "state").await.unwrap();
        let error = refused(store.scope(run(10).run(async { Ok(Saved::<Cursor>::load("state").await?.row) })).await);
        let CheckpointError::Decode { recorded, now, .. } = &error else { panic!("{error:?}") };
        assert_eq!((recorded.as_str(), now.as_str()), ("`Progress` of schema 0", "`Cursor` of schema 0"));
        let error = refused(store.scope(run(10).run(async { Ok(*Saved::<u32>::load("state").await?) })).await);
        assert!(matches!(error, CheckpointError::Decode { .. }), "{error:?}");
        assert_eq!(store.states("r", "state").await.unwrap(), before);
    }
}

#[tokio::test]
async fn a_state_needs_a_run_and_is_loaded_once_at_a_time() {
    let outside = load().await.map_err(Failed::from);
    assert_eq!(refused(outside), CheckpointError::NoRun { step: "state".into() });

    let store = Store::open("memory:").unwrap();
    let outcome = store.scope(run(10).run(async {
        let first = load().await?;
        assert!(matches!(refused(load().await.map_err(Failed::from)), CheckpointError::DuplicateKey { .. }));
        drop(first);
        load().await?;
        Ok(1)
    }));
    outcome.await.unwrap();
}

#[tokio::test]
async fn a_counted_step_beside_a_state_is_told_to_have_a_key() {
    for world in World::all() {
        let store = world.store();
        let outcome = store.scope(run(10).run(async {
            let _state = load().await?;
            let keyed = Checkpoint::new().step("keyed").key(&1).at(site!().enter());
            keyed.calls::<Out>().run(async { Ok(1) }).await?;
            Checkpoint::new().step("counted").at(site!().enter()).calls::<Out>().run(async { panic!("executed") }).await
        }));
        let error = refused(outcome.await);
        assert_eq!(error, CheckpointError::KeyNeeded { run: "r".into(), step: "counted".into() });
    }
}

#[tokio::test]
async fn a_save_that_failed_is_told_at_the_next_mark() {
    let world = World::sqlite();
    let sqlite = Arc::new(Sqlite::open_as_new_owner(&world.path()).unwrap());
    let store = Store::from_backend(sqlite.clone());
    let outcome = store.scope(run(2).run(async {
        let mut state = load().await?;
        sqlite.fail_next_commit();
        state.mark().await?;
        state.mark().await?;
        // Answered after the save that is under way.
        let _ = store.runs(Default::default()).await;
        let error = refused(state.mark().await.map_err(Failed::from));
        assert!(matches!(error, CheckpointError::Store(_)), "{error:?}");
        state.commit().await?;
        Ok(1)
    }));
    outcome.await.unwrap();
}

#[tokio::test]
async fn a_commit_that_was_cancelled_tells_of_its_failure_at_the_next_mark() {
    let world = World::sqlite();
    let sqlite = Arc::new(Sqlite::open_as_new_owner(&world.path()).unwrap());
    let store = Store::from_backend(sqlite.clone());
    let outcome = store.scope(run(1_000_000).run(async {
        let mut state = load().await?;
        state.cursor = 5;
        sqlite.fail_next_commit();
        sqlite.while_stalled(|| {
            let mut commit = std::pin::pin!(state.commit());
            assert!(commit.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        });
        // Answered after the save that is under way.
        let _ = store.runs(Default::default()).await;
        let error = refused(state.mark().await.map_err(Failed::from));
        assert!(matches!(error, CheckpointError::Store(_)), "{error:?}");
        state.mark().await?;
        Ok(1)
    }));
    outcome.await.unwrap();
}

#[test]
fn blocking_states_do_the_same() {
    for world in World::all() {
        let store = world.store();
        for expected in [0, 5] {
            let outcome = store.scope_blocking(|| {
                run(1).run_blocking(|| {
                    let mut state = Saved::<Progress>::load_blocking("state")?;
                    assert_eq!(state.cursor, expected);
                    state.cursor = 5;
                    state.mark_blocking()?;
                    Err(CRASH)
                })
            });
            outcome.unwrap_err();
        }
    }
}

#[test]
#[should_panic(expected = "every must be at least 1 mark")]
fn zero_marks_are_refused() {
    let _ = Checkpoint::new().every(0);
}
