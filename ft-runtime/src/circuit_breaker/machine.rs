//! The decisions of a circuit breaker: pure, with the time passed in. What locks, counts and tells stands in `shell`.

use super::CircuitState;
use super::rules::{Nanos, Rules};
use super::window::{Mark, Tally, Verdict, Window};

/// The state of one breaker.
#[derive(Debug)]
pub(super) struct Machine {
    /// Grows with each change of state: a permit of an older one changes nothing. Never 0.
    generation: u32,
    phase: Phase,
    window: Window,
    /// How many open periods there were in a row before this one.
    streak: u32,
    /// The last open period.
    period: Nanos,
    /// When it was last closed.
    closed_at: Nanos,
    /// How often it has opened.
    opened: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Closed,
    Open {
        until: Nanos,
    },
    HalfOpen {
        /// Probes that have succeeded.
        passed: u32,
        /// Probes of this lease that are out.
        out: u32,
        /// The slots are lent for a period at a time.
        lease: u32,
        /// When the slots of lost probes are free again.
        renews: Nanos,
    },
    ForcedOpen,
    ForcedClosed,
    Disabled,
}

/// What a call brings back: the generation that it counts for and the lease of its slot, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(pub(super) u64);

/// A ticket of a breaker that looks at the clock when a call ends.
pub(super) const TIMED: u64 = 1 << 63;
/// Generations end here, so that the bits above can say other things.
const LAST_GENERATION: u32 = (1 << 29) - 1;

impl Ticket {
    /// Of a call that counts for nothing.
    pub(super) const UNCOUNTED: Self = Self(0);

    pub(super) const fn new(generation: u32, lease: u32) -> Self {
        Self((generation as u64) << 32 | lease as u64)
    }

    const fn generation(self) -> u32 {
        (self.0 >> 32) as u32 & LAST_GENERATION
    }

    const fn lease(self) -> u32 {
        self.0 as u32
    }
}

/// The answer to a call that wants to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Admitted(Ticket),
    Refused { retry_after: Nanos },
}

/// A change of state, to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) from: CircuitState,
    pub(super) to: CircuitState,
    pub(super) why: &'static str,
}

/// How calls find out where they stand, without a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Start, and count for this ticket.
    Closed(Ticket),
    /// Refused before this moment. After it, ask.
    Until(Nanos),
    /// Refused, for as long as nobody decides otherwise.
    Never,
    /// Ask.
    Ask,
    /// Start, and count for nothing.
    Pass,
}

impl Machine {
    pub(super) const fn new() -> Self {
        Self {
            generation: 1,
            phase: Phase::Closed,
            window: Window::new(),
            streak: 0,
            period: 0,
            closed_at: 0,
            opened: 0,
        }
    }

    /// May a call start now?
    pub(super) fn admit(&mut self, rules: &Rules, now: Nanos) -> (Admission, Option<Change>) {
        let refused = |until: Nanos| Admission::Refused { retry_after: until.saturating_sub(now) };
        match self.phase {
            Phase::Closed | Phase::ForcedClosed => (self.admitted(0), None),
            Phase::Disabled => (Admission::Admitted(Ticket::UNCOUNTED), None),
            // Nobody knows how long; one open period is as good a time as any to ask again.
            Phase::ForcedOpen => (Admission::Refused { retry_after: rules.open }, None),
            Phase::Open { until } if now < until => (refused(until), None),
            Phase::Open { .. } => {
                let renews = now.saturating_add(rules.open);
                let change = self.enter(Phase::HalfOpen { passed: 0, out: 1, lease: 0, renews }, "open_period_over");
                (self.admitted(0), Some(change))
            }
            Phase::HalfOpen { passed, mut out, mut lease, mut renews } => {
                if now >= renews {
                    (out, lease, renews) = (0, lease.wrapping_add(1), now.saturating_add(rules.open));
                }
                let free = passed + out < rules.probes;
                self.phase = Phase::HalfOpen { passed, out: out + u32::from(free), lease, renews };
                (if free { self.admitted(lease) } else { refused(renews) }, None)
            }
        }
    }

