//! What many threads share of a circuit breaker: the machine behind a lock, and around it what calls need when all is well.
//!
//! A call that starts reads one word, the gate. A call that succeeds counts itself on a stripe of its thread. A stripe is tagged
//! with the generation that it counts for, in one word with the count: a success of an older generation cannot land in a newer
//! one. Everything else takes the lock, takes what the stripes hold, and lets the machine decide.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::machine::{Admission, Change, Gate, Machine, Ticket};
use super::rules::{Nanos, Rules};
use super::window::Mark;
use crate::counter::{STRIPES, stripe};
use crate::sync::{AtomicU64, Mutex, MutexGuard, lock};

#[derive(Debug)]
pub(super) struct Shell {
    /// How calls find out where they stand: a [`Gate`] in one word, so that nobody sees a state without its moment.
    gate: AtomicU64,
    /// Until when a success needs no look at the window.
    slot_ends: AtomicU64,
    stripes: [Stripe; STRIPES],
    machine: Mutex<Machine>,
}

/// The successes of some threads since the machine last took them.
#[derive(Debug)]
#[repr(align(64))]
struct Stripe {
    /// High half: the generation that is counted for, 0 while every success has to go to the machine. Low half: the count.
    successes: AtomicU64,
    refused: AtomicU64,
}

/// A stripe that holds so many is emptied before it is full.
const FULL: u64 = 1 << 31;

impl Shell {
    pub(super) const fn new() -> Self {
        const STRIPE: Stripe = Stripe { successes: AtomicU64::new(tag(1)), refused: AtomicU64::new(0) };
        Self {
            gate: AtomicU64::new(Gate::Closed { generation: 1 }.word()),
            slot_ends: AtomicU64::new(0),
            stripes: [STRIPE; STRIPES],
            machine: Mutex::new(Machine::new()),
        }
    }

    /// The ticket of a call, where it takes no more than a look.
    #[inline]
    pub(super) fn admit_at_once(&self) -> Option<Ticket> {
        match Gate::of(self.gate.load(Acquire)) {
            Gate::Closed { generation } => Some(Ticket { generation, lease: 0 }),
            _ => None,
        }
    }

    /// The answer to a call that comes now.
    pub(super) fn admit(&self, rules: &Rules, now: Nanos) -> (Admission, Option<Change>) {
        let (admission, change) = match Gate::of(self.gate.load(Acquire)) {
            Gate::Closed { generation } => (Admission::Admitted(Ticket { generation, lease: 0 }), None),
            Gate::Pass => (Admission::Admitted(Ticket::UNCOUNTED), None),
            Gate::Never => (Admission::Refused { retry_after: rules.open }, None),
            Gate::Until(moment) if now < moment => (Admission::Refused { retry_after: moment - now }, None),
            Gate::Until(_) | Gate::Ask => self.with(rules, |machine| machine.admit(rules, now)),
        };
        if let Admission::Refused { .. } = admission {
            self.stripes[stripe()].refused.fetch_add(1, Relaxed);
        }
        (admission, change)
    }

