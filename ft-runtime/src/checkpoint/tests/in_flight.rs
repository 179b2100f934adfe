//! Steps on other tasks that are executing still when their run ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::World;
use crate::checkpoint::{Checkpoint, CheckpointError, RunSession};
use crate::{Error, Rejected, site};

type Failed = Error<&'static str>;
type Out = Result<u32, Failed>;

const CRASH: Failed = Error::Failed("crash");

fn run(id: &str) -> RunSession<u32, Failed> {
    Checkpoint::new().run(id).named("work").calls::<Out>()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, Failed>) -> CheckpointError {
    match outcome {
        Err(Error::Rejected(Rejected::Checkpoint(error))) => *error,
        other => panic!("not refused: {other:?}"),
    }
}

/// A step on another task that says when it has begun, and ends when it is told to.
fn spawned(count: &Arc<AtomicU32>, end: &Arc<Notify>) -> (JoinHandle<Out>, impl Future<Output = ()> + use<>) {
    let step = Checkpoint::new().step("charge").key(&1).at(site!().enter());
    let (count, end, begun) = (Arc::clone(count), Arc::clone(end), Arc::new(Notify::new()));
    let began = Arc::clone(&begun);
    let body = async move {
        let before = count.fetch_add(1, Ordering::Relaxed);
        begun.notify_one();
        end.notified().await;
        Ok(before)
    };
    (tokio::spawn(step.calls::<Out>().run(body)), async move { began.notified().await })
}

#[tokio::test]
async fn a_failed_run_stays_busy_until_its_last_step_has_ended() {
    for world in World::all() {
        let (store, other) = (world.store(), world.store());
        let (count, end) = (Arc::default(), Arc::default());
        let mut task = None;
        let failed = store.scope(run("r").run(async {
            let (step, begun) = spawned(&count, &end);
            begun.await;
            task = Some(step);
            Err(CRASH)
        }));
        failed.await.unwrap_err();
        for store in [&store, &other] {
            let error = refused(store.scope(run("r").run(async { panic!("executed beside its own step") })).await);
            assert!(matches!(error, CheckpointError::RunBusy { .. }), "{error:?}");
        }
        end.notify_one();
        assert_eq!(task.unwrap().await.unwrap().unwrap(), 0, "what the step returns is recorded");
        let resumed = store.scope(run("r").run(async { spawned(&count, &end).0.await.unwrap() }));
        assert_eq!(resumed.await.unwrap(), 0);
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn a_run_that_returns_while_a_step_executes_is_an_error_and_stays_resumable() {
    for world in World::all() {
        let store = world.store();
        let (count, end) = (Arc::default(), Arc::default());
        let mut task = None;
        let early = store.scope(run("r").run(async {
            let (step, begun) = spawned(&count, &end);
            begun.await;
            task = Some(step);
            Ok(7)
        }));
        assert_eq!(refused(early.await), CheckpointError::StepsExecuting { run: "r".into(), steps: 1 });
        // A step that is aborted lets go of its run, too.
        let task = task.unwrap();
        task.abort();
        task.await.unwrap_err();
        assert_eq!(store.scope(run("r").run(async { Ok(8) })).await.unwrap(), 8);
    }
}
