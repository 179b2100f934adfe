//! Power cuts at any moment of the work: every promise made by then is kept by the store that opens what is left.
//!
//! `SIGKILL` cannot show this: the kernel keeps what a killed process wrote.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ft_runtime::checkpoint::Store;

use crate::ledger::{Broken, Ledger};
use crate::recorder::{Marks, Recording};
use crate::work::{Watch, run_name, work};

/// In the second sitting nearly every value, step, state and result, has a file of its own.
const SMALL: u64 = 36;

/// The store is closed after so many runs and opened again for the rest.
const RUNS: [std::ops::Range<u32>; 2] = [0..4, 4..7];

#[test]
fn powercut_at_any_moment_keeps_every_promise() {
    let Some(recording) = Recording::of(&mut crate::child("powercut")) else { return };
    let verdict = recording.cut(10 * crate::cycles(), judge);
    println!("powercut: store=sqlite disks={} broken={}", verdict.images, verdict.broken.len());
    assert!(verdict.images >= 100, "only {} disks were looked at", verdict.images);
    verdict.acquit();
    assert!(recording.made("ft.db.values/"), "no value was large enough for a file of its own");
}

/// The child: the work, in two sittings, with every promise in the recording.
pub(crate) fn program(dir: &Path) {
    let watch = Recorded(Mutex::new(Marks::open()));
    for runs in RUNS {
        let store = Store::open(&url(dir)).expect("a store");
        let store = if runs.start > 0 { store.files_above(SMALL) } else { store };
        crate::block_on(store.scope(async {
            for n in runs {
                work(n, &watch).await.unwrap_or_else(|error| panic!("{}: {error:?}", run_name(n)));
            }
        }));
    }
}

struct Recorded(Mutex<Marks>);

impl Watch for Recorded {
    fn execute(&self, _: &str, _: u32) {}

    fn say(&self, line: &str) {
        self.0.lock().expect("nobody panics with it").promise(&format!("{line}\n"));
    }
}

/// Goes on where the power cut left off.
fn judge(image: &Path, promised: &[&str]) -> Result<(), String> {
    let mut ledger = Ledger::default();
    for line in promised {
        ledger.said(line);
    }
    ledger.begin_life();
    let begun = (0..RUNS[1].end).find(|n| !ledger.is_finished(&run_name(*n))).unwrap_or(RUNS[1].end - 1);
    let watch = Resumed(Mutex::new(ledger));
    let store = Store::open(&url(image)).map_err(|error| format!("the store does not open: {error}"))?;
    crate::block_on(store.scope(async {
        for n in 0..=begun {
            work(n, &watch).await.map_err(|error| format!("{} does not go on: {error:?}", run_name(n)))?;
        }
        Ok::<_, String>(())
    }))?;
    drop(store);
    let ledger = watch.0.into_inner().expect("nobody panics with it");
    if ledger.broken() == Broken::default() {
        Ok(())
    } else {
        Err(format!("{}{}", ledger.broken(), ledger.complaints()))
    }
}

struct Resumed(Mutex<Ledger>);

impl Watch for Resumed {
    fn execute(&self, run: &str, step: u32) {
        self.0.lock().expect("nobody panics with it").executed((run.to_owned(), step));
    }

    fn say(&self, line: &str) {
        self.0.lock().expect("nobody panics with it").said(line);
    }
}

/// In directories that the store has to make, and to make durable.
fn url(dir: &Path) -> String {
    let path: PathBuf = dir.join("made/by/ft.db");
    format!("sqlite:{}", path.display())
}
