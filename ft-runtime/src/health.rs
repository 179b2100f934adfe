//! How a target is doing: one state machine for each, fed and read by every door.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::sync::{Mutex, lock};
use crate::time;

/// How a target of a [`Pool`](crate::Pool) is doing.
///
/// ```text
/// Up <-> Suspect -> Ejected -> Probation -> Warming -> Up
///                      ^-----------+-----------'             by hand: Draining, Disabled
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Health {
    /// Answers.
    Up,
    /// Failed, but not often enough in a row to be ejected; or it should be, and is the last one there is.
    Suspect,
    /// Failed too often in a row: is not asked until the time is over, unless fewer than half of the pool are healthy.
    Ejected {
        /// How long it stays so.
        left: Duration,
    },
    /// Its ejection is over: one call at a time finds out whether it answers again.
    Probation,
    /// Answered again: takes a growing share of the calls, and is ejected by a single failure.
    Warming,
    /// By hand: takes no new calls while others can. Calls in flight are not touched.
    Draining,
    /// By hand: takes no calls, whatever happens to the others.
    Disabled,
}

impl Health {
    /// The stable lower-case name, as events and reports print it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Ejected { .. } => "ejected",
            Self::Probation => "probation",
            Self::Warming => "warming",
            Self::Draining => "draining",
            Self::Disabled => "disabled",
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// When targets are ejected, and for how long. Part of the policy, so that the state itself needs no settings and can
/// be built in a `const`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Failures in a row.
    pub(crate) eject_after: u32,
    /// The first ejection; the n-th in a row takes n times as long.
    pub(crate) eject_for: Duration,
    /// The time from the first share of the calls to all of them.
    pub(crate) warm_for: Duration,
}

/// No ejection is longer, unless `eject_for` itself is.
const LONGEST_EJECTION: Duration = Duration::from_secs(300);
/// So much health takes one step off the growth.
const FORGIVEN_EVERY: Duration = Duration::from_secs(10);
/// A whole call, in the currency of the warming share.
const WHOLE: u32 = 1000;
/// The share of the calls that a target starts to warm with.
const FIRST_SHARE: u32 = WHOLE / 10;

impl Rules {
    fn ejection(self, times: u32) -> Duration {
        self.eject_for.saturating_mul(times).min(LONGEST_EJECTION.max(self.eject_for))
    }

    /// The share of the calls that a target takes this long after it began to warm; `None` when it takes all.
    fn share(self, warmed: Duration) -> Option<u32> {
        let share = warmed.as_nanos().saturating_mul(u128::from(WHOLE)).checked_div(self.warm_for.as_nanos())?;
        let share = u32::try_from(share).unwrap_or(WHOLE);
        (share < WHOLE).then_some(share.max(FIRST_SHARE))
    }
}

/// The leave to ask a target once. Its result is given back with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    /// The generation of the target when it was asked.
    generation: u32,
    /// The call is the probe of this number.
    probe: Option<u32>,
}

/// What a result did to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Up,
    Suspect,
    Ejected { until: Instant },
    Probation { probe: Option<Probe> },
    Warming { since: Instant, credit: u32 },
    Draining,
    Disabled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Probe {
    number: u32,
    since: Instant,
}

/// The state of one target. Everything it decides depends on its arguments alone.
#[derive(Clone, Copy, Debug)]
struct State {
    phase: Phase,
    /// Changes with each ejection, each return and each change by hand; what was asked before it changed nothing after.
    generation: u32,
    /// Failures in a row.
    failures: u32,
    /// Ejections that are not forgiven yet.
    ejections: u32,
    /// When it last came back.
    back_since: Option<Instant>,
    /// The number of the last probe.
    probes: u32,
}

impl State {
    const fn new() -> Self {
        Self { phase: Phase::Up, generation: 0, failures: 0, ejections: 0, back_since: None, probes: 0 }
    }

    /// May it be asked now, in its turn?
    fn admit(&mut self, rules: Rules, now: Instant) -> Option<Pass> {
        match self.phase {
            Phase::Up | Phase::Suspect => Some(self.pass()),
            Phase::Ejected { until } if now >= until => self.probe(now),
            Phase::Probation { probe: None } => self.probe(now),
            // A probe that got lost, or takes longer than an ejection, does not keep the others out.
            Phase::Probation { probe: Some(probe) }
                if now.saturating_duration_since(probe.since) >= rules.eject_for =>
            {
                self.probe(now)
            }
            Phase::Warming { since, credit } => match rules.share(now.saturating_duration_since(since)) {
                None => {
                    self.phase = Phase::Up;
                    Some(self.pass())
                }
                Some(share) => {
                    let credit = credit + share;
                    self.phase = Phase::Warming { since, credit: credit % WHOLE };
                    (credit >= WHOLE).then(|| self.pass())
                }
            },
            Phase::Ejected { .. } | Phase::Probation { .. } | Phase::Draining | Phase::Disabled => None,
        }
    }