    /// Counts a call that has ended now.
    pub(super) fn record(&mut self, rules: &Rules, ticket: Ticket, mark: Mark, now: Nanos) -> Option<Change> {
        if !self.issued(ticket) {
            return None;
        }
        match self.phase {
            Phase::Closed => match self.window.record(rules, mark, now) {
                Verdict::Within => None,
                Verdict::Beyond(why) => {
                    // Closed for longer than it was open: that was health, and the growth begins anew.
                    let healthy = self.period == 0 || now.saturating_sub(self.closed_at) >= self.period;
                    self.streak = if healthy { 0 } else { self.streak.saturating_add(1) };
                    Some(self.open(rules, why, now))
                }
            },
            Phase::ForcedClosed => {
                self.window.record(rules, mark, now);
                None
            }
            Phase::HalfOpen { .. } if mark.failed || mark.slow => {
                self.streak = self.streak.saturating_add(1);
                Some(self.open(rules, if mark.failed { "probe_failed" } else { "probe_slow" }, now))
            }
            Phase::HalfOpen { passed, out, lease, renews } => {
                let (passed, out) = (passed + 1, out - u32::from(ticket.lease() == lease));
                self.phase = Phase::HalfOpen { passed, out, lease, renews };
                (passed >= rules.probes).then(|| {
                    self.closed_at = now;
                    self.enter(Phase::Closed, "probes_passed")
                })
            }
            Phase::Open { .. } | Phase::ForcedOpen | Phase::Disabled => None,
        }
    }

    /// Counts a run of calls that were neither failures nor slow.
    pub(super) fn successes(&mut self, rules: &Rules, run: u64) {
        self.window.successes(rules, run);
    }

    /// Takes a permit back that counts for nothing.
    pub(super) fn give_back(&mut self, ticket: Ticket) {
        if let Phase::HalfOpen { passed, out, lease, renews } = self.phase
            && self.issued(ticket)
            && ticket.lease() == lease
        {
            self.phase = Phase::HalfOpen { passed, out: out - 1, lease, renews };
        }
    }

    /// Puts it into a state by hand. Late results of calls that started before change nothing.
    pub(super) fn force(&mut self, phase: Phase, why: &'static str) -> Change {
        (self.streak, self.period, self.closed_at) = (0, 0, 0);
        self.enter(phase, why)
    }

    pub(super) fn gate(&self, rules: &Rules) -> Gate {
        match self.phase {
            Phase::Closed | Phase::ForcedClosed => Gate::Closed(Ticket::new(self.generation, 0)),
            Phase::Open { until } => Gate::Until(until),
            Phase::HalfOpen { passed, out, renews, .. } if passed + out >= rules.probes => Gate::Until(renews),
            Phase::HalfOpen { .. } => Gate::Ask,
            Phase::ForcedOpen => Gate::Never,
            Phase::Disabled => Gate::Pass,
        }
    }

    /// Does every success have to come here, because it may be the one that opens the breaker?
    pub(super) fn is_watchful(&self, rules: &Rules) -> bool {
        self.phase == Phase::Closed && self.window.is_watchful(rules)
    }

    /// Lets go of what is too old to count.
    pub(super) fn advance(&mut self, rules: &Rules, now: Nanos) {
        self.window.advance(rules, now);
    }

    pub(super) fn slot_ends(&self, rules: &Rules) -> Nanos {
        self.window.slot_ends(rules)
    }

    pub(super) fn tally(&self) -> Tally {
        self.window.tally()
    }

    /// Is this ticket one of the present generation?
    pub(super) fn issued(&self, ticket: Ticket) -> bool {
        ticket.generation() == self.generation
    }

    pub(super) fn opened(&self) -> u64 {
        self.opened
    }

    pub(super) fn state(&self) -> CircuitState {
        self.phase.state()
    }

    /// Would a fresh one do the same?
    pub(super) fn is_idle(&self) -> bool {
        let tally = self.window.tally();
        self.phase == Phase::Closed && tally.failures + tally.slow == 0
    }

    fn admitted(&self, lease: u32) -> Admission {
        Admission::Admitted(Ticket::new(self.generation, lease))
    }

    fn open(&mut self, rules: &Rules, why: &'static str, now: Nanos) -> Change {
        self.period = rules.open_period(self.streak);
        self.opened += 1;
        self.enter(Phase::Open { until: now.saturating_add(self.period) }, why)
    }

    fn enter(&mut self, phase: Phase, why: &'static str) -> Change {
        let from = self.phase.state();
        self.generation = if self.generation < LAST_GENERATION { self.generation + 1 } else { 1 };
        self.phase = phase;
        self.window.clear();
        Change { from, to: phase.state(), why }
    }
}

impl Phase {
    const fn state(self) -> CircuitState {
        match self {
            Self::Closed => CircuitState::Closed,
            Self::Open { .. } => CircuitState::Open,
            Self::HalfOpen { .. } => CircuitState::HalfOpen,
            Self::ForcedOpen => CircuitState::ForcedOpen,
            Self::ForcedClosed => CircuitState::ForcedClosed,
            Self::Disabled => CircuitState::Disabled,
        }
    }
}

#[cfg(test)]
#[path = "machine/tests.rs"]
mod tests;
