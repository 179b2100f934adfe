//! What a circuit breaker looks back on: the last calls, or the calls of the last while.

use super::rules::{Nanos, Rules, Span};

/// How one call counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) failed: bool,
    pub(super) slow: bool,
}

/// What the window says of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing to act on.
    Within,
    /// The breaker has to open, because of this.
    Beyond(&'static str),
}

/// How many calls are in a window, and how many of them count against the other side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) calls: u64,
    pub(super) failures: u64,
    pub(super) slow: u64,
}

/// The slots of a time window. A call leaves the window up to one slot early.
pub(super) const SLOTS: u64 = 60;

/// A sliding window: exact over calls, in [`SLOTS`] slots over time. Memory is allocated with the first bad mark, or the first
/// slot, and bounded by the span.
#[derive(Debug)]
pub(super) struct Window {
    tally: Tally,
    /// Failures since the last success.
    in_a_row: u32,
    ring: Ring,
    slots: Slots,
}

impl Window {
    pub(super) const fn new() -> Self {
        Self {
            tally: Tally { calls: 0, failures: 0, slow: 0 },
            in_a_row: 0,
            ring: Ring { failed: Bits(Vec::new()), slow: Bits(Vec::new()), at: 0 },
            slots: Slots { slots: Vec::new(), current: 0 },
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    /// Counts one call that ended now.
    pub(super) fn record(&mut self, rules: &Rules, mark: Mark, now: Nanos) -> Verdict {
        self.advance(rules, now);
        self.in_a_row = if mark.failed { self.in_a_row.saturating_add(1) } else { 0 };
        match rules.span {
            Span::Calls(calls) => self.ring.push(&mut self.tally, calls, mark),
            Span::Time(_) => self.slots.count(&mut self.tally, Tally::of(mark)),
        }
        self.verdict(rules)
    }

    /// Counts a run of calls that were neither failures nor slow, and ended before the current slot did.
    pub(super) fn successes(&mut self, rules: &Rules, run: u64) {
        if run == 0 {
            return;
        }
        self.in_a_row = 0;
        match rules.span {
            Span::Calls(calls) => self.ring.push_good(&mut self.tally, calls, run),
            Span::Time(_) => self.slots.count(&mut self.tally, Tally { calls: run, ..Tally::default() }),
        }
    }

    /// Lets go of what is too old.
    pub(super) fn advance(&mut self, rules: &Rules, now: Nanos) {
        if let Span::Time(span) = rules.span {
            self.slots.advance(&mut self.tally, now / slot_length(span));
        }
    }

    /// Until when successes may be counted without a look at the clock's slot: the end of the current one.
    pub(super) fn slot_ends(&self, rules: &Rules) -> Nanos {
        match rules.span {
            Span::Calls(_) => Nanos::MAX,
            Span::Time(_) if self.slots.slots.is_empty() => 0,
            Span::Time(span) => (self.slots.current + 1).saturating_mul(slot_length(span)),
        }
    }

    /// Could a success be the call that opens the breaker? Where there is something to hold against the other side, one that
    /// completes `min_calls` can, and so can the first one after old successes have left; any other lowers the rates.
    pub(super) fn is_watchful(&self, rules: &Rules) -> bool {
        let Tally { calls, failures, slow } = self.tally;
        failures + slow > 0 && (calls < u64::from(rules.min_calls()) || self.verdict(rules) != Verdict::Within)
    }

    fn verdict(&self, rules: &Rules) -> Verdict {
        let Tally { calls, failures, slow } = self.tally;
        if rules.consecutive.is_some_and(|limit| self.in_a_row >= limit) {
            return Verdict::Beyond("consecutive_failures");
        }
        if calls < u64::from(rules.min_calls()) {
            return Verdict::Within;
        }
        // The quotient of two counts is the number that a person writes for it: 3 of 10 is 0.3 to the last bit.
        if failures as f64 / calls as f64 >= rules.rate {
            Verdict::Beyond("failure_rate")
        } else if rules.slow.is_some() && slow as f64 / calls as f64 >= rules.slow_rate {
            Verdict::Beyond("slow_rate")
        } else {
            Verdict::Within
        }
    }
}

impl Tally {
    fn of(mark: Mark) -> Self {
        Self { calls: 1, failures: u64::from(mark.failed), slow: u64::from(mark.slow) }
    }

    fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.failures += other.failures;
        self.slow += other.slow;
    }

    fn subtract(&mut self, other: Self) {
        self.calls -= other.calls;
        self.failures -= other.failures;
        self.slow -= other.slow;
    }
}

const fn slot_length(span: Nanos) -> Nanos {
    // Spans are 10 ms at least, so a slot is never empty.
    span / SLOTS
}

/// The last calls, two bits for each.
#[derive(Debug)]
struct Ring {
    failed: Bits,
    slow: Bits,
    /// Where the next call goes; the oldest one stands there once the ring is full.
    at: u32,
}

impl Ring {
    fn push(&mut self, tally: &mut Tally, size: u32, mark: Mark) {
        let gone = Mark {
            failed: self.failed.replace(self.at, mark.failed, size),
            slow: self.slow.replace(self.at, mark.slow, size),
        };
        if tally.calls == u64::from(size) {
            tally.subtract(Tally::of(gone));
        }
        tally.add(Tally::of(mark));
        self.at = (self.at + 1) % size;
    }

