//! What many threads share of a circuit breaker: the machine behind a lock, and around it what calls need when all is well.
//!
//! A call that starts reads one word, the gate. A call that succeeds counts itself on a stripe of its thread. A stripe is tagged
//! with the generation that it counts for, in one word with the count: a success of an older generation cannot land in a newer
//! one. Everything else takes the lock, takes what the stripes hold, and lets the machine decide.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::machine::{Admission, Change, Gate, Machine, TIMED, Ticket};
use super::rules::{Nanos, Rules};
use super::window::Mark;
use crate::counter::{STRIPES, WORDS, first_word, stripe};
use crate::sync::{AtomicU64, Mutex, MutexGuard, lock};

#[derive(Debug)]
pub(super) struct Shell {
    /// How calls find out where they stand: a [`Gate`] in one word, so that nobody sees a state without its moment.
    gate: AtomicU64,
    /// Until when a success needs no look at the window.
    slot_ends: AtomicU64,
    stripes: Stripes,
    machine: Mutex<Machine>,
}

/// What threads count each on a cache line of its own. The first word of a stripe holds the ticket that is counted for, plus
/// the successes since the machine last took them; or [`LOCKED`] while every success has to go to the machine. The second one
/// counts refusals.
#[derive(Debug)]
#[repr(align(64))]
struct Stripes([AtomicU64; STRIPES * WORDS]);

/// A stripe that holds so many is emptied before it is full.
const FULL: u64 = 1 << 31;
/// A stripe that counts for no ticket.
const LOCKED: u64 = u64::MAX;

impl Shell {
    pub(super) const fn new() -> Self {
        Self {
            // The first call asks, and so finds the settings complete.
            gate: AtomicU64::new(ASK),
            slot_ends: AtomicU64::new(0),
            stripes: Stripes::new(),
            machine: Mutex::new(Machine::new()),
        }
    }

    /// The ticket of a call, where it takes no more than a look.
    #[inline]
    pub(super) fn admit_at_once(&self) -> Option<Ticket> {
        let word = self.gate.load(Acquire);
        if word >> 61 == 0 { Some(Ticket(word)) } else { None }
    }

    /// The ticket of a call while it is closed.
    pub(super) fn closed(&self) -> Option<Ticket> {
        match Gate::of(self.gate.load(Acquire)) {
            Gate::Closed(ticket) => Some(ticket),
            _ => None,
        }
    }

    /// The answer to a call that comes now.
    pub(super) fn admit(&self, rules: &Rules, now: Nanos) -> (Admission, Option<Change>) {
        let (admission, change) = match Gate::of(self.gate.load(Acquire)) {
            Gate::Closed(ticket) => (Admission::Admitted(ticket), None),
            Gate::Pass => (Admission::Admitted(Ticket::UNCOUNTED), None),
            Gate::Never => (Admission::Refused { retry_after: rules.open }, None),
            Gate::Until(moment) if now < moment => (Admission::Refused { retry_after: moment - now }, None),
            Gate::Until(_) | Gate::Ask => match self.with(rules, |machine| machine.admit(rules, now)) {
                (Admission::Admitted(Ticket(word)), change) if rules.reads_clock_at_end() && word != 0 => {
                    (Admission::Admitted(Ticket(TIMED | word)), change)
                }
                answer => answer,
            },
        };
        if let Admission::Refused { .. } = admission {
            self.count_refusal();
        }
        (admission, change)
    }

    /// How long calls are refused yet, as far as a look can tell.
    pub(super) fn refuses_for(&self, rules: &Rules, now: impl FnOnce() -> Nanos) -> Option<Nanos> {
        match Gate::of(self.gate.load(Acquire)) {
            Gate::Never => Some(rules.open),
            Gate::Until(moment) => moment.checked_sub(now()).filter(|left| *left > 0),
            Gate::Closed(_) | Gate::Ask | Gate::Pass => None,
        }
    }

    pub(super) fn count_refusal(&self) {
        self.stripes.0[stripe() * WORDS + 1].fetch_add(1, Relaxed);
    }

