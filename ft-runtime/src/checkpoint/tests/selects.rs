//! Races whose winner is recorded.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

use super::World;
use crate::checkpoint::{Checkpoint, CheckpointError, RunSession, select};
use crate::{Error, Rejected, site};

type Failed = Error<&'static str>;
type Out = Result<u32, Failed>;

const CRASH: Failed = Error::Failed("crash");

fn run() -> RunSession<u32, Failed> {
    Checkpoint::new().run("r").named("work").calls::<Out>()
}

/// A step that is called when this is polled, and ends when it is told to.
async fn when(told: &Notify, key: u32, ran: &AtomicU32) -> Out {
    told.notified().await;
    let step = Checkpoint::new().step("step").key(&key).at(site!().enter()).calls::<Out>();
    step.run(async { Ok(10 * key + ran.fetch_add(1, Ordering::Relaxed)) }).await
}

#[tokio::test]
async fn the_winner_of_the_first_execution_wins_again_though_another_one_is_faster_by_now() {
    for world in World::all() {
        let ran = AtomicU32::new(0);
        let (never, now) = (Notify::new(), Notify::new());
        now.notify_one();
        let store = world.store();
        let failed = store.scope(run().run(async {
            let (winner, answer) = select("race", [when(&never, 0, &ran), when(&now, 1, &ran)]).await?;
            assert_eq!((winner, answer?), (1, 10));
            Err(CRASH)
        }));
        failed.await.unwrap_err();
        let keys: Vec<_> = store.steps("r").await.unwrap().iter().map(|step| step.key.to_string()).collect();
        assert_eq!(keys, ["step(1)", "ft.select(race)"], "the steps in it are steps of the run");
        drop(store);

        for told in [&never, &now] {
            told.notify_one();
        }
        let done = world.store().scope(run().run(async {
            let (winner, answer) = select("race", [when(&never, 0, &ran), when(&now, 1, &ran)]).await?;
            assert_eq!(winner, 1);
            answer
        }));
        assert_eq!(done.await.unwrap(), 10);
        assert_eq!(ran.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn a_winner_that_is_not_there_any_more_is_an_error() {
    for world in World::all() {
        let store = world.store();
        let failed = store.scope(run().run(async {
            assert_eq!(select("race", [std::future::ready(7)]).await?, (0, 7));
            Err(CRASH)
        }));
        failed.await.unwrap_err();
        let none: [std::future::Ready<u32>; 0] = [];
        let refused = store.scope(run().run(async { Ok(select("race", none).await?.1) })).await;
        let Err(Error::Rejected(Rejected::Checkpoint(error))) = refused else { panic!("{refused:?}") };
        assert!(matches!(&*error, CheckpointError::Decode { run, .. } if run == "r"), "{error:?}");
    }
}

#[tokio::test]
async fn a_race_can_be_spawned_and_is_no_more_than_one_outside_of_a_run() {
    let race = tokio::spawn(select("race", [std::future::ready(1), std::future::ready(2)]));
    assert_eq!(race.await.unwrap(), Ok((0, 1)));
    let none: [std::future::Ready<u32>; 0] = [];
    assert!(matches!(select("race", none).await, Err(Rejected::Invalid(_))));
}
