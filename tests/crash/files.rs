//! The files of a store cut, exchanged for older ones, mixed, and damaged in every page: the store says so, or holds all
//! that was acknowledged. A value is never another one, a recorded step never runs again, and nothing panics.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use ft_runtime::checkpoint::{Checkpoint, CheckpointError, Store, StoreError};
use ft_runtime::{Error, Rejected, site};
use tempfile::TempDir;

use crate::recorder::scratch;

type Outcome<T> = Result<T, Error<String>>;

const FILES: [&str; 3] = ["ft.db", "ft.db-wal", "ft.db.mark"];

/// Steps on record at each moment of the history.
const STEPS: [u64; 4] = [6, 6, 14, 14];

const ALL: u64 = 14;

/// What a store turned out to be.
#[derive(Debug, PartialEq)]
enum Found {
    /// The store, or the run, says that something is wrong.
    Refused(String),
    /// So many steps are on record, from the first one on, and each has its value.
    Steps(u64),
}

#[test]
fn files_of_several_moments_are_refused_or_hold_what_was_acknowledged() {
    let history = History::new();
    let mut refused = 0;
    for choice in 0..5_usize.pow(3) {
        // The database is there: without it this is a new store.
        let [db, log, mark] = [choice % 5, choice / 5 % 5, choice / 25].map(|moment| moment.checked_sub(1));
        let Some(db) = db else { continue };
        let mixed = scratch();
        for (file, moment) in FILES.into_iter().zip([Some(db), log, mark]) {
            moment.into_iter().for_each(|moment| history.copy(moment, file, mixed.path()));
        }
        let acknowledged = mark.map_or(0, |mark| STEPS[mark]);
        match look(mixed.path()) {
            Found::Refused(_) => refused += 1,
            // Less than there was at the latest of the moments, and nothing says so: what a backup looks like.
            Found::Steps(steps) => assert!(
                steps >= acknowledged && steps <= ALL,
                "database {db}, log {log:?}, mark {mark:?}: {steps} steps, and {acknowledged} were acknowledged"
            ),
        }
    }
    println!("files: store=sqlite mixtures=100 refused={refused}");
    assert!(refused >= 20, "only {refused} were refused");
}

#[test]
fn files_cut_at_any_length_are_refused_or_hold_what_was_acknowledged() {
    let history = History::new();
    let mut dice = fastrand::Rng::with_seed(crate::seed());
    for file in FILES {
        let whole = history.read(2, file);
        let mut lens: Vec<usize> = (0..5 * crate::cycles()).map(|_| dice.usize(..whole.len())).collect();
        lens.extend([0, 1, whole.len() - 1]);
        lens.extend((0..whole.len()).step_by(4096));
        for len in lens {
            let cut = history.at(2);
            fs::write(cut.path().join(file), &whole[..len]).expect("a copy");
            history.judge(cut.path(), &format!("{file} cut to {len} of {} bytes", whole.len()));
        }
    }
}

/// SQLite keeps no checksum of its pages: what its own structure does not betray, ours has to.
#[test]
fn bitflips_in_every_page_are_refused_or_harm_nothing() {
    let history = History::new();
    let mut dice = fastrand::Rng::with_seed(crate::seed());
    let whole = history.read(3, "ft.db");
    let flips = crate::cycles().div_ceil(4);
    for page in whole.chunks(4096).enumerate().flat_map(|(page, _)| (0..flips).map(move |_| page)) {
        let mut damaged = whole.clone();
        let (byte, bit) = (page * 4096 + dice.usize(..4096), dice.u8(..8));
        damaged[byte] ^= 1 << bit;
        let store = history.at(3);
        fs::write(store.path().join("ft.db"), &damaged).expect("a copy");
        history.judge(store.path(), &format!("bit {bit} of byte {byte} flipped, seed {}", crate::seed()));
    }
}

/// One store at four moments: killed, closed, killed again after more was recorded, and closed again.
struct History {
    moments: [TempDir; 4],
}

