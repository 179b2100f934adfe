//! `SIGKILL` at random moments, again and again, until the work is done: what was acknowledged never runs again.
//!
//! Three witnesses share nothing with the store. The child's standard output carries what it was promised; a file
//! that each step's body appends to and syncs carries what was executed; and every value can be computed.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use ft_runtime::checkpoint::Store;
use tempfile::TempDir;

use crate::ledger::{Broken, Ledger};
use crate::work::{AT_ONCE, Watch, run_name, work};

const FROM: &str = "FT_CRASH_FROM";
const TO: &str = "FT_CRASH_TO";

/// What the child puts before its lines, so that they are not taken for the harness's.
const PREFIX: &str = "@ ";

#[test]
fn kill9_at_any_moment_loses_nothing_and_repeats_nothing() {
    let cycles = crate::cycles();
    let dir = TempDir::new().expect("a temporary directory");
    let mut dice = fastrand::Rng::with_seed(crate::seed());
    let mut ledger = Ledger::default();
    let mut witness = Witness::default();
    let mut next = 0;
    for _ in 0..cycles {
        ledger.begin_life();
        for line in live_until_killed(dir.path(), next, &mut dice) {
            ledger.said(&line);
        }
        witness.read(dir.path(), &mut ledger);
        ledger.end_life(AT_ONCE as usize);
        while ledger.is_finished(&run_name(next)) {
            next += 1;
        }
    }
    // Undisturbed, the last run comes to its end, and all of them answer as if nothing had happened.
    ledger.begin_life();
    let mut child = start(dir.path(), 0, next);
    let lines = lines_of(&mut child).map(|line| line.expect("text")).collect::<Vec<_>>();
    assert!(child.wait().expect("a child").success(), "the last child failed: {lines:?}");
    lines.iter().filter_map(|line| line.split_once(PREFIX)).for_each(|(_, line)| ledger.said(line));
    witness.read(dir.path(), &mut ledger);
    ledger.end_life(0);
    ledger.close();
    for n in 0..=next {
        assert!(ledger.is_finished(&run_name(n)), "{} never ended", run_name(n));
    }
    let (acknowledged, broken) = (ledger.acknowledged(), ledger.broken());
    println!("crash: store=sqlite cycles={cycles} acknowledged={acknowledged} {broken}");
    assert_eq!(broken, Broken::default(), "seed {}:{}", crate::seed(), ledger.complaints());
    assert!(acknowledged as u64 > cycles, "only {acknowledged} steps were acknowledged: the kills come too early");
}

/// The child: works on one run after the other.
pub(crate) fn program(dir: &Path) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let (from, to): (u32, u32) = (number(FROM).unwrap_or(0), number(TO).unwrap_or(u32::MAX));
    let witness = File::options().create(true).append(true).open(dir.join("witness")).expect("a witness file");
    let watch = Process { witness: Mutex::new(witness) };
    let store = Store::open(&format!("sqlite:{}", dir.join("ft.db").display())).expect("a store");
    crate::block_on(store.scope(async {
        for n in from..=to {
            work(n, &watch).await.unwrap_or_else(|error| panic!("{}: {error:?}", run_name(n)));
        }
    }));
}

struct Process {
    witness: Mutex<File>,
}

impl Watch for Process {
    fn execute(&self, run: &str, step: u32) {
        let mut witness = self.witness.lock().expect("nobody panics with it");
        witness.write_all(format!("{run} {step}\n").as_bytes()).expect("a witness that can write");
        witness.sync_data().expect("a witness that lasts");
    }

    fn say(&self, line: &str) {
        // One write, so that a kill cannot cut a line in two.
        let mut out = std::io::stdout().lock();
        out.write_all(format!("{PREFIX}{line}\n").as_bytes()).expect("the parent listens");
        out.flush().expect("the parent listens");
    }
}

/// Starts a child, kills it at some moment, and returns all that it said.
fn live_until_killed(dir: &Path, next: u32, dice: &mut fastrand::Rng) -> Vec<String> {
    // The run before is finished: it has to answer with its record.
    let mut child = start(dir, next.saturating_sub(1), u32::MAX);
    let mut out = lines_of(&mut child);
    let mut said = Vec::new();
    let mut hear = |said: &mut Vec<String>| match out.next() {
        Some(line) => {
            let line = line.expect("text");
            said.extend(line.split_once(PREFIX).map(|(_, line)| line.to_owned()));
            true
        }
        None => false,
    };
    // Most kills come some way into the work, right after a promise or a little later; some during the start.
    let lines = if dice.u8(0..5) == 0 { 0 } else { dice.usize(1..=25) };
    while said.len() < lines {
        assert!(hear(&mut said), "the child ended by itself after {said:?}");
    }
    let pause = match (lines, dice.bool()) {
        (0, _) => dice.u64(0..20_000),
        (_, true) => 0,
        (_, false) => dice.u64(0..4_000),
    };
    thread::sleep(Duration::from_micros(pause));
    child.kill().expect("a child that can be killed");
    // What it said before is still in the pipe.
    while hear(&mut said) {}
    let status = child.wait().expect("a child");
    assert!(!status.success() && status.code().is_none(), "the child ended by itself ({status}) after {said:?}");
    said
}

fn start(dir: &Path, from: u32, to: u32) -> Child {
    crate::child("kill9")
        .env(crate::child::DIR, dir)
        .env(FROM, from.to_string())
        .env(TO, to.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program can be started again")
}

fn lines_of(child: &mut Child) -> impl Iterator<Item = std::io::Result<String>> + use<> {
    BufReader::new(child.stdout.take().expect("it is piped")).lines()
}

/// Reads what the steps' bodies wrote.
#[derive(Default)]
struct Witness {
    read: usize,
}

impl Witness {
    /// Enters what is new.
    fn read(&mut self, dir: &Path, ledger: &mut Ledger) {
        let text = fs::read_to_string(dir.join("witness")).unwrap_or_default();
        for line in text[self.read..].lines() {
            let (run, step) = line.split_once(' ').expect("a run and a step");
            ledger.executed((run.to_owned(), step.parse().expect("a number")));
        }
        self.read = text.len();
    }
}
