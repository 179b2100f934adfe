//! Stores that earlier versions wrote, in `tests/corpus`: every later version reads them and goes on from them.
//!
//! `FT_CORPUS=write cargo test --test crash corpus` adds the store that this version writes, once for each version of the
//! tables; a file that is there is never written again.

use std::cell::Cell;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use ft_runtime::checkpoint::{Again, Checkpoint, Compression, Filter, Keys, RunStatus, Saved, Store};
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
    stores.retain(|path| path.extension().is_some_and(|extension| extension == "db"));
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
    copy(original, &path);
    let store = Store::open(&url(&path)).expect("a store of an earlier version opens");

    let listed = crate::block_on(store.runs(Filter::default())).expect("a list");
    let listed: Vec<_> = listed.iter().map(|run| (&*run.run, &*run.function, run.status)).collect();
    let mut expected = vec![
        ("daily", "daily", RunStatus::Finished),
        ("finished", "pay", RunStatus::Finished),
        ("interrupted", "pay", RunStatus::Running),
        ("reindex", "reindex", RunStatus::Running),
        ("stopped", "pay", RunStatus::Running),
    ];
    if version(original) >= TRANSFORMED_SINCE {
        expected.extend([("beside", "essay", RunStatus::Running), ("sealed", "essay", RunStatus::Running)]);
        expected.sort_by_key(|(run, ..)| *run);
    }
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
    if version(original) >= TRANSFORMED_SINCE {
        assert_eq!(essay(&store, "beside", false).expect("it goes on"), TEXT.repeat(TIMES));
        assert_eq!(essay(&sealing(store), "sealed", false).expect("it goes on"), TEXT.repeat(TIMES));
    }
}

/// Tables since which values may be compressed, encrypted, or in files.
const TRANSFORMED_SINCE: u32 = 3;

fn version(store: &Path) -> u32 {
    let name = store.file_stem().and_then(|name| name.to_str()).expect("a name");
    name.strip_prefix("store-v").and_then(|version| version.parse().ok()).expect("`store-v3.db`")
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
    essay(&store.clone().files_above(1000), "beside", true).expect_err("it stops");
    essay(&sealing(store.clone()), "sealed", true).expect_err("it stops");
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
        copy(&path, &kept);
    }
}

/// Copies a store with the values that it keeps beside it.
fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).expect("a copy");
    let values = |store: &Path| PathBuf::from(format!("{}.values", store.display()));
    let Ok(files) = fs::read_dir(values(from)) else { return };
    fs::create_dir_all(values(to)).expect("a directory");
    for file in files {
        let file = file.expect("a file");
        fs::copy(file.path(), values(to).join(file.file_name())).expect("a copy");
    }
}

const TEXT: &str = "All that was said shall be said again. ";
const TIMES: usize = 50;

fn sealing(store: Store) -> Store {
    store.compress(Compression::zstd(3)).encrypt(Keys::new(3, [3; 32]))
}

/// One long step.
fn essay(store: &Store, run: &str, stops: bool) -> Outcome<String> {
    let call = Checkpoint::new().run(run).named("essay").calls::<Outcome<String>>().at(site!("essay").enter());
    crate::block_on(store.scope(call.run(async {
        let step = Checkpoint::new().step("write").at(site!("write").enter()).calls::<Outcome<String>>();
        let text = step.run(async { if stops { Ok(TEXT.repeat(TIMES)) } else { panic!("it ran again") } }).await?;
        if stops { Err(Error::Failed("stopped".into())) } else { Ok(text) }
    })))
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
