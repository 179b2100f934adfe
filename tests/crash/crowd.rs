//! Eight processes on one store, of which one is killed every moment: each step is recorded once, in its turn, and
//! every run ends as if it had been alone.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use ft_runtime::checkpoint::{Checkpoint, CheckpointError, Filter, RunStatus, Store, StoreError};
use ft_runtime::{Error, Rejected, site};

use crate::recorder::scratch;

type Outcome<T> = Result<T, Error<String>>;

const PROCESSES: usize = 8;
const STEPS: u64 = 5;
const RUNS: &str = "FT_CRASH_RUNS";

#[test]
fn crowds_of_processes_take_turns_and_lose_nothing_when_they_are_killed() {
    let dir = scratch();
    let runs = crate::cycles() * 5 / 2;
    let killed = work_and_kill(dir.path(), None, runs, crate::cycles(), Duration::from_millis(60));
    let owners = fs::read_dir(dir.path().join("ft.db.owners")).expect("the owners").count();
    assert_eq!(owners, 0, "the dead leave files behind");
    println!("crowd: store=sqlite processes={PROCESSES} runs={runs} killed={killed}");
}

/// Lets the crowd do all the work, killing one of it again and again; how many were killed before their end.
pub(crate) fn work_and_kill(dir: &Path, url: Option<&str>, runs: u64, kills: u64, pause: Duration) -> usize {
    let mut dice = fastrand::Rng::with_seed(crate::seed());
    let start = || start(dir, url, runs);
    let mut crowd: Vec<Child> = (0..PROCESSES).map(|_| start()).collect();
    let mut killed = HashSet::new();
    for _ in 0..kills {
        thread::sleep(pause.mul_f64(dice.f64()));
        let place = dice.usize(..PROCESSES);
        // One that has ended already is told apart by how it ended.
        crowd[place].kill().expect("a child");
        let status = crowd[place].wait().expect("a child");
        if !status.success() {
            assert_eq!(status.code(), None, "a process ended by itself");
            killed.insert(crowd[place].id());
        }
        crowd[place] = start();
    }
    for mut child in crowd {
        let pid = child.id();
        assert!(child.wait().expect("a child").success(), "process {pid} ended by itself");
    }
    let default = format!("sqlite:{}", dir.join("ft.db").display());
    judge(dir, &Store::open(url.unwrap_or(&default)).expect("a store"), runs, &killed);
    killed.len()
}

/// Holds what the witness saw against what the store holds.
fn judge(dir: &Path, store: &Store, runs: u64, killed: &HashSet<u32>) {
    let mut executed: BTreeMap<(u64, u64), Vec<u32>> = BTreeMap::new();
    for line in fs::read_to_string(dir.join("witness")).expect("a witness").lines() {
        let words: Vec<u64> = line.split(' ').map(|word| word.parse().expect("a number")).collect();
        let [run, step, pid] = words[..] else { panic!("no line of the witness: {line}") };
        executed.entry((run, step)).or_default().push(pid as u32);
    }
    let finished = crate::block_on(store.runs(Filter::default().status(RunStatus::Finished).limit(u32::MAX)));
    assert_eq!(finished.expect("a list").len() as u64, runs);
    for run in 0..runs {
        let steps = crate::block_on(store.steps(&name(run))).expect("steps");
        let keys: Vec<_> = steps.iter().map(|step| step.key.to_string()).collect();
        let all: Vec<_> = (0..STEPS).map(|step| format!("step({step})")).collect();
        assert_eq!(keys, all, "run {run}");
        assert!(steps.is_sorted_by_key(|step| step.token), "the tokens of run {run} go backwards: {steps:?}");
        for step in 0..STEPS {
            let mut pids = executed.remove(&(run, step)).unwrap_or_default();
            let last = pids.pop();
            assert!(last.is_some(), "step {step} of run {run} was recorded and never executed");
            // Whoever executed it before died on the way: nobody else may have.
            assert!(
                pids.iter().all(|pid| killed.contains(pid)),
                "step {step} of run {run} ran in {pids:?} and {last:?}"
            );
        }
        let result = crate::block_on(store.scope(work(run, &|_| panic!("run {run} is finished"))));
        assert_eq!(result, Ok(sum(run)));
    }
}

/// The child: works on whatever is free until all is done.
pub(crate) fn program(dir: &Path) {
    let runs: u64 = std::env::var(RUNS).ok().and_then(|text| text.parse().ok()).expect("a number of runs");
    let witness = File::options().create(true).append(true).open(dir.join("witness")).expect("a witness file");
    let store = Store::open(&crate::child::url(dir, "ft.db")).expect("a store");
    let mut open: Vec<u64> = (0..runs).collect();
    while !open.is_empty() {
        fastrand::shuffle(&mut open);
        open.retain(|&run| {
            let entered = |step| {
                let line = format!("{run} {step} {}\n", std::process::id());
                (&witness).write_all(line.as_bytes()).expect("a witness that can write");
            };
            match crate::block_on(store.scope(work(run, &entered))) {
                Ok(found) => {
                    assert_eq!(found, sum(run), "run {run}");
                    false
                }
                Err(Error::Rejected(Rejected::Checkpoint(error))) => match *error {
                    CheckpointError::RunBusy { .. } | CheckpointError::Store(StoreError::Locked { .. }) => true,
                    error => panic!("run {run}: {error}"),
                },
                Err(error) => panic!("run {run}: {error}"),
            }
        });
    }
}

async fn work(run: u64, entered: &dyn Fn(u64)) -> Outcome<u64> {
    let id = name(run);
    let call = Checkpoint::new().run(&id).named("crowd").calls::<Outcome<u64>>().at(site!("crowd").enter());
    call.run(async {
        let mut sum = 0;
        for k in 0..STEPS {
            let step = Checkpoint::new().step("step").key(&k).input(&(run, k)).at(site!("step").enter());
            let body = async {
                entered(k);
                Ok(value(run, k))
            };
            sum += step.calls::<Outcome<u64>>().run(body).await?;
        }
        Ok(sum)
    })
    .await
}

fn name(run: u64) -> String {
    format!("run-{run}")
}

fn value(run: u64, step: u64) -> u64 {
    (run + 1) * 1_000 + step
}

fn sum(run: u64) -> u64 {
    (0..STEPS).map(|step| value(run, step)).sum()
}

fn start(dir: &Path, url: Option<&str>, runs: u64) -> Child {
    crate::child("crowd")
        .envs(url.map(|url| (crate::child::URL, url)))
        .env(crate::child::DIR, dir)
        .env(RUNS, runs.to_string())
        .stdout(Stdio::null())
        .spawn()
        .expect("this program can be started again")
}
