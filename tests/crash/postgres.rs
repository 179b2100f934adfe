//! The same on Postgres: processes that are killed, a server that is, and owners that stand still for longer than their
//! lease.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ft_runtime::checkpoint::{CheckpointError, Store};
use ft_test_postgres::{Mode, own, required};

use crate::crowd::work_and_kill;
use crate::recorder::scratch;
use crate::stubborn::Lives;
use crate::zombies::{Outcome, Zombie, refusal, run};

/// The child is a test program, started many times: it takes its time.
const LEASE: &str = "ft_lease=1s";

#[test]
fn kill9_at_any_moment_loses_nothing_and_repeats_nothing_on_postgres() {
    let Some(cluster) = required("kill9 on Postgres") else { return };
    let url = format!("{}?{LEASE}", cluster.database());
    let (dir, cycles) = (scratch(), crate::cycles().div_ceil(8));
    let mut dice = fastrand::Rng::with_seed(crate::seed());
    let mut lives = Lives::new(dir.path());
    for _ in 0..cycles {
        // The lease of the one before has to run out first.
        let after = Duration::from_millis(dice.u64(300..2_500));
        lives.live_until_killed(after, |child| {
            child.env(crate::child::URL, &url);
        });
    }
    let ended = lives.end_on(&url);
    let (acknowledged, broken) = lives.so_far();
    println!("crash: store=postgres cycles={cycles} acknowledged={acknowledged} {broken}");
    ended.unwrap_or_else(|why| panic!("seed {}: {why}", crate::seed()));
    assert!(acknowledged as u64 > cycles, "only {acknowledged} steps were acknowledged: the kills come too early");
}

#[test]
fn monkeys_that_restart_the_server_lose_nothing_and_repeat_nothing() {
    let Some(cluster) = own("restarts of Postgres") else { return };
    let url = format!("{}?ft_lease=5s", cluster.database());
    let (dir, restarts) = (scratch(), crate::cycles().div_ceil(20));
    let mut dice = fastrand::Rng::with_seed(crate::seed());
    let over = AtomicBool::new(false);
    let mut lives = Lives::new(dir.path());
    thread::scope(|scope| {
        let (over, cluster) = (&over, &cluster);
        let monkey = scope.spawn(move || {
            for _ in 0..restarts {
                thread::sleep(Duration::from_millis(dice.u64(100..1_500)));
                cluster.stop(if dice.bool() { Mode::Immediate } else { Mode::Fast });
                cluster.start_again();
            }
            over.store(true, Ordering::Relaxed);
        });
        // One life after the other, so that there is one whenever the monkey comes.
        while !over.load(Ordering::Relaxed) {
            lives.live_until_killed(Duration::from_millis(2_500), |child| {
                child.env(crate::child::URL, &url);
            });
        }
        monkey.join().expect("the server comes back");
    });
    let ended = lives.end_on(&url);
    let (acknowledged, broken) = lives.so_far();
    println!("monkey: store=postgres restarts={restarts} acknowledged={acknowledged} {broken}");
    ended.unwrap_or_else(|why| panic!("seed {}: {why}", crate::seed()));
    assert!(acknowledged > 20, "only {acknowledged} steps were acknowledged");
}

#[test]
fn zombies_are_taken_over_when_their_lease_is_over_and_write_nothing_any_more() {
    let Some(cluster) = required("zombies on Postgres") else { return };
    let url = format!("{}?{LEASE}", cluster.database());
    let dir = scratch();
    let mut zombie = Zombie::new(dir.path(), Some(&url));
    let store = Store::open(&url).expect("a store");
    let went_on = |outcome: Outcome<u32>| match outcome {
        Ok(sum) => Some(sum),
        refused => {
            let error = refusal(refused);
            assert!(matches!(error, CheckpointError::RunBusy { .. }), "{error}");
            None
        }
    };
    let tries = (0..300).find_map(|_| {
        let found = went_on(crate::block_on(store.scope(run("zombie", |k| assert!(k >= 2, "step {k} was recorded")))));
        if found.is_none() {
            thread::sleep(Duration::from_millis(50));
        }
        found
    });
    assert_eq!(tries, Some(6), "it was never taken over");
    let before = crate::block_on(store.steps("zombie")).expect("steps");
    let tokens: Vec<u64> = before.iter().map(|step| step.token).collect();
    assert!(tokens[0] == tokens[1] && tokens[1] < tokens[2] && tokens[2] == tokens[3], "{tokens:?}");
    let said = zombie.goes_on();
    assert!(said.starts_with("error") && said.contains("run `zombie`"), "{said}");
    assert_eq!(crate::block_on(store.steps("zombie")).expect("steps"), before, "a zombie wrote");
}

#[test]
fn crowds_of_processes_take_turns_and_lose_nothing_when_they_are_killed_on_postgres() {
    let Some(cluster) = required("crowds on Postgres") else { return };
    let url = format!("{}?ft_lease=4s", cluster.database());
    let (dir, runs, kills) = (scratch(), crate::cycles(), crate::cycles().div_ceil(10));
    let killed = work_and_kill(dir.path(), Some(&url), runs, kills, Duration::from_millis(800));
    println!("crowd: store=postgres runs={runs} killed={killed}");
}
