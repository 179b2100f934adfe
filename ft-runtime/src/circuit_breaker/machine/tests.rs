//! The whole state machine, shell included, against a model that is written as it is said.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::super::rules::Span;
use super::super::shell::Shell;
use super::super::window::SLOTS;
use super::*;

/// A breaker without a fast path: every outcome is kept, and the rate counted anew.
struct Model {
    rules: Rules,
    state: Naive,
    outcomes: VecDeque<(Nanos, Mark)>,
    streak: u32,
    period: Nanos,
    closed_at: Nanos,
    /// Changes so far: the age of a permit.
    age: u64,
}

enum Naive {
    Closed,
    Open(Nanos),
    /// Probes that went well; when the probes of the present lease were sent, and the end of it.
    HalfOpen {
        passed: usize,
        out: Vec<u64>,
        renews: Nanos,
    },
    ForcedOpen,
    ForcedClosed,
    Disabled,
}

#[derive(Clone, Copy)]
struct Permit {
    age: Option<u64>,
    id: u64,
}

impl Model {
    fn change(&mut self, state: Naive) {
        self.state = state;
        self.outcomes.clear();
        self.age += 1;
    }

    fn trip(&mut self, now: Nanos) {
        let doubled = self.rules.open * 2u64.pow(self.streak.min(20));
        self.period = self.rules.max_open.map_or(self.rules.open, |cap| doubled.min(cap));
        self.change(Naive::Open(now + self.period));
    }

    fn admit(&mut self, id: u64, now: Nanos) -> Result<Permit, Nanos> {
        if matches!(self.state, Naive::Open(until) if now >= until) {
            self.change(Naive::HalfOpen { passed: 0, out: Vec::new(), renews: now + self.rules.open });
        }
        let age = Some(self.age);
        match &mut self.state {
            Naive::Closed | Naive::ForcedClosed => Ok(Permit { age, id }),
            Naive::Disabled => Ok(Permit { age: None, id }),
            Naive::ForcedOpen => Err(self.rules.open),
            Naive::Open(until) => Err(*until - now),
            Naive::HalfOpen { passed, out, renews } => {
                if now >= *renews {
                    out.clear();
                    *renews = now + self.rules.open;
                }
                if *passed + out.len() < self.rules.probes as usize {
                    out.push(id);
                    Ok(Permit { age, id })
                } else {
                    Err(*renews - now)
                }
            }
        }
    }

    fn finish(&mut self, permit: Permit, mark: Mark, now: Nanos) {
        if permit.age != Some(self.age) {
            return;
        }
        match &mut self.state {
            Naive::Closed => {
                self.note(mark, now);
                if self.is_beyond() {
                    let healthy = self.period == 0 || now - self.closed_at >= self.period;
                    self.streak = if healthy { 0 } else { self.streak + 1 };
                    self.trip(now);
                }
            }
            Naive::ForcedClosed => self.note(mark, now),
            Naive::HalfOpen { .. } if mark.failed || mark.slow => {
                self.streak += 1;
                self.trip(now);
            }
            Naive::HalfOpen { passed, out, .. } => {
                out.retain(|id| *id != permit.id);
                *passed += 1;
                if *passed == self.rules.probes as usize {
                    self.closed_at = now;
                    self.change(Naive::Closed);
                }
            }
            Naive::Open(_) | Naive::ForcedOpen | Naive::Disabled => {}
        }
    }

    fn give_back(&mut self, permit: Permit) {
        if let Naive::HalfOpen { out, .. } = &mut self.state {
            out.retain(|id| *id != permit.id);
        }
    }

    fn note(&mut self, mark: Mark, now: Nanos) {
        self.outcomes.push_back((now, mark));
        self.forget(now);
    }

    fn forget(&mut self, now: Nanos) {
        match self.rules.span {
            Span::Calls(calls) => {
                while self.outcomes.len() > calls as usize {
                    self.outcomes.pop_front();
                }
            }
            Span::Time(span) => {
                let slot = |at: Nanos| at / (span / SLOTS);
                self.outcomes.retain(|(at, _)| slot(now) - slot(*at) < SLOTS);
            }
        }
    }

