//! A shared limit on extra attempts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::counter::Counter;
use crate::sync::{Mutex, lock};
use crate::time;

/// Keeps retries (and hedges, and failovers) to a fraction of the calls: where everything fails, an unlimited retry
/// multiplies the load by its attempts, a budget of 10 % by 1.1.
///
/// Shared by reference: put one beside each dependency in a `static` and give it to every policy that calls it. An
/// attempt is charged when it is scheduled, and refunded when it is cancelled before it starts. Refusals of our own
/// policies cost nothing.
///
/// # Defaults
///
/// | setting | default |
/// |---|---|
/// | [`ratio`](Self::ratio) | 0.1: one extra attempt for every ten calls |
/// | [`floor`](Self::floor) | 10 extra attempts in a window, however few the calls |
/// | [`window`](Self::window) | 10 s |
///
/// ```
/// use ft_runtime::{Retry, RetryBudget};
///
/// static PAYMENTS: RetryBudget = RetryBudget::new().ratio(0.2);
/// static PAY: Retry = Retry::new().max_attempts(4).budget(&PAYMENTS);
/// ```
///
/// The rule: in any window, extra attempts <= floor + ratio * calls. Both sides are whole numbers, compared in
/// millionths, so the ratio is exact at any percentage. Calls are only counted on the hot path (no clock is read);
/// they are dated when an extra attempt is asked for, evenly over the time since the last one.
#[derive(Debug)]
pub struct RetryBudget {
    /// Millionths of an extra attempt that each call earns.
    ratio: u64,
    floor: u32,
    window: Duration,
    /// Calls since the ledger was last brought up to date.
    calls: Counter,
    /// The ledger is dated: the first call has come.
    begun: AtomicBool,
    ledger: Mutex<Ledger>,
}

/// Slots of the window.
const SLOTS: usize = 10;
const MILLION: u64 = 1_000_000;

#[derive(Clone, Copy, Debug)]
struct Ledger {
    slots: [Slot; SLOTS],
    /// The slot that is filled now, counted from the first one ever.
    current: u64,
    /// When the first slot began.
    began: Option<Instant>,
    /// When calls were last dated.
    dated: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Millionths of calls.
    calls: u64,
    extra: u64,
}

impl RetryBudget {
    /// A budget with the defaults.
    pub const fn new() -> Self {
        Self {
            ratio: MILLION / 10,
            floor: 10,
            window: Duration::from_secs(10),
            calls: Counter::new(),
            begun: AtomicBool::new(false),
            ledger: Mutex::new(Ledger {
                slots: [Slot { calls: 0, extra: 0 }; SLOTS],
                current: 0,
                began: None,
                dated: None,
            }),
        }
    }

    /// Extra attempts for each call: 0.1 by default, exact to a millionth.
    ///
    /// # Panics
    ///
    /// Unless `0 <= ratio <= 10`; in a constant that is a compile error.
    #[track_caller]
    pub const fn ratio(mut self, ratio: f64) -> Self {
        assert!(ratio >= 0.0 && ratio <= 10.0, "the ratio of a budget must be between 0 and 10");
        // Half a millionth up: 0.29 is 290_000 millionths, not 289_999.
        self.ratio = (ratio * MILLION as f64 + 0.5) as u64;
        self
    }

    /// Extra attempts in a window that are always there: 10 by default.
    pub const fn floor(mut self, floor: u32) -> Self {
        self.floor = floor;
        self
    }

    /// How long a call counts: 10 s by default.
    ///
    /// # Panics
    ///
    /// When it is shorter than 10 ms.
    #[track_caller]
    pub const fn window(mut self, window: Duration) -> Self {
        assert!(window.as_millis() >= 10, "the window of a budget must be at least 10 ms");
        self.window = window;
        self
    }

    /// Counts a call.
    #[inline]
    pub fn deposit(&self) {
        if !self.begun.load(Ordering::Relaxed) {
            self.begin();
        }
        self.calls.bump();
    }