    /// Counts a success without a lock, where it changes nothing else.
    #[inline]
    pub(super) fn count(&self, ticket: Ticket) -> bool {
        // None on a thread that has counted nothing yet: it takes the long way once.
        let Some(stripe) = self.stripes.0.get(first_word()) else { return false };
        let mut word = stripe.load(Relaxed);
        // One comparison for all: the stripe counts for this ticket, there is room, and no clock is asked for.
        while word.wrapping_sub(ticket.0) < FULL {
            match stripe.compare_exchange_weak(word, word + 1, Release, Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// As [`count`](Self::count), for a window over time.
    #[inline]
    pub(super) fn count_at(&self, ticket: Ticket, now: Nanos) -> bool {
        now < self.slot_ends.load(Acquire) && self.count(Ticket(ticket.0 & !TIMED))
    }

    /// Counts a call that ended now, whatever that leads to.
    pub(super) fn record(&self, rules: &Rules, ticket: Ticket, mark: Mark, now: Nanos) -> Option<Change> {
        // The thread has a stripe from now on.
        let _ = stripe();
        let machine = lock(&self.machine);
        if !machine.issued(ticket) {
            return None;
        }
        // What sent a success here may be over by now.
        if mark == Mark::default() && self.count_at(ticket, now) {
            return None;
        }
        self.work(machine, rules, |machine| machine.record(rules, ticket, mark, now))
    }

    /// Takes a permit back that counts for nothing.
    pub(super) fn give_back(&self, rules: &Rules, ticket: Ticket) {
        // While it is closed nobody waits for the permit.
        if self.closed() != Some(ticket) {
            self.with(rules, |machine| machine.give_back(ticket));
        }
    }

    /// Lets the machine work with everything counted so far, and makes known what came of it.
    pub(super) fn with<R>(&self, rules: &Rules, work: impl FnOnce(&mut Machine) -> R) -> R {
        self.work(lock(&self.machine), rules, work)
    }

    /// How many calls were refused so far.
    pub(super) fn refused(&self) -> u64 {
        self.stripes.refused().map(|refused| refused.load(Relaxed)).sum()
    }

    /// Is there anything to remember, as far as a look can tell?
    pub(super) fn is_idle(&self) -> bool {
        lock(&self.machine).is_idle()
    }

    fn work<R>(&self, mut machine: MutexGuard<'_, Machine>, rules: &Rules, work: impl FnOnce(&mut Machine) -> R) -> R {
        // From here to the end successes come for the lock: none is lost between the taking and the decision.
        let taken = self.stripes.successes().map(|successes| successes.swap(LOCKED, Acquire));
        let successes = taken.map(|word| if word == LOCKED { 0 } else { word & u64::from(u32::MAX) }).sum();
        machine.successes(rules, successes);
        let done = work(&mut machine);

        let gate = machine.gate(rules);
        self.slot_ends.store(machine.slot_ends(rules), Release);
        if let Gate::Closed(ticket) = gate
            && !machine.is_watchful(rules)
        {
            self.stripes.successes().for_each(|successes| successes.store(ticket.0, Release));
        }
        // Last, so that who reads it finds everything else in place.
        self.gate.store(gate.word(rules.reads_clock_at_end()), Release);
        done
    }
}

impl Stripes {
    const fn new() -> Self {
        let mut words = [const { AtomicU64::new(0) }; STRIPES * WORDS];
        let mut first = 0;
        while first < words.len() {
            words[first] = AtomicU64::new(LOCKED);
            first += WORDS;
        }
        Self(words)
    }

    fn successes(&self) -> impl Iterator<Item = &AtomicU64> {
        self.0.iter().step_by(WORDS)
    }

    fn refused(&self) -> impl Iterator<Item = &AtomicU64> {
        self.0[1..].iter().step_by(WORDS)
    }
}

const UNTIL: u64 = 1 << 61;
const ASK: u64 = 2 << 61;
const PASS: u64 = 3 << 61;
/// What is left of a word beside its kind: 73 years in nanoseconds, and the last of them stands for "never".
const NEVER: u64 = UNTIL - 1;

impl Gate {
    const fn word(self, timed: bool) -> u64 {
        match self {
            Self::Closed(ticket) if timed => TIMED | ticket.0,
            Self::Closed(ticket) => ticket.0,
            Self::Until(moment) if moment < NEVER => UNTIL | moment,
            Self::Until(_) => UNTIL | (NEVER - 1),
            Self::Never => UNTIL | NEVER,
            Self::Ask => ASK,
            Self::Pass => PASS,
        }
    }

    #[inline]
    const fn of(word: u64) -> Self {
        match word & PASS {
            0 => Self::Closed(Ticket(word)),
            UNTIL if word == UNTIL | NEVER => Self::Never,
            UNTIL => Self::Until(word & NEVER),
            ASK => Self::Ask,
            _ => Self::Pass,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_32_a_gate_is_one_word_so_that_nobody_sees_it_open_without_its_moment() {
        let gates = [
            Gate::Closed(Ticket::new(1, 0)),
            Gate::Closed(Ticket::new((1 << 29) - 1, 0)),
            Gate::Until(0),
            Gate::Until(NEVER - 1),
            Gate::Never,
            Gate::Ask,
            Gate::Pass,
        ];
        for gate in gates {
            assert_eq!(Gate::of(gate.word(false)), gate);
        }
        assert_eq!(Gate::of(Gate::Until(u64::MAX).word(true)), Gate::Until(NEVER - 1));
        let ticket = Ticket::new(7, 0);
        assert_eq!(Gate::of(Gate::Closed(ticket).word(true)), Gate::Closed(Ticket(TIMED | ticket.0)));
    }

    #[test]
    fn a_full_stripe_is_emptied_and_nothing_is_lost_or_spills_into_the_generation() {
        let (shell, rules, _) = (Shell::new(), Rules::DEFAULT, stripe());
        shell.with(&rules, |_| ());
        let ticket = shell.admit_at_once().unwrap();
        shell.stripes.0[stripe() * WORDS].store(ticket.0 + FULL - 1, Relaxed);
        assert!(shell.count(ticket));
        assert!(!shell.count(ticket));
        shell.record(&rules, ticket, Mark::default(), 0);
        assert_eq!(shell.with(&rules, |machine| machine.tally().calls), 100);
        assert!(shell.count(ticket));
    }

    #[test]
    fn a_success_that_may_open_the_breaker_goes_to_the_machine() {
        let (shell, rules, _) = (Shell::new(), Rules::DEFAULT, stripe());
        shell.with(&rules, |_| ());
        let ticket = shell.admit_at_once().unwrap();
        assert!(shell.count(ticket), "nothing is held against the other side");
        shell.record(&rules, ticket, Mark { failed: true, slow: false }, 0);
        assert!(!shell.count(ticket), "fewer calls than `min_calls`, and a failure among them");
        for _ in 0..18 {
            shell.record(&rules, ticket, Mark::default(), 0);
        }
        assert!(shell.count(ticket), "20 calls: successes can only lower the rate");
    }
}

#[cfg(all(test, ft_shuttle))]
#[path = "shell/interleavings.rs"]
mod interleavings;