    fn is_beyond(&self) -> bool {
        let calls = self.outcomes.len();
        let part =
            |bad: fn(&Mark) -> bool| self.outcomes.iter().filter(|(_, mark)| bad(mark)).count() as f64 / calls as f64;
        // The window knows of no call before the last change, nor does the row of failures; one that is longer
        // than the window is counted by the breaker beyond it, so rows here are shorter.
        let row = self.outcomes.iter().rev().take_while(|(_, mark)| mark.failed).count();
        self.rules.consecutive.is_some_and(|limit| row >= limit as usize)
            || calls >= self.rules.min_calls() as usize
                && (part(|mark| mark.failed) >= self.rules.rate
                    || self.rules.slow.is_some() && part(|mark| mark.slow) >= self.rules.slow_rate)
    }

    fn state(&self) -> CircuitState {
        match self.state {
            Naive::Closed => CircuitState::Closed,
            Naive::Open(_) => CircuitState::Open,
            Naive::HalfOpen { .. } => CircuitState::HalfOpen,
            Naive::ForcedOpen => CircuitState::ForcedOpen,
            Naive::ForcedClosed => CircuitState::ForcedClosed,
            Naive::Disabled => CircuitState::Disabled,
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Call,
    /// The permit that has been out for so many.
    Finish {
        which: usize,
        mark: Mark,
    },
    Drop {
        which: usize,
    },
    Wait(Nanos),
    Force(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let mark = (prop::bool::weighted(0.45), prop::bool::weighted(0.1)).prop_map(|(failed, slow)| Mark { failed, slow });
    let wait = prop_oneof![6 => 0u64..40, 2 => 0u64..400, 1 => Just(100), 1 => 0u64..4000];
    let step = prop_oneof![
        40 => Just(Step::Call),
        40 => (0usize..4, mark).prop_map(|(which, mark)| Step::Finish { which, mark }),
        6 => (0usize..4).prop_map(|which| Step::Drop { which }),
        12 => wait.prop_map(Step::Wait),
        1 => (0u8..8).prop_map(Step::Force),
    ];
    prop::collection::vec(step, 1..400)
}

fn rules() -> impl Strategy<Value = Rules> {
    let span = prop_oneof![(5u32..40).prop_map(Span::Calls), (60u64..1200).prop_map(Span::Time)];
    let consecutive = prop_oneof![3 => Just(None), 1 => (2u32..5).prop_map(Some)];
    let max_open = prop_oneof![Just(None), (100u64..1000).prop_map(Some)];
    let slow = prop_oneof![Just(None), Just(Some(1))];
    let rates = (0.05f64..=1.0, 0.05f64..=1.0, 1u32..=5);
    (span, rates, consecutive, max_open, slow, 1u32..4).prop_map(
        |(span, (rate, slow_rate, min_calls), consecutive, max_open, slow, probes)| {
            let min_calls = Some(min_calls);
            // A row of failures that time cuts short is one for the window's own test.
            let consecutive = consecutive.filter(|_| matches!(span, Span::Calls(_)));
            Rules { rate, slow_rate, slow, span, min_calls, consecutive, open: 100, max_open, probes, ..Rules::DEFAULT }
        },
    )
}

/// A call as the permit makes it: the fast path where there is one.
fn admit(shell: &Shell, rules: &Rules, now: Nanos) -> Result<Ticket, Nanos> {
    if let Some(ticket) = shell.admit_at_once() {
        return Ok(ticket);
    }
    match shell.admit(rules, now).0 {
        Admission::Admitted(ticket) => Ok(ticket),
        Admission::Refused { retry_after } => Err(retry_after),
    }
}

fn finish(shell: &Shell, rules: &Rules, ticket: Ticket, mark: Mark, now: Nanos) {
    if ticket == Ticket::UNCOUNTED {
        return;
    }
    let counted = mark == Mark::default()
        && if rules.reads_clock_at_end() { shell.count_at(ticket, now) } else { shell.count(ticket) };
    if !counted {
        shell.record(rules, ticket, mark, now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn the_breaker_does_what_the_model_does(rules in rules(), steps in steps()) {
        let shell = Shell::new();
        let mut model = Model {
            rules, state: Naive::Closed, outcomes: VecDeque::new(), streak: 0, period: 0, closed_at: 0, age: 0,
        };
        let (mut now, mut calls, mut out) = (1 << 60, 0, VecDeque::<(Ticket, Permit)>::new());
        for step in steps {
            match step {
                Step::Call => {
                    calls += 1;
                    match (admit(&shell, &rules, now), model.admit(calls, now)) {
                        (Ok(ticket), Ok(permit)) => out.push_back((ticket, permit)),
                        (Err(left), Err(said)) => prop_assert_eq!(left, said),
                        (did, said) => prop_assert!(false, "admitted {}, expected {}", did.is_ok(), said.is_ok()),
                    }
                }
                Step::Finish { which, mark } => if let Some((ticket, permit)) = out.remove(which) {
                    finish(&shell, &rules, ticket, mark, now);
                    model.finish(permit, mark, now);
                },
                Step::Drop { which } => if let Some((ticket, permit)) = out.remove(which) {
                    if ticket != Ticket::UNCOUNTED {
                        shell.give_back(&rules, ticket);
                    }
                    model.give_back(permit);
                },
                Step::Wait(time) => now += time,
                Step::Force(to) => {
                    let (phase, state) = match to {
                        0 => (Phase::ForcedOpen, Naive::ForcedOpen),
                        1 => (Phase::ForcedClosed, Naive::ForcedClosed),
                        2 => (Phase::Disabled, Naive::Disabled),
                        _ => (Phase::Closed, Naive::Closed),
                    };
                    shell.with(&rules, |machine| machine.force(phase, "forced"));
                    (model.streak, model.period, model.closed_at) = (0, 0, 0);
                    model.change(state);
                }
            }
            prop_assert_eq!(shell.with(&rules, |machine| machine.state()), model.state());
            model.forget(now);
            let tally = shell.with(&rules, |machine| { machine.advance(&rules, now); machine.tally() });
            prop_assert_eq!(tally.calls, model.outcomes.len() as u64);
            prop_assert_eq!(tally.failures, model.outcomes.iter().filter(|(_, mark)| mark.failed).count() as u64);
        }
    }

    /// As above, without a look between the calls: what is counted on the way stays there until the machine needs it.
    #[test]
    fn the_breaker_opens_at_the_same_call_as_the_model_when_nobody_looks(
        rules in rules(),
        calls in prop::collection::vec((prop::bool::weighted(0.4), 0u64..30), 1..300),
    ) {
        let shell = Shell::new();
        let mut model = Model {
            rules, state: Naive::Closed, outcomes: VecDeque::new(), streak: 0, period: 0, closed_at: 0, age: 0,
        };
        let mut now = 1 << 60;
        for (id, (failed, wait)) in calls.into_iter().enumerate() {
            now += wait;
            let (did, said) = (admit(&shell, &rules, now), model.admit(id as u64, now));
            prop_assert_eq!(did.is_ok(), said.is_ok());
            if let (Ok(ticket), Ok(permit)) = (did, said) {
                let mark = Mark { failed, slow: false };
                finish(&shell, &rules, ticket, mark, now);
                model.finish(permit, mark, now);
            }
        }
        prop_assert_eq!(shell.with(&rules, |machine| machine.state()), model.state());
    }
}

#[test]
fn case_33_a_clock_that_steps_back_neither_panics_nor_opens_nor_wedges_the_breaker() {
    let rules = Rules { consecutive: Some(1), open: 100, span: Span::Time(6_000), ..Rules::DEFAULT };
    let (shell, hour) = (Shell::new(), 3_600_000_000_000);
    let late = (1 << 60) + hour;
    let ticket = admit(&shell, &rules, late).unwrap();
    finish(&shell, &rules, ticket, Mark::default(), late);
    finish(&shell, &rules, ticket, Mark::default(), late - hour);
    assert_eq!(shell.with(&rules, |machine| machine.tally().calls), 2);
    finish(&shell, &rules, ticket, Mark { failed: true, slow: false }, late);
    assert_eq!(admit(&shell, &rules, late - hour), Err(hour + 100));
    let probe = admit(&shell, &rules, late + 100).unwrap();
    finish(&shell, &rules, probe, Mark::default(), late - hour);
    assert_eq!(shell.with(&rules, |machine| machine.state()), CircuitState::Closed);
    assert!(admit(&shell, &rules, 0).is_ok());
}

#[test]
fn a_generation_is_never_zero_which_stands_for_calls_that_do_not_count() {
    let mut machine = Machine { generation: LAST_GENERATION, ..Machine::new() };
    machine.force(Phase::Disabled, "disabled");
    assert_eq!(machine.generation, 1);
}
