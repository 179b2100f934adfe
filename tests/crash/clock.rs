//! Somebody sets the clock while the work is done: nothing waits for it, and nothing is forgotten by it.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::recorder::{build_shim, scratch};
use crate::stubborn::Lives;

const HOUR: i64 = 60 * 60;

#[test]
fn clock_jumps_of_an_hour_lose_nothing_and_repeat_nothing() {
    let shim = scratch();
    let Some(library) = build_shim(shim.path(), "clock.c") else { return };
    let mut dice = fastrand::Rng::with_seed(crate::seed());
    let lives = crate::cycles().div_ceil(20);
    for _ in 0..lives {
        let dir = scratch();
        let clock = dir.path().join("clock");
        let over = AtomicBool::new(false);
        let mut jumps = dice.fork();
        thread::scope(|scope| {
            let (clock, over) = (&clock, &over);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let seconds = jumps.choice([-HOUR, 0, HOUR]).unwrap_or_default();
                    fs::write(clock, seconds.to_string()).expect("a clock");
                    thread::sleep(Duration::from_millis(jumps.u64(1..10)));
                }
            });
            let mut lives = Lives::new(dir.path());
            let crash = format!("batch: executed=crash@{}", dice.u32(2..40));
            let crashed = lives.live(|child| {
                child.env("LD_PRELOAD", &library).env("FT_CLOCK", clock).env("FT_FAIL_POINT", crash);
            });
            let resumed = lives.live(|child| {
                child.env("LD_PRELOAD", &library).env("FT_CLOCK", clock);
            });
            over.store(true, Ordering::Relaxed);
            assert!(crashed.was_aborted() && crashed.errors.is_empty(), "{:?} {}", crashed.errors, crashed.stderr);
            assert!(resumed.status.success() && resumed.errors.is_empty(), "{:?} {}", resumed.errors, resumed.stderr);
            lives.end().unwrap_or_else(|why| panic!("seed {}: {why}", crate::seed()));
        });
    }
    println!("clock: store=sqlite lives={lives}");
}