impl History {
    fn new() -> Self {
        let (dir, moments) = (scratch(), [(); 4].map(|()| scratch()));
        for (sitting, until) in [STEPS[0], STEPS[2]].into_iter().enumerate() {
            let store = Store::open(&url(dir.path())).expect("a store");
            assert_eq!(replay(&store, until, true), Ok(until));
            take(dir.path(), moments[2 * sitting].path());
            drop(store);
            take(dir.path(), moments[2 * sitting + 1].path());
        }
        Self { moments }
    }

    fn read(&self, moment: usize, file: &str) -> Vec<u8> {
        fs::read(self.moments[moment].path().join(file)).expect("a file of that moment")
    }

    fn copy(&self, moment: usize, file: &str, to: &Path) {
        let from = self.moments[moment].path().join(file);
        if from.exists() {
            fs::copy(from, to.join(file)).expect("a copy");
        }
    }

    /// All files of one moment.
    fn at(&self, moment: usize) -> TempDir {
        let copy = scratch();
        FILES.into_iter().for_each(|file| self.copy(moment, file, copy.path()));
        copy
    }

    #[track_caller]
    fn judge(&self, store: &Path, what: &str) {
        match look(store) {
            Found::Refused(_) | Found::Steps(ALL) => {}
            Found::Steps(steps) => panic!("{what}: {steps} of {ALL} steps are left, and nobody said so"),
        }
    }
}

fn take(from: &Path, to: &Path) {
    for file in FILES.into_iter().filter(|file| from.join(file).exists()) {
        fs::copy(from.join(file), to.join(file)).expect("a copy");
    }
}

fn look(dir: &Path) -> Found {
    let refused = |error: String| {
        assert!(error.contains("ft.db") || error.contains("run `history`"), "an error does not say where: {error}");
        Found::Refused(error)
    };
    match Store::open(&url(dir)) {
        Ok(store) => replay(&store, u64::MAX, false).map_or_else(refused, Found::Steps),
        Err(error) => refused(error.to_string()),
    }
}

/// Goes through the recorded steps, executing more `until` there are so many if it `may_run` them; how many there are.
fn replay(store: &Store, until: u64, may_run: bool) -> Result<u64, String> {
    let answered = Cell::new(0);
    let call = Checkpoint::new().run("history").named("history").calls::<Outcome<()>>().at(site!("history").enter());
    let outcome = crate::block_on(store.scope(call.run(async {
        for k in 0..until {
            let step = Checkpoint::new().step("step").key(&k).input(&k).at(site!("step").enter());
            let body = async { if may_run { Ok(value(k)) } else { Err(Error::Failed("stopped".into())) } };
            let found = step.calls::<Outcome<String>>().run(body).await?;
            assert_eq!(found, value(k), "step {k} has another value");
            answered.set(k + 1);
        }
        Err(Error::Failed("stopped".into()))
    })));
    match outcome {
        Err(Error::Failed(_)) => Ok(answered.get()),
        Err(error) => {
            let Error::Rejected(Rejected::Checkpoint(why)) = &error else { panic!("not a checkpoint's: {error:?}") };
            assert!(
                matches!(
                    **why,
                    CheckpointError::Corrupt { .. }
                        | CheckpointError::Store(
                            StoreError::Damaged { .. } | StoreError::Failed { .. } | StoreError::NotWritable { .. }
                        )
                        // A flipped bit in what a run is known by.
                        | CheckpointError::RunIdReused { .. }
                        | CheckpointError::VersionChanged { .. }
                        | CheckpointError::RunInputChanged { .. }
                ),
                "{why:?}"
            );
            Err(error.to_string())
        }
        Ok(()) => unreachable!("the run stops before its end"),
    }
}

fn value(k: u64) -> String {
    format!("{k} {}", "x".repeat(600))
}

fn url(dir: &Path) -> String {
    format!("sqlite:{}", dir.join("ft.db").display())
}
