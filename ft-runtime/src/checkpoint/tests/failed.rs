//! A run that fails has been given back when its error is answered.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use super::World;
use crate::checkpoint::sqlite::Sqlite;
use crate::checkpoint::{Abandoned, Checkpoint, Filter, RunSession, Shutdown, Store};
use crate::{Deadline, Error};

type Failed = Error<&'static str>;
type Out = Result<u32, Failed>;

const NO_PAPER: Out = Err(Error::Failed("no paper"));

fn run(id: &str) -> RunSession<u32, Failed> {
    Checkpoint::new().run(id).named("work").calls::<Out>()
}

/// A store whose writer can be made to stand still.
fn sqlite(world: &World) -> (Arc<Sqlite>, Store) {
    let sqlite = Arc::new(Sqlite::open_as_new_owner(&world.path()).unwrap());
    (Arc::clone(&sqlite), Store::from_backend(sqlite))
}

/// What a single poll answers.
async fn once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    let mut future = Some(future);
    poll_fn(|cx| {
        let Some(future) = future.take() else { return Poll::Ready(None) };
        Poll::Ready(match future.poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn a_process_that_ends_right_behind_the_error_leaves_nothing_to_recover() {
    for world in World::all() {
        let store = world.store();
        assert_eq!(store.scope(run("async").run(async { NO_PAPER })).await, NO_PAPER);
        assert_eq!(store.scope_blocking(|| run("blocking").run_blocking(|| NO_PAPER)), NO_PAPER);
        // What another process sees before this one has ended is what it sees of one that was killed.
        let other = world.owner();
        let runs = other.list(Filter::default()).wait().unwrap();
        assert!(runs.iter().all(|run| run.owner.is_none() && !run.interrupted), "{runs:?}");
        drop(store);
        assert_eq!(other.abandoned(Abandoned::new()).wait().unwrap(), []);
    }
}

#[tokio::test]
async fn the_error_is_not_answered_before_the_store_has_confirmed_that_the_run_is_given_back() {
    let world = World::sqlite();
    let (sqlite, store) = sqlite(&world);
    let gate = tokio::sync::Semaphore::new(0);
    let mut call = pin!(store.scope(run("r").run(async {
        let _permit = gate.acquire().await;
        NO_PAPER
    })));
    until_begun(&store, call.as_mut()).await;
    sqlite.stall(true);
    gate.add_permits(1);
    for _ in 0..10 {
        assert_eq!(once(call.as_mut()).await, None);
        tokio::task::yield_now().await;
    }
    sqlite.stall(false);
    assert_eq!(call.await, NO_PAPER);
}

#[test]
fn a_blocking_error_is_not_answered_before_that_either() {
    let world = World::sqlite();
    let (sqlite, store) = sqlite(&world);
    let (failing, answered) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let outcome = store.scope_blocking(|| {
                run("r").run_blocking(|| {
                    sqlite.stall(true);
                    failing.store(true, Ordering::Release);
                    NO_PAPER
                })
            });
            answered.store(true, Ordering::Release);
            assert_eq!(outcome, NO_PAPER);
        });
        while !failing.load(Ordering::Acquire) {
            thread::yield_now();
        }
        for _ in 0..1000 {
            assert!(!answered.load(Ordering::Acquire));
            thread::yield_now();
        }
        sqlite.stall(false);
    });
}

#[tokio::test]
async fn the_callers_deadline_bounds_that_wait_and_the_run_is_given_back_all_the_same() {
    let world = World::sqlite();
    let (sqlite, store) = sqlite(&world);
    let stalls = || {
        sqlite.stall(true);
        NO_PAPER
    };
    let limit = Duration::from_millis(200);
    assert_eq!(store.scope(Deadline::after(limit).scope(run("async").run(async { stalls() }))).await, NO_PAPER);
    sqlite.stall(false);
    let blocking = || Deadline::after(limit).scope_blocking(|| run("blocking").run_blocking(stalls));
    assert_eq!(store.scope_blocking(blocking), NO_PAPER);
    sqlite.stall(false);
    let runs = store.runs(Filter::default()).await.unwrap();
    assert!(runs.len() == 2 && runs.iter().all(|run| run.owner.is_none()), "{runs:?}");
}

#[tokio::test]
async fn a_shutdown_that_begins_in_that_wait_waits_with_it() {
    let world = World::sqlite();
    let (sqlite, store) = sqlite(&world);
    let (end, gate) = (Shutdown::new(), tokio::sync::Semaphore::new(0));
    let mut call = pin!(end.scope_blocking(|| {
        store.scope(run("r").run(async {
            let _permit = gate.acquire().await;
            NO_PAPER
        }))
    }));
    until_begun(&store, call.as_mut()).await;
    sqlite.stall(true);
    gate.add_permits(1);
    assert_eq!(once(call.as_mut()).await, None);
    let waits = end.within(Duration::from_millis(10)).await;
    assert_eq!(waits.left.len(), 1, "{waits}");
    sqlite.stall(false);
    assert_eq!(call.await, NO_PAPER);
    let ended = end.within(Duration::from_secs(10)).await;
    assert_eq!((ended.ended, ended.left.len()), (1, 0), "{ended}");
}

/// Polls a call until its run has been claimed, and its body begun.
async fn until_begun<F: Future>(store: &Store, mut call: std::pin::Pin<&mut F>) {
    for _ in 0..100_000 {
        assert!(once(call.as_mut()).await.is_none(), "it has ended");
        // Twice behind the claim: the answer to it is there by then.
        if !store.runs(Filter::default()).await.unwrap().is_empty() {
            assert!(once(call.as_mut()).await.is_none(), "it has ended");
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it does not begin");
}
