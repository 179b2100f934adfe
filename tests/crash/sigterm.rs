//! `SIGTERM`: a process that is told to end hands its runs over, and the next one goes on with them at once.
//!
//! The judge is the witness file that each step's body appends to and syncs: a graceful end repeats nothing at all,
//! where a kill may repeat the step that it met.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use ft_runtime::checkpoint::{Filter, Recovery, RunStatus, Store};
use ft_runtime::{Error, checkpoint, readiness, shutdown};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

type Outcome<T> = Result<T, Error<String>>;

const RUNS: u32 = 8;
const STEPS: u32 = 60;

/// How long a shutdown may take: so long that runs which are under way are not at their end after the first half.
const WITHIN: Duration = Duration::from_secs(3);

/// Whether the child begins the runs, or finds them.
const BEGINS: &str = "FT_CRASH_BEGINS";

const PREFIX: &str = "@ ";

static WITNESS: OnceLock<Mutex<File>> = OnceLock::new();

#[test]
fn sigterm_hands_runs_over_and_nothing_is_repeated_or_lost() {
    let dir = TempDir::new().expect("a temporary directory");
    let mut handed_over = 0;
    for life in 0..3 {
        let mut child = start(dir.path(), life == 0);
        let mut out = BufReader::new(child.stdout.take().expect("a pipe")).lines().map(|line| line.expect("text"));
        // Some way into the work.
        let goal = lines(dir.path()).len() + 10;
        let until = Instant::now() + Duration::from_secs(60);
        while lines(dir.path()).len() < goal {
            assert!(Instant::now() < until, "it does not get on: {:?}", lines(dir.path()));
            std::thread::sleep(Duration::from_millis(2));
        }
        let told = Instant::now();
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
        let said: Vec<String> = out.by_ref().filter_map(|line| Some(line.split_once(PREFIX)?.1.to_owned())).collect();
        assert!(child.wait().expect("a child").success(), "it ended badly: {said:?}");
        assert!(told.elapsed() < WITHIN + Duration::from_secs(2), "it took {:?}", told.elapsed());
        let said =
            |what: &str| said.iter().find_map(|line| line.strip_prefix(what)).unwrap_or_else(|| panic!("{said:?}"));
        assert_eq!(said("before "), "ready");
        assert!(said("refused ").contains("shutting down"));
        assert_eq!(said("left "), "0");
        handed_over += said("handed over ").parse::<usize>().expect("a number");
    }
    assert!(handed_over > 0, "every run came to its end by itself: nothing was tested");

    // Undisturbed, the last process comes to the end of all of them, without a caller.
    let mut child = start(dir.path(), false);
    drop(child.stdin.take());
    let last = child.wait_with_output().expect("a child");
    assert!(last.status.success(), "{}", String::from_utf8_lossy(&last.stdout));
    let mut counted: BTreeMap<String, u32> = BTreeMap::new();
    for line in lines(dir.path()) {
        *counted.entry(line).or_default() += 1;
    }
    let all = (0..RUNS).flat_map(|run| (0..STEPS).map(move |step| format!("sigterm-{run} {step}")));
    let expected: BTreeMap<String, u32> = all.map(|line| (line, 1)).collect();
    assert_eq!(counted, expected);
    let store = Store::open(&url(dir.path())).expect("a store");
    let runs = crate::block_on(store.runs(Filter::default())).expect("a list");
    assert!(runs.len() == RUNS as usize && runs.iter().all(|run| run.status == RunStatus::Finished), "{runs:?}");
    crate::say(&format!("crash: sigterm runs={RUNS} lives=4 handed_over={handed_over} repeated=0 lost=0"));
}

fn start(dir: &Path, begins: bool) -> Child {
    let mut child = crate::child("sigterm");
    child.env(crate::child::DIR, dir).env(BEGINS, if begins { "yes" } else { "no" });
    child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a child")
}

fn lines(dir: &Path) -> Vec<String> {
    let text = fs::read_to_string(dir.join("witness")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn url(dir: &Path) -> String {
    format!("sqlite:{}", dir.join("ft.db").display())
}

/// A run of several steps, each of which takes a moment.
#[checkpoint(run = format!("sigterm-{number}"), recover)]
async fn work(number: u32, directory: &Path) -> Outcome<u32> {
    for step in 0..STEPS {
        append(step, number, directory.to_path_buf()).await?;
    }
    Ok(STEPS)
}

#[checkpoint(key = step)]
async fn append(step: u32, number: u32, directory: PathBuf) -> Outcome<u32> {
    tokio::time::sleep(Duration::from_millis(150)).await;
    let witness = WITNESS.get_or_init(|| {
        let file = File::options().create(true).append(true).open(directory.join("witness"));
        Mutex::new(file.expect("a witness file"))
    });
    let mut witness = witness.lock().expect("nobody panics with it");
    witness.write_all(format!("sigterm-{number} {step}\n").as_bytes()).expect("a witness that can write");
    witness.sync_data().expect("a witness that lasts");
    Ok(step)
}

/// The child: begins runs or goes on with them, until it is told to end or all of them have ended.
pub(crate) fn program(dir: &Path) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(serve(dir));
}

async fn serve(dir: &Path) {
    let mut told = signal(SignalKind::terminate()).expect("signals");
    Store::open(&url(dir)).expect("a store").install();
    say("before", &readiness().to_string());
    let begun = async {
        if std::env::var(BEGINS).is_ok_and(|begins| begins == "yes") {
            let runs: Vec<_> = (0..RUNS).map(|n| tokio::spawn(work_of(n, dir.to_path_buf()))).collect();
            for run in runs {
                let _ = run.await.expect("no panic");
            }
        } else {
            let recovery = Recovery::new().at_once(RUNS as usize).per_second(1000);
            recovery.start().await.expect("a recovery").ended().await;
        }
    };
    tokio::select! {
        () = begun => return,
        _ = told.recv() => {}
    }
    // The runs are on tasks of their own, and go on while they are shut down.
    let report = tokio::spawn(shutdown(WITHIN));
    tokio::task::yield_now().await;
    while readiness().is_ready() {
        tokio::task::yield_now().await;
    }
    let refused = work(RUNS, dir).await.expect_err("nothing begins any more");
    say("refused", &refused.to_string());
    let report = report.await.expect("no panic");
    say("handed over", &report.handed_over.len().to_string());
    say("left", &report.left.len().to_string());
}

async fn work_of(number: u32, directory: PathBuf) -> Outcome<u32> {
    work(number, &directory).await
}

fn say(what: &str, text: &str) {
    println!("{PREFIX}{what} {text}");
}
