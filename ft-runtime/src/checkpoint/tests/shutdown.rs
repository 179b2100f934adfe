//! Shutting down: nothing begins, what is under way stops where nothing is lost, and is handed over.
//!
//! On the store in memory, which follows the paused clock; the others are in `tests/crash/sigterm.rs`.

use std::future::Future;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::World;
use crate::checkpoint::{
    Abandoned, Checkpoint, CheckpointError, Filter, Readiness, RunSession, RunStatus, Saved, Shutdown, Store, sleep,
};
use crate::{Backoff, Error, Fault, FaultKind, Rejected, Retry, site};

type Failed = Error<&'static str>;
type Out = Result<u32, Failed>;

const WITHIN: Duration = Duration::from_secs(10);

fn run(id: &str) -> RunSession<u32, Failed> {
    Checkpoint::new().run(id).named("work").calls::<Out>()
}

async fn step<F: Future<Output = Out>>(key: &str, body: F) -> Out {
    Checkpoint::new().step("step").key(key).at(site!().enter()).calls::<Out>().run(body).await
}

fn shutting_down<T: std::fmt::Debug>(outcome: Result<T, Failed>) -> CheckpointError {
    match outcome {
        Err(Error::Rejected(Rejected::Checkpoint(error))) if matches!(*error, CheckpointError::ShuttingDown { .. }) => {
            *error
        }
        other => panic!("not refused: {other:?}"),
    }
}

/// With both in scope: each of them keeps what is around when it is made.
fn scoped<F: Future>(store: &Store, end: &Shutdown, future: F) -> crate::Scoped<F> {
    end.scope_blocking(|| store.scope(future))
}

fn world() -> (Store, Shutdown) {
    (World::all()[0].store(), Shutdown::new())
}

/// Runs `body` as the run `r` and shuts down after a second; its answer, the report, and what is recorded.
async fn stopped<F: Future<Output = Out>>(
    store: &Store,
    end: &Shutdown,
    body: F,
) -> (Out, crate::checkpoint::ShutdownReport, Vec<String>) {
    let work = scoped(store, end, run("r").run(body));
    let shut = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        end.within(WITHIN).await
    };
    let (outcome, report) = tokio::join!(work, shut);
    let steps = store.steps("r").await.unwrap();
    (outcome, report, steps.iter().map(|step| step.key.to_string()).collect())
}

async fn wait_and(seconds: u64) -> Out {
    wait(seconds).await;
    Ok(1)
}

fn wait(seconds: u64) -> impl Future<Output = ()> {
    tokio::time::sleep(Duration::from_secs(seconds))
}

#[tokio::test(start_paused = true)]
async fn nothing_begins_any_more_and_nothing_is_tried_again_or_elsewhere() {
    let (store, end) = world();
    assert_eq!(end.readiness(), Readiness::Ready);
    let report = end.within(WITHIN).await;
    assert_eq!((report.ended, report.handed_over.len(), report.left.len()), (0, 0, 0));
    assert_eq!(report.took, Duration::ZERO);
    assert_eq!(end.readiness(), Readiness::ShuttingDown { runs: 0 });
    let attempts = AtomicU32::new(0);
    let retry = Retry::new();
    let refused = scoped(
        &store,
        &end,
        retry.call(|| {
            attempts.fetch_add(1, Ordering::Relaxed);
            Checkpoint::new().run("r").named("work").calls::<Result<u32, Rejected>>().run(async { Ok(1) })
        }),
    );
    let error = shutting_down(refused.await.map_err(Failed::from));
    assert_eq!((error.kind(), attempts.load(Ordering::Relaxed)), (FaultKind::Transient, 1));
    assert!(error.to_string().contains("run `r`"), "{error}");
    assert!(store.runs(Filter::default()).await.unwrap().is_empty());
    let blocked = end.scope_blocking(|| store.scope_blocking(|| run("r").run_blocking(|| Ok(1))));
    shutting_down(blocked);
}