    /// Asked although it is not its turn: nobody better is left.
    fn force(&self) -> Option<Pass> {
        (self.phase != Phase::Disabled).then(|| self.pass())
    }

    fn pass(&self) -> Pass {
        Pass { generation: self.generation, probe: None }
    }

    fn probe(&mut self, now: Instant) -> Option<Pass> {
        self.probes = self.probes.wrapping_add(1);
        self.phase = Phase::Probation { probe: Some(Probe { number: self.probes, since: now }) };
        Some(Pass { generation: self.generation, probe: Some(self.probes) })
    }

    /// The target answered.
    fn answered(&mut self, pass: Pass, rules: Rules, now: Instant) {
        if pass.generation != self.generation {
            return;
        }
        match self.phase {
            Phase::Up | Phase::Suspect => {
                self.failures = 0;
                self.phase = Phase::Up;
            }
            // An answer is an answer, also to a call that was made for want of a better target.
            Phase::Ejected { .. } | Phase::Probation { .. } => {
                self.generation = self.generation.wrapping_add(1);
                self.failures = 0;
                self.back_since = Some(now);
                let warm = rules.warm_for.is_zero();
                self.phase = if warm { Phase::Up } else { Phase::Warming { since: now, credit: 0 } };
            }
            Phase::Warming { since, .. } => {
                if rules.share(now.saturating_duration_since(since)).is_none() {
                    self.phase = Phase::Up;
                }
            }
            Phase::Draining | Phase::Disabled => {}
        }
    }

    /// The target failed. `last`: no other one could take its place.
    fn failed(&mut self, pass: Pass, rules: Rules, now: Instant, last: bool) {
        if pass.generation != self.generation {
            return;
        }
        match self.phase {
            Phase::Up | Phase::Suspect => {
                self.failures = self.failures.saturating_add(1);
                self.phase = Phase::Suspect;
                if self.failures >= rules.eject_after && !last {
                    self.eject(rules, now);
                }
            }
            Phase::Warming { .. } if last => {
                self.failures = 1;
                self.phase = Phase::Suspect;
            }
            Phase::Warming { .. } => self.eject(rules, now),
            Phase::Probation { .. } if pass.probe.is_some() => self.eject(rules, now),
            Phase::Ejected { .. } | Phase::Probation { .. } | Phase::Draining | Phase::Disabled => {}
        }
    }

    fn eject(&mut self, rules: Rules, now: Instant) {
        let healthy = self.back_since.take().map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let forgiven = u32::try_from(healthy.as_secs() / FORGIVEN_EVERY.as_secs()).unwrap_or(u32::MAX);
        self.ejections = self.ejections.saturating_sub(forgiven).saturating_add(1);
        self.generation = self.generation.wrapping_add(1);
        self.failures = 0;
        self.phase = Phase::Ejected { until: time::later(now, rules.ejection(self.ejections)) };
    }

    /// The call ended and says nothing of the target: its caller left, or it never got there.
    fn returned(&mut self, pass: Pass) {
        if let Phase::Probation { probe: Some(probe) } = self.phase
            && pass == (Pass { generation: self.generation, probe: Some(probe.number) })
        {
            self.phase = Phase::Probation { probe: None };
        }
    }

    fn by_hand(&mut self, phase: Phase) {
        *self = Self { phase, generation: self.generation.wrapping_add(1), probes: self.probes, ..Self::new() };
    }

    fn health(&self, now: Instant) -> Health {
        match self.phase {
            Phase::Up => Health::Up,
            Phase::Suspect => Health::Suspect,
            Phase::Ejected { until } => Health::Ejected { left: until.saturating_duration_since(now) },
            Phase::Probation { .. } => Health::Probation,
            Phase::Warming { .. } => Health::Warming,
            Phase::Draining => Health::Draining,
            Phase::Disabled => Health::Disabled,
        }
    }