    /// Dates the ledger at the first call: what comes after it is counted over the time since then.
    #[cold]
    fn begin(&self) {
        let mut ledger = lock(&self.ledger);
        if !self.begun.swap(true, Ordering::Relaxed) {
            self.bring_up_to_date(&mut ledger, time::now());
        }
    }

    /// Charges an extra attempt, if there is one left. Dropping the charge unspent refunds it.
    pub fn withdraw(&self) -> Option<Charge<'_>> {
        let now = time::now();
        let mut ledger = lock(&self.ledger);
        self.bring_up_to_date(&mut ledger, now);
        let calls: u64 = ledger.slots.iter().map(|slot| slot.calls).sum();
        let extra: u64 = ledger.slots.iter().map(|slot| slot.extra).sum();
        let earned = u128::from(calls) * u128::from(self.ratio) / u128::from(MILLION);
        let allowed = u128::from(self.floor) * u128::from(MILLION) + earned;
        if u128::from(extra + 1) * u128::from(MILLION) > allowed {
            return None;
        }
        let current = ledger.current;
        ledger.slots[slot_of(current)].extra += 1;
        Some(Charge { budget: self, slot: Some(current) })
    }

    fn refund(&self, slot: u64) {
        let mut ledger = lock(&self.ledger);
        // A charge that has left the window no longer weighs, and its slot may be somebody else's.
        if ledger.current - slot < SLOTS as u64 {
            let slot = &mut ledger.slots[slot_of(slot)];
            slot.extra = slot.extra.saturating_sub(1);
        }
    }

    /// Empties the slots that have left the window and dates the calls that came since the last time.
    fn bring_up_to_date(&self, ledger: &mut Ledger, now: Instant) {
        let began = *ledger.began.get_or_insert(now);
        let slot_length = self.window.as_nanos() / SLOTS as u128;
        let current = (now.saturating_duration_since(began).as_nanos() / slot_length) as u64;
        let passed = current.saturating_sub(ledger.current).min(SLOTS as u64);
        for ahead in 1..=passed {
            ledger.slots[slot_of(ledger.current + ahead)] = Slot { calls: 0, extra: 0 };
        }
        ledger.current = ledger.current.max(current);

        let calls = u128::from(self.calls.take()) * u128::from(MILLION);
        let since = ledger.dated.replace(now).map_or(Duration::ZERO, |dated| now.saturating_duration_since(dated));
        // Over the slots that have passed since, at most all; what lies before the window is forgotten.
        let spread = passed.max(1);
        let inside = if since > self.window { calls * self.window.as_nanos() / since.as_nanos() } else { calls };
        let (share, rest) = (inside / u128::from(spread), inside % u128::from(spread));
        for back in 0..spread {
            let Some(slot) = ledger.current.checked_sub(back) else { break };
            let share = share + if back == 0 { rest } else { 0 };
            let slot = &mut ledger.slots[slot_of(slot)];
            slot.calls = slot.calls.saturating_add(u64::try_from(share).unwrap_or(u64::MAX));
        }
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new()
    }
}

fn slot_of(number: u64) -> usize {
    (number % SLOTS as u64) as usize
}

/// An extra attempt that was charged. [`spend`](Self::spend) it when the attempt starts; dropped before, it is refunded.
#[derive(Debug)]
#[must_use = "dropping the charge refunds it"]
pub struct Charge<'a> {
    budget: &'a RetryBudget,
    slot: Option<u64>,
}

