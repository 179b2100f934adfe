//! The rule by which a bulkhead finds its limit: time is passed in, nothing waits here.
//!
//! Calls are taken together in *rounds*: as many answers as the limit, of calls that began in the round. So each decision
//! looks at what the decision before it has done, and what was in flight then counts for neither.

/// A call that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// Nanoseconds of one clock.
    pub(super) began: u64,
    pub(super) ended: u64,
    /// How many were inside at its end, itself included.
    pub(super) in_flight: u32,
    /// It answered; otherwise it was dropped, and would have taken longer still.
    pub(super) answered: bool,
}

/// How much longer than the baseline a round may take before the limit falls.
const TOLERANCE: f64 = 1.5;

/// The limit falls to no less than this at a time.
const STEEPEST: f64 = 0.5;

/// Answers that a round has at least: the mean of fewer says little.
const ROUND: u32 = 20;

/// After so many rounds the baseline is measured anew, if the limit is reached.
const MEASURE_EVERY: u32 = 64;

/// Halving the limit has helped when calls take less than this of what they took before: half as long if the wait was
/// of our making, as long as before if it was not.
const HELPED: f64 = 0.75;

#[derive(Debug)]
pub(super) struct Controller {
    min: u32,
    max: u32,
    limit: u32,
    round: Round,
    /// What a call takes, in seconds, when it waits for no other of ours.
    baseline: Option<f64>,
    /// Where the limit began to fall.
    fall: Option<Fall>,
    /// The limit to go back to after a round at half of it.
    measuring: Option<u32>,
    /// Rounds since the baseline was measured anew.
    age: u32,
}

#[derive(Clone, Copy, Debug)]
struct Round {
    /// When the first of its calls may have begun, in nanoseconds.
    began: Option<u64>,
    answers: u32,
    /// Seconds.
    total: f64,
    /// The most that were in flight.
    peak: u32,
}

#[derive(Clone, Copy, Debug)]
struct Fall {
    limit: u32,
    latency: f64,
}

impl Controller {
    pub(super) const fn new(min: u32, max: u32) -> Self {
        Self { min, max, limit: min, round: Round::new(None), baseline: None, fall: None, measuring: None, age: 0 }
    }

    /// The same bounds, nothing learned.
    pub(super) const fn fresh(&self) -> Self {
        Self::new(self.min, self.max)
    }

    pub(super) const fn limit(&self) -> u32 {
        self.limit
    }

    /// Learns from a call: the limit before and after, if it changes.
    pub(super) fn learn(&mut self, call: Call) -> Option<(u32, u32)> {
        let began = *self.round.began.get_or_insert(call.began);
        if call.began < began {
            return None;
        }
        let latency = call.ended.saturating_sub(call.began) as f64 / 1e9;
        // A call that was dropped took at least so long: that counts where it is long already.
        if !call.answered && self.baseline.is_none_or(|baseline| latency <= baseline) {
            return None;
        }
        self.round.answers += 1;
        self.round.total += latency;
        self.round.peak = self.round.peak.max(call.in_flight);
        if self.round.answers < self.limit.max(ROUND) {
            return None;
        }
        let round = std::mem::replace(&mut self.round, Round::new(Some(call.ended)));
        let before = self.limit;
        self.limit = self.decide(round.total / f64::from(round.answers), round.peak).clamp(self.min, self.max);
        (self.limit != before).then_some((before, self.limit))
    }

    fn decide(&mut self, latency: f64, peak: u32) -> u32 {
        if let Some(limit) = self.measuring.take() {
            self.measured(latency);
            return limit;
        }
        self.age = self.age.saturating_add(1);
        let baseline = *self.baseline.get_or_insert(latency);
        if latency > baseline * TOLERANCE {
            if peak <= self.limit / 2 {
                // The limit held nobody back, so it is not what makes calls slow.
                self.baseline = Some(baseline + (latency - baseline) / 4.0);
                return self.limit;
            }
            return self.fall(baseline, latency);
        }
        self.fall = None;
        let reached = peak >= self.limit;
        // Quickly down, where the baseline was plainly too high; slowly otherwise, for it follows a mean of few. And never up
        // while the limit is reached: what makes those calls slower may be their number, and the limit would creep up with it.
        let weight = if latency * TOLERANCE < baseline { 4.0 } else { 64.0 };
        if latency < baseline || !reached {
            self.baseline = Some(baseline + (latency - baseline) / weight);
        }
        if !reached {
            return self.limit;
        }
        if self.age >= MEASURE_EVERY && self.limit > self.min {
            self.measuring = Some(self.limit);
            return self.limit / 2;
        }
        self.limit.saturating_add(self.limit.isqrt())
    }

