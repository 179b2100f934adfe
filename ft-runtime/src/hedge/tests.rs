use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::*;
use crate::deadline::Deadline;
use crate::fault::FaultKind;
use crate::rejected::Rejected;
use crate::time;

/// Says of itself what it is.
#[derive(Clone, Debug, PartialEq)]
struct Wrong(FaultKind, &'static str);

impl Fault for Wrong {
    fn kind(&self) -> FaultKind {
        self.0
    }

    fn rejected(&self) -> Option<&Rejected> {
        (self.1 == "refused").then_some(&Rejected::BulkheadFull)
    }
}

const PASSING: Wrong = Wrong(FaultKind::Transient, "passing");
const FOR_GOOD: Wrong = Wrong(FaultKind::Permanent, "for good");

type Outcome = Result<u32, Wrong>;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Calls that take so long and come out like this, one after the other; what they did is written down.
struct Calls {
    script: Vec<(u64, Outcome)>,
    made: Cell<usize>,
    log: Rc<RefCell<Vec<String>>>,
    began: std::time::Instant,
}

impl Calls {
    fn new(script: impl IntoIterator<Item = (u64, Outcome)>) -> Self {
        Self { script: script.into_iter().collect(), made: Cell::new(0), log: Rc::default(), began: time::now() }
    }

    fn make(&self) -> impl Future<Output = Outcome> + use<> {
        let number = self.made.replace(self.made.get() + 1) + 1;
        let (takes, outcome) = self.script[number - 1].clone();
        let log = Rc::clone(&self.log);
        let at = (time::now() - self.began).as_millis();
        log.borrow_mut().push(format!("{at}: call {number}"));
        let end = End { log, began: self.began, number };
        async move {
            if takes > 0 {
                tokio::time::sleep(ms(takes)).await;
            }
            drop(end);
            outcome
        }
    }

    async fn through(&self, hedge: &Hedge) -> (Outcome, u128) {
        let outcome = hedge.call(|| self.make()).await;
        self.log.borrow_mut().push("answer".to_owned());
        (outcome, (time::now() - self.began).as_millis())
    }

    fn log(&self) -> Vec<String> {
        self.log.borrow().clone()
    }
}

struct End {
    log: Rc<RefCell<Vec<String>>>,
    began: std::time::Instant,
    number: usize,
}

impl Drop for End {
    fn drop(&mut self) {
        let at = (time::now() - self.began).as_millis();
        self.log.borrow_mut().push(format!("{at}: end {}", self.number));
    }
}

fn fixed() -> Hedge {
    Hedge::new().after(ms(10))
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_slow_gets_an_extra_one_beside_it() {
    let calls = Calls::new([(100, Ok(1)), (20, Ok(2))]);
    assert_eq!(calls.through(&fixed()).await, (Ok(2), 30));
    assert_eq!(calls.log(), ["0: call 1", "10: call 2", "30: end 2", "30: end 1", "answer"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_fast_stays_alone() {
    let calls = Calls::new([(9, Ok(1))]);
    assert_eq!(calls.through(&fixed()).await, (Ok(1), 9));
    let calls = Calls::new([(0, Ok(1))]);
    assert_eq!(calls.through(&fixed()).await, (Ok(1), 0));
}

#[tokio::test(start_paused = true)]
async fn case_52_a_hedges_error_never_beats_a_live_primary() {
    let calls = Calls::new([(100, Ok(1)), (1, Err(PASSING))]);
    assert_eq!(calls.through(&fixed()).await, (Ok(1), 100));
}

#[tokio::test(start_paused = true)]
async fn case_52_a_fast_error_of_the_primary_does_not_wait_for_the_timer() {
    let calls = Calls::new([(1, Err(PASSING)), (5, Ok(2))]);
    assert_eq!(calls.through(&Hedge::new().after(ms(200))).await, (Ok(2), 6));
    let calls = Calls::new([(0, Err(PASSING)), (5, Ok(2))]);
    assert_eq!(calls.through(&Hedge::new().after(ms(200))).await, (Ok(2), 5));
}

#[tokio::test(start_paused = true)]
async fn case_52_a_permanent_error_starts_no_hedge_and_is_an_answer() {
    let calls = Calls::new([(0, Err(FOR_GOOD))]);
    assert_eq!(calls.through(&fixed()).await, (Err(FOR_GOOD), 0));
    let calls = Calls::new([(100, Ok(1)), (5, Err(FOR_GOOD))]);
    assert_eq!(calls.through(&fixed()).await, (Err(FOR_GOOD), 15));
}

#[tokio::test(start_paused = true)]
async fn case_52_the_loser_is_dropped_before_the_winner_returns() {
    let calls = Calls::new([(15, Ok(1)), (100, Ok(2))]);
    let hedge = fixed();
    let mut race = Box::pin(hedge.calls::<Outcome>().run(|| calls.make()));
    race.as_mut().await.unwrap();
    calls.log.borrow_mut().push("answer".to_owned());
    drop(race);
    assert_eq!(calls.log(), ["0: call 1", "10: call 2", "15: end 1", "15: end 2", "answer"]);
}

#[tokio::test(start_paused = true)]
async fn when_all_fail_the_outcome_is_that_of_the_primary() {
    let second = Wrong(FaultKind::Transient, "second");
    let calls = Calls::new([(30, Err(PASSING)), (40, Err(second.clone()))]);
    assert_eq!(calls.through(&fixed()).await, (Err(PASSING), 50));
    let calls = Calls::new([(50, Err(PASSING)), (5, Err(second))]);
    assert_eq!(calls.through(&fixed()).await, (Err(PASSING), 50));
}

#[tokio::test(start_paused = true)]
async fn extra_calls_follow_each_other_up_to_their_bound() {
    let slow = [(100, Ok(1)), (100, Ok(2)), (100, Ok(3)), (100, Ok(4))];
    let calls = Calls::new(slow);
    assert_eq!(calls.through(&fixed().max_extra(3)).await, (Ok(1), 100));
    assert_eq!(calls.log()[..4], ["0: call 1", "10: call 2", "20: call 3", "30: call 4"]);
    let failing = [(0, Err(PASSING)), (0, Err(PASSING)), (0, Err(PASSING)), (0, Err(PASSING))];
    let calls = Calls::new(failing);
    assert_eq!(calls.through(&fixed().max_extra(3)).await, (Err(PASSING), 0));
    assert_eq!(calls.made.get(), 4);
}

#[tokio::test]
async fn without_a_delay_all_start_at_once_on_a_real_clock_too() {
    let calls = Calls::new([(5, Ok(1)), (5, Ok(2)), (5, Ok(3))]);
    let hedge = Hedge::new().after(Duration::ZERO).max_extra(2);
    let mut race = Box::pin(hedge.calls::<Outcome>().run(|| calls.make()));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(race.as_mut().poll(&mut context).is_pending());
    assert_eq!(calls.made.get(), 3);
}

#[tokio::test(start_paused = true)]
async fn nobody_who_asks_for_patience_and_no_policy_of_ours_is_asked_again_at_once() {
    let busy = Wrong(FaultKind::Throttled { retry_after: Some(ms(50)) }, "busy");
    let refused = Wrong(FaultKind::Unsent, "refused");
    for wrong in [busy, refused] {
        let calls = Calls::new([(1, Err(wrong.clone()))]);
        assert_eq!(calls.through(&fixed()).await, (Err(wrong), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_patience_is_left_alone_when_others_are_running_too() {
    let busy = Wrong(FaultKind::Throttled { retry_after: None }, "busy");
    // Neither by the timer, which is set for the third call ..
    let calls = Calls::new([(15, Err(busy.clone())), (100, Ok(2)), (1, Ok(3))]);
    assert_eq!(calls.through(&fixed().max_extra(2)).await, (Ok(2), 110));
    assert_eq!(calls.made.get(), 2);
    // .. nor by a failure that comes after.
    let calls = Calls::new([(15, Err(busy.clone())), (100, Err(PASSING)), (1, Ok(3))]);
    assert_eq!(calls.through(&fixed().max_extra(2)).await, (Err(busy), 110));
}

#[tokio::test(start_paused = true)]
async fn no_extra_call_starts_that_does_not_fit_the_deadline() {
    let calls = Calls::new([(30, Ok(1))]);
    let outcome = Deadline::after(ms(10)).scope(calls.through(&fixed())).await;
    assert_eq!(outcome, (Ok(1), 30));
    let calls = Calls::new([(30, Err(PASSING))]);
    let outcome = Deadline::after(ms(30)).scope(calls.through(&Hedge::new().after(ms(50)))).await;
    assert_eq!((outcome, calls.made.get()), ((Err(PASSING), 30), 1));
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_starts_no_extra_call_and_the_primary_goes_on() {
    static SPENT: RetryBudget = RetryBudget::new().ratio(0.0).floor(1);
    static HEDGE: Hedge = Hedge::new().after(Duration::from_millis(10)).budget(&SPENT);
    let calls = Calls::new([(100, Ok(1)), (1, Ok(2))]);
    assert_eq!(calls.through(&HEDGE).await.0, Ok(2));
    let calls = Calls::new([(100, Ok(1))]);
    assert_eq!(calls.through(&HEDGE).await.0, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_never_started_is_not_charged() {
    static BUDGET: RetryBudget = RetryBudget::new().ratio(0.0).floor(1);
    static HEDGE: Hedge = Hedge::new().after(Duration::from_millis(10)).budget(&BUDGET);
    // Dropped in the delay.
    let calls = Calls::new([(100, Ok(1))]);
    assert!(tokio::time::timeout(ms(5), calls.through(&HEDGE)).await.is_err());
    // The extra call panics while it is made.
    let made = Cell::new(0);
    let panics = HEDGE.call(|| {
        made.set(made.get() + 1);
        assert!(made.get() < 2, "the second call panics");
        async {
            tokio::time::sleep(ms(100)).await;
            Outcome::Ok(1)
        }
    });
    let panics = std::panic::AssertUnwindSafe(panics);
    assert!(catch(panics).await.is_err());
    assert!(BUDGET.withdraw().is_some());
}

async fn catch<F: Future>(future: std::panic::AssertUnwindSafe<F>) -> std::thread::Result<F::Output> {
    let mut future = std::pin::pin!(future.0);
    std::future::poll_fn(move |cx| {
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => std::task::Poll::Ready(Err(panic)),
        }
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn values_that_are_not_good_enough_are_failures_when_asked_so() {
    let calls = Calls::new([(1, Ok(1)), (1, Ok(2))]);
    let outcome = fixed().until(|value: &u32| *value > 1).call(|| calls.make()).await;
    assert_eq!(outcome, Ok(2));
    let calls = Calls::new([(1, Err(FOR_GOOD)), (1, Ok(2))]);
    assert_eq!(fixed().when(|_: &Wrong| true).call(|| calls.make()).await, Ok(2));
}

/// Warms a hedge up: all calls take so long.
async fn warm(hedge: &Hedge, takes: u64, outcome: Outcome) {
    for _ in 0..20 {
        let calls = Calls::new([(takes, outcome.clone()), (takes, outcome.clone())]);
        let _ = calls.through(hedge).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_delay_follows_the_latency_after_the_warm_up() {
    let hedge = Hedge::new();
    assert_eq!(hedge.delay(), None);
    warm(&hedge, 40, Ok(1)).await;
    let delay = hedge.delay().unwrap();
    assert!((ms(40)..ms(46)).contains(&delay), "{delay:?}");
    let calls = Calls::new([(1_000, Ok(1)), (10, Ok(2))]);
    assert_eq!(calls.through(&hedge).await.0, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_ready_at_once_count_and_no_clock_is_read() {
    let hedge = Hedge::new();
    warm(&hedge, 0, Ok(1)).await;
    assert_eq!(hedge.delay(), Some(SHORTEST));
}

#[tokio::test(start_paused = true)]
async fn case_53_the_latency_includes_losers_and_errors() {
    // Errors only: known after the warm-up all the same.
    let hedge = Hedge::new();
    warm(&hedge, 40, Err(FOR_GOOD)).await;
    assert!(hedge.delay().is_some_and(|delay| delay >= ms(40)));

    // Each call is slow and loses against its hedge. If losers were not counted, only fast calls were on record.
    let hedge = Hedge::new();
    warm(&hedge, 10, Ok(1)).await;
    for _ in 0..200 {
        let calls = Calls::new([(1_000, Ok(1)), (2, Ok(2))]);
        calls.through(&hedge).await.0.unwrap();
    }
    assert!(hedge.delay().is_some_and(|delay| delay >= ms(12)), "{:?}", hedge.delay());
}

#[tokio::test(start_paused = true)]
async fn case_53_a_call_that_was_cut_off_counts_as_slow_and_one_whose_caller_left_early_as_nothing() {
    let hedge = Hedge::new().warm_up(2);
    for _ in 0..2 {
        Calls::new([(10, Ok(1))]).through(&hedge).await.0.unwrap();
    }
    for _ in 0..100 {
        let early = Calls::new([(1_000, Ok(1))]);
        assert!(tokio::time::timeout(ms(1), early.through(&hedge)).await.is_err());
    }
    assert!(hedge.delay().is_some_and(|delay| delay < ms(12)), "{:?}", hedge.delay());
    for _ in 0..100 {
        let hangs = Calls::new([(1_000, Ok(1)), (1_000, Ok(2))]);
        assert!(tokio::time::timeout(ms(100), hangs.through(&hedge)).await.is_err());
    }
    assert!(hedge.delay().is_some_and(|delay| delay >= ms(100)), "{:?}", hedge.delay());
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let refused = |make: fn() -> Hedge| *std::panic::catch_unwind(make).unwrap_err().downcast::<&str>().unwrap();
    assert_eq!(refused(|| Hedge::new().quantile(1.0)), "the quantile of a hedge must be between 0 and 1");
    assert_eq!(refused(|| Hedge::new().quantile(f64::NAN)), "the quantile of a hedge must be between 0 and 1");
    assert_eq!(refused(|| Hedge::new().max_extra(0)), "max_extra must be between 1 and 16");
    assert_eq!(refused(|| Hedge::new().warm_up(0)), "warm_up must be between 1 and 1000 calls");
}
