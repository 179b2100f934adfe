//! A program that does not give up: when the store refuses, it says so and tries again. What makes the store refuse is
//! its parent's affair.

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use ft_runtime::checkpoint::Store;

use crate::ledger::{Broken, Ledger};
use crate::work::{AT_ONCE, Watch, run_name, work};

/// One of each kind, unless the parent asks for more.
const RUNS: u32 = 3;
const ASKED_RUNS: &str = "FT_CRASH_RUNS";

/// How often the program asks again before it gives up after all.
const TRIES: u32 = 200;

const PAUSE: Duration = Duration::from_millis(5);

/// Where a lease has to run out, or a server to come back.
const LONG_PAUSE: Duration = Duration::from_millis(100);

/// What the program puts before its lines.
const PREFIX: &str = "@ ";

/// Between what was said, and what was executed, before a failure and after it.
const FAILED: &str = "failed";

/// The child.
pub(crate) fn program(dir: &Path) {
    let witness = File::options().create(true).append(true).open(dir.join("witness")).expect("a witness file");
    let watch = Process { witness: Mutex::new(witness) };
    let runs = env::var(ASKED_RUNS).map_or(RUNS, |text| text.parse().expect("a number of runs"));
    let url = crate::child::url(dir, "disk/ft.db");
    let store = watch.stubbornly(|| Store::open(&url).map_err(|error| error.to_string()));
    for n in 0..runs {
        watch.stubbornly(|| crate::block_on(store.scope(work(n, &watch))).map_err(|error| error.to_string()));
    }
}

struct Process {
    witness: Mutex<File>,
}

impl Process {
    fn stubbornly<T>(&self, mut call: impl FnMut() -> Result<T, String>) -> T {
        for _ in 0..TRIES {
            match call() {
                Ok(value) => return value,
                Err(error) => {
                    // First the witness: a line that is said was seen before.
                    self.enter(FAILED);
                    self.say(FAILED);
                    self.say(&format!("error {}", error.replace('\n', " ")));
                    thread::sleep(if env::var_os(crate::child::URL).is_some() { LONG_PAUSE } else { PAUSE });
                }
            }
        }
        panic!("refused {TRIES} times");
    }

    fn enter(&self, line: &str) {
        let mut witness = self.witness.lock().expect("nobody panics with it");
        witness.write_all(format!("{line}\n").as_bytes()).expect("a witness that can write");
    }
}

impl Watch for Process {
    fn execute(&self, run: &str, step: u32) {
        self.enter(&format!("{run} {step}"));
    }

    fn say(&self, line: &str) {
        let mut out = std::io::stdout().lock();
        out.write_all(format!("{PREFIX}{line}\n").as_bytes()).expect("the parent listens");
        out.flush().expect("the parent listens");
    }
}

/// The lives of one program on one store, and the judge over them.
pub(crate) struct Lives<'d> {
    dir: &'d Path,
    ledger: Ledger,
    /// How much of the witness was read.
    read: usize,
}

/// What is known of one life.
pub(crate) struct Life {
    pub(crate) status: ExitStatus,
    /// What the store refused with, without repetitions.
    pub(crate) errors: BTreeSet<String>,
    /// What it wrote to its standard error, for those who ask why.
    pub(crate) stderr: String,
}

impl Life {
    pub(crate) fn was_aborted(&self) -> bool {
        // SIGABRT; what a test calls for kills in no other way.
        self.status.signal() == Some(6)
    }
}

impl<'d> Lives<'d> {
    pub(crate) fn new(dir: &'d Path) -> Self {
        fs::create_dir_all(dir.join("disk")).expect("a directory");
        Self { dir, ledger: Ledger::default(), read: 0 }
    }

    /// One life, to its end.
    pub(crate) fn live(&mut self, configure: impl FnOnce(&mut Command)) -> Life {
        let mut child = crate::child("stubborn");
        configure(child.env(crate::child::DIR, self.dir));
        self.enter(child.output().expect("this program can be started again"))
    }

