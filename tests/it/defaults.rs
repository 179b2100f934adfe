//! The table of defaults in the documentation, held against what the policies do when nothing is said.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ft_runtime::{
    Backoff, Bulkhead, Charge, CircuitBreaker, CircuitState, Error, Failover, Hedge, Jitter, Pool, RateLimiter,
    Rejected, Retry, RetryBudget,
};
use tokio::time::sleep;

use crate::flaky::{Script, Wrong};

type Answer = Result<u32, Error<Wrong>>;

/// What the table says of a policy.
fn printed(policy: &str) -> &'static str {
    let docs = include_str!("../../ft-runtime/src/lib.rs");
    let table = docs.split("//! # Defaults").nth(1).expect("the table is there");
    let row = format!("//! | {policy} | ");
    let row =
        table.lines().find_map(|line| line.strip_prefix(&row)).unwrap_or_else(|| panic!("{policy} is in the table"));
    row.trim_end_matches(" |")
}

fn failing() -> Answer {
    Err(Error::Failed(Wrong::Passing))
}

async fn after(time: Duration) -> Answer {
    sleep(time).await;
    Ok(1)
}

#[tokio::test(start_paused = true)]
async fn a_retry_makes_three_attempts_with_full_jitter_below_100_and_200_ms() {
    assert_eq!(
        printed("Retry"),
        "3 attempts, exponential from 100 ms x2 up to 10 s, full jitter, no deadline, no budget"
    );
    let script = Script::always(Wrong::Passing);
    assert!(Retry::new().call(async || script.play()).await.is_err());
    assert_eq!(script.calls(), 3);
    let written = Backoff::exponential(Duration::from_millis(100))
        .factor(2.0)
        .max_delay(Duration::from_secs(10))
        .jitter(Jitter::Full);
    let spelled = Retry::new().max_attempts(3).backoff(written);
    assert_eq!(format!("{:?}", Retry::new()), format!("{spelled:?}"));
    let shown = format!("{:?}", Retry::new());
    assert!(shown.contains("deadline: None") && shown.contains("budget: None"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_budget_allows_ten_and_a_tenth_of_the_calls_in_ten_seconds() {
    assert_eq!(printed("RetryBudget"), "10 % of the calls, with a floor of 10, in 10 s");
    let budget = RetryBudget::new();
    (0..1_000).for_each(|_| budget.deposit());
    let take_all = || std::iter::from_fn(|| budget.withdraw().map(Charge::spend)).count();
    assert_eq!(take_all(), 110);
    sleep(Duration::from_secs(9)).await;
    assert_eq!(take_all(), 0);
    sleep(Duration::from_millis(2_001)).await;
    assert_eq!(take_all(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_opens_at_half_of_a_hundred_calls_from_twenty_on_for_five_seconds() {
    assert_eq!(
        printed("CircuitBreaker"),
        "opens at a failure rate of 0.5 over 100 calls, from 20 calls on, for 5 s, 1 probe, no slow threshold"
    );
    let early = CircuitBreaker::new();
    for _ in 0..19 {
        assert!(early.run(async { failing() }).await.is_err());
    }
    assert_eq!(early.state(), CircuitState::Closed);
    assert!(early.run(async { failing() }).await.is_err());
    assert_eq!(early.state(), CircuitState::Open);

    let late = CircuitBreaker::new();
    for _ in 0..1_000 {
        let slow = late.run(after(Duration::from_secs(60))).await;
        assert!(slow.is_ok());
    }
    for _ in 0..49 {
        assert!(late.run(async { failing() }).await.is_err());
    }
    assert_eq!(late.state(), CircuitState::Closed);
    assert!(late.run(async { failing() }).await.is_err());
    let refused: Answer = late.run(async { Ok(1) }).await;
    assert_eq!(refused, Err(Error::Rejected(Rejected::CircuitOpen { retry_after: Duration::from_secs(5) })));
    sleep(Duration::from_secs(5)).await;
    let probe = late.acquire();
    assert!(probe.is_ok() && late.acquire().is_err(), "one probe");
}

#[tokio::test(start_paused = true)]
async fn a_bulkhead_has_no_queue() {
    assert_eq!(printed("Bulkhead"), "the limit must be written; queue 0");
    let places = Bulkhead::new(1);
    let refused = places.run(async { places.run(async { Answer::Ok(1) }).await }).await;
    assert_eq!(refused, Err(Error::Rejected(Rejected::BulkheadFull)));
}

#[tokio::test(start_paused = true)]
async fn a_limiter_has_a_burst_of_one_and_lets_nobody_wait() {
    assert_eq!(printed("RateLimiter"), "the rate must be written; burst 1, no waiting");
    let rate = RateLimiter::new(10);
    assert_eq!(rate.run(async { Answer::Ok(1) }).await, Ok(1));
    let refused = rate.run(async { Answer::Ok(1) }).await;
    assert_eq!(refused, Err(Error::Rejected(Rejected::RateLimited { retry_after: Duration::from_millis(100) })));
}

#[tokio::test(start_paused = true)]
async fn a_hedge_makes_one_extra_call_once_it_has_seen_twenty() {
    assert_eq!(printed("Hedge"), "one extra call after the 95th percentile, from 20 calls on");
    let hedge = Hedge::new();
    // One in twenty takes ten times as long: the 95th percentile is with the others.
    for call in 0..20 {
        assert_eq!(hedge.delay(), None, "after {call} calls");
        let takes = Duration::from_millis(if call == 7 { 1_000 } else { 100 });
        let answer = hedge.call(|| after(takes)).await;
        assert!(answer.is_ok());
    }
    let delay = hedge.delay().expect("it knows enough");
    assert!(delay >= Duration::from_millis(90) && delay < Duration::from_millis(200), "{delay:?}");
    let calls = AtomicU32::new(0);
    let stuck = hedge.call(|| async {
        calls.fetch_add(1, Ordering::Relaxed);
        after(Duration::from_secs(60)).await
    });
    let stuck: Answer = stuck.await;
    assert_eq!((stuck, calls.into_inner()), (Ok(1), 2));
}

#[tokio::test(start_paused = true)]
async fn a_failover_asks_each_target_once_and_ejects_after_five_failures() {
    assert_eq!(printed("Failover"), "each target once; ejected after 5 failures in a row, for 5 s");
    let pool = Pool::of([("one", Script::always(Wrong::Passing)), ("two", Script::new([Ok(2)]))]);
    let asked = || pool.iter().map(|script| script.calls()).collect::<Vec<_>>();
    for call in 1..=6 {
        let answer = Failover::new().call(&pool, async |script| script.play().map_err(Error::Failed)).await;
        assert_eq!(answer, Ok(2));
        assert_eq!(asked(), [call.min(5), call]);
    }
    sleep(Duration::from_secs(5)).await;
    let answer: Answer = Failover::new().call(&pool, async |script| script.play().map_err(Error::Failed)).await;
    assert_eq!((answer, asked()[0]), (Ok(2), 6), "it is probed after five seconds");
}
