use std::sync::LazyLock;

use super::*;

/// A moment to count from, far enough from the start of the clock.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

const RULES: Rules = Rules { eject_after: 3, eject_for: Duration::from_secs(5), warm_for: Duration::from_secs(30) };

fn at(seconds: f64) -> Instant {
    *START + Duration::from_secs_f64(seconds)
}

fn ask(state: &mut State, now: f64) -> Option<Pass> {
    state.admit(RULES, at(now))
}

/// Asks and fails.
fn fail(state: &mut State, now: f64) {
    let pass = ask(state, now).expect("it is asked");
    state.failed(pass, RULES, at(now), false);
}

fn fail_until_ejected(state: &mut State, now: f64) {
    for _ in 0..RULES.eject_after {
        fail(state, now);
    }
    assert!(matches!(state.phase, Phase::Ejected { .. }));
}

fn left(state: &State, now: f64) -> f64 {
    match state.health(at(now)) {
        Health::Ejected { left } => left.as_secs_f64(),
        other => panic!("{other}"),
    }
}

#[test]
fn three_failures_in_a_row_eject_and_an_answer_starts_the_row_again() {
    let mut state = State::new();
    fail(&mut state, 0.0);
    fail(&mut state, 0.0);
    assert_eq!(state.phase, Phase::Suspect);
    let pass = ask(&mut state, 0.0).unwrap();
    state.answered(pass, RULES, at(0.0));
    assert_eq!(state.phase, Phase::Up);
    fail_until_ejected(&mut state, 1.0);
    assert_eq!(left(&state, 1.0), 5.0);
}

#[test]
fn an_ejected_target_is_not_asked_until_exactly_its_time_is_over() {
    let mut state = State::new();
    fail_until_ejected(&mut state, 0.0);
    assert_eq!(ask(&mut state, 4.999), None);
    assert!(ask(&mut state, 5.0).is_some());
    assert!(matches!(state.phase, Phase::Probation { .. }));
}

#[test]
fn the_last_one_stays_and_is_ejected_by_its_next_failure_once_it_is_not() {
    let mut state = State::new();
    for _ in 0..100 {
        let pass = ask(&mut state, 0.0).unwrap();
        state.failed(pass, RULES, at(0.0), true);
    }
    assert_eq!(state.phase, Phase::Suspect);
    fail(&mut state, 1.0);
    assert!(matches!(state.phase, Phase::Ejected { .. }));
}

/// Case 54.
#[test]
fn ejections_grow_step_by_step_up_to_a_cap() {
    let mut state = State::new();
    let mut now = 0.0;
    fail_until_ejected(&mut state, now);
    for times in 1..=200u32 {
        let expected = f64::from(times * 5).min(300.0);
        assert_eq!(left(&state, now), expected, "ejection {times}");
        now += expected;
        fail(&mut state, now);
    }
    let long = Rules { eject_for: Duration::from_secs(900), ..RULES };
    assert_eq!(long.ejection(7), Duration::from_secs(900), "the cap is never below the first one");
    assert_eq!(Rules { eject_for: Duration::MAX, ..RULES }.ejection(u32::MAX), Duration::MAX);
}

/// Case 54.
#[test]
fn ten_seconds_of_health_forgive_one_ejection() {
    let mut state = State::new();
    fail_until_ejected(&mut state, 0.0);
    fail(&mut state, 5.0);
    fail(&mut state, 15.0); // the third: until 30
    let pass = ask(&mut state, 30.0).unwrap();
    state.answered(pass, RULES, at(30.0));
    let mut sooner = state;
    // A single failure ejects while it warms up: 3 - 0 + 1.
    let pass = sooner.force().unwrap();
    sooner.failed(pass, RULES, at(39.9), false);
    assert_eq!(left(&sooner, 39.9), 20.0);
    // 3 - 2 + 1.
    let pass = state.force().unwrap();
    state.failed(pass, RULES, at(50.0), false);
    assert_eq!(left(&state, 50.0), 10.0);
    // All is forgiven.
    let pass = ask(&mut state, 60.0).unwrap();
    state.answered(pass, RULES, at(60.0));
    let _ = ask(&mut state, 5_000.0);
    fail_until_ejected(&mut state, 5_000.0);
    assert_eq!(left(&state, 5_000.0), 5.0);
}

#[test]
fn probation_has_one_place_that_is_returned_or_renewed() {
    let mut state = State::new();
    fail_until_ejected(&mut state, 0.0);
    let first = ask(&mut state, 5.0).unwrap();
    assert_eq!(ask(&mut state, 5.0), None);
    state.returned(first);
    let second = ask(&mut state, 6.0).unwrap();
    state.returned(first);
    assert_eq!(ask(&mut state, 10.999), None, "the place is the second's, whoever was there before");
    let third = ask(&mut state, 11.0).expect("the second is lost");
    state.returned(second);
    assert_eq!(ask(&mut state, 11.0), None);
    state.answered(third, RULES, at(12.0));
    assert!(matches!(state.phase, Phase::Warming { .. }));
}

