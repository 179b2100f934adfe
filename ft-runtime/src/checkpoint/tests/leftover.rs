//! Recorded steps that nobody calls any more.

use std::sync::{Arc, Mutex};

use super::World;
use crate::checkpoint::{Checkpoint, RunSession, Saved, Store};
use crate::observe::{self, What};
use crate::{Error, site};

type Failed = Error<&'static str>;
type Out = Result<u32, Failed>;

const CRASH: Failed = Error::Failed("crash");

/// A run of its own name, since all tests of a process hear each other's events.
fn run(id: &str) -> RunSession<u32, Failed> {
    Checkpoint::new().run(id).named("work").calls::<Out>()
}

async fn step(key: u32) -> Out {
    Checkpoint::new().step("step").key(&key).at(site!().enter()).calls::<Out>().run(async { Ok(key) }).await
}

/// Records the steps 1, 2 and 3, and fails.
async fn three(store: &Store, id: &str) {
    let failed = store.scope(run(id).run(async {
        for key in 1..=3 {
            step(key).await?;
        }
        Err(CRASH)
    }));
    failed.await.unwrap_err();
}

/// What is heard of steps that are left over while `work` is done.
async fn heard(id: &'static str, work: impl Future<Output = Out>) -> Vec<(u64, String)> {
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&events);
    let listening = observe::subscribe(move |event| {
        if let What::LeftoverSteps { run, steps, first } = event.what
            && run == id
        {
            sink.lock().unwrap().push((steps, first.to_owned()));
        }
    });
    work.await.unwrap();
    drop(listening);
    std::mem::take(&mut *events.lock().unwrap())
}

#[tokio::test]
async fn leftover_steps_are_told_once_with_their_number_and_the_first_of_them() {
    for world in World::all() {
        let store = world.store();
        three(&store, "dropped").await;
        let told = heard("dropped", store.scope(run("dropped").run(async { step(1).await }))).await;
        assert_eq!(told, [(2, "step(2)".to_owned())]);
        // It is a warning: the result stands.
        assert_eq!(store.scope(run("dropped").run(async { panic!("executed") })).await, Ok(1));
    }
}

#[tokio::test]
async fn no_leftover_steps_are_told_where_all_were_called_or_the_run_fails() {
    for world in World::all() {
        let store = world.store();
        three(&store, "called").await;
        let all = heard("called", async {
            store.scope(run("called").run(async { Err::<u32, _>(CRASH) })).await.unwrap_err();
            // The order is the code's own affair, and a step that loses a race was called as well.
            let again = run("called").run(async {
                drop(step(3));
                tokio::select! { biased; one = step(1) => one?, two = step(2) => two? };
                let mut lost = Box::pin(step(2));
                let _ = std::future::poll_fn(|cx| std::task::Poll::Ready(lost.as_mut().poll(cx))).await;
                step(3).await
            });
            store.scope(again).await
        });
        assert_eq!(all.await, []);
    }
}

#[tokio::test]
async fn steps_before_the_state_that_was_loaded_are_no_leftover_steps() {
    for world in World::all() {
        let store = world.store();
        let counting = |until: u32| async move {
            let mut cursor = Saved::<u32>::load("cursor").await?;
            while *cursor < 4 {
                if *cursor == until {
                    step(99).await?;
                    return Err(CRASH);
                }
                *cursor = step(*cursor).await? + 1;
                cursor.commit().await?;
            }
            Ok(*cursor)
        };
        store.scope(run("saved").run(counting(2))).await.unwrap_err();
        let told = heard("saved", store.scope(run("saved").run(counting(u32::MAX)))).await;
        assert_eq!(told, [(1, "step(99)".to_owned())], "and what came after it is one");
    }
}
