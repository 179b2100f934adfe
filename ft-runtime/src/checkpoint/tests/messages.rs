//! What the errors about bad input say: which run and step, what is recorded, what there is now, and what to do.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::World;
use crate::checkpoint::{
    Checkpoint, CheckpointError, Claim, Fingerprint, InputHash, Recorded, RunCall, Saved, Store, StoreError,
};
use crate::{Error, Rejected, site};

type Failed = Error<&'static str>;
type Out<T> = Result<T, Failed>;

const STOPPED: Failed = Error::Failed("stopped");

fn call() -> RunCall {
    Checkpoint::new().run("order-42").named("place_order")
}

/// A step `charge` with a key, that was called with `cents`.
async fn charge<T: Recorded>(cents: u32, value: T) -> Out<T> {
    let step = Checkpoint::new().step("charge").key(&7).input(&cents).at(site!("charge").enter());
    step.calls::<Out<T>>().run(async { Ok(value) }).await
}

/// Records `charge(7)` with 500 cents, and stops.
async fn stopped_behind_a_charge(store: &Store) {
    let stopped = store.scope(call().calls::<Out<u32>>().run(async {
        charge(500, 1_u32).await?;
        Err(STOPPED)
    }));
    assert_eq!(stopped.await, Err(STOPPED));
}

async fn refused<T: std::fmt::Debug>(outcome: impl Future<Output = Out<T>>) -> CheckpointError {
    match outcome.await {
        Err(Error::Rejected(Rejected::Checkpoint(error))) => *error,
        other => panic!("not refused: {other:?}"),
    }
}

/// All of these stand in the message, which is one sentence that can be read.
#[track_caller]
fn says(error: &CheckpointError, all: &[&str]) {
    let said = error.to_string();
    for part in all {
        assert!(said.contains(part), "nothing of {part:?} in: {said}");
    }
    assert!(said.len() < 600 && !said.contains('\n'), "{said}");
}

#[tokio::test]
async fn a_bad_name_is_said_with_what_it_was_to_name() {
    let store = Store::open("memory:").unwrap();
    let long = "x".repeat(256);
    for (id, reason) in [("", "it is empty"), (&*long, "longer than 255 bytes"), ("a\u{7}b", "control character")] {
        let named = || Checkpoint::new().run(id).named("work").calls::<Out<u32>>();
        says(&refused(store.scope(named().run(async { Ok(1) }))).await, &["cannot name a run", reason]);
        let state = call().calls::<Out<u32>>().run(async { Ok(*Saved::<u32>::load(id).await?) });
        says(&refused(store.scope(state)).await, &["cannot name a saved state", reason]);
        let step = call().calls::<Out<u32>>().run(async {
            let step = Checkpoint::new().step("charge").key(id).at(site!("charge").enter());
            step.calls::<Out<u32>>().run(async { panic!("executed") }).await
        });
        says(&refused(store.scope(step)).await, &["cannot name a step's key", reason]);
    }
}

#[tokio::test]
async fn a_run_id_of_another_function_is_said_with_both_functions() {
    for world in World::all() {
        let store = world.store();
        stopped_behind_a_charge(&store).await;
        let other = Checkpoint::new().run("order-42").named("ship_order").calls::<Out<u32>>();
        let error = refused(store.scope(other.run(async { panic!("executed") }))).await;
        says(&error, &["`order-42`", "`place_order`", "`ship_order`", "run ids"]);
    }
}

#[tokio::test]
async fn other_arguments_of_a_run_are_said_by_their_names() {
    for world in World::all() {
        let store = world.store();
        let with = |cents: u32| {
            let call = call().argument("cents", cents.fingerprint().ok()).argument("order", 42.fingerprint().ok());
            call.calls::<Out<u32>>().run(async { Ok(1) })
        };
        store.scope(with(500)).await.unwrap();
        let error = refused(store.scope(with(700))).await;
        says(&error, &["`order-42`", "other arguments (`cents`)", "run = format!(..)", "skip(..)"]);
    }
}

#[tokio::test]
async fn another_version_of_a_run_is_said_with_both() {
    for world in World::all() {
        let store = world.store();
        stopped_behind_a_charge(&store).await;
        let newer = Checkpoint::new().version(3).run("order-42").named("place_order").calls::<Out<u32>>();
        let error = refused(store.scope(newer.run(async { panic!("executed") }))).await;
        says(&error, &["`order-42`", "started by version 0", "this is version 3", "`version = 0`"]);
    }
}

#[tokio::test]
async fn a_key_used_twice_is_said_with_its_run() {
    for world in World::all() {
        let error = refused(world.store().scope(call().calls::<Out<u32>>().run(async {
            charge(500, 1).await?;
            charge(500, 2).await
        })));
        says(&error.await, &["`charge(7)`", "used twice", "run `order-42`", "`key = ..`"]);
        let error = refused(world.store().scope(call().calls::<Out<u32>>().run(async {
            let _first = Saved::<u32>::load("progress").await?;
            Ok(*Saved::<u32>::load("progress").await?)
        })));
        says(&error.await, &["`progress`", "used twice", "run `order-42`"]);
    }
}