#[test]
fn a_slow_probe_that_answers_after_its_place_was_renewed_still_brings_the_target_back() {
    let mut state = State::new();
    fail_until_ejected(&mut state, 0.0);
    let slow = ask(&mut state, 5.0).unwrap();
    let next = ask(&mut state, 10.0).unwrap();
    state.answered(slow, RULES, at(11.0));
    assert!(matches!(state.phase, Phase::Warming { .. }));
    state.failed(next, RULES, at(12.0), false);
    assert!(matches!(state.phase, Phase::Warming { .. }), "and the other belongs to an older generation");
}

#[test]
fn a_failed_probe_ejects_again_and_a_forced_call_does_not() {
    let mut state = State::new();
    fail_until_ejected(&mut state, 0.0);
    let forced = state.force().unwrap();
    state.failed(forced, RULES, at(1.0), false);
    assert_eq!(left(&state, 1.0), 4.0, "not longer");
    let probe = ask(&mut state, 5.0).unwrap();
    state.failed(forced, RULES, at(5.5), false);
    assert!(matches!(state.phase, Phase::Probation { .. }));
    state.failed(probe, RULES, at(6.0), false);
    assert_eq!(left(&state, 6.0), 10.0);
}

#[test]
fn an_answer_to_a_forced_call_brings_an_ejected_target_back() {
    let mut state = State::new();
    fail_until_ejected(&mut state, 0.0);
    let forced = state.force().unwrap();
    state.answered(forced, RULES, at(1.0));
    assert!(matches!(state.phase, Phase::Warming { .. }));
}

#[test]
fn a_warming_target_takes_a_growing_share_and_then_all() {
    let mut state = State::new();
    fail_until_ejected(&mut state, 0.0);
    let pass = ask(&mut state, 5.0).unwrap();
    state.answered(pass, RULES, at(5.0));
    let mut share = |now: f64| (0..1000).filter(|_| ask(&mut state, now).is_some()).count();
    assert_eq!(share(5.0), 100);
    assert_eq!(share(5.0 + 7.5), 250);
    assert_eq!(share(5.0 + 27.0), 900);
    assert_eq!(share(5.0 + 30.0), 1000);
    assert_eq!(state.phase, Phase::Up);
}

#[test]
fn without_warming_a_target_is_up_at_once() {
    let rules = Rules { warm_for: Duration::ZERO, ..RULES };
    let mut state = State::new();
    fail_until_ejected(&mut state, 0.0);
    let pass = state.admit(rules, at(5.0)).unwrap();
    state.answered(pass, rules, at(5.0));
    assert_eq!(state.phase, Phase::Up);
}

#[test]
fn results_of_an_older_generation_change_nothing() {
    let mut state = State::new();
    let old = ask(&mut state, 0.0).unwrap();
    fail_until_ejected(&mut state, 0.0);
    let before = state;
    state.answered(old, RULES, at(1.0));
    state.failed(old, RULES, at(1.0), false);
    state.returned(old);
    assert_eq!((state.phase, state.ejections), (before.phase, before.ejections));
    let probe = ask(&mut state, 5.0).unwrap();
    state.answered(probe, RULES, at(5.0));
    state.failed(old, RULES, at(6.0), false);
    assert!(matches!(state.phase, Phase::Warming { .. }));
}

#[test]
fn by_hand_a_target_is_set_aside_and_put_back_with_a_clean_record() {
    for (phase, forced) in [(Phase::Draining, true), (Phase::Disabled, false)] {
        let mut state = State::new();
        fail_until_ejected(&mut state, 0.0);
        let probe = ask(&mut state, 5.0).unwrap();
        state.by_hand(phase);
        assert_eq!(ask(&mut state, 1e6), None);
        assert_eq!(state.force().is_some(), forced);
        state.answered(probe, RULES, at(6.0));
        state.failed(probe, RULES, at(6.0), false);
        assert_eq!(state.phase, phase, "what is set by hand is changed by hand alone");
        state.by_hand(Phase::Up);
        fail_until_ejected(&mut state, 7.0);
        assert_eq!(left(&state, 7.0), 5.0);
    }
}

#[test]
fn what_is_up_is_known_without_a_lock() {
    let monitor = Monitor::new();
    let _held = lock(&monitor.state);
    let pass = monitor.admit_at_once().unwrap();
    assert_eq!(monitor.answered(pass, RULES), None);
    assert!(monitor.standing().is_healthy() && monitor.is_current(pass));
}