    /// One life that is ended with `SIGKILL` when it has lasted so long.
    pub(crate) fn live_until_killed(&mut self, after: Duration, configure: impl FnOnce(&mut Command)) -> Life {
        let mut child = crate::child("stubborn");
        configure(child.env(crate::child::DIR, self.dir).env(ASKED_RUNS, "1000000"));
        let child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("this program can be started again");
        // It says little enough for the pipe in so short a life; a longer one waits, and is killed all the same.
        thread::sleep(after);
        child.kill().expect("a child that can be killed");
        self.enter(child.wait_with_output().expect("a child"))
    }

    fn enter(&mut self, output: Output) -> Life {
        let said = String::from_utf8_lossy(&output.stdout);
        let mut errors = BTreeSet::new();
        let mut lines = Vec::new();
        for line in said.lines().filter_map(|line| Some(line.split_once(PREFIX)?.1)) {
            match line.strip_prefix("error ") {
                Some(error) => drop(errors.insert(error.to_owned())),
                None => lines.push(line),
            }
        }
        let text = fs::read_to_string(self.dir.join("witness")).unwrap_or_default();
        let executed: Vec<&str> = text[self.read..].lines().collect();
        // Each failure ends what was on its way, as a crash does.
        let mut said = lines.split(|line| *line == FAILED);
        let mut done = executed.split(|line| *line == FAILED);
        loop {
            let (said, done) = (said.next(), done.next());
            if said.is_none() && done.is_none() {
                break;
            }
            self.ledger.begin_life();
            said.into_iter().flatten().for_each(|line| self.ledger.said(line));
            for line in done.into_iter().flatten() {
                let (run, step) = line.split_once(' ').expect("a run and a step");
                self.ledger.executed((run.to_owned(), step.parse().expect("a number")));
            }
            self.ledger.end_life(AT_ONCE as usize);
        }
        self.read = text.len();
        Life { status: output.status, errors, stderr: String::from_utf8_lossy(&output.stderr).into_owned() }
    }

    /// How many steps were acknowledged by now, and which promises were broken.
    pub(crate) fn so_far(&self) -> (usize, Broken) {
        (self.ledger.acknowledged(), self.ledger.broken())
    }

    /// A last life on a store elsewhere ends the run that was under way, waiting for what keeps it.
    pub(crate) fn end_on(&mut self, url: &str) -> Result<(), String> {
        let runs = (0..).find(|n| !self.ledger.is_finished(&run_name(*n))).unwrap_or_default() + 1;
        let last = self.live(|child| {
            child.env(crate::child::URL, url).env(ASKED_RUNS, runs.to_string());
        });
        if !last.status.success() {
            return Err(format!("the last life failed: {:?} {}", last.errors, last.stderr));
        }
        self.ledger.close();
        self.verdict(runs)
    }

    fn verdict(&self, runs: u32) -> Result<(), String> {
        if let Some(open) = (0..runs).find(|n| !self.ledger.is_finished(&run_name(*n))) {
            return Err(format!("{} never ended", run_name(open)));
        }
        match self.ledger.broken() {
            broken if broken == Broken::default() => Ok(()),
            broken => Err(format!("{broken}{}", self.ledger.complaints())),
        }
    }

    /// A last life without any trouble ends all the work; `Err` says which promises were broken.
    pub(crate) fn end(mut self) -> Result<(), String> {
        let last = self.live(|_| {});
        if !last.status.success() || !last.errors.is_empty() {
            return Err(format!("the last life was no healthy one: {:?} {}", last.errors, last.stderr));
        }
        self.ledger.close();
        let left = left_behind(&self.dir.join("disk"));
        if left != ["ft.db", "ft.db.mark", "ft.db.owners"] {
            return Err(format!("these files were left behind: {left:?}"));
        }
        self.verdict(RUNS)
    }
}

/// What stands beside a store that is closed, the files of owners included.
fn left_behind(disk: &Path) -> Vec<String> {
    let names = |dir: &Path| -> Vec<String> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    let mut left = names(disk);
    left.extend(names(&disk.join("ft.db.owners")));
    left.sort();
    left
}
