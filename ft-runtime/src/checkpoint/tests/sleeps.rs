//! Waits that survive the process, in virtual time.
//!
//! A paused clock runs to the next timer while a task waits for the thread of a durable store, so with timers around it
//! the store is the one in memory.

use std::time::Duration;

use tokio::time::Instant;

use super::World;
use crate::checkpoint::{Checkpoint, RunSession, sleep, sleep_blocking};
use crate::testing::VirtualTime;
use crate::{Deadline, Error, Rejected};

type Failed = Error<&'static str>;
type Out = Result<u32, Failed>;

const HOUR: Duration = Duration::from_secs(60 * 60);

fn run() -> RunSession<u32, Failed> {
    Checkpoint::new().run("r").named("work").calls::<Out>()
}

/// Equal within the milliseconds to which moments are recorded, and those that the test takes.
#[track_caller]
fn about(waited: Duration, expected: Duration) {
    assert!(waited.abs_diff(expected) < Duration::from_secs(5), "waited for {waited:?}, not {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_was_interrupted_goes_on_for_what_is_left_in_the_next_process() {
    for world in World::all().into_iter().take(1) {
        let began = Instant::now();
        let store = world.store();
        let waits = store.scope(run().run(async {
            sleep("nap", HOUR).await?;
            Ok(1)
        }));
        tokio::time::timeout(HOUR / 3, waits).await.unwrap_err();
        about(began.elapsed(), HOUR / 3);
        drop(store);
        let store = world.store();
        let done = store.scope(run().run(async {
            // Other code by now; the moment stands.
            sleep("nap", 5 * HOUR).await?;
            Ok(1)
        }));
        assert_eq!(done.await.unwrap(), 1);
        about(began.elapsed(), HOUR);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_whose_moment_has_passed_costs_no_time_and_one_beyond_the_deadline_is_not_started() {
    for world in World::all().into_iter().take(1) {
        let store = world.store();
        let fails = store.scope(run().run(async {
            let refused = Deadline::after(HOUR / 2).scope(sleep("nap", HOUR)).await;
            assert_eq!(refused, Err(Rejected::DeadlinePassed));
            Err(Error::Failed("crash"))
        }));
        fails.await.unwrap_err();
        tokio::time::sleep(2 * HOUR).await;
        let began = Instant::now();
        let done = store.scope(run().run(async {
            sleep("nap", HOUR).await?;
            Ok(1)
        }));
        assert_eq!(done.await.unwrap(), 1);
        about(began.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn the_moment_is_recorded_in_every_store() {
    for world in World::all() {
        let (began, store) = (Instant::now(), world.store());
        for attempt in 1..=2 {
            let done = store.scope(run().run(async {
                sleep("nap", HOUR * attempt).await?;
                if attempt == 1 { Err(Error::Failed("crash")) } else { Ok(attempt) }
            }));
            assert_eq!(done.await.is_ok(), attempt == 2);
        }
        about(began.elapsed(), HOUR);
        assert_eq!(&*store.steps("r").await.unwrap()[0].key, "ft.sleep(nap)");
    }
}

#[tokio::test(start_paused = true)]
async fn outside_of_a_run_a_wait_is_just_a_wait() {
    let began = Instant::now();
    sleep("nap", HOUR).await.unwrap();
    about(began.elapsed(), HOUR);
}

#[test]
fn a_blocking_wait_does_the_same() {
    for world in World::all() {
        let time = VirtualTime::start();
        let done = world.store().scope_blocking(|| {
            run().run_blocking(|| {
                sleep_blocking("nap", HOUR)?;
                Ok(1)
            })
        });
        assert_eq!(done.unwrap(), 1);
        about(time.elapsed(), HOUR);
    }
}