    fn fall(&mut self, baseline: f64, latency: f64) -> u32 {
        let from = *self.fall.get_or_insert(Fall { limit: self.limit, latency });
        if self.limit <= from.limit / 2 || self.limit == self.min {
            let helped = latency < from.latency * HELPED;
            // Slower than before, it is still on its way: calls wait behind those of a larger limit.
            let settled = latency < from.latency / HELPED || self.limit == self.min;
            if !helped && settled {
                self.measured(latency);
                return self.limit;
            }
            self.fall = Some(Fall { limit: self.limit, latency });
        }
        let gradient = (baseline * TOLERANCE / latency).max(STEEPEST);
        (f64::from(self.limit) * gradient) as u32
    }

    fn measured(&mut self, latency: f64) {
        self.baseline = Some(latency);
        self.fall = None;
        self.age = 0;
    }
}

impl Round {
    const fn new(began: Option<u64>) -> Self {
        Self { began, answers: 0, total: 0.0, peak: 0 }
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::{BinaryHeap, VecDeque};

    use super::*;

    const MS: u64 = 1_000_000;

    /// A dependency with so many workers and a queue, behind a controller: events in virtual time.
    struct Simulation {
        controller: Controller,
        /// Microseconds.
        now: u64,
        workers: usize,
        /// Microseconds that a worker takes for a call, on average.
        takes: u64,
        /// How many callers ask again and again; who is refused comes back a little later.
        callers: usize,
        running: BinaryHeap<Reverse<(u64, u64)>>,
        queued: VecDeque<u64>,
        random: fastrand::Rng,
        limits: Vec<u32>,
        cuts: u32,
        answers: u64,
    }

    impl Simulation {
        fn new(controller: Controller, workers: usize, takes: u64) -> Self {
            Self {
                controller,
                now: 0,
                workers,
                takes,
                callers: 1_000,
                running: BinaryHeap::new(),
                queued: VecDeque::new(),
                random: fastrand::Rng::with_seed(7),
                limits: Vec::new(),
                cuts: 0,
                answers: 0,
            }
        }

        /// A call takes between half and one and a half times the mean.
        fn service(&mut self) -> u64 {
            self.takes / 2 + self.random.u64(0..=self.takes)
        }

        fn in_flight(&self) -> usize {
            self.running.len() + self.queued.len()
        }

        fn fill(&mut self) {
            while self.in_flight() < self.callers.min(self.controller.limit as usize) {
                self.queued.push_back(self.now);
            }
            while self.running.len() < self.workers
                && let Some(began) = self.queued.pop_front()
            {
                let ends = self.now + self.service();
                self.running.push(Reverse((ends, began)));
            }
        }

        /// Runs so many calls to their end.
        fn run(&mut self, calls: u64) -> &mut Self {
            self.limits.clear();
            (self.cuts, self.answers) = (0, 0);
            for _ in 0..calls {
                self.fill();
                let in_flight = self.in_flight() as u32;
                let Some(Reverse((ends, began))) = self.running.pop() else { panic!("nothing runs") };
                self.now = ends;
                let call = Call { began: began * 1_000, ended: ends * 1_000, in_flight, answered: true };
                if let Some((from, to)) = self.controller.learn(call) {
                    assert!((self.controller.min..=self.controller.max).contains(&to), "{to}");
                    assert_ne!(from, to);
                    self.cuts += u32::from(to < from);
                }
                self.limits.push(self.controller.limit);
                self.answers += 1;
            }
            self
        }

        /// The mean limit of the last half of the calls.
        fn settled(&self) -> f64 {
            let last = &self.limits[self.limits.len() / 2..];
            last.iter().map(|limit| f64::from(*limit)).sum::<f64>() / last.len() as f64
        }
    }

    #[test]
    fn the_limit_settles_a_little_above_what_the_other_side_works_on_at_once() {
        for workers in [4, 20, 100] {
            let settled = Simulation::new(Controller::new(2, 1_000), workers, 10_000).run(200_000).settled();
            let ratio = settled / workers as f64;
            assert!((0.9..=2.0).contains(&ratio), "{workers} workers, limit {settled}");
        }
    }

    #[test]
    fn a_limit_that_is_always_reached_does_not_creep_up_in_the_long_run() {
        let mut simulation = Simulation::new(Controller::new(2, 10_000), 20, 10_000);
        simulation.callers = 10_000;
        let early = simulation.run(100_000).settled();
        let late = simulation.run(2_000_000).settled();
        assert!(late < early * 1.5 && late < 50.0, "{early} then {late}");
    }

    #[test]
    fn it_follows_when_the_other_side_loses_and_regains_workers() {
        let mut simulation = Simulation::new(Controller::new(2, 1_000), 100, 10_000);
        simulation.run(100_000);
        simulation.workers = 10;
        let few = simulation.run(50_000).settled();
        assert!((8.0..=25.0).contains(&few), "{few}");
        simulation.workers = 100;
        let many = simulation.run(200_000).settled();
        assert!((80.0..=250.0).contains(&many), "{many}");
    }

    #[test]
    fn case_50_one_burst_is_at_most_one_cut() {
        let mut controller = Controller { limit: 100, baseline: Some(0.010), ..Controller::new(1, 200) };
        // A hundred calls in flight, all stuck for five seconds, all end at once.
        let stuck = |number: u64| Call {
            began: number * MS,
            ended: 5_000 * MS,
            in_flight: 100 - number as u32,
            answered: true,
        };
        let changes: Vec<_> = (0..100).filter_map(|number| controller.learn(stuck(number))).collect();
        assert_eq!(changes, [(100, 50)]);
        // And those of the same burst that answer later still.
        let late = Call { ended: 9_000 * MS, in_flight: 100, ..stuck(99) };
        assert!((0..1_000).all(|_| controller.learn(late).is_none()));
    }

    #[test]
    fn case_50_what_does_not_reach_the_limit_does_not_raise_it() {
        let mut simulation = Simulation::new(Controller::new(10, 1_000), 100, 10_000);
        simulation.callers = 9;
        assert!(simulation.run(100_000).limits.iter().all(|limit| *limit == 10));
    }

    #[test]
    fn case_50_a_limit_that_held_nobody_back_does_not_fall_either() {
        let mut simulation = Simulation::new(Controller { limit: 500, ..Controller::new(1, 1_000) }, 1_000, 10_000);
        simulation.callers = 50;
        simulation.run(10_000);
        simulation.takes = 200_000;
        assert!(simulation.run(10_000).limits.iter().all(|limit| *limit == 500));
    }

    #[test]
    fn case_50_a_lasting_change_of_latency_is_learned_and_the_limit_recovers() {
        // Everything takes 1 ms, then 20 ms for good; there are workers enough.
        let mut simulation = Simulation::new(Controller::new(1, 200), 1_000, 1_000);
        let before = simulation.run(100_000).settled();
        simulation.takes = 20_000;
        let shifted = simulation.run(50_000);
        let (lowest, cuts) = (shifted.limits.iter().min().copied(), shifted.cuts);
        let after = shifted.settled();
        assert!(before > 190.0 && after > 190.0, "{before} then {after}, {cuts} cuts down to {lowest:?}");
        assert!(lowest >= Some(25), "no deeper than it takes to see that it does not help: {lowest:?}");
        // And back.
        simulation.takes = 1_000;
        let back = simulation.run(100_000).settled();
        assert!(back > 190.0, "{back}");
    }

    #[test]
    fn calls_that_are_cut_off_count_when_they_took_long() {
        let mut controller = Controller { limit: 40, baseline: Some(0.010), ..Controller::new(1, 200) };
        let call = |millis| Call { began: 0, ended: millis * MS, in_flight: 40, answered: false };
        assert!((0..1_000).all(|_| controller.learn(call(5)).is_none()), "left early: says nothing");
        let changes: Vec<_> = (0..40).filter_map(|_| controller.learn(call(1_000))).collect();
        assert_eq!(changes, [(40, 20)]);
    }

    #[test]
    fn extremes_stay_within_bounds() {
        for (min, max) in [(1, 1), (1, u32::MAX), (u32::MAX, u32::MAX), (7, 9)] {
            let mut controller = Controller::new(min, max);
            let mut random = fastrand::Rng::with_seed(1);
            for step in 0..20_000 {
                let began = step * 1_000 * MS;
                let ended = began + random.u64(0..=1) * random.u64(..1 << 60);
                controller.learn(Call { began, ended, in_flight: random.u32(..), answered: random.bool() });
                assert!((min..=max).contains(&controller.limit));
            }
        }
    }
}
