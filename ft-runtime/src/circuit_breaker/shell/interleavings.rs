//! `RUSTFLAGS="--cfg ft_shuttle" cargo test -p ft-runtime --lib interleaving`

use std::sync::Arc;

use shuttle::thread;

use super::super::CircuitState;
use super::super::machine::Phase;
use super::super::rules::Span;
use super::*;

const FAILED: Mark = Mark { failed: true, slow: false };

/// Closed, as after the first call.
fn closed(rules: &Rules) -> Shell {
    let shell = Shell::new();
    shell.with(rules, |_| ());
    shell
}

fn finish(shell: &Shell, rules: &Rules, ticket: Ticket, mark: Mark, now: Nanos) {
    if mark != Mark::default() || !shell.count(ticket) {
        shell.record(rules, ticket, mark, now);
    }
}

fn explore(scenario: fn()) {
    shuttle::check_random(scenario, 3_000);
}

#[test]
fn in_any_interleaving_every_call_of_a_generation_counts_once() {
    explore(|| {
        let rules = Rules { rate: 1.0, min_calls: Some(100), ..Rules::DEFAULT };
        let shell = Arc::new(closed(&rules));
        let callers: Vec<_> = (0..3)
            .map(|caller| {
                let shell = Arc::clone(&shell);
                thread::spawn(move || {
                    for call in 0..4 {
                        let ticket = shell.admit_at_once().expect("nothing closes the gate");
                        let failed = (caller + call) % 3 == 0;
                        finish(&shell, &rules, ticket, Mark { failed, slow: false }, 0);
                    }
                })
            })
            .collect();
        callers.into_iter().for_each(|caller| caller.join().expect("callers do not panic"));
        let tally = shell.with(&rules, |machine| machine.tally());
        assert_eq!((tally.calls, tally.failures), (12, 4));
    });
}

#[test]
fn in_any_interleaving_no_result_of_an_older_generation_counts() {
    explore(|| {
        let rules = Rules { rate: 1.0, ..Rules::DEFAULT };
        let shell = Arc::new(closed(&rules));
        // Tickets of the first generation, brought back while it ends.
        let late: Vec<_> = (0..2)
            .map(|caller| {
                let (shell, ticket) = (Arc::clone(&shell), shell.admit_at_once().expect("closed"));
                thread::spawn(move || {
                    finish(&shell, &rules, ticket, Mark { failed: caller == 0, slow: false }, 0);
                    finish(&shell, &rules, ticket, Mark::default(), 0);
                })
            })
            .collect();
        shell.with(&rules, |machine| machine.force(Phase::Closed, "reset"));
        let ticket = shell.admit_at_once().expect("closed again");
        finish(&shell, &rules, ticket, Mark::default(), 0);
        late.into_iter().for_each(|caller| caller.join().expect("callers do not panic"));
        let tally = shell.with(&rules, |machine| machine.tally());
        assert_eq!((tally.calls, tally.failures), (1, 0));
    });
}

#[test]
fn in_any_interleaving_exactly_the_probes_are_admitted_and_they_close_it() {
    explore(|| {
        let rules = Rules { consecutive: Some(1), probes: 2, open: 10, ..Rules::DEFAULT };
        let shell = Arc::new(closed(&rules));
        let ticket = shell.admit_at_once().expect("closed");
        finish(&shell, &rules, ticket, FAILED, 0);
        let callers: Vec<_> = (0..4)
            .map(|_| {
                let shell = Arc::clone(&shell);
                thread::spawn(move || match shell.admit(&rules, 10).0 {
                    Admission::Admitted(ticket) => Some(ticket),
                    Admission::Refused { retry_after } => {
                        assert_eq!(retry_after, 10);
                        None
                    }
                })
            })
            .collect();
        let probes: Vec<_> = callers.into_iter().filter_map(|caller| caller.join().expect("no panic")).collect();
        assert_eq!(probes.len(), 2);
        let back: Vec<_> = probes
            .into_iter()
            .map(|ticket| {
                let shell = Arc::clone(&shell);
                thread::spawn(move || finish(&shell, &rules, ticket, Mark::default(), 11))
            })
            .collect();
        back.into_iter().for_each(|probe| probe.join().expect("no panic"));
        assert_eq!(shell.with(&rules, |machine| machine.state()), CircuitState::Closed);
        assert!(shell.admit_at_once().is_some_and(|ticket| shell.count(ticket)));
    });
}

#[test]
fn in_any_interleaving_a_success_beside_a_failure_opens_it_when_both_make_the_rate() {
    explore(|| {
        // One failure of two calls: whichever comes second opens it.
        let rules = Rules { rate: 0.5, min_calls: Some(2), span: Span::Calls(2), ..Rules::DEFAULT };
        let shell = Arc::new(closed(&rules));
        let callers: Vec<_> = [false, true]
            .into_iter()
            .map(|failed| {
                let (shell, ticket) = (Arc::clone(&shell), shell.admit_at_once().expect("closed"));
                thread::spawn(move || finish(&shell, &rules, ticket, Mark { failed, slow: false }, 0))
            })
            .collect();
        callers.into_iter().for_each(|caller| caller.join().expect("callers do not panic"));
        assert_eq!(shell.with(&rules, |machine| machine.state()), CircuitState::Open);
        assert_eq!(shell.admit_at_once(), None);
    });
}

#[test]
fn in_any_interleaving_a_probe_given_back_frees_its_slot_for_one_other() {
    explore(|| {
        let rules = Rules { consecutive: Some(1), open: 10, ..Rules::DEFAULT };
        let shell = Arc::new(closed(&rules));
        let ticket = shell.admit_at_once().expect("closed");
        finish(&shell, &rules, ticket, FAILED, 0);
        let Admission::Admitted(probe) = shell.admit(&rules, 10).0 else { panic!("the period is over") };
        let giver = {
            let shell = Arc::clone(&shell);
            thread::spawn(move || shell.give_back(&rules, probe))
        };
        let takers: Vec<_> = (0..2)
            .map(|_| {
                let shell = Arc::clone(&shell);
                thread::spawn(move || matches!(shell.admit(&rules, 11).0, Admission::Admitted(_)))
            })
            .collect();
        giver.join().expect("no panic");
        let admitted = takers.into_iter().map(|taker| taker.join().expect("no panic"));
        let admitted = admitted.filter(|admitted| *admitted).count();
        assert!(admitted <= 1);
        let another = matches!(shell.admit(&rules, 12).0, Admission::Admitted(_));
        assert_eq!(admitted + usize::from(another), 1);
    });
}
