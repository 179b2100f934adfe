//! Processes that stand still (`SIGSTOP`) and go on later, when others have long gone on without them.
//!
//! On SQLite an owner that stands still is alive, since the kernel holds its lock: nobody takes its runs over. What an
//! operator does to them meanwhile holds, though.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use ft_runtime::checkpoint::{Checkpoint, CheckpointError, Filter, RunStatus, Store, StoreError};
use ft_runtime::{Error, Rejected, site};

use crate::recorder::scratch;

pub(crate) type Outcome<T> = Result<T, Error<String>>;

const STEPS: u32 = 4;
const PREFIX: &str = "@ ";

/// The child: a run in whose third step it waits for a line.
pub(crate) fn program(dir: &Path) {
    let store = Store::open(&crate::child::url(dir, "ft.db")).expect("a store");
    let outcome = crate::block_on(store.scope(run("zombie", |step| {
        if step == 2 {
            println!("{PREFIX}waiting");
            std::io::stdin().read_line(&mut String::new()).expect("a line");
        }
    })));
    match outcome {
        Ok(sum) => println!("{PREFIX}finished {sum}"),
        Err(error) => println!("{PREFIX}error {error}"),
    }
}

pub(crate) async fn run(id: &str, body: impl Fn(u32)) -> Outcome<u32> {
    let call = Checkpoint::new().run(id).named("work").calls::<Outcome<u32>>().at(site!("work").enter());
    call.run(async {
        let mut sum = 0;
        for k in 0..STEPS {
            let step = Checkpoint::new().step("step").key(&k).at(site!("step").enter()).calls::<Outcome<u32>>();
            sum += step
                .run(async {
                    body(k);
                    Ok(k)
                })
                .await?;
        }
        Ok(sum)
    })
    .await
}

#[test]
fn zombies_keep_their_runs_and_end_them_when_they_go_on() {
    let dir = scratch();
    let mut zombie = Zombie::new(dir.path(), None);
    let store = Store::open(&url(dir.path())).expect("a store");
    let busy = crate::block_on(store.scope(run("zombie", |_| panic!("a step ran beside its owner"))));
    assert!(matches!(refusal(busy), CheckpointError::RunBusy { run, .. } if run == "zombie"));
    let deleted = crate::block_on(store.delete("zombie"));
    assert!(matches!(deleted, Err(StoreError::RunBusy { .. })), "{deleted:?}");
    // It stands in nobody's way.
    assert_eq!(crate::block_on(store.scope(run("other", |_| ()))), Ok(6));
    assert_eq!(zombie.goes_on(), "finished 6");
    assert_eq!(crate::block_on(store.scope(run("zombie", |_| panic!("it is finished")))), Ok(6));
}

#[test]
fn zombies_write_nothing_to_runs_that_were_cancelled_meanwhile() {
    let dir = scratch();
    let mut zombie = Zombie::new(dir.path(), None);
    let store = Store::open(&url(dir.path())).expect("a store");
    assert_eq!(crate::block_on(store.cancel("zombie")), Ok(true));
    let before = crate::block_on(store.steps("zombie")).expect("steps");
    let said = zombie.goes_on();
    assert!(said.starts_with("error") && said.contains("run `zombie` was cancelled"), "{said}");
    assert_eq!(crate::block_on(store.steps("zombie")).expect("steps"), before, "a zombie wrote");
    let runs = crate::block_on(store.runs(Filter::default())).expect("runs");
    assert_eq!((runs.len(), runs[0].status), (1, RunStatus::Cancelled));
}

#[test]
fn zombies_that_are_killed_are_taken_over_at_once() {
    let dir = scratch();
    let mut zombie = Zombie::new(dir.path(), None);
    zombie.child.kill().expect("a child");
    zombie.child.wait().expect("a child");
    let store = Store::open(&url(dir.path())).expect("a store");
    let outcome = crate::block_on(store.scope(run("zombie", |k| assert!(k >= 2, "step {k} was recorded"))));
    assert_eq!(outcome, Ok(6));
    let tokens: Vec<u64> = crate::block_on(store.steps("zombie")).expect("steps").iter().map(|s| s.token).collect();
    assert_eq!(tokens, [1, 1, 2, 2]);
}

/// A child that stands still in its third step.
pub(crate) struct Zombie {
    child: Child,
    input: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
}

impl Zombie {
    pub(crate) fn new(dir: &Path, url: Option<&str>) -> Self {
        let mut child = crate::child("zombie");
        child.envs(url.map(|url| (crate::child::URL, url)));
        child.env(crate::child::DIR, dir).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = child.spawn().expect("this program can be started again");
        let input = child.stdin.take().expect("it is piped");
        let said = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut zombie = Self { child, input, said };
        assert_eq!(zombie.says(), "waiting");
        zombie.signal("STOP");
        zombie
    }

    pub(crate) fn goes_on(&mut self) -> String {
        self.signal("CONT");
        self.input.write_all(b"\n").expect("it listens");
        self.says()
    }

    fn says(&mut self) -> String {
        let lines = self.said.by_ref().map(|line| line.expect("text"));
        let line = lines.filter_map(|line| Some(line.split_once(PREFIX)?.1.to_owned())).next();
        line.expect("the child says something")
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -$0 $1", signal, &pid]).status();
        assert!(sent.expect("a shell").success(), "no signal {signal}");
    }
}

impl Drop for Zombie {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
pub(crate) fn refusal<T: std::fmt::Debug>(outcome: Outcome<T>) -> CheckpointError {
    match outcome {
        Err(Error::Rejected(Rejected::Checkpoint(error))) => *error,
        other => panic!("not refused: {other:?}"),
    }
}

fn url(dir: &Path) -> String {
    format!("sqlite:{}", dir.join("ft.db").display())
}
