//! The embedded store.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use ft_runtime::checkpoint::Checkpoint;
use ft_runtime::{Error, Store, checkpoint};
use tokio::sync::Barrier;

use super::{Folder, PRODUCERS, Rows, Sample, VALUE, raw};

type Outcome<T> = Result<T, Error<String>>;

/// A step as users write it.
#[checkpoint]
async fn step(value: &str) -> Outcome<String> {
    Ok(value.to_owned())
}

#[checkpoint]
fn blocking_step(value: &str) -> Outcome<String> {
    Ok(value.to_owned())
}

pub(super) fn rows(rows: &mut Rows, folder: &Folder) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    // Building a runtime fails where the system gives no more threads or file descriptors.
    let runtime: &'static tokio::runtime::Runtime = Box::leak(Box::new(runtime.expect("a runtime")));
    rows.row("store.1", "fdatasync", 100, raw::append_and_sync(&folder.join("appended")));
    rows.row("store.1", "raw rusqlite", 100, raw::one_by_one(&folder.join("one.db")));
    let store = open(folder, "ft.db");
    rows.row("store.1", "ft step", 100, in_one_run(store.clone(), runtime));
    rows.row("store.1", "ft step, blocking", 100, blocking_in_one_run(store));
    rows.row("store.64", "raw rusqlite, group commit", 50, raw::group_commit(&folder.join("many.db"), runtime));
    rows.row("store.64", "ft step", 50, in_many_runs(open(folder, "ft-many.db"), runtime));
}

fn open(folder: &Folder, name: &str) -> Store {
    Store::open(&format!("sqlite:{}", folder.join(name).display())).expect("a store")
}

/// Each round is a run of its own; claiming and finishing it is not measured.
fn in_one_run(store: Store, runtime: &'static tokio::runtime::Runtime) -> impl FnMut(usize) -> Sample {
    let mut round = 0;
    move |writes| {
        round += 1;
        let run = Checkpoint::new().run(format!("one-{round}")).calls::<Outcome<()>>();
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

fn blocking_in_one_run(store: Store) -> impl FnMut(usize) -> Sample {
    let mut round = 0;
    move |writes| {
        round += 1;
        let run = Checkpoint::new().run(format!("blocking-{round}")).calls::<Outcome<()>>();
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
fn in_many_runs(store: Store, runtime: &'static tokio::runtime::Runtime) -> impl FnMut(usize) -> Sample {
    let mut round = 0;
    move |writes| {
        round += 1;
        let (start, end) = (Arc::new(Barrier::new(PRODUCERS + 1)), Arc::new(Barrier::new(PRODUCERS + 1)));
        let all = Arc::new(Mutex::new(Vec::with_capacity(PRODUCERS * writes)));
        let produce = |producer| {
            let (start, end, all, store) = (Arc::clone(&start), Arc::clone(&end), Arc::clone(&all), store.clone());
            async move {
                let run = Checkpoint::new().run(format!("many-{round}-{producer}")).calls::<Outcome<()>>();
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
            let producers: Vec<_> = (0..PRODUCERS).map(produce).map(tokio::spawn).collect();
            start.wait().await;
            let began = Instant::now();
            end.wait().await;
            let took = began.elapsed();
            for producer in producers {
                producer.await.expect("a producer");
            }
            let waits = std::mem::take(&mut *all.lock().expect("nobody panics with it"));
            Sample { took, waits }
        })
    }
}
