//! What an operator does to runs: cancel, resume, fork; and what waits for one: a run that keeps dying.

use std::sync::{Arc, Mutex};

use super::World;
use crate::checkpoint::record::unix_now;
use crate::checkpoint::{
    Checkpoint, CheckpointError, Claim, Claimed, Filter, Lease, Left, RunSession, RunStatus, Saved, Step, Store,
    StoreError, idempotency_key,
};
use crate::observe::{self, What};
use crate::{Error, Rejected, site};

type Failed = Error<&'static str>;
type Out = Result<u32, Failed>;

const CRASH: Failed = Error::Failed("crash");

fn run(id: &str) -> RunSession<u32, Failed> {
    Checkpoint::new().run(id).named("work").calls::<Out>()
}

async fn step(key: u32, value: u32) -> Out {
    Checkpoint::new().step("step").key(&key).at(site!().enter()).calls::<Out>().run(async { Ok(value) }).await
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, Failed>) -> CheckpointError {
    match outcome {
        Err(Error::Rejected(Rejected::Checkpoint(error))) => *error,
        other => panic!("not refused: {other:?}"),
    }
}

fn cancelled(run: &str) -> CheckpointError {
    CheckpointError::Cancelled { run: run.into() }
}

#[tokio::test]
async fn a_cancelled_run_is_over_for_whoever_asks_and_whoever_executes_it() {
    for world in World::all() {
        let (store, other) = (world.store(), world.store());
        store.scope(run("failed").run(async { Err(CRASH) })).await.unwrap_err();
        assert_eq!(other.cancel("failed").await, Ok(true));
        assert_eq!(other.cancel("failed").await, Ok(false), "it is over already");
        assert_eq!(refused(store.scope(run("failed").run(async { panic!("executed") })).await), cancelled("failed"));

        let ends = store.scope(run("step").run(async {
            step(1, 1).await?;
            assert_eq!(other.cancel("step").await, Ok(true));
            assert_eq!(refused(step(2, 2).await), cancelled("step"));
            Ok(1)
        }));
        assert_eq!(refused(ends.await), cancelled("step"), "its end is too late, too");
        let saves = store.scope(run("state").run(async {
            let mut state = Saved::<u32>::load("state").await?;
            assert_eq!(other.cancel("state").await, Ok(true));
            assert_eq!(refused(state.commit().await.map_err(Failed::from)), cancelled("state"));
            Err(CRASH)
        }));
        saves.await.unwrap_err();

        assert_eq!(store.scope(run("finished").run(async { Ok(7) })).await.unwrap(), 7);
        assert_eq!(other.cancel("finished").await, Ok(false));
        assert_eq!(other.cancel("nobody").await, Ok(false));
        assert_eq!(store.delete("failed").await, Ok(true));
        assert_eq!(store.scope(run("failed").run(async { Ok(8) })).await.unwrap(), 8, "its name is free");
    }
}

/// A process that claims the run, records `steps`, and dies.
fn dies(world: &World, steps: &[&str]) -> Claimed {
    let store = world.owner();
    let claimed = store.claim(Claim { max_recoveries: 2, ..Claim::new("r", "work") }).wait().unwrap();
    if let Claimed::Granted(granted) = &claimed {
        for key in steps {
            let _ = store.append(vec![Step::new(Lease::new("r", granted.token), *key, *b"v")]).wait().unwrap();
        }
    }
    claimed
}

#[test]
fn a_run_that_keeps_dying_is_parked_until_somebody_lets_it_go_on() {
    for world in World::all() {
        for _ in 0..3 {
            assert!(matches!(dies(&world, &[]), Claimed::Granted(_)), "a start and two recoveries");
        }
        assert_eq!(dies(&world, &[]), Claimed::Parked { recoveries: 2, now: true });
        assert_eq!(dies(&world, &[]), Claimed::Parked { recoveries: 2, now: false });
        let store = world.owner();
        assert_eq!(store.list(Filter::default().status(RunStatus::Parked)).wait().unwrap().len(), 1);
        assert_eq!(store.resume("r", unix_now()).wait(), Ok(true));
        assert_eq!(store.resume("r", unix_now()).wait(), Ok(false));
        for _ in 0..3 {
            assert!(matches!(dies(&world, &[]), Claimed::Granted(_)));
        }
        assert!(matches!(dies(&world, &[]), Claimed::Parked { .. }));
        assert_eq!(store.cancel("r", unix_now()).wait(), Ok(true));
        assert_eq!(dies(&world, &[]), Claimed::Cancelled);
    }
}