impl Charge<'_> {
    /// The attempt starts.
    pub fn spend(mut self) {
        self.slot = None;
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.budget.refund(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(budget: &RetryBudget) -> u64 {
        std::iter::from_fn(|| budget.withdraw().map(Charge::spend)).count() as u64
    }

    /// Case 18.
    #[tokio::test(start_paused = true)]
    async fn any_ratio_is_exact_and_nothing_is_lost_to_rounding() {
        for ratio in [0.01, 0.1, 0.29, 0.3, 0.4, 0.6, 0.7, 0.9, 1.0, 1.5] {
            for calls in [0u64, 1, 7, 99, 1_000, 10_001] {
                let budget = RetryBudget::new().ratio(ratio).floor(3);
                (0..calls).for_each(|_| budget.deposit());
                let taken = take_all(&budget) as f64;
                let exact = ratio * calls as f64 + 3.0;
                assert!(taken <= exact + 1e-6 && taken >= exact - 1.0, "{ratio} of {calls}: {taken}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn case_21_a_small_reward_still_counts_at_a_large_balance() {
        let budget = RetryBudget::new().ratio(0.001).floor(0);
        // More than a 32-bit float can count by ones.
        (0..20_000_000).for_each(|_| budget.deposit());
        assert_eq!(take_all(&budget), 20_000);
        (0..999).for_each(|_| budget.deposit());
        assert_eq!(take_all(&budget), 0);
        budget.deposit();
        assert_eq!(take_all(&budget), 1);
    }

    /// Case 20.
    #[test]
    fn sixteen_threads_never_take_more_than_there_is() {
        let budget = RetryBudget::new().ratio(0.5).floor(0).window(Duration::from_secs(3600));
        let taken: u64 = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..16)
                .map(|_| {
                    scope.spawn(|| {
                        (0..1_000)
                            .filter(|_| {
                                budget.deposit();
                                budget.withdraw().map(Charge::spend).is_some()
                            })
                            .count() as u64
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        assert_eq!(taken + take_all(&budget), 8_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_charge_that_is_dropped_unspent_is_refunded() {
        let budget = RetryBudget::new().ratio(0.0).floor(1);
        for _ in 0..3 {
            drop(budget.withdraw().expect("the floor"));
        }
        budget.withdraw().expect("still the floor").spend();
        assert!(budget.withdraw().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_outage_after_a_long_quiet_time_is_held_as_well() {
        let budget = RetryBudget::new().ratio(0.1).floor(10);
        // A day of ten calls a second without a failure, then everything fails.
        for _ in 0..24 {
            (0..36_000).for_each(|_| budget.deposit());
            tokio::time::advance(Duration::from_secs(3600)).await;
        }
        assert_eq!(take_all(&budget), 10 + 10);
    }

    #[tokio::test(start_paused = true)]
    async fn the_floor_comes_back_after_a_window_and_old_calls_stop_counting() {
        let budget = RetryBudget::new().ratio(1.0).floor(2);
        assert_eq!(take_all(&budget), 2);
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(take_all(&budget), 2);

        // An hour of calls without a failure earns what a window of them earns.
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(take_all(&budget), 2);
        (0..36_000).for_each(|_| budget.deposit());
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(take_all(&budget), 100 + 2);
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(take_all(&budget), 2);
    }
}

/// `RUSTFLAGS="--cfg ft_shuttle" cargo test -p ft-runtime --lib interleaving`
#[cfg(all(test, ft_shuttle))]
mod interleavings {
    use std::sync::Arc;

    use shuttle::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn in_any_interleaving_charges_and_refunds_add_up() {
        let explore = || {
            let budget = Arc::new(RetryBudget::new().ratio(0.0).floor(2));
            let spent = Arc::new(AtomicU32::new(0));
            let callers: Vec<_> = (0..3)
                .map(|caller| {
                    let (budget, spent) = (Arc::clone(&budget), Arc::clone(&spent));
                    shuttle::thread::spawn(move || match budget.withdraw() {
                        Some(charge) if caller > 0 => {
                            charge.spend();
                            spent.fetch_add(1, Ordering::SeqCst);
                        }
                        refunded => drop(refunded),
                    })
                })
                .collect();
            callers.into_iter().for_each(|caller| caller.join().expect("callers do not panic"));
            let left = std::iter::from_fn(|| budget.withdraw().map(Charge::spend)).count() as u32;
            assert_eq!(spent.load(Ordering::SeqCst) + left, 2);
        };
        shuttle::check_random(explore, 2_000);
    }
}