#[tokio::test]
async fn other_arguments_of_a_step_are_said_with_both_fingerprints() {
    for world in World::all() {
        let store = world.store();
        stopped_behind_a_charge(&store).await;
        let error = refused(store.scope(call().calls::<Out<u32>>().run(charge(700, 2)))).await;
        let print = |cents: u32| InputHash::default().then(cents.fingerprint().unwrap()).to_string();
        says(&error, &["step `charge(7)`", "run `order-42`", "fingerprint", &print(500), &print(700), "skip(..)"]);
    }
}

#[tokio::test]
async fn a_record_of_another_type_is_said_with_both_schemas() {
    for world in World::all() {
        let store = world.store();
        stopped_behind_a_charge(&store).await;
        let error = refused(store.scope(call().calls::<Out<String>>().run(charge(500, String::new())))).await;
        says(
            &error,
            &["step `charge(7)`", "run `order-42`", "recorded as schema 0", "read as schema 0", "serde(default)"],
        );
    }
}

#[tokio::test]
async fn a_record_of_newer_code_is_said_with_both_schemas() {
    for world in World::all() {
        let store = world.store();
        let step = |version| {
            let step = Checkpoint::new().version(version).step("charge").key(&7).at(site!("charge").enter());
            step.calls::<Out<u32>>().run(async { Ok(1) })
        };
        let stopped = store.scope(call().calls::<Out<u32>>().run(async {
            step(5).await?;
            Err(STOPPED)
        }));
        assert_eq!(stopped.await, Err(STOPPED));
        let error = refused(store.scope(call().calls::<Out<u32>>().run(async { step(4).await }))).await;
        says(&error, &["step `charge(7)`", "run `order-42`", "schema 5", "up to 4", "newer code"]);
    }
}

#[tokio::test]
async fn a_damaged_record_is_said_with_what_gave_it_away() {
    let world = World::sqlite();
    let store = world.store();
    stopped_behind_a_charge(&store).await;
    world.tamper("UPDATE ft_step SET value = substr(value, 1, length(value) - 1)");
    let error = refused(store.scope(call().calls::<Out<u32>>().run(charge(500, 1)))).await;
    says(&error, &["step `charge(7)`", "run `order-42`", "is damaged", "length", "backup"]);
}

#[tokio::test]
async fn a_run_that_was_taken_over_is_said_with_its_new_owner() {
    for world in World::all() {
        let (store, other) = (world.store(), world.store());
        let error = refused(store.scope(call().calls::<Out<u32>>().run(async {
            charge(500, 1).await?;
            // An operator makes its name free, and another process begins anew.
            assert_eq!(other.cancel("order-42").await, Ok(true));
            assert_eq!(other.delete("order-42").await, Ok(true));
            let _ = other.backend().claim(Claim::new("order-42", "place_order")).await.unwrap();
            Checkpoint::new().step("ship").at(site!("ship").enter()).calls::<Out<u32>>().run(async { Ok(1) }).await
        })));
        let taken_over = format!("taken over by {}", other.owner());
        says(&error.await, &["run `order-42`", &taken_over, "stop working", "nothing of this write was kept"]);
        assert!(other.steps("order-42").await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_value_that_is_too_large_is_said_with_the_limit() {
    let store = Store::open("memory:").unwrap();
    let large = call().calls::<Out<String>>().run(charge(500, "x".repeat(65 << 20)));
    let error = refused(store.scope(large)).await;
    says(&error, &["step `charge(7)`", "run `order-42`", "larger than 67108864 bytes", "reference"]);
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum OneWay {
    #[serde(skip_deserializing)]
    Lost(String),
}

#[tokio::test]
async fn a_value_that_cannot_be_read_back_is_said_at_once() {
    for world in World::all() {
        let store = world.store();
        let error = refused(store.scope(call().calls::<Out<u32>>().run(async {
            charge(500, OneWay::Lost("gone".into())).await?;
            Ok(1)
        })));
        says(&error.await, &["step `charge(7)`", "run `order-42`", "cannot be read back", "Serialize and Deserialize"]);
        assert!(store.steps("order-42").await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_counted_step_in_a_run_with_state_is_said_with_what_it_needs() {
    for world in World::all() {
        let error = refused(world.store().scope(call().calls::<Out<u32>>().run(async {
            let _state = Saved::<u32>::load("progress").await?;
            let step = Checkpoint::new().step("charge").at(site!("charge").enter());
            step.calls::<Out<u32>>().run(async { panic!("executed") }).await
        })));
        says(&error.await, &["step `charge`", "run `order-42`", "`key = ..`", "saved state"]);
    }
}

#[test]
fn a_store_that_would_not_survive_a_power_cut_is_said_with_the_setting() {
    let error = CheckpointError::Store(StoreError::NotPowerSafe {
        path: "/data/ft.db".into(),
        pragma: "synchronous",
        wanted: "2 (FULL)",
        found: "1".into(),
    });
    says(&error, &["/data/ft.db", "synchronous", "`1`", "2 (FULL)", "local file system"]);
}

#[test]
fn a_locked_store_and_lost_commits_are_said_with_where_and_how_many() {
    let locked = StoreError::Locked { path: "/data/ft.db".into(), waited: Duration::from_secs(10) };
    says(&locked.into(), &["/data/ft.db", "10s", "fuser"]);
    let (path, mark) = ("/data/ft.db".into(), "/data/ft.db.mark".into());
    let lost = StoreError::CommitsLost { path, mark, acknowledged: 14, found: 6 };
    says(&lost.into(), &["/data/ft.db", "6 of 14 commits", "delete /data/ft.db.mark"]);
}
