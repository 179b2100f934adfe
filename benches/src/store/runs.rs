//! Steps in runs, as users write them.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use ft_runtime::checkpoint::Checkpoint;
use ft_runtime::{Error, Store, checkpoint};
use tokio::sync::Barrier;

use super::{Sample, VALUE};

type Outcome<T> = Result<T, Error<String>>;

#[checkpoint]
async fn step(value: &str) -> Outcome<String> {
    Ok(value.to_owned())
}

#[checkpoint]
fn blocking_step(value: &str) -> Outcome<String> {
    Ok(value.to_owned())
}

/// An id that no earlier run of the program has used, in a store that may be older.
fn fresh(kind: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{kind}-{}-{}", std::process::id(), now.as_nanos())
}

/// Each round is a run of its own; claiming and finishing it is not measured.
pub(super) fn one(store: Store, runtime: &'static tokio::runtime::Runtime) -> impl FnMut(usize) -> Sample {
    move |writes| {
        let run = Checkpoint::new().run(fresh("one")).calls::<Outcome<()>>();
        let mut sample = Sample::default();
        let value = "v".repeat(VALUE);
        let body = async {
            let began = Instant::now();
            for _ in 0..writes {
                let began = Instant::now();
                step(&value).await?;
                sample.waits.push(began.elapsed());
            }
            sample.took = began.elapsed();
            Ok(())
        };
        runtime.block_on(store.scope(run.run(body))).expect("a run");
        sample
    }
}

pub(super) fn one_blocking(store: Store) -> impl FnMut(usize) -> Sample {
    move |writes| {
        let run = Checkpoint::new().run(fresh("blocking")).calls::<Outcome<()>>();
        let mut sample = Sample::default();
        let value = "v".repeat(VALUE);
        let body = || {
            sample = Sample::of(writes, || _ = blocking_step(&value).expect("a step"));
            Ok(())
        };
        store.scope_blocking(|| run.run_blocking(body)).expect("a run");
        sample
    }
}

/// As many runs at once as there are producers; they begin together when all are claimed.
pub(super) fn many(
    store: Store,
    producers: usize,
    runtime: &'static tokio::runtime::Runtime,
) -> impl FnMut(usize) -> Sample {
    move |writes| {
        let round = fresh("many");
        let (start, end) = (Arc::new(Barrier::new(producers + 1)), Arc::new(Barrier::new(producers + 1)));
        let all = Arc::new(Mutex::new(Vec::with_capacity(producers * writes)));
        let produce = |producer| {
            let (start, end, all, store) = (Arc::clone(&start), Arc::clone(&end), Arc::clone(&all), store.clone());
            let id = format!("{round}-{producer}");
            async move {
                let run = Checkpoint::new().run(id).calls::<Outcome<()>>();
                let body = async {
                    let mut waits = Vec::with_capacity(writes);
                    let value = "v".repeat(VALUE);
                    start.wait().await;
                    for _ in 0..writes {
                        let began = Instant::now();
                        step(&value).await?;
                        waits.push(began.elapsed());
                    }
                    end.wait().await;
                    all.lock().expect("nobody panics with it").extend(waits);
                    Ok(())
                };
                store.scope(run.run(body)).await.expect("a run");
            }
        };
        runtime.block_on(async {
            let tasks: Vec<_> = (0..producers).map(produce).map(tokio::spawn).collect();
            start.wait().await;
            let began = Instant::now();
            end.wait().await;
            let took = began.elapsed();
            for task in tasks {
                task.await.expect("a producer");
            }
            let waits = std::mem::take(&mut *all.lock().expect("nobody panics with it"));
            Sample { took, waits }
        })
    }
}
