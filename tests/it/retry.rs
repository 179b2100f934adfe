//! What `Retry` promises, whatever the door. Numbers in the names are those of the table in `tests/README.md`.

use std::sync::Mutex;
use std::time::Duration;

use ft_runtime::testing::VirtualTime;
use ft_runtime::{Backoff, Deadline, Hint, Jitter, Retry, RetryBudget, site};
use tokio::time::Instant;

use crate::events::Events;
use crate::flaky::{Script, Wrong};

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// 100 ms, 200 ms, 400 ms, .. without jitter.
const STEADY: Retry =
    Retry::new().max_attempts(4).backoff(Backoff::exponential(Duration::from_millis(100)).jitter(Jitter::None));

#[tokio::test(start_paused = true)]
async fn case_08_there_is_one_delay_less_than_attempts_and_the_first_and_last_are_as_configured() {
    for attempts in 1..=5 {
        let (script, began) = (Script::always(Wrong::Passing), Instant::now());
        assert_eq!(STEADY.max_attempts(attempts).call(async || script.play()).await, Err(Wrong::Passing));
        assert_eq!(script.calls(), attempts);
        let waited: u32 = (0..attempts - 1).map(|retry| 100 << retry).sum();
        assert_eq!(began.elapsed(), waited * MS);
    }
    assert!(std::panic::catch_unwind(|| Retry::new().max_attempts(0)).is_err());
}

#[tokio::test(start_paused = true)]
async fn case_09_a_permanent_error_returns_at_once_without_wait_and_without_charge() {
    static BUDGET: RetryBudget = RetryBudget::new().ratio(0.0).floor(1);
    let (script, began) = (Script::always(Wrong::ForGood), Instant::now());
    assert_eq!(STEADY.budget(&BUDGET).call(async || script.play()).await, Err(Wrong::ForGood));
    assert_eq!((script.calls(), began.elapsed()), (1, Duration::ZERO));
    assert!(BUDGET.withdraw().is_some(), "the floor is untouched");
}

#[tokio::test(start_paused = true)]
async fn case_10_a_hint_sets_the_real_wait_and_the_event_reports_that_wait() {
    let events = Events::of("case 10");
    let script = Script::new([Err(Wrong::Busy(Some(5 * S))), Ok(1)]);
    let began = Instant::now();
    assert_eq!(STEADY.at(site!("case 10")).call(async || script.play()).await, Ok(1));
    assert_eq!(began.elapsed(), 5 * S);
    assert_eq!(events.seen(), ["retrying after 1 in 5s: Wrong::Busy", "recovered at 2"]);
}

