//! Values and runs of an older version of the code.

use serde::{Deserialize, Serialize};

use super::World;
use crate::checkpoint::{Checkpoint, CheckpointError, RunSession, Saved, Store, Value, ValueError};
use crate::{Error, Rejected};

type Failed = Error<String>;

#[derive(Debug, PartialEq, Serialize, Deserialize, Default)]
struct Old {
    euros: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, Default)]
struct New {
    cents: u64,
}

fn to_cents(from: u16, value: Value) -> Result<Value, ValueError> {
    assert_eq!(from, 0);
    Value::encode(&New { cents: value.decode::<Old>()?.euros * 100 })
}

fn refuses(_: u16, _: Value) -> Result<Value, ValueError> {
    Err("no euros any more".into())
}

fn new() -> Checkpoint {
    Checkpoint::new().version(1).migrate(to_cents)
}

fn run<T: super::super::Recorded>(policy: Checkpoint) -> RunSession<T, Failed> {
    policy.run("r").named("work").calls::<Result<T, Failed>>()
}

async fn step<T: super::super::Recorded>(policy: Checkpoint, value: T) -> Result<T, Failed> {
    policy.step("price").key("a").calls::<Result<T, Failed>>().run(async { Ok(value) }).await
}

/// The old code: a step, a saved state and, unless it crashes, a result.
async fn old(store: &Store, ends: bool) {
    let ended = store.scope(run::<Old>(Checkpoint::new()).run(async {
        let price = step(Checkpoint::new(), Old { euros: 5 }).await?;
        let mut state = Saved::<Old>::load("state").await?;
        state.euros = 7;
        state.commit().await?;
        if ends { Ok(price) } else { Err(Failed::Failed("crash".into())) }
    }));
    assert_eq!(ended.await.is_ok(), ends);
}

/// The new code: the sum of the step's answer and the state.
async fn sum(store: &Store, policy: Checkpoint) -> Result<New, Failed> {
    let body = async {
        let price = step(policy, New { cents: 1 }).await?;
        let state = Saved::<New>::load("state").await?;
        Ok(New { cents: price.cents + state.cents })
    };
    store.scope(run::<New>(policy).run(body)).await
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, Failed>) -> CheckpointError {
    match outcome {
        Err(Error::Rejected(Rejected::Checkpoint(error))) => *error,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_run_of_an_older_version_goes_on_with_its_migrated_step_and_state() {
    for world in World::all() {
        old(&world.store(), false).await;
        assert_eq!(sum(&world.store(), new()).await.unwrap(), New { cents: 1200 });
        // The old code cannot have it back.
        let runs = world.store().runs(Default::default()).await.unwrap();
        assert_eq!(runs[0].version, 1);
    }
}

#[tokio::test]
async fn the_result_of_an_older_version_is_migrated() {
    for world in World::all() {
        old(&world.store(), true).await;
        assert_eq!(sum(&world.store(), new()).await.unwrap(), New { cents: 500 });
    }
}

#[tokio::test]
async fn a_run_of_another_version_is_refused_without_a_migration_and_a_newer_one_with_it() {
    for world in World::all() {
        old(&world.store(), false).await;
        let changed = |recorded, now| CheckpointError::VersionChanged { run: "r".into(), recorded, now };
        assert_eq!(refused(sum(&world.store(), Checkpoint::new().version(1)).await), changed(0, 1));
        let crashed =
            world.store().scope(run::<New>(new().version(2)).run(async { Err(Failed::Failed("crash".into())) }));
        crashed.await.unwrap_err();
        assert_eq!(refused(sum(&world.store(), new()).await), changed(2, 1));
    }
}

#[tokio::test]
async fn a_migration_that_fails_names_the_step_and_both_versions_and_executes_nothing() {
    for world in World::all() {
        old(&world.store(), false).await;
        let error = refused(sum(&world.store(), Checkpoint::new().version(3).migrate(refuses)).await);
        let text = error.to_string();
        assert!(matches!(error, CheckpointError::Decode { .. }), "{text}");
        for part in ["step `price(a)`", "run `r`", "from schema 0 to 3", "no euros any more"] {
            assert!(text.contains(part), "`{part}` is not in: {text}");
        }
    }
}

#[tokio::test]
async fn a_value_of_this_version_is_not_migrated() {
    for world in World::all() {
        assert_eq!(sum(&world.store(), new()).await.unwrap(), New { cents: 1 });
        assert_eq!(sum(&world.store(), new()).await.unwrap(), New { cents: 1 });
    }
}

mod by_attribute {
    use super::*;
    use crate::checkpoint;

    #[checkpoint(key = "a", version = 1, migrate = to_cents)]
    async fn price() -> Result<New, Failed> {
        Ok(New { cents: 1 })
    }

    #[checkpoint(run = "r", version = 1, migrate = to_cents)]
    async fn work(state: &mut Saved<New>) -> Result<New, Failed> {
        Ok(New { cents: price().await?.cents + state.cents })
    }

    #[tokio::test]
    async fn what_an_older_version_has_left_goes_on() {
        for world in World::all() {
            old(&world.store(), false).await;
            assert_eq!(world.store().scope(work()).await.unwrap(), New { cents: 1200 });
            // As it is recorded now.
            assert_eq!(world.store().scope(work()).await.unwrap(), New { cents: 1200 });
        }
    }
}
