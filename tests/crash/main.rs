//! What a crash may not take away: what was acknowledged is there, ran once, and is what was written.
//!
//! Each kind of crash is a module; those in `tests/mutations/` turn them red. `kill9` ends the process at
//! random moments, `failpoints` and `sick` at chosen ones, and make what it asks for fail; `powercut` takes away what was
//! not synced as well; `bitflips` and `files` damage what is stored; `zombies`, `crowd` and `clock` are about who else is
//! there, and when; `postgres` is the same there. `tx` ends the process around the commits of the
//! caller's own database, `sigterm` with notice. `corpus` reads what earlier versions wrote.
//!
//! `FT_CRASH_CYCLES` sets how long they look (default 40; CI 200; thousands in `.ci/long`), `FT_CRASH_SEED` where
//! they begin. A failure prints its seed.

mod bitflips;
mod child;
mod clock;
mod corpus;
mod crowd;
mod disk;
mod failpoints;
mod files;
mod kill9;
mod ledger;
mod postgres;
mod powercut;
mod recorder;
mod sick;
#[cfg(unix)]
mod sigterm;
mod stubborn;
mod tx;
mod work;
mod zombies;

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