#[tokio::test(start_paused = true)]
async fn what_ends_in_the_first_half_ends_by_itself_and_may_call_other_runs() {
    let (store, end) = world();
    let (outcome, report, steps) = stopped(&store, &end, async {
        step("a", wait_and(3)).await?;
        let inner = run("inner").run(async { step("c", async { Ok(2) }).await }).await?;
        Ok(inner + step("b", async { Ok(1) }).await?)
    })
    .await;
    assert_eq!(outcome.unwrap(), 3);
    assert_eq!((report.ended, report.handed_over.len(), report.took), (2, 0, Duration::from_secs(2)));
    assert_eq!(steps, ["step(a)", "step(b)"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_stops_at_its_next_step_and_another_process_goes_on_behind_the_last_one() {
    let (store, end) = world();
    let done = Mutex::new(Vec::new());
    let body = || async {
        for key in ["a", "b", "c"] {
            step(key, async {
                done.lock().unwrap().push(key);
                wait(8).await;
                Ok(1)
            })
            .await?;
        }
        Ok(3)
    };
    let (outcome, report, steps) = stopped(&store, &end, body()).await;
    shutting_down(outcome);
    // `a` ends in the second half, and is not cut off.
    assert_eq!((&*report.handed_over, steps), (&["r".to_owned()][..], vec!["step(a)".to_owned()]));
    assert_eq!((report.left.len(), report.took), (0, Duration::from_secs(7)));
    let left = store.backend().abandoned(Abandoned::new()).await.unwrap();
    assert_eq!((&*left[0].run, left[0].interrupted), ("r", true));
    assert_eq!(store.scope(run("r").run(body())).await.unwrap(), 3);
    assert_eq!(*done.lock().unwrap(), ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_step_beside_one_that_is_at_rest_is_not_cut_off() {
    let (store, end) = world();
    let (outcome, report, steps) = stopped(&store, &end, async {
        let short = async {
            step("short", wait_and(7)).await?;
            step("never", async { Ok(2) }).await
        };
        let long = step("long", wait_and(9));
        let (short, long) = tokio::join!(short, long);
        Ok(short? + long?)
    })
    .await;
    shutting_down(outcome);
    assert_eq!((report.handed_over.len(), report.took), (1, Duration::from_secs(8)));
    assert_eq!(steps, ["step(short)", "step(long)"]);
}

#[tokio::test(start_paused = true)]
async fn the_body_does_not_learn_of_it_and_so_cannot_take_it_for_a_failure() {
    let (store, end) = world();
    let misled = AtomicU32::new(0);
    let (outcome, report, steps) = stopped(&store, &end, async {
        wait(8).await;
        if step("charge", async { Ok(1) }).await.is_err() {
            misled.fetch_add(1, Ordering::Relaxed);
        }
        Ok(0)
    })
    .await;
    shutting_down(outcome);
    assert_eq!((misled.into_inner(), report.handed_over.len(), steps.len()), (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_run_around_a_run_that_is_stopped_is_stopped_with_it() {
    let (store, end) = world();
    let misled = AtomicU32::new(0);
    let (outcome, report, _) = stopped(&store, &end, async {
        let inner = run("inner").run(async {
            wait(8).await;
            step("never", async { Ok(1) }).await
        });
        if inner.await.is_err() {
            misled.fetch_add(1, Ordering::Relaxed);
        }
        Ok(0)
    })
    .await;
    shutting_down(outcome);
    let mut handed_over = report.handed_over;
    handed_over.sort();
    assert_eq!((misled.into_inner(), handed_over), (0, vec!["inner".to_owned(), "r".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_durable_sleep_and_the_wait_of_a_retry_are_left_at_once() {
    for retries in [false, true] {
        let (store, end) = world();
        let (outcome, report, steps) = stopped(&store, &end, async {
            if retries {
                let retry = Retry::new()
                    .backoff(Backoff::fixed(Duration::from_secs(3600)).max_delay(Duration::from_secs(3600)));
                step("step", retry.when(|_: &Failed| true).call(|| async { Err(Error::Failed("no line")) })).await
            } else {
                sleep("a day", Duration::from_secs(86_400)).await?;
                Ok(1)
            }
        })
        .await;
        shutting_down(outcome);
        assert_eq!((report.handed_over.len(), report.took), (1, Duration::from_secs(5)), "retries: {retries}");
        assert_eq!(steps.len(), usize::from(!retries));
    }
}

#[tokio::test(start_paused = true)]
async fn a_state_is_saved_where_it_is_marked_and_goes_on_from_there() {
    for commits in [false, true] {
        let (store, end) = world();
        let begun = Mutex::new(Vec::new());
        let body = || async {
            let mut state = Saved::<u32>::load("state").await?;
            begun.lock().unwrap().push(*state);
            while *state < 20 {
                *state += 1;
                wait(1).await;
                if commits { state.commit().await? } else { state.mark().await? }
            }
            Ok(*state)
        };
        let rare = || Checkpoint::new().every(1_000_000).run("r").named("work").calls::<Out>();
        let work = scoped(&store, &end, rare().run(body()));
        let shut = async {
            wait(2).await;
            end.within(WITHIN).await
        };
        let (outcome, report) = tokio::join!(work, shut);
        shutting_down(outcome);
        assert_eq!(report.handed_over, ["r"]);
        assert_eq!(store.scope(rare().run(body())).await.unwrap(), 20);
        let begun = begun.into_inner().unwrap();
        assert!(begun[0] == 0 && (6..=8).contains(&begun[1]), "nothing is lost: {begun:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_in_time_is_in_the_report() {
    let (store, end) = world();
    let work = tokio::spawn(scoped(&store, &end, run("r").run(async { step("hangs", std::future::pending()).await })));
    wait(1).await;
    let report = end.within(WITHIN).await;
    assert_eq!((report.took, report.handed_over.len()), (WITHIN, 0));
    assert_eq!(report.left.iter().map(|left| (&*left.run, left.steps)).collect::<Vec<_>>(), [("r", 1)]);
    assert!(report.to_string().contains("run `r` had not ended: 1 step is being executed"), "{report}");
    assert_eq!(end.readiness(), Readiness::ShuttingDown { runs: 1 });
    work.abort();
    assert!(work.await.is_err());
    assert_eq!(end.readiness(), Readiness::ShuttingDown { runs: 0 });
    assert_eq!(end.within(WITHIN).await.handed_over, ["r"]);
}

#[tokio::test(start_paused = true)]
async fn a_step_on_another_task_is_refused_when_its_run_is_gone() {
    let (store, end) = world();
    let (tell, told) = tokio::sync::oneshot::channel();
    let (outcome, report, _) = stopped(&store, &end, async {
        let spawned = tokio::spawn(crate::Context::current().scope(async {
            wait(8).await;
            tell.send(step("elsewhere", async { Ok(1) }).await).unwrap();
        }));
        spawned.await.unwrap();
        Ok(1)
    })
    .await;
    shutting_down(outcome);
    assert_eq!(report.handed_over, ["r"]);
    shutting_down(told.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_its_own_is_a_failure() {
    let (store, end) = world();
    let (outcome, report, _) = stopped(&store, &end, async {
        wait(8).await;
        Err(Error::Failed("no paper"))
    })
    .await;
    assert!(matches!(outcome, Err(Error::Failed("no paper"))));
    assert_eq!((report.ended, report.handed_over.len()), (1, 0));
    assert!(store.backend().abandoned(Abandoned::new()).await.unwrap().is_empty());
}

#[test]
fn a_blocking_body_is_refused_and_whatever_it_makes_of_that_nothing_is_recorded() {
    let (store, end) = world();
    let refused = end.scope_blocking(|| {
        store.scope_blocking(|| {
            run("r").run_blocking(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
                let _ = runtime.unwrap().block_on(end.within(Duration::from_secs(1)));
                let step = Checkpoint::new().step("step").at(site!().enter()).calls::<Out>();
                Ok(step.run_blocking(|| Ok(1)).unwrap_or(0))
            })
        })
    });
    shutting_down(refused);
    let runs = store.runs(Filter::default()).wait().unwrap();
    assert_eq!((runs[0].status, runs[0].interrupted, runs[0].steps), (RunStatus::Running, true, 0));
}