#[tokio::test(start_paused = true)]
async fn case_11_a_hint_beyond_the_longest_delay_ends_the_retry_or_is_clamped_by_choice() {
    let year = Wrong::Busy(Some(365 * 24 * 3600 * S));
    let (script, began) = (Script::always(year.clone()), Instant::now());
    assert_eq!(STEADY.call(async || script.play()).await, Err(year.clone()));
    assert_eq!((script.calls(), began.elapsed()), (1, Duration::ZERO));

    let script = Script::always(year.clone());
    assert_eq!(STEADY.hint(Hint::Clamp).call(async || script.play()).await, Err(year));
    assert_eq!((script.calls(), began.elapsed()), (4, 30 * S));

    // A hint of zero is a hint: no wait, and no timer that would round it up.
    let (script, began) = (Script::always(Wrong::Busy(Some(Duration::ZERO))), Instant::now());
    STEADY.call(async || script.play()).await.unwrap_err();
    assert_eq!((script.calls(), began.elapsed()), (4, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn case_12_the_deadline_counts_run_time_and_no_wait_starts_that_would_end_past_it() {
    let retry = STEADY.deadline(S).max_attempts(100);
    let (script, began) = (Script::always(Wrong::Passing), Instant::now());
    let outcome = retry
        .call(async || {
            tokio::time::sleep(300 * MS).await;
            script.play()
        })
        .await;
    // 300 run + 100 wait + 300 run + 200 wait = 900; the third run ends at 1200 and there is no time for a wait.
    assert_eq!(outcome, Err(Wrong::Passing));
    assert_eq!((script.calls(), began.elapsed()), (3, 1200 * MS));

    // The deadline of the caller counts as well, and the nearer one wins.
    let (script, began) = (Script::always(Wrong::Passing), Instant::now());
    Deadline::after(250 * MS).scope(retry.call(async || script.play())).await.unwrap_err();
    assert_eq!((script.calls(), began.elapsed()), (2, 100 * MS));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_sees_the_deadline_of_its_retry() {
    let left = Mutex::new(Vec::new());
    let script = Script::always(Wrong::Passing);
    let retry = STEADY.deadline(S).max_attempts(3);
    let attempt = async || {
        left.lock().unwrap().push(Deadline::current().unwrap().remaining());
        script.play()
    };
    retry.call(attempt).await.unwrap_err();
    assert_eq!(*left.lock().unwrap(), [S, 900 * MS, 700 * MS]);
    assert!(Deadline::current().is_none());
}

#[tokio::test(start_paused = true)]
async fn case_13_a_panic_passes_through_and_gives_the_charge_back() {
    static BUDGET: RetryBudget = RetryBudget::new().ratio(0.0).floor(2);
    static RETRY: Retry = STEADY.budget(&BUDGET);
    let panics = tokio::spawn(RETRY.call(async || -> Result<u32, Wrong> { panic!("body") }));
    assert!(panics.await.unwrap_err().is_panic());
    let taken = std::iter::from_fn(|| BUDGET.withdraw().map(ft_runtime::Charge::spend)).count();
    assert_eq!(taken, 2);
}

#[tokio::test(start_paused = true)]
async fn case_15_dropping_the_call_at_any_await_stops_all_work_and_refunds_the_charge() {
    static BUDGET: RetryBudget = RetryBudget::new().ratio(0.0).floor(1);
    let retry = STEADY.budget(&BUDGET);

    // Dropped in the wait: the attempt that was charged never starts.
    let script = Script::always(Wrong::Passing);
    let cut = tokio::time::timeout(50 * MS, retry.call(async || script.play())).await;
    assert!(cut.is_err());
    tokio::time::sleep(10 * S).await;
    assert_eq!(script.calls(), 1, "nothing is detached");
    assert!(BUDGET.withdraw().is_some(), "the charge came back");

    // Dropped in the second attempt: that one was made, and stays charged.
    let script = Script::always(Wrong::Passing);
    let call = retry.call(async || {
        tokio::time::sleep(80 * MS).await;
        script.play()
    });
    assert!(tokio::time::timeout(200 * MS, call).await.is_err());
    tokio::time::sleep(S).await;
    assert_eq!(script.calls(), 1);
    assert!(BUDGET.withdraw().is_none(), "the attempt started");
}

#[tokio::test(start_paused = true)]
async fn case_19_when_everything_fails_the_budget_holds_the_load_to_one_plus_ratio() {
    static BUDGET: RetryBudget = RetryBudget::new().ratio(0.1).floor(0);
    let retry = Retry::new().backoff(Backoff::none()).budget(&BUDGET);
    let script = Script::always(Wrong::Passing);
    for _ in 0..1_000 {
        retry.call(async || script.play()).await.unwrap_err();
    }
    assert_eq!(script.calls(), 1_100);
}

#[tokio::test(start_paused = true)]
async fn case_22_a_refusal_of_our_own_policy_costs_no_budget_and_sets_the_wait() {
    static BUDGET: RetryBudget = RetryBudget::new().ratio(0.0).floor(0);
    let (script, began) = (Script::new([Err(Wrong::Refused(2 * S)), Ok(7)]), Instant::now());
    assert_eq!(STEADY.budget(&BUDGET).call(async || script.play()).await, Ok(7));
    assert_eq!(began.elapsed(), 2 * S);

    // And a budget that is configured is consulted: any other failure is not repeated.
    let script = Script::new([Err(Wrong::Passing), Ok(7)]);
    assert_eq!(STEADY.budget(&BUDGET).call(async || script.play()).await, Err(Wrong::Passing));
}

#[test]
fn blocking_waits_run_on_virtual_time() {
    let time = VirtualTime::start();
    let script = Script::always(Wrong::Passing);
    assert_eq!(STEADY.call_blocking(|| script.play()), Err(Wrong::Passing));
    assert_eq!((script.calls(), time.elapsed()), (4, 700 * MS));
}

#[tokio::test(start_paused = true)]
async fn exhaustion_is_reported_with_every_attempt_in_the_fault_log() {
    let (site, events) = (site!("exhausted"), Events::of("exhausted"));
    let script = Script::always(Wrong::Passing);
    STEADY.at(site).call(async || script.play()).await.unwrap_err();
    assert_eq!(
        events.seen(),
        [
            "retrying after 1 in 100ms: Wrong::Passing",
            "retrying after 2 in 200ms: Wrong::Passing",
            "retrying after 3 in 400ms: Wrong::Passing",
            "gave up after 4: exhausted",
        ]
    );
    let faults = site.faults();
    assert_eq!(faults.len(), 1);
    assert_eq!((faults[0].count, faults[0].attempt, faults[0].given_up), (4, 4, 1));
    assert_eq!((faults[0].policy, &*faults[0].what), ("retry", "Wrong::Passing"));
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_not_good_enough_is_asked_for_again_and_the_last_one_is_returned() {
    let script = Script::new([Ok(1), Ok(2), Ok(3)]);
    assert_eq!(STEADY.until(|value: &u32| *value == 3).call(async || script.play()).await, Ok(3));
    let script = Script::new([Ok(1)]);
    assert_eq!(STEADY.until(|value: &u32| *value == 3).call(async || script.play()).await, Ok(1));
    assert_eq!(script.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_hook_runs_before_each_retry() {
    static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let retry =
        STEADY.before_retry(|event| SEEN.lock().unwrap().push(format!("{} {:?}", event.what.name(), event.site)));
    let script = Script::always(Wrong::NeverSent);
    retry.at(site!("hooked")).call(async || script.play()).await.unwrap_err();
    assert_eq!(*SEEN.lock().unwrap(), ["retrying \"hooked\""; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_panics_or_calls_back_changes_nothing() {
    let panics = ft_runtime::observe::subscribe(|event| assert_ne!(event.site, "listened"));
    let calls_back = ft_runtime::observe::subscribe(|event| {
        if event.site == "listened" {
            drop(ft_runtime::observe::subscribe(|_| {}));
            let _ = ft_runtime::sites();
        }
    });
    let events = Events::of("listened");
    let script = Script::new([Err(Wrong::Passing), Ok(1)]);
    assert_eq!(STEADY.at(site!("listened")).call(async || script.play()).await, Ok(1));
    assert_eq!(events.seen().len(), 2);
    drop((panics, calls_back));
}
