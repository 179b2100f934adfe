//! Runs and steps.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::World;
use crate::checkpoint::{Again, Checkpoint, CheckpointError, RunSession, Store, idempotency_key};
use crate::{Context, Error, Rejected, site};

type Failed = Error<&'static str>;
type Out = Result<u32, Failed>;

const CRASH: Failed = Error::Failed("crash");

fn run(id: &str) -> RunSession<u32, Failed> {
    Checkpoint::new().run(id).named("work").calls::<Out>()
}

/// A step that counts how often its body ran.
fn counted(count: &AtomicU32) -> impl Future<Output = Out> + '_ {
    let step = Checkpoint::new().step("counted").input(&()).at(site!().enter());
    async move { step.calls::<Out>().run(async { Ok(count.fetch_add(1, Ordering::Relaxed) + 1) }).await }
}

fn keyed(key: u32, value: u32) -> impl Future<Output = Out> {
    let step = Checkpoint::new().step("keyed").key(&key).input(&(value,)).at(site!().enter());
    async move { step.calls::<Out>().run(async move { Ok(value) }).await }
}

fn ran(count: &AtomicU32) -> u32 {
    count.load(Ordering::Relaxed)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, Failed>) -> CheckpointError {
    match outcome {
        Err(Error::Rejected(Rejected::Checkpoint(error))) => *error,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_run_that_ended_ok_answers_with_its_result() {
    for world in World::all() {
        let store = world.store();
        assert_eq!(store.scope(run("r").run(async { Ok(7) })).await.unwrap(), 7);
        let again = store.scope(run("r").run(async { panic!("executed again") }));
        assert_eq!(again.await.unwrap(), 7);
        assert_eq!(world.store().scope_blocking(|| run("r").run_blocking(|| panic!("executed again"))).unwrap(), 7);
    }
}

#[tokio::test]
async fn an_order_that_is_placed_twice_at_once_is_charged_once() {
    for world in World::all() {
        let store = world.store();
        for n in 0..20 {
            let charged = AtomicU32::new(0);
            let place = || store.scope(run(&format!("order-{n}")).run(counted(&charged)));
            let _ = tokio::join!(place(), place());
            assert_eq!(ran(&charged), 1);
        }
    }
}

#[tokio::test]
async fn a_failed_run_goes_on_where_it_stopped_in_this_process_and_in_the_next() {
    for world in World::all() {
        let (first, second) = (AtomicU32::new(0), AtomicU32::new(0));
        let store = world.store();
        let body = || async {
            counted(&first).await?;
            Err(CRASH)
        };
        assert!(matches!(store.scope(run("r").run(body())).await, Err(Error::Failed("crash"))));
        store.scope(run("r").run(body())).await.unwrap_err();
        drop(store);

        let store = world.store();
        let ended = store.scope(run("r").run(async { Ok(counted(&first).await? + counted(&second).await?) }));
        assert_eq!(ended.await.unwrap(), 2);
        assert_eq!((ran(&first), ran(&second)), (1, 1));
    }
}

#[test]
fn blocking_runs_and_steps_do_the_same() {
    for world in World::all() {
        let store = world.store();
        let count = AtomicU32::new(0);
        let step = || {
            let step = Checkpoint::new().step("sync").input(&()).at(site!().enter());
            step.calls::<Out>().run_blocking(|| Ok(count.fetch_add(1, Ordering::Relaxed) + 1))
        };
        let failed = store.scope_blocking(|| {
            run("r").run_blocking(|| {
                step()?;
                Err(CRASH)
            })
        });
        failed.unwrap_err();
        assert_eq!(store.scope_blocking(|| run("r").run_blocking(step)).unwrap(), 1);
    }
}

#[tokio::test]
async fn only_ok_is_recorded_and_the_next_try_has_the_same_key() {
    for world in World::all() {
        let store = world.store();
        let tries = AtomicU32::new(0);
        let flaky = || {
            let step = Checkpoint::new().step("flaky").at(site!().enter());
            let tries = &tries;
            async move {
                let body = async { if tries.fetch_add(1, Ordering::Relaxed) < 2 { Err(CRASH) } else { Ok(9) } };
                step.calls::<Out>().run(body).await
            }
        };
        let retried = || async {
            loop {
                if let Ok(value) = flaky().await {
                    return Ok::<u32, Failed>(value);
                }
            }
        };
        let failed = store.scope(run("r").run(async {
            retried().await?;
            Err(CRASH)
        }));
        failed.await.unwrap_err();
        assert_eq!(store.scope(run("r").run(retried())).await.unwrap(), 9);
        assert_eq!(ran(&tries), 3);
    }
}

#[tokio::test]
async fn other_arguments_under_a_recorded_key_are_refused() {
    for world in World::all() {
        let store = world.store();
        let failed = store.scope(run("r").run(async {
            keyed(1, 10).await?;
            Err(CRASH)
        }));
        failed.await.unwrap_err();
        let error = refused(store.scope(run("r").run(async { keyed(1, 11).await })).await);
        assert!(matches!(&error, CheckpointError::InputChanged { run, step, .. } if run == "r" && step == "keyed(1)"));
        assert_eq!(store.scope(run("r").run(async { keyed(1, 10).await })).await.unwrap(), 10);
    }
}

#[tokio::test]
async fn a_key_is_for_one_call_at_the_same_time_and_afterwards() {
    for world in World::all() {
        let store = world.store();
        let body = async {
            let (first, second) = (keyed(1, 1), keyed(1, 1));
            assert!(matches!(refused(second.await), CheckpointError::DuplicateKey { .. }));
            first.await?;
            assert!(matches!(refused(keyed(1, 1).await), CheckpointError::DuplicateKey { .. }));
            Ok(1)
        };
        store.scope(run("r").run(body)).await.unwrap();
    }
}

#[tokio::test]
async fn steps_are_numbered_when_they_are_called_not_when_they_are_polled() {
    for world in World::all() {
        let store = world.store();
        let count = AtomicU32::new(0);
        let body = async {
            let (first, second) = (counted(&count), counted(&count));
            let second = second.await?;
            let first = first.await?;
            Ok(10 * first + second)
        };
        assert_eq!(store.scope(run("r").run(body)).await.unwrap(), 21);
        let keys: Vec<_> = store.steps("r").await.unwrap().into_iter().map(|step| step.key.to_string()).collect();
        assert_eq!(keys, ["counted#2", "counted#1"]);
    }
}

#[tokio::test]
async fn a_step_that_is_spawned_stays_in_its_run() {
    for world in World::all() {
        let store = world.store();
        let outcome = store.scope(run("r").run(async { tokio::spawn(keyed(1, 5)).await.unwrap() }));
        assert_eq!(outcome.await.unwrap(), 5);
        assert_eq!(store.steps("r").await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_step_called_after_its_run_has_ended_is_refused() {
    for world in World::all() {
        let store = world.store();
        let late = store.scope(run("r").run(async { Ok(7) })).await.map(|_| ());
        late.unwrap();
        let inherited = std::sync::Mutex::new(None);
        let ended = store.scope(run("q").run(async {
            *inherited.lock().unwrap() = Some(Context::current());
            Ok(7)
        }));
        ended.await.unwrap();
        let context = inherited.into_inner().unwrap().unwrap();
        let late = context.scope(async { keyed(1, 1).await });
        assert!(matches!(refused(late.await), CheckpointError::Store(_)));
    }
}

#[tokio::test]
async fn a_result_is_recorded_though_its_future_was_dropped_and_answers_the_next_call() {
    for world in World::all() {
        let store = world.store();
        let count = AtomicU32::new(0);
        let body = async {
            let mut dropped = Box::pin(counted(&count));
            // Polled until the body has run: on a durable store it now waits for the commit.
            let _ = futures_poll_once(&mut dropped).await;
            drop(dropped);
            counted(&count).await
        };
        let answer = store.scope(run("r").run(body)).await.unwrap();
        assert!(answer == ran(&count));
        assert_eq!(store.steps("r").await.unwrap().len() as u32, ran(&count));
    }
}

async fn futures_poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut future = std::pin::Pin::new(future);
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        std::task::Poll::Ready(value) => std::task::Poll::Ready(Some(value)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

#[tokio::test]
async fn a_step_outside_a_run_or_inside_another_step_is_not_recorded() {
    for world in World::all() {
        let store = world.store();
        let count = AtomicU32::new(0);
        assert_eq!(counted(&count).await.unwrap(), 1);
        assert_eq!(counted(&count).await.unwrap(), 2);

        let outer = Checkpoint::new().step("outer").calls::<Out>();
        drop(outer);
        let body = async {
            let step = Checkpoint::new().step("outer").at(site!().enter());
            step.calls::<Out>().run(async { Ok(counted(&count).await? + counted(&count).await?) }).await
        };
        assert_eq!(store.scope(run("r").run(body)).await.unwrap(), 7);
        assert_eq!(store.steps("r").await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn require_run_makes_a_step_outside_a_run_an_error() {
    let outside = Checkpoint::new().require_run(true).step("strict").at(site!().enter()).calls::<Out>();
    let error = refused(outside.run(async { panic!("executed") }).await);
    assert_eq!(error, CheckpointError::NoRun { step: "strict".into() });
}

#[tokio::test]
async fn a_dropped_run_is_given_back_and_stays_resumable() {
    for world in World::all() {
        let store = world.store();
        let count = AtomicU32::new(0);
        let mut pending = Box::pin(store.scope(run("r").run(async {
            counted(&count).await?;
            std::future::pending().await
        })));
        while ran(&count) == 0 || store.steps("r").await.unwrap().is_empty() {
            assert!(futures_poll_once(&mut pending).await.is_none());
        }
        drop(pending);
        // A drop before the claim is even answered gives it back, too.
        let mut early = Box::pin(store.scope(run("r").run(async { std::future::pending().await })));
        assert!(futures_poll_once(&mut early).await.is_none());
        drop(early);

        // The release of an unanswered claim is enqueued once the claim is answered; a list comes after the claim.
        let _ = store.runs(Default::default()).await;
        assert_eq!(store.scope(run("r").run(async { counted(&count).await })).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn a_run_that_is_started_anew_executes_with_new_idempotency_keys() {
    for world in World::all() {
        let store = world.store();
        let key = || async {
            let run = Checkpoint::new().again(Again::Always).run("daily").calls::<Result<String, Failed>>();
            let step = async {
                let step = Checkpoint::new().step("bill").at(site!().enter()).calls::<Result<String, Failed>>();
                step.run(async { Ok(idempotency_key().unwrap().to_string()) }).await
            };
            store.scope(run.run(step)).await.unwrap()
        };
        let mut keys = vec![key().await, key().await];
        assert_eq!(store.delete("daily").await, Ok(true));
        keys.push(key().await);
        let different: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(different.len(), 3, "{keys:?}");
    }
}

#[tokio::test]
async fn an_idempotency_key_is_the_same_in_every_attempt_and_process_and_differs_between_steps() {
    for world in World::all() {
        let keys = std::sync::Mutex::new(Vec::new());
        for _ in 0..2 {
            let store = world.store();
            let attempt = store.scope(run("r").run(async {
                for key in [1, 2] {
                    let step = Checkpoint::new().step("pay").key(&key).at(site!().enter()).calls::<Out>();
                    let body = async {
                        keys.lock().unwrap().push(idempotency_key().unwrap().to_string());
                        Err(CRASH)
                    };
                    step.run(body).await.unwrap_err();
                }
                Err(CRASH)
            }));
            attempt.await.unwrap_err();
        }
        let keys = keys.into_inner().unwrap();
        assert_eq!(keys[..2], keys[2..]);
        assert_ne!(keys[0], keys[1]);
        assert_eq!(keys[0].len(), 36);
    }
    assert_eq!(idempotency_key(), None);
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Ambiguous {
    Number(u32),
    #[serde(skip_deserializing)]
    Lost(String),
}

#[tokio::test]
async fn a_value_that_cannot_be_read_back_is_refused_at_its_first_run() {
    for world in World::all() {
        let store = world.store();
        let outcome = store.scope(run("r").run(async {
            let step = Checkpoint::new().step("lossy").at(site!().enter()).calls::<Result<Ambiguous, Failed>>();
            step.run(async { Ok(Ambiguous::Lost("gone".into())) }).await?;
            Ok(1)
        }));
        let error = refused(outcome.await);
        assert!(matches!(&error, CheckpointError::NotRoundTrip { step, .. } if step == "lossy#1"), "{error:?}");
        assert!(store.steps("r").await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_recorded_step_of_another_type_is_an_error_and_not_executed_again() {
    for world in World::all() {
        let store = world.store();
        let failed = store.scope(run("r").run(async {
            keyed(1, 1).await?;
            Err(CRASH)
        }));
        failed.await.unwrap_err();
        let outcome = store.scope(run("r").run(async {
            let step = Checkpoint::new().step("keyed").key(&1).input(&(1u32,)).at(site!().enter());
            step.calls::<Result<String, Failed>>().run(async { panic!("executed again") }).await?;
            Ok(1)
        }));
        let error = refused(outcome.await);
        assert!(matches!(&error, CheckpointError::Decode { what, .. } if what == "step `keyed(1)`"), "{error:?}");
    }
}

#[tokio::test]
async fn a_result_is_forgotten_when_it_was_kept_for_its_time() {
    for world in World::all() {
        let store = world.store();
        let brief = || Checkpoint::new().keep(Duration::ZERO).run("r").named("work").calls::<Out>();
        assert_eq!(store.scope(brief().run(async { Ok(1) })).await.unwrap(), 1);
        assert_eq!(store.scope(brief().run(async { Ok(2) })).await.unwrap(), 2);
    }
}

#[tokio::test]
async fn futures_of_runs_and_steps_can_be_spawned() {
    let store = Store::open("memory:").unwrap();
    let task = tokio::spawn(async move { store.scope(run("r").run(async { keyed(1, 4).await })).await });
    assert_eq!(task.await.unwrap().unwrap(), 4);
}

#[tokio::test]
async fn the_number_of_a_failed_step_goes_to_no_call_with_other_arguments() {
    for world in World::all() {
        let store = world.store();
        let sent = std::sync::Mutex::new(Vec::new());
        let send = |item: u32, fails: bool| {
            let step = Checkpoint::new().step("send").input(&item).at(site!().enter());
            let sent = &sent;
            let body = async move {
                sent.lock().unwrap().push(item);
                if fails { Err(CRASH) } else { Ok(item) }
            };
            async move { step.calls::<Out>().run(body).await }
        };
        let failed = store.scope(run("r").run(async {
            send(1, false).await?;
            // Logged, and left for later.
            send(2, true).await.unwrap_err();
            send(3, false).await?;
            Err(CRASH)
        }));
        failed.await.unwrap_err();
        let resumed = store.scope(
            run("r")
                .run(async { Ok(100 * send(1, false).await? + 10 * send(2, false).await? + send(3, false).await?) }),
        );
        assert_eq!(resumed.await.unwrap(), 123);
        assert_eq!(*sent.lock().unwrap(), [1, 2, 3, 2], "only what had failed is sent again");
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Partly {
    kept: u32,
    #[serde(skip)]
    lost: u32,
}

#[tokio::test]
async fn the_first_execution_returns_what_a_replay_returns() {
    for world in World::all() {
        let store = world.store();
        let partly = || async {
            let step = Checkpoint::new().step("partly").key(&1).at(site!().enter()).calls::<Result<Partly, Failed>>();
            step.run(async { Ok(Partly { kept: 1, lost: 2 }) }).await
        };
        let call = || Checkpoint::new().run("r").named("work").calls::<Result<Partly, Failed>>();
        let mut seen = Vec::new();
        let failed = store.scope(call().run(async {
            seen.push(partly().await?);
            Err(CRASH)
        }));
        failed.await.unwrap_err();
        let done = store.scope(call().run(async {
            seen.push(partly().await?);
            Ok(Partly { kept: 1, lost: 3 })
        }));
        let done = done.await.unwrap();
        seen.push(done);
        seen.push(store.scope_blocking(|| call().run_blocking(|| panic!("executed again"))).unwrap());
        assert_eq!(seen, vec![Partly { kept: 1, lost: 0 }; 4]);
    }
}

#[tokio::test]
async fn a_step_that_was_called_in_a_run_and_begins_after_it_is_refused() {
    for world in World::all() {
        let store = world.store();
        let mut late = None;
        let failed = store.scope(run("r").run(async {
            late = Some(keyed(1, 1));
            Err(CRASH)
        }));
        failed.await.unwrap_err();
        assert!(matches!(refused(late.unwrap().await), CheckpointError::Store(_)));
        assert_eq!(store.scope(run("r").run(async { keyed(1, 2).await })).await.unwrap(), 2);
    }
}
