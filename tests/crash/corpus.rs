//! Stores that earlier versions wrote, in `tests/corpus`: every later version reads them and goes on from them.
//!
//! `FT_CORPUS=write cargo test --test crash corpus` adds the store that this version writes, once for each version of the
//! tables; a file that is there is never written again.

use std::cell::Cell;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use ft_runtime::checkpoint::{Again, Checkpoint, Filter, RunStatus, Saved, Store};
use ft_runtime::{Error, site};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::recorder::scratch;

type Outcome<T> = Result<T, Error<String>>;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Payment {
    Card { cents: u64, rate: f64 },
    Voucher(String),
}

fn payments() -> Vec<Payment> {
    vec![Payment::Card { cents: 500, rate: f64::INFINITY }, Payment::Voucher("spring".into())]
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Progress {
    cursor: u32,
    seen: Vec<String>,
}

fn progress(cursor: u32) -> Progress {
    Progress { cursor, seen: (0..cursor).map(|n| format!("row {n}")).collect() }
}

#[test]
fn corpus_of_every_version_is_read_and_goes_on() {
    if env::var("FT_CORPUS").is_ok_and(|what| what == "write") {
        write();
    }
    let mut stores: Vec<PathBuf> =
        fs::read_dir(corpus()).expect("a corpus").map(|entry| entry.expect("a file").path()).collect();
    stores.sort();
    assert!(!stores.is_empty(), "the corpus is gone");
    for store in stores {
        println!("corpus: {}", store.display());
        read(&store);
    }
}

/// What a store of the corpus holds; nothing of it may run again.
fn read(original: &Path) {
    let dir = scratch();
    let path = dir.path().join("ft.db");
    fs::copy(original, &path).expect("a copy");
    let store = Store::open(&url(&path)).expect("a store of an earlier version opens");

    let listed = crate::block_on(store.runs(Filter::default())).expect("a list");
    let listed: Vec<_> = listed.iter().map(|run| (&*run.run, &*run.function, run.status)).collect();
    let expected = [
        ("daily", "daily", RunStatus::Finished),
        ("finished", "pay", RunStatus::Finished),
        ("interrupted", "pay", RunStatus::Running),
        ("reindex", "reindex", RunStatus::Running),
        ("stopped", "pay", RunStatus::Running),
    ];
    assert_eq!(listed, expected);

    let ran = Cell::new(0);
    assert_eq!(pay(&store, "finished", &ran, None).expect("a result"), payments());
    assert_eq!(ran.get(), 0);
    for run in ["interrupted", "stopped"] {
        ran.set(0);
        assert_eq!(pay(&store, run, &ran, None).expect("it goes on"), payments());
        assert_eq!(ran.get(), 1, "the recorded step of `{run}` ran again, or the other one did not");
    }
    assert_eq!(reindex(&store, true).expect("it goes on"), progress(7));
    daily(&store).expect("it goes again");
}

/// A store as this version leaves it, with a process killed in the middle of one run.
fn write() {
    let dir = scratch();
    let path = dir.path().join("ft.db");
    let store = Store::open(&url(&path)).expect("a store");
    let ran = Cell::new(0);
    pay(&store, "finished", &ran, None).expect("it ends");
    for run in ["interrupted", "stopped"] {
        pay(&store, run, &ran, Some(1)).expect_err("it stops");
    }
    reindex(&store, false).expect_err("it stops");
    daily(&store).expect("it ends");
    drop(store);
    let db = Connection::open(&path).expect("a connection");
    // What a killed process leaves: a run that is held by nobody alive.
    let held =
        db.execute("update ft_run set owner = 'c5a0b6a0-0000-8000-8000-000000000000' where run = 'interrupted'", []);
    assert_eq!(held, Ok(1));
    // Kept for good, so that the corpus does not age.
    db.execute("update ft_run set expires_at = null where status = 'finished'", []).expect("results are kept");
    let schema: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a version");
    db.close().expect("the log is folded in");
    let kept = corpus().join(format!("store-v{schema}.db"));
    if !kept.exists() {
        fs::create_dir_all(corpus()).expect("a directory");
        fs::copy(&path, &kept).expect("a copy");
    }
}

/// A step with a key and a counted one; `until` stops it after so many.
fn pay(store: &Store, run: &str, ran: &Cell<u32>, until: Option<usize>) -> Outcome<Vec<Payment>> {
    let call = Checkpoint::new().run(run).named("pay").calls::<Outcome<Vec<Payment>>>().at(site!("pay").enter());
    crate::block_on(store.scope(call.run(async {
        let mut paid = Vec::new();
        for (n, payment) in payments().into_iter().enumerate() {
            if until == Some(n) {
                return Err(Error::Failed("stopped".into()));
            }
            let step = Checkpoint::new().step("charge");
            let step = if n == 0 { step.key(&payment_name(&payment)) } else { step };
            let step = step.input(&payment).at(site!("charge").enter()).calls::<Outcome<Payment>>();
            let body = async {
                ran.set(ran.get() + 1);
                Ok(payment)
            };
            paid.push(step.run(body).await?);
        }
        Ok(paid)
    })))
}

fn payment_name(payment: &Payment) -> &'static str {
    match payment {
        Payment::Card { .. } => "card",
        Payment::Voucher(_) => "voucher",
    }
}

/// Two versions of a saved state: 3 and 7. Going on, it starts from 7.
fn reindex(store: &Store, goes_on: bool) -> Outcome<Progress> {
    let call = Checkpoint::new().run("reindex").named("reindex").calls::<Outcome<Progress>>();
    crate::block_on(store.scope(call.at(site!("reindex").enter()).run(async {
        let mut state = Saved::<Progress>::load("state").await?;
        if goes_on {
            return Ok(state.clone());
        }
        for cursor in [3, 7] {
            *state = progress(cursor);
            state.commit().await?;
        }
        Err(Error::Failed("stopped".into()))
    })))
}

fn daily(store: &Store) -> Outcome<u32> {
    let call = Checkpoint::new().again(Again::Always).run("daily").named("daily").calls::<Outcome<u32>>();
    crate::block_on(store.scope(call.at(site!("daily").enter()).run(async { Ok(1) })))
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}
