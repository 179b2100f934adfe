use std::sync::{Mutex, MutexGuard};

use super::*;
use crate::testing::VirtualTime;

/// The switch is the process's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn fails(chaos: &Chaos) -> bool {
    chaos.run_blocking(|| Ok::<_, Rejected>(())).is_err()
}

#[test]
fn switched_off_nothing_is_injected_and_nothing_is_drawn() {
    let _alone = alone();
    let chaos = Chaos::new().errors(1.0).latency(1.0).panics(1.0);
    disable();
    assert!(!is_enabled());
    assert!(!fails(&chaos));
    assert_eq!(chaos.drawn.load(std::sync::atomic::Ordering::Relaxed), 0);
    enable();
    disable();
    assert!(!fails(&chaos));
}

#[test]
fn scopes_nest_and_outlast_a_disable() {
    let _alone = alone();
    let chaos = Chaos::new().errors(1.0);
    let outer = scoped();
    drop(scoped());
    disable();
    assert!(fails(&chaos));
    drop(outer);
    assert!(!fails(&chaos));
}

#[test]
fn the_same_seed_gives_the_same_sequence_and_another_one_another() {
    let _alone = alone();
    let _on = scoped();
    let sequence = |seed| -> Vec<bool> {
        let chaos = Chaos::new().errors(0.5).seed(seed);
        (0..64).map(|_| fails(&chaos)).collect()
    };
    assert_eq!(sequence(7), sequence(7));
    assert_ne!(sequence(7), sequence(8));
}

#[test]
fn faults_come_at_their_rates_and_independently_of_each_other() {
    let chaos = Chaos::new().errors(0.1).latency(0.25).panics(0.01);
    let fates: Vec<Fate> = (0..100_000).map(|number| chaos.fate(7, number)).collect();
    let count = |of: fn(&Fate) -> bool| fates.iter().filter(|fate| of(fate)).count();
    assert!((9_500..10_500).contains(&count(|fate| fate.fails)));
    assert!((24_300..25_700).contains(&count(|fate| fate.delay.is_some())));
    assert!((850..1_150).contains(&count(|fate| fate.panics)));
    let both = count(|fate| fate.fails && fate.delay.is_some());
    assert!((2_200..2_800).contains(&both), "{both}");
}

#[test]
fn a_ratio_of_one_is_always_and_of_zero_never() {
    let always = Chaos::new().errors(1.0);
    assert!((0..10_000).all(|number| always.fate(1, number).fails));
    let never = Chaos::new().latency(0.0);
    assert!((0..10_000).all(|number| never.fate(1, number).delay.is_none()));
}

#[test]
fn a_ratio_that_is_none_is_refused() {
    for ratio in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let refused = std::panic::catch_unwind(|| Chaos::new().errors(ratio)).unwrap_err();
        assert_eq!(refused.downcast_ref(), Some(&"a ratio of chaos must be between 0 and 1"));
    }
}

#[tokio::test(start_paused = true)]
#[expect(clippy::await_holding_lock, reason = "one test at a time, each on a runtime of its own")]
async fn a_slow_call_waits_and_runs_and_a_failed_one_does_not_run() {
    let _alone = alone();
    let _on = scoped();
    let began = time::now();
    let slow = Chaos::new().latency(1.0).delay(Duration::from_secs(3));
    assert_eq!(slow.run(async { Ok::<_, Rejected>(7) }).await, Ok(7));
    assert_eq!(time::now() - began, Duration::from_secs(3));

    let failing = Chaos::new().errors(1.0);
    let outcome = failing.run(async { unreachable!("it does not run") }).await;
    assert_eq!(outcome, Err::<(), _>(Rejected::Injected));
}

#[test]
fn a_slow_call_blocks_its_thread_and_a_panic_names_the_site() {
    let _alone = alone();
    let _on = scoped();
    let time = VirtualTime::start();
    let slow = Chaos::new().latency(1.0).delay(Duration::from_secs(3));
    assert_eq!(slow.run_blocking(|| Ok::<_, Rejected>(7)), Ok(7));
    assert_eq!(time.elapsed(), Duration::from_secs(3));

    let panicking = Chaos::new().panics(1.0);
    let panicked =
        std::panic::catch_unwind(|| panicking.at(crate::site!("chaos: panics")).run_blocking(|| Ok::<_, Rejected>(7)));
    let said = panicked.unwrap_err();
    assert_eq!(said.downcast_ref::<String>().unwrap(), "a panic injected by chaos at `chaos: panics`");
}

/// The other half of the test below: it dies where it is told to.
#[test]
fn a_child_passes_its_crash_points() {
    crash_point("first");
    crash_point("second");
    println!("past both");
}

#[test]
fn a_crash_point_kills_the_process_that_is_told_so_and_no_other() {
    let child = |point: Option<&str>| {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "--nocapture", "chaos::tests::a_child_passes_its_crash_points"]);
        child.env_remove("FT_CRASH_POINT").envs(point.map(|point| ("FT_CRASH_POINT", point)));
        let done = child.output().unwrap();
        (done.status.success(), String::from_utf8_lossy(&done.stdout).contains("past both"))
    };
    assert_eq!(child(None), (true, true));
    assert_eq!(child(Some("third")), (true, true));
    assert_eq!(child(Some("second")), (false, false));
}