    /// The name under which a change is told.
    fn told(&self) -> &'static str {
        match self.phase {
            // A failure here and there is not news; what it leads to is.
            Phase::Up | Phase::Suspect => "up",
            Phase::Ejected { .. } => "ejected",
            Phase::Probation { .. } => "probation",
            Phase::Warming { .. } => "warming",
            Phase::Draining => "draining",
            Phase::Disabled => "disabled",
        }
    }

    fn standing(&self) -> Standing {
        match self.phase {
            Phase::Up => Standing::Up,
            Phase::Suspect => Standing::Suspect,
            Phase::Warming { .. } => Standing::Warming,
            Phase::Ejected { .. } | Phase::Probation { .. } => Standing::Out,
            Phase::Draining => Standing::Draining,
            Phase::Disabled => Standing::Disabled,
        }
    }
}

/// What is known of a target without its lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Up = 0,
    Suspect,
    Warming,
    Out,
    Draining,
    Disabled,
}

impl Standing {
    /// Does it carry its part of the calls?
    pub(crate) fn is_healthy(self) -> bool {
        matches!(self, Self::Up | Self::Suspect | Self::Warming)
    }

    fn of(word: u64) -> Self {
        match word & 0xff {
            0 => Self::Up,
            1 => Self::Suspect,
            2 => Self::Warming,
            3 => Self::Out,
            4 => Self::Draining,
            _ => Self::Disabled,
        }
    }
}

/// The shell around the state: what is up is known from one load, everything else is behind a lock of its own.
#[derive(Debug)]
pub struct Monitor {
    /// Standing and generation of the state.
    word: AtomicU64,
    state: Mutex<State>,
}

impl Monitor {
    pub(crate) const fn new() -> Self {
        Self { word: AtomicU64::new(0), state: Mutex::new(State::new()) }
    }

    pub(crate) fn standing(&self) -> Standing {
        Standing::of(self.word.load(Ordering::Relaxed))
    }

    /// The leave to ask a target that needs no lock and no clock for it.
    #[inline]
    pub(crate) fn admit_at_once(&self) -> Option<Pass> {
        let word = self.word.load(Ordering::Relaxed);
        let plain = matches!(Standing::of(word), Standing::Up | Standing::Suspect);
        plain.then_some(Pass { generation: (word >> 8) as u32, probe: None })
    }

    /// Would a result under this leave still be counted?
    pub(crate) fn is_current(&self, pass: Pass) -> bool {
        let word = self.word.load(Ordering::Relaxed);
        (word >> 8) as u32 == pass.generation && Standing::of(word) != Standing::Disabled
    }

    /// Would [`admit`](Self::admit) let a call through? Takes nothing.
    pub(crate) fn would_admit(&self, rules: Rules, now: Instant) -> bool {
        let mut copy = *lock(&self.state);
        copy.admit(rules, now).is_some()
    }

    pub(crate) fn admit(&self, rules: Rules, now: Instant) -> (Option<Pass>, Option<Change>) {
        self.change(|state| state.admit(rules, now))
    }

    pub(crate) fn force(&self) -> Option<Pass> {
        lock(&self.state).force()
    }

    /// Has nothing happened to it that an answer under this leave would mend?
    #[inline]
    pub(crate) fn is_spotless(&self, pass: Pass) -> bool {
        self.word.load(Ordering::Relaxed) == u64::from(pass.generation) << 8 | Standing::Up as u64
    }

    pub(crate) fn answered(&self, pass: Pass, rules: Rules) -> Option<Change> {
        if self.is_spotless(pass) {
            return None;
        }
        self.change(|state| state.answered(pass, rules, time::now())).1
    }

    pub(crate) fn failed(&self, pass: Pass, rules: Rules, last: bool) -> Option<Change> {
        self.change(|state| state.failed(pass, rules, time::now(), last)).1
    }

    pub(crate) fn returned(&self, pass: Pass) {
        if pass.probe.is_some() {
            self.change(|state| state.returned(pass));
        }
    }

    pub(crate) fn drain(&self) -> Option<Change> {
        self.change(|state| state.by_hand(Phase::Draining)).1
    }

    pub(crate) fn disable(&self) -> Option<Change> {
        self.change(|state| state.by_hand(Phase::Disabled)).1
    }

    pub(crate) fn enable(&self) -> Option<Change> {
        self.change(|state| state.by_hand(Phase::Up)).1
    }

    pub(crate) fn health(&self) -> Health {
        lock(&self.state).health(time::now())
    }

    fn change<A>(&self, change: impl FnOnce(&mut State) -> A) -> (A, Option<Change>) {
        let mut state = lock(&self.state);
        let from = state.told();
        let answer = change(&mut state);
        let to = state.told();
        self.word.store(u64::from(state.generation) << 8 | state.standing() as u64, Ordering::Relaxed);
        (answer, (from != to).then_some(Change { from, to }))
    }
}

#[cfg(test)]
mod tests;
