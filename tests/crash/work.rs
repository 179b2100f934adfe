//! The work that is interrupted: a row of runs on one store, each of one of three kinds.
//!
//! `steps-N` takes its steps one after the other, `join-N` a few at once, `count-N` takes them in a loop over a saved
//! cursor that it commits now and then. Every run can be computed without a store, so any value it gets back can be
//! checked. It says what it was promised, one line each:
//!
//! ```text
//! acknowledged RUN STEP      the step has returned
//! committed RUN CURSOR       the saved state is durable
//! resumed RUN CURSOR SUM     the saved state as it was loaded
//! finished RUN SUM           the run has returned
//! wrong RUN STEP             a step returned something else than it should
//! ```

use ft_runtime::checkpoint::{Checkpoint, Saved};
use ft_runtime::{Error, site};
use serde::{Deserialize, Serialize};

/// Steps of one run.
pub(crate) const STEPS: u32 = 12;
/// Steps that `join-N` takes at once.
pub(crate) const AT_ONCE: u32 = 3;
/// `count-N` commits after so many steps.
const COMMIT_EVERY: u32 = 4;

type Outcome<T> = Result<T, Error<String>>;

/// How the work is watched.
pub(crate) trait Watch: Sync {
    /// The body of a step runs: the witness enters it before it returns.
    fn execute(&self, run: &str, step: u32);
    /// The program says something.
    fn say(&self, line: &str);
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Progress {
    cursor: u32,
    sum: u64,
}

/// The name of the n-th run.
pub(crate) fn run_name(n: u32) -> String {
    let kind = ["steps", "count", "join"][n as usize % 3];
    format!("{kind}-{n}")
}

/// What the steps before `cursor` add up to.
pub(crate) fn sum_below(run: &str, cursor: u32) -> u64 {
    (0..cursor).map(|step| number_of(run, step)).sum()
}

/// Opens or resumes the n-th run on the current store, and says how it went.
pub(crate) async fn work(n: u32, watch: &dyn Watch) -> Outcome<u64> {
    let run = run_name(n);
    let checkpoint = Checkpoint::new();
    let sum = match n % 3 {
        0 => {
            let call = checkpoint.run(run.as_str()).named("steps").calls::<Outcome<u64>>().at(site!("steps").enter());
            call.run(one_by_one(&run, watch)).await?
        }
        1 => {
            let call = checkpoint.run(run.as_str()).named("count").calls::<Outcome<u64>>().at(site!("count").enter());
            call.run(counted(&run, watch)).await?
        }
        _ => {
            let call = checkpoint.run(run.as_str()).named("join").calls::<Outcome<u64>>().at(site!("join").enter());
            call.run(at_once(&run, watch)).await?
        }
    };
    watch.say(&format!("finished {run} {sum}"));
    Ok(sum)
}

async fn one_by_one(run: &str, watch: &dyn Watch) -> Outcome<u64> {
    let mut sum = 0;
    for k in 0..STEPS {
        sum += step(run, k, watch).await?;
    }
    Ok(sum)
}

async fn at_once(run: &str, watch: &dyn Watch) -> Outcome<u64> {
    let mut sum = 0;
    for k in (0..STEPS).step_by(AT_ONCE as usize) {
        let (a, b, c) = tokio::join!(step(run, k, watch), step(run, k + 1, watch), step(run, k + 2, watch));
        sum += a? + b? + c?;
    }
    Ok(sum)
}

async fn counted(run: &str, watch: &dyn Watch) -> Outcome<u64> {
    let mut state = Saved::<Progress>::load("state").await?;
    watch.say(&format!("resumed {run} {} {}", state.cursor, state.sum));
    while state.cursor < STEPS {
        state.sum += step(run, state.cursor, watch).await?;
        state.cursor += 1;
        if state.cursor % COMMIT_EVERY == 0 {
            state.commit().await?;
            watch.say(&format!("committed {run} {}", state.cursor));
        } else {
            state.mark().await?;
        }
    }
    Ok(state.sum)
}

async fn step(run: &str, k: u32, watch: &dyn Watch) -> Outcome<u64> {
    let step = Checkpoint::new().step("step").key(&k).input(&(run, k)).at(site!("step").enter());
    let call = step.calls::<Outcome<String>>();
    let value = call
        .run(async {
            watch.execute(run, k);
            Ok(value_of(run, k))
        })
        .await?;
    if value == value_of(run, k) {
        watch.say(&format!("acknowledged {run} {k}"));
    } else {
        watch.say(&format!("wrong {run} {k}"));
    }
    Ok(number_in(&value))
}

/// What a step returns: its number, and letters after it.
///
/// Some runs have long values, which make SQLite's log grow until it is folded into the database.
fn value_of(run: &str, k: u32) -> String {
    let n: u32 = run.rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let len = if matches!(n % 6, 2 | 3) { 180_000 } else { 20 };
    let letter = char::from(b'a' + (k % 26) as u8).to_string();
    format!("{} {}", number_of(run, k), letter.repeat(len))
}

fn number_in(value: &str) -> u64 {
    value.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(u64::MAX)
}

fn number_of(run: &str, k: u32) -> u64 {
    run.bytes().fold(u64::from(k) + 1, |number, byte| (number * 31 + u64::from(byte)) % 1_000_003)
}