#[test]
fn a_run_that_gets_further_each_time_or_only_fails_is_not_parked() {
    for world in World::all() {
        for key in ["a", "b", "c", "d", "e", "f"] {
            assert!(matches!(dies(&world, &[key]), Claimed::Granted(_)));
        }
        for _ in 0..6 {
            let store = world.owner();
            let claimed = store.claim(Claim { max_recoveries: 2, ..Claim::new("r", "work") }).wait().unwrap();
            let Claimed::Granted(granted) = claimed else { panic!("{claimed:?}") };
            store.release(Lease::new("r", granted.token), 1, Left::Failed).wait().unwrap();
        }
    }
}

#[tokio::test]
async fn a_run_that_is_parked_is_an_event_and_an_error_that_says_what_to_do() {
    for world in World::all() {
        assert!(matches!(dies(&world, &[]), Claimed::Granted(_)));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hear = Arc::clone(&heard);
        let _listening = observe::subscribe(move |event| {
            if let ("parks", What::Parked { run, recoveries }) = (event.site, &event.what) {
                hear.lock().unwrap().push(format!("{run}/{recoveries}"));
            }
        });
        let store = world.store();
        for _ in 0..2 {
            let call = Checkpoint::new().max_recoveries(0).run("r").named("work").calls::<Out>();
            let call = call.at(site!("parks").enter());
            let error = refused(store.scope(call.run(async { panic!("executed") })).await);
            assert_eq!(error, CheckpointError::Parked { run: "r".into(), recoveries: 0 });
        }
        assert_eq!(*heard.lock().unwrap(), ["r/0"]);
    }
}

#[tokio::test]
async fn a_fork_answers_from_the_steps_before_and_executes_those_after() {
    for world in World::all() {
        let store = world.store();
        let keys = Mutex::new(Vec::new());
        let body = |value| {
            let keys = &keys;
            async move {
                let first = step(1, value).await?;
                let second = Checkpoint::new().step("second").at(site!().enter()).calls::<Out>();
                let second = second.run(async {
                    keys.lock().unwrap().push(idempotency_key().unwrap());
                    Ok(value)
                });
                Ok(10 * first + second.await?)
            }
        };
        assert_eq!(store.scope(run("r").run(body(1))).await.unwrap(), 11);
        let fork = store.fork("r", "second#1", "again").await.unwrap();
        assert_eq!((&*fork.run, fork.steps, fork.attempts, fork.owner.is_none()), ("again", 1, 0, true));
        assert_eq!(store.runs(Filter::default().prefix("again")).await.unwrap(), [fork]);
        assert_eq!(store.scope(run("again").run(body(2))).await.unwrap(), 12);
        assert_eq!(store.scope(run("r").run(body(3))).await.unwrap(), 11, "the run itself is as it was");
        let keys = keys.into_inner().unwrap();
        assert_ne!(keys[0], keys[1]);
    }
}

#[tokio::test]
async fn a_fork_that_makes_no_sense_is_refused_and_makes_nothing() {
    for world in World::all() {
        let store = world.store();
        store.scope(run("r").run(async { step(1, 1).await })).await.unwrap();
        let no_step = |run: &str, step: &str| Err(StoreError::NoSuchStep { run: run.into(), step: step.into() });
        assert_eq!(store.fork("r", "step(2)", "new").await, no_step("r", "step(2)"));
        assert_eq!(store.fork("nobody", "step(1)", "new").await, no_step("nobody", "step(1)"));
        assert_eq!(store.fork("r", "step(1)", "r").await, Err(StoreError::RunExists { run: "r".into() }));
        assert!(matches!(store.fork("r", "step(1)", "").await, Err(StoreError::BadName { .. })));
        assert_eq!(store.runs(Filter::default()).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_damaged_step_is_not_copied() {
    let world = World::sqlite();
    let store: Store = world.store();
    store.scope(run("r").run(async { Ok(step(1, 1).await? + step(2, 2).await?) })).await.unwrap();
    world.tamper("UPDATE ft_step SET value = substr(value, 1, 28) || x'07' WHERE seq = 1");
    let refused = store.fork("r", "step(2)", "new").await;
    assert!(
        matches!(&refused, Err(StoreError::Unreadable { run, step, reason }) if run == "r" && step == "step(1)" && reason.contains("is damaged")),
        "{refused:?}"
    );
    assert_eq!(store.runs(Filter::default()).await.unwrap().len(), 1);
}
