//! What a crash may not take away: what was acknowledged is there, ran once, and is what was written.
//!
//! Three kinds of crash, each with a mutation in `tests/mutations/` that turns it red:
//! `kill9` ends the process at random moments, `powercut` takes away what was not synced as well, and `bitflips`
//! damages what is stored. `corpus` reads what earlier versions wrote. And `sigterm` ends it with notice.
//!
//! `FT_CRASH_CYCLES` sets how long they look (default 40; CI 200; thousands in `.ci/long`), `FT_CRASH_SEED` where
//! they begin. A failure prints its seed.

mod bitflips;
mod child;
mod corpus;
mod disk;
mod kill9;
mod ledger;
mod powercut;
mod recorder;
#[cfg(unix)]
mod sigterm;
mod work;

use std::env;
use std::io::{self, Write};
use std::process::Command;

/// How many times a process is killed; the other tests scale with it.
fn cycles() -> u64 {
    number("FT_CRASH_CYCLES").unwrap_or(40)
}

/// Where the random choices begin: the same seed makes the same choices.
fn seed() -> u64 {
    number("FT_CRASH_SEED").unwrap_or(1)
}

fn number(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} must be a whole number, it is {value:?}")))
}

/// This same program, as the child that plays `part`.
fn child(part: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("a running test has a path"));
    command.args(["--exact", "child::plays_its_part", "--nocapture", "--test-threads=1"]).env(child::PART, part);
    command
}

/// Runs a future on this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(future)
}

/// Says past the harness, which hides what a passing test prints.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
