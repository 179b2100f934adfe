use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const FAILED: Mark = Mark { failed: true, slow: false };
const GOOD: Mark = Mark { failed: false, slow: false };

/// What the window is, written as it is said: the outcomes that are young enough, counted anew each time.
#[derive(Default)]
struct Naive {
    outcomes: VecDeque<(Nanos, Mark)>,
}

impl Naive {
    fn record(&mut self, rules: &Rules, mark: Mark, now: Nanos) -> Verdict {
        self.outcomes.push_back((now, mark));
        match rules.span {
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
        let calls = self.outcomes.len();
        let part =
            |bad: fn(&Mark) -> bool| self.outcomes.iter().filter(|(_, mark)| bad(mark)).count() as f64 / calls as f64;
        if calls < rules.min_calls() as usize {
            Verdict::Within
        } else if part(|mark| mark.failed) >= rules.rate {
            Verdict::Beyond("failure_rate")
        } else if rules.slow.is_some() && part(|mark| mark.slow) >= rules.slow_rate {
            Verdict::Beyond("slow_rate")
        } else {
            Verdict::Within
        }
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        self.outcomes.iter().for_each(|(_, mark)| tally.add(Tally::of(*mark)));
        tally
    }
}

fn span() -> impl Strategy<Value = Span> {
    prop_oneof![(1u32..200).prop_map(Span::Calls), (10u64..2_000).prop_map(|millis| Span::Time(millis * 1_000_000)),]
}

/// A run of successes, or one call that may be anything; after a while.
fn steps() -> impl Strategy<Value = Vec<(u64, u64, bool, bool)>> {
    let wait = prop_oneof![4 => Just(0), 4 => 0u64..30_000_000, 1 => 0u64..4_000_000_000];
    let run = prop_oneof![3 => Just(0u64), 3 => 0u64..20, 1 => 0u64..250];
    prop::collection::vec((wait, run, any::<bool>(), any::<bool>()), 1..60)
}

proptest! {
    #[test]
    fn a_window_is_what_the_last_outcomes_are_and_runs_of_successes_count_like_single_ones(
        span in span(),
        rate in 0.01f64..=1.0,
        slow_rate in 0.01f64..=1.0,
        min_calls in 1u32..30,
        steps in steps(),
    ) {
        let min_calls = match span { Span::Calls(calls) => min_calls.min(calls), Span::Time(_) => min_calls };
        let rules = Rules { span, rate, slow_rate, slow: Some(1), min_calls: Some(min_calls), ..Rules::DEFAULT };
        let (mut window, mut naive, mut now) = (Window::new(), Naive::default(), 1 << 60);
        for (wait, run, failed, slow) in steps {
            now += wait;
            let mark = Mark { failed, slow };
            prop_assert_eq!(window.record(&rules, mark, now), naive.record(&rules, mark, now));
            // A run is counted before the slot ends in which it began, and so is this one.
            window.successes(&rules, run);
            for _ in 0..run {
                naive.record(&rules, GOOD, now);
            }
            prop_assert_eq!(window.tally(), naive.tally());
            prop_assert!(matches!(rules.span, Span::Calls(_)) || now < window.slot_ends(&rules));
        }
    }

    #[test]
    fn failures_in_a_row_are_those_since_the_last_success(outcomes in prop::collection::vec(any::<bool>(), 1..60), limit in 1u32..8) {
        let rules = Rules { consecutive: Some(limit), min_calls: Some(100), ..Rules::DEFAULT };
        let (mut window, mut row) = (Window::new(), 0);
        for failed in outcomes {
            row = if failed { row + 1 } else { 0 };
            let opens = window.record(&rules, Mark { failed, slow: false }, 0) != Verdict::Within;
            prop_assert_eq!(opens, row >= limit);
        }
    }
}

#[test]
fn a_success_that_is_not_watched_never_opens() {
    // What the fast path rests on: once `min_calls` are in, or while nothing bad is, a success changes no verdict from
    // within to beyond.
    let rules = Rules { span: Span::Calls(8), min_calls: Some(5), ..Rules::DEFAULT };
    for script in 0u32..1 << 12 {
        let mut window = Window::new();
        for call in 0..12 {
            let failed = script & 1 << call != 0;
            let watched = window.is_watchful(&rules);
            let before = window.verdict(&rules);
            let verdict = window.record(&rules, Mark { failed, slow: false }, 0);
            assert!(
                failed || watched || before != Verdict::Within || verdict == Verdict::Within,
                "{script:b} at {call}"
            );
        }
    }
}

#[test]
fn three_of_ten_are_a_rate_of_0_3_and_two_of_three_are_two_thirds() {
    for (failures, calls, rate) in [(3, 10, 0.3), (2, 3, 2.0 / 3.0), (7, 100, 0.07), (29, 100, 0.29), (1, 1, 1.0)] {
        let rules = Rules { rate, span: Span::Calls(calls), min_calls: Some(calls), ..Rules::DEFAULT };
        let mut window = Window::new();
        window.successes(&rules, u64::from(calls - failures));
        (1..failures).for_each(|_| assert_eq!(window.record(&rules, FAILED, 0), Verdict::Within));
        assert_eq!(window.record(&rules, FAILED, 0), Verdict::Beyond("failure_rate"), "{failures} of {calls}");
    }
}

#[test]
fn a_call_leaves_a_window_over_time_within_a_sixtieth_of_its_length() {
    let rules = Rules { span: Span::Time(60_000), ..Rules::DEFAULT };
    for began in [0, 1, 999, 500] {
        let mut window = Window::new();
        window.record(&rules, FAILED, began);
        window.advance(&rules, began + 59_000);
        assert_eq!(
            window.tally().failures,
            u64::from(began % 1000 < 1000 && (began + 59_000) / 1000 - began / 1000 < 60)
        );
        window.advance(&rules, began + 60_000);
        assert_eq!(window.tally(), Tally::default());
    }
}

#[test]
fn memory_is_bounded_by_the_span_and_taken_only_when_something_is_bad() {
    let rules = Rules { span: Span::Calls(1_000), ..Rules::DEFAULT };
    let mut window = Window::new();
    window.successes(&rules, 5_000);
    assert_eq!(window.ring.failed.0.capacity(), 0);
    for _ in 0..5_000 {
        window.record(&rules, FAILED, 0);
    }
    assert_eq!(window.ring.failed.0.len(), 16);
    window.successes(&rules, 1_000);
    assert_eq!(window.ring.failed.0.capacity(), 0);
}