    fn push_good(&mut self, tally: &mut Tally, size: u32, run: u64) {
        if run >= u64::from(size) {
            *tally = Tally { calls: u64::from(size), ..Tally::default() };
            (self.failed, self.slow) = (Bits(Vec::new()), Bits(Vec::new()));
        } else if tally.failures + tally.slow == 0 {
            // Nothing is set, so it does not matter where the calls stand.
            tally.calls = (tally.calls + run).min(u64::from(size));
            self.at = ((u64::from(self.at) + run) % u64::from(size)) as u32;
        } else {
            (0..run).for_each(|_| self.push(tally, size, Mark::default()));
        }
    }
}

/// A row of bits; none are kept while all are zero.
#[derive(Debug)]
struct Bits(Vec<u64>);

impl Bits {
    /// Sets the bit, and answers what it was.
    fn replace(&mut self, at: u32, bit: bool, size: u32) -> bool {
        if self.0.is_empty() {
            if !bit {
                return false;
            }
            self.0.resize(size.div_ceil(64) as usize, 0);
        }
        let (word, mask) = (&mut self.0[at as usize / 64], 1 << (at % 64));
        let was = *word & mask != 0;
        *word = if bit { *word | mask } else { *word & !mask };
        was
    }
}

/// The calls of the last [`SLOTS`] slots, the current one included.
#[derive(Debug)]
struct Slots {
    slots: Vec<Tally>,
    /// The number of the current slot, counted from the beginning of time.
    current: u64,
}

impl Slots {
    /// Moves on to slot `number`; a clock that steps back stays in the current one.
    fn advance(&mut self, tally: &mut Tally, number: u64) {
        if self.slots.is_empty() {
            self.slots.resize(SLOTS as usize, Tally::default());
            self.current = number;
        }
        let passed = number.saturating_sub(self.current).min(SLOTS);
        for ahead in 1..=passed {
            let slot = &mut self.slots[((self.current + ahead) % SLOTS) as usize];
            tally.subtract(std::mem::take(slot));
        }
        // When more have passed than there are, all are empty now, wherever the next one stands.
        self.current = self.current.max(number);
    }

    fn count(&mut self, tally: &mut Tally, calls: Tally) {
        tally.add(calls);
        if let Some(slot) = self.slots.get_mut((self.current % SLOTS) as usize) {
            slot.add(calls);
        }
    }
}

#[cfg(test)]
#[path = "window/tests.rs"]
mod tests;