    /// Counts a success without a lock, where it changes nothing else.
    #[inline]
    pub(super) fn count(&self, ticket: Ticket) -> bool {
        let stripe = &self.stripes[stripe()].successes;
        let mut word = stripe.load(Relaxed);
        // One comparison for both: the tag is this generation's, and there is room.
        while word.wrapping_sub(tag(ticket.generation)) < FULL {
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
        now < self.slot_ends.load(Acquire) && self.count(ticket)
    }

    /// Counts a call that ended now, whatever that leads to.
    pub(super) fn record(&self, rules: &Rules, ticket: Ticket, mark: Mark, now: Nanos) -> Option<Change> {
        let machine = lock(&self.machine);
        if ticket.generation != machine.generation() {
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
        if self.admit_at_once() != Some(ticket) {
            self.with(rules, |machine| machine.give_back(ticket));
        }
    }

    /// Lets the machine work with everything counted so far, and makes known what came of it.
    pub(super) fn with<R>(&self, rules: &Rules, work: impl FnOnce(&mut Machine) -> R) -> R {
        self.work(lock(&self.machine), rules, work)
    }

    /// How many calls were refused so far.
    pub(super) fn refused(&self) -> u64 {
        self.stripes.iter().map(|stripe| stripe.refused.load(Relaxed)).sum()
    }

    /// Is there anything to remember, as far as a look can tell?
    pub(super) fn is_idle(&self) -> bool {
        lock(&self.machine).is_idle()
    }

    fn work<R>(&self, mut machine: MutexGuard<'_, Machine>, rules: &Rules, work: impl FnOnce(&mut Machine) -> R) -> R {
        // From here to the end successes come for the lock: none is lost between the taking and the decision.
        let taken = self.stripes.iter().map(|stripe| stripe.successes.swap(0, Acquire));
        let successes = taken.map(|word| if word >> 32 == 0 { 0 } else { word & u64::from(u32::MAX) }).sum();
        machine.successes(rules, successes);
        let done = work(&mut machine);

        let gate = machine.gate(rules);
        self.slot_ends.store(machine.slot_ends(rules), Release);
        if let Gate::Closed { generation } = gate
            && !machine.is_watchful(rules)
        {
            self.stripes.iter().for_each(|stripe| stripe.successes.store(tag(generation), Release));
        }
        // Last, so that who reads it finds everything else in place.
        self.gate.store(gate.word(), Release);
        done
    }
}

/// An empty stripe of this generation.
const fn tag(generation: u32) -> u64 {
    (generation as u64) << 32
}

const UNTIL: u64 = 1 << 62;
const ASK: u64 = 2 << 62;
const PASS: u64 = 3 << 62;
/// What is left of a word beside its two bits of kind: 146 years in nanoseconds, and the last of them stands for "never".
const NEVER: u64 = UNTIL - 1;

impl Gate {
    const fn word(self) -> u64 {
        match self {
            Self::Closed { generation } => generation as u64,
            Self::Until(moment) if moment < NEVER => UNTIL | moment,
            Self::Until(_) => UNTIL | (NEVER - 1),
            Self::Never => UNTIL | NEVER,
            Self::Ask => ASK,
            Self::Pass => PASS,
        }
    }

    #[inline]
    const fn of(word: u64) -> Self {
        match word & (3 << 62) {
            0 => Self::Closed { generation: word as u32 },
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
            Gate::Closed { generation: 1 },
            Gate::Closed { generation: u32::MAX },
            Gate::Until(0),
            Gate::Until(NEVER - 1),
            Gate::Never,
            Gate::Ask,
            Gate::Pass,
        ];
        for gate in gates {
            assert_eq!(Gate::of(gate.word()), gate);
        }
        assert_eq!(Gate::of(Gate::Until(u64::MAX).word()), Gate::Until(NEVER - 1));
    }

    #[test]
    fn a_full_stripe_is_emptied_and_nothing_is_lost_or_spills_into_the_generation() {
        let (shell, rules) = (Shell::new(), Rules::DEFAULT);
        let ticket = shell.admit_at_once().unwrap();
        shell.stripes[stripe()].successes.store(tag(ticket.generation) + FULL - 1, Relaxed);
        assert!(shell.count(ticket));
        assert!(!shell.count(ticket));
        shell.record(&rules, ticket, Mark::default(), 0);
        assert_eq!(shell.with(&rules, |machine| machine.tally().calls), 100);
        assert!(shell.count(ticket));
    }

    #[test]
    fn a_success_that_may_open_the_breaker_goes_to_the_machine() {
        let (shell, rules) = (Shell::new(), Rules::DEFAULT);
        let ticket = shell.admit_at_once().unwrap();
        assert!(shell.count(ticket), "nothing is held against the other side");
        shell.record(&rules, ticket, Mark { failed: true, slow: false }, 0);
        assert!(!shell.count(ticket), "fewer calls than `min_calls`, and a failure among them");
        (0..18).for_each(|_| drop(shell.record(&rules, ticket, Mark::default(), 0)));
        assert!(shell.count(ticket), "20 calls: successes can only lower the rate");
    }
}

#[cfg(all(test, ft_shuttle))]
#[path = "shell/interleavings.rs"]
mod interleavings;
