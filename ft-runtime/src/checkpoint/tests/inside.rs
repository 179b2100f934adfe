//! What the body of a step finds around it: its idempotency key, and the deadline.

use std::time::Duration;

use super::World;
use crate::checkpoint::{Checkpoint, RunSession, Store, idempotency_key};
use crate::{Deadline, Error, site};

type Failed = Error<&'static str>;
type Out = Result<u32, Failed>;

const CRASH: Failed = Error::Failed("crash");

fn run(id: &str) -> RunSession<u32, Failed> {
    Checkpoint::new().run(id).named("work").calls::<Out>()
}

type Key = Result<String, Failed>;

/// A step that returns its idempotency key.
fn key_of(name: &'static str) -> impl Future<Output = Key> {
    let step = Checkpoint::new().step(name).at(site!().enter());
    step.calls::<Key>().run(async { Ok(idempotency_key().unwrap().to_string()) })
}

#[tokio::test]
async fn steps_inside_a_step_have_idempotency_keys_of_their_own_that_last() {
    for world in World::all() {
        let store = world.store();
        let seen = std::sync::Mutex::new(Vec::new());
        for _ in 0..2 {
            let failed = store.scope(run("r").run(async {
                let outer = Checkpoint::new().step("outer").at(site!().enter()).calls::<Out>();
                let body = async {
                    let mut keys = vec![idempotency_key().unwrap().to_string()];
                    keys.extend([key_of("charge").await?, key_of("charge").await?, key_of("refund").await?]);
                    // Inside a step on another task, too.
                    keys.push(tokio::spawn(key_of("spawned")).await.unwrap()?);
                    keys.push(idempotency_key().unwrap().to_string());
                    seen.lock().unwrap().push(keys);
                    Err(CRASH)
                };
                outer.run(body).await
            }));
            failed.await.unwrap_err();
        }
        let seen = seen.into_inner().unwrap();
        assert_eq!(seen[0], seen[1]);
        assert_eq!(seen[0][0], seen[0][5]);
        let different: std::collections::HashSet<_> = seen[0].iter().collect();
        assert_eq!(different.len(), 5, "{seen:?}");
    }
}

#[tokio::test]
async fn another_try_at_a_step_inside_a_step_has_the_key_of_the_first() {
    let world = World::sqlite();
    let keys = std::sync::Mutex::new(Vec::new());
    let done = world.store().scope(run("r").run(async {
        let outer = Checkpoint::new().step("outer").at(site!().enter()).calls::<Out>();
        let body = async {
            for fails in [true, false] {
                let step = Checkpoint::new().step("charge").at(site!().enter()).calls::<Out>();
                let charge = || {
                    keys.lock().unwrap().push(idempotency_key().unwrap());
                    if fails { Err(CRASH) } else { Ok(1) }
                };
                assert_eq!(step.run_blocking(charge).is_err(), fails);
            }
            Ok(1)
        };
        outer.run(body).await
    }));
    done.await.unwrap();
    let keys = keys.into_inner().unwrap();
    assert_eq!(keys[0], keys[1]);
}

#[tokio::test(start_paused = true)]
async fn a_step_is_under_the_deadline_it_was_called_in_and_the_one_it_is_awaited_in() {
    let store = Store::open("memory:").unwrap();
    let left = |name: &'static str| {
        let step = Checkpoint::new().step(name).at(site!().enter());
        step.calls::<Out>().run(async { Ok(Deadline::current().unwrap().remaining().as_secs() as u32) })
    };
    let done = store.scope(run("r").run(async {
        let (long, short) = (Duration::from_secs(9), Duration::from_secs(5));
        let spawned = Deadline::after(short).scope(async { tokio::spawn(left("spawned")).await.unwrap() });
        assert_eq!(spawned.await?, 5);
        assert_eq!(Deadline::after(short).scope(left("awaited")).await?, 5);
        let both = Deadline::after(long).scope(async { Deadline::after(short).scope(left("both")).await });
        assert_eq!(both.await?, 5);
        Deadline::after(short).scope(async { Deadline::after(long).scope(left("inherited")).await }).await
    }));
    assert_eq!(done.await.unwrap(), 5);
}
