use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::testing::VirtualTime;
use crate::{Backoff, Jitter, Keyed, Retry, RetryBudget, deadline, site};

const SECOND: Duration = Duration::from_secs(1);

fn down() -> io::Result<()> {
    Err(io::ErrorKind::TimedOut.into())
}

fn fail(breaker: &CircuitBreaker) {
    let _ = breaker.run_blocking(down);
}

fn succeed(breaker: &CircuitBreaker) {
    let _ = breaker.run_blocking(|| io::Result::Ok(()));
}

fn retry_after(breaker: &CircuitBreaker) -> Option<Duration> {
    match breaker.acquire() {
        Err(Rejected::CircuitOpen { retry_after }) => Some(retry_after),
        _ => None,
    }
}

/// Opens at the first failure, for a second.
fn touchy() -> CircuitBreaker {
    CircuitBreaker::new().consecutive(1).open(SECOND)
}

async fn pass(time: Duration) {
    tokio::time::advance(time).await;
}

#[test]
fn case_23_after_a_million_successes_five_failures_open_a_window_of_ten() {
    let breaker = CircuitBreaker::new().last_calls(10);
    (0..1_000_000).for_each(|_| succeed(&breaker));
    (0..4).for_each(|_| fail(&breaker));
    assert_eq!(breaker.state(), CircuitState::Closed);
    fail(&breaker);
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[test]
fn case_24_min_calls_below_the_window_open_it_at_min_calls() {
    let breaker = CircuitBreaker::new().min_calls(5);
    (0..4).for_each(|_| fail(&breaker));
    assert_eq!(breaker.state(), CircuitState::Closed);
    fail(&breaker);
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[test]
fn case_25_a_success_that_completes_min_calls_opens_it_too() {
    let breaker = CircuitBreaker::new().min_calls(4);
    (0..2).for_each(|_| fail(&breaker));
    succeed(&breaker);
    assert_eq!(breaker.state(), CircuitState::Closed);
    succeed(&breaker);
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[test]
fn case_26_of_many_callers_at_the_moment_of_half_open_exactly_the_probes_get_in() {
    for round in 0..50 {
        let breaker = CircuitBreaker::new().consecutive(1).open(Duration::from_nanos(1)).probes(3);
        fail(&breaker);
        // The slots of lost probes renew after an open period, which is long over when these are out.
        let breaker = CircuitBreaker { rules: Rules { open: u64::MAX >> 8, ..breaker.rules }, ..breaker };
        let admitted = AtomicU32::new(0);
        let together = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    together.wait();
                    if let Ok(permit) = breaker.acquire() {
                        admitted.fetch_add(1, Ordering::Relaxed);
                        std::mem::forget(permit);
                    }
                });
            }
        });
        assert_eq!(admitted.into_inner(), 3, "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn case_27_a_result_of_another_generation_changes_nothing() {
    // Closed, then half-open: a late success does not stand for the probe, a late failure does not open.
    let breaker = touchy();
    let (late_success, late_failure) = (breaker.acquire().unwrap(), breaker.acquire().unwrap());
    fail(&breaker);
    pass(SECOND).await;
    let probe = breaker.acquire().unwrap();
    late_success.succeeded();
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    late_failure.failed();
    assert_eq!(breaker.state(), CircuitState::HalfOpen);

    // The first half-open cycle, then the second one.
    let breaker = CircuitBreaker::new().consecutive(1).open(SECOND).probes(2);
    fail(&breaker);
    pass(SECOND).await;
    let (of_the_first, failing) = (breaker.acquire().unwrap(), breaker.acquire().unwrap());
    failing.failed();
    pass(SECOND).await;
    let of_the_second = breaker.acquire().unwrap();
    of_the_first.succeeded();
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    of_the_second.succeeded();
    assert_eq!(breaker.state(), CircuitState::HalfOpen, "one of two probes went well");
    probe.succeeded();

    // After a reset, and after each of the states by hand.
    let breaker = touchy();
    let by_hand =
        [CircuitBreaker::reset, CircuitBreaker::force_open, CircuitBreaker::force_close, CircuitBreaker::disable];
    for by_hand in by_hand {
        breaker.reset();
        let (failing, well) = (breaker.acquire().unwrap(), breaker.acquire().unwrap());
        by_hand(&breaker);
        let state = breaker.state();
        failing.failed();
        well.succeeded();
        let seen = breaker.snapshot();
        assert_eq!((seen.state, seen.calls, seen.failures), (state, 0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn case_28_a_probe_that_is_dropped_panics_or_never_ends_does_not_keep_it_half_open() {
    let breaker = touchy();
    fail(&breaker);
    pass(SECOND).await;
    drop(breaker.acquire().unwrap());
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    drop(breaker.acquire().expect("the slot of a dropped probe is free"));

    let panicked = catch_unwind(AssertUnwindSafe(|| breaker.run_blocking(|| -> io::Result<()> { panic!("a probe") })));
    assert!(panicked.is_err());
    assert_eq!(breaker.state(), CircuitState::Open, "a probe that panics has failed");

    pass(SECOND).await;
    let lost = breaker.acquire().unwrap();
    assert_eq!(retry_after(&breaker), Some(SECOND));
    pass(SECOND - Duration::from_millis(1)).await;
    assert_eq!(retry_after(&breaker), Some(Duration::from_millis(1)));
    pass(Duration::from_millis(1)).await;
    let replacement = breaker.acquire().expect("the slot renews after one open period");
    assert!(breaker.acquire().is_err());
    drop(lost);
    assert!(breaker.acquire().is_err(), "a lost probe has no slot to give back any more");
    replacement.succeeded();
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn case_28_a_probe_in_a_future_gives_its_slot_back_wherever_it_is_dropped() {
    let breaker = touchy();
    fail(&breaker);
    pass(SECOND).await;
    let mut probe = Box::pin(breaker.run(std::future::pending::<io::Result<()>>()));
    assert!(futures_poll(&mut probe).is_pending());
    assert!(breaker.acquire().is_err());
    drop(probe);
    assert!(breaker.acquire().is_ok());
    drop(breaker.run(std::future::pending::<io::Result<()>>()));
    assert!(breaker.acquire().is_ok(), "a future that was never polled holds nothing");
}

fn futures_poll<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

#[tokio::test(start_paused = true)]
async fn case_30_slow_probes_count_however_short_the_window() {
    let breaker = CircuitBreaker::new().window(Duration::from_millis(10)).consecutive(1).open(SECOND).probes(3);
    fail(&breaker);
    for probe in 0..3 {
        pass(SECOND).await;
        let permit = breaker.acquire().unwrap();
        pass(60 * SECOND).await;
        assert_eq!(breaker.state(), CircuitState::HalfOpen, "probe {probe}");
        permit.succeeded();
    }
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn case_30_probes_that_come_back_after_their_lease_count_all_the_same() {
    let breaker = CircuitBreaker::new().consecutive(1).open(SECOND).probes(2);
    fail(&breaker);
    pass(SECOND).await;
    let slow = (breaker.acquire().unwrap(), breaker.acquire().unwrap());
    pass(SECOND).await;
    let _third = breaker.acquire().unwrap();
    slow.0.succeeded();
    slow.1.succeeded();
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn case_31_calls_that_a_deadline_cuts_off_open_it_and_those_whose_caller_left_do_not() {
    let pending = || std::future::pending::<io::Result<()>>();
    let breaker = CircuitBreaker::new();
    for _ in 0..200 {
        let mut call = Box::pin(breaker.run(pending()));
        assert!(futures_poll(&mut call).is_pending() || breaker.state() == CircuitState::Open);
        drop(call);
    }
    assert_eq!((breaker.state(), breaker.snapshot().calls), (CircuitState::Closed, 0));
    for _ in 0..200 {
        let mut call = Box::pin(breaker.run(pending()));
        let _ = futures_poll(&mut call);
        deadline::cutting_off(|| drop(call));
    }
    assert_eq!(breaker.state(), CircuitState::Open);

    let strict = CircuitBreaker::new().abandoned(Abandoned::Failure).consecutive(3);
    for _ in 0..3 {
        let mut call = Box::pin(strict.run(pending()));
        let _ = futures_poll(&mut call);
    }
    assert_eq!(strict.state(), CircuitState::Open);
}

#[test]
fn case_32_who_looks_while_it_opens_never_sees_it_open_without_its_moment() {
    let breaker = CircuitBreaker::new().consecutive(1).open(3600 * SECOND);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2_000 {
                fail(&breaker);
                breaker.reset();
            }
            fail(&breaker);
        });
        while breaker.snapshot().opened < 2_000 {
            let left = retry_after(&breaker);
            assert!(left.is_none_or(|left| left > 3500 * SECOND), "{left:?}");
            let seen = breaker.snapshot();
            assert_eq!(seen.retry_after.is_some(), seen.state == CircuitState::Open);
        }
    });
}

#[tokio::test(start_paused = true)]
async fn case_33_only_the_steady_clock_counts_and_it_may_step_back() {
    let breaker = CircuitBreaker::new().consecutive(1).open(SECOND).window(SECOND);
    let hour_ahead = VirtualTime::start();
    time::sleep_blocking(3600 * SECOND);
    fail(&breaker);
    drop(hour_ahead);
    // Back by an hour: still open, for an hour and a second; never a panic.
    assert_eq!(retry_after(&breaker), Some(3601 * SECOND));
    pass(3601 * SECOND).await;
    succeed(&breaker);
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[test]
fn case_34_it_is_in_exactly_one_state_at_any_time_whatever_happens_around() {
    let breaker = CircuitBreaker::new().consecutive(2).open(Duration::from_nanos(1)).probes(2);
    std::thread::scope(|scope| {
        for worker in 0..3u32 {
            let breaker = &breaker;
            scope.spawn(move || {
                for call in 0..3_000u32 {
                    if (call + worker) % 3 == 0 { fail(breaker) } else { succeed(breaker) }
                }
            });
        }
        for _ in 0..3_000 {
            let seen = breaker.snapshot();
            match seen.state {
                CircuitState::Closed => assert!(seen.retry_after.is_none() && seen.failures < 2 + 100),
                CircuitState::Open | CircuitState::HalfOpen => assert_eq!((seen.calls, seen.failures), (0, 0)),
                state => panic!("nobody forced it to be {state}"),
            }
        }
    });
    type ByHand = fn(&CircuitBreaker);
    let by_hand: [(ByHand, CircuitState); 4] = [
        (CircuitBreaker::force_open, CircuitState::ForcedOpen),
        (CircuitBreaker::force_close, CircuitState::ForcedClosed),
        (CircuitBreaker::disable, CircuitState::Disabled),
        (CircuitBreaker::reset, CircuitState::Closed),
    ];
    for (by_hand, state) in by_hand {
        by_hand(&breaker);
        assert_eq!((breaker.state(), breaker.snapshot().state), (state, state));
    }
}

#[tokio::test(start_paused = true)]
async fn case_35_a_listener_may_panic_take_its_time_and_call_back() {
    static BREAKER: CircuitBreaker = CircuitBreaker::new().consecutive(1);
    let here = site!("case 35");
    let (changes, refusals) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (seen, turned_away) = (Arc::clone(&changes), Arc::clone(&refusals));
    let _listening = observe::subscribe(move |event| {
        if event.site != "case 35" {
            return;
        }
        match event.what {
            What::Circuit { .. } => drop(seen.fetch_add(1, Ordering::SeqCst)),
            What::Refused { .. } => drop(turned_away.fetch_add(1, Ordering::SeqCst)),
            _ => {}
        }
        // On a thread of its own, which would wait for ever if a lock were held around the listener.
        std::thread::spawn(|| BREAKER.snapshot()).join().unwrap();
        BREAKER.reset();
        BREAKER.force_open();
        panic!("a listener");
    });
    let outcome = BREAKER.at(here).run(async { down() }).await;
    assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(BREAKER.state(), CircuitState::ForcedOpen);
    assert!(BREAKER.at(here).run(async { down() }).await.is_err());
    assert_eq!((changes.load(Ordering::SeqCst), refusals.load(Ordering::SeqCst)), (1, 1));
}

mod one {
    #[crate::circuit_breaker(consecutive = 1)]
    pub(super) fn get(fails: bool) -> std::io::Result<()> {
        if fails { super::down() } else { Ok(()) }
    }
}

mod two {
    #[crate::circuit_breaker(consecutive = 1)]
    pub(super) fn get(fails: bool) -> std::io::Result<()> {
        if fails { super::down() } else { Ok(()) }
    }
}

#[test]
fn case_36_functions_of_one_name_in_two_modules_have_breakers_of_their_own() {
    assert!(one::get(true).is_err());
    assert!(one::get(false).is_err(), "open");
    assert!(two::get(false).is_ok());
}

#[tokio::test(start_paused = true)]
async fn it_admits_again_at_exactly_the_open_period_and_says_how_long_that_is() {
    let breaker = touchy();
    fail(&breaker);
    pass(Duration::from_millis(400)).await;
    assert_eq!(retry_after(&breaker), Some(Duration::from_millis(600)));
    assert_eq!(breaker.snapshot().retry_after, Some(Duration::from_millis(600)));
    pass(Duration::from_millis(600)).await;
    assert_eq!(retry_after(&breaker), None);
}

#[tokio::test(start_paused = true)]
async fn a_retry_around_an_open_breaker_waits_exactly_until_the_probe_and_spends_no_budget() {
    static BUDGET: RetryBudget = RetryBudget::new().floor(0).ratio(0.0);
    let breaker = touchy();
    fail(&breaker);
    pass(Duration::from_millis(300)).await;
    let began = tokio::time::Instant::now();
    let retry = Retry::new().budget(&BUDGET).backoff(Backoff::fixed(Duration::from_millis(1)).jitter(Jitter::None));
    let retry = retry.backoff(Backoff::exponential(Duration::from_millis(1)).jitter(Jitter::None));
    let outcome = retry.call(|| breaker.run(async { io::Result::Ok(7) })).await;
    assert_eq!(outcome.unwrap(), 7);
    assert_eq!(began.elapsed(), Duration::from_millis(700));
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[test]
fn what_is_permanent_is_an_answer_and_a_refusal_inside_is_nothing() {
    let breaker = CircuitBreaker::new().consecutive(2).min_calls(100);
    fail(&breaker);
    let _ = breaker.run_blocking(|| Err::<(), _>(io::Error::from(io::ErrorKind::NotFound)));
    fail(&breaker);
    assert_eq!(breaker.state(), CircuitState::Closed, "the answer in between has ended the row");
    let inner = [Rejected::BulkheadFull, Rejected::RateLimited { retry_after: SECOND }, Rejected::DeadlinePassed];
    for refusal in inner {
        let _ = breaker.run_blocking(|| Err::<(), _>(refusal));
    }
    assert_eq!(breaker.snapshot().calls, 3);
    let _ = breaker.run_blocking(|| Err::<(), _>(Rejected::TimedOut { limit: SECOND }));
    assert_eq!(breaker.state(), CircuitState::Open, "a time limit that passed is a failure of the other side");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_inside_a_probe_frees_its_slot() {
    let breaker = touchy();
    fail(&breaker);
    pass(SECOND).await;
    let refused = breaker.run(async { Err::<(), _>(Rejected::BulkheadFull) }).await;
    assert_eq!(refused, Err(Rejected::BulkheadFull));
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    succeed(&breaker);
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[test]
fn the_judgement_says_what_is_a_failure() {
    let breaker = CircuitBreaker::new().consecutive(1);
    let other = |error: &io::Error| error.kind() == io::ErrorKind::Interrupted;
    let _ = breaker.when(other).run_blocking(down);
    let _ = breaker.unless(|error: &io::Error| error.kind() == io::ErrorKind::TimedOut).run_blocking(down);
    assert_eq!(breaker.state(), CircuitState::Closed);
    let _ = breaker.until(|value: &u32| *value > 1).run_blocking(|| io::Result::Ok(1));
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn slow_calls_open_it_and_slow_means_longer_than_the_limit() {
    let breaker = CircuitBreaker::new().slow(SECOND).slow_rate(0.5).min_calls(4).last_calls(4).open(SECOND);
    let take = async |time| {
        let call = async {
            tokio::time::advance(time).await;
            Ok::<_, Rejected>(())
        };
        breaker.run(call).await
    };
    for _ in 0..8 {
        take(SECOND).await.unwrap();
    }
    assert_eq!(breaker.snapshot().slow, 0, "at exactly the limit a call is not slow");
    take(SECOND + Duration::from_nanos(1)).await.unwrap();
    take(Duration::ZERO).await.unwrap();
    assert_eq!(breaker.state(), CircuitState::Closed);
    take(2 * SECOND).await.unwrap();
    assert_eq!(breaker.state(), CircuitState::Open);

    pass(SECOND).await;
    take(2 * SECOND).await.unwrap();
    assert_eq!(breaker.state(), CircuitState::Open, "a slow probe is no sign of health");
    pass(SECOND).await;
    take(SECOND).await.unwrap();
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_window_over_time_forgets_what_is_older() {
    let breaker = CircuitBreaker::new().window(60 * SECOND).min_calls(4);
    (0..3).for_each(|_| fail(&breaker));
    pass(60 * SECOND).await;
    (0..3).for_each(|_| fail(&breaker));
    assert_eq!((breaker.state(), breaker.snapshot().failures), (CircuitState::Closed, 3));
    fail(&breaker);
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn the_open_period_doubles_up_to_the_cap_and_begins_anew_after_health() {
    let breaker = touchy().max_open(5 * SECOND);
    fail(&breaker);
    let mut periods = Vec::new();
    for _ in 0..4 {
        let left = retry_after(&breaker).unwrap();
        periods.push(left.as_secs());
        pass(left).await;
        fail(&breaker);
    }
    assert_eq!(periods, [1, 2, 4, 5]);

    // Closed for less than it was open: it goes on where it was.
    pass(5 * SECOND).await;
    succeed(&breaker);
    pass(5 * SECOND - Duration::from_millis(1)).await;
    fail(&breaker);
    assert_eq!(retry_after(&breaker), Some(5 * SECOND));
    // Closed for as long: that was health.
    pass(5 * SECOND).await;
    succeed(&breaker);
    pass(5 * SECOND).await;
    fail(&breaker);
    assert_eq!(retry_after(&breaker), Some(SECOND));
}

#[tokio::test(start_paused = true)]
async fn in_shadow_it_does_everything_but_refuse() {
    let breaker = touchy().shadow(true);
    fail(&breaker);
    assert_eq!(breaker.state(), CircuitState::Open);
    assert!(breaker.run_blocking(|| io::Result::Ok(())).is_ok());
    assert_eq!((breaker.state(), breaker.snapshot().refused), (CircuitState::Open, 1));
    pass(SECOND).await;
    succeed(&breaker);
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn states_by_hand_stay_until_a_hand_ends_them() {
    let breaker = touchy();
    breaker.force_open();
    assert_eq!(retry_after(&breaker), Some(SECOND));
    pass(3600 * SECOND).await;
    assert_eq!(retry_after(&breaker), Some(SECOND));
    assert_eq!(breaker.snapshot().retry_after, None);

    breaker.force_close();
    (0..30).for_each(|_| fail(&breaker));
    assert_eq!((breaker.state(), breaker.snapshot().failures), (CircuitState::ForcedClosed, 30));

    breaker.disable();
    (0..30).for_each(|_| fail(&breaker));
    assert_eq!((breaker.state(), breaker.snapshot().calls), (CircuitState::Disabled, 0));

    breaker.reset();
    fail(&breaker);
    assert_eq!((breaker.state(), breaker.snapshot().opened), (CircuitState::Open, 1));
}

#[test]
fn each_key_has_a_breaker_of_its_own_that_is_told_apart_in_events_and_kept_while_it_is_open() {
    static HOSTS: Keyed<CircuitBreaker> = Keyed::new(CircuitBreaker::new().consecutive(1)).max_keys(2);
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let into = Arc::clone(&told);
    let _listening = observe::subscribe(move |event| {
        if let What::Circuit { key, to, .. } = event.what
            && key.starts_with("host ")
        {
            into.lock().unwrap().push(format!("{key}: {to}"));
        }
    });
    fail(&HOSTS.of("host a"));
    assert_eq!(*told.lock().unwrap(), ["host a: open"]);
    for host in ["host b", "host c", "host d"] {
        succeed(&HOSTS.of(host));
    }
    let kept: Vec<_> = HOSTS.entries().into_iter().map(|(key, breaker)| (key, breaker.state())).collect();
    assert_eq!(kept, [("host a".to_owned(), CircuitState::Open), ("host d".to_owned(), CircuitState::Closed)]);
}

#[test]
fn nonsense_is_refused_when_it_is_built() {
    let refused = |build: fn() -> CircuitBreaker| {
        let panic = catch_unwind(build).expect_err("nonsense was accepted");
        panic.downcast_ref::<&str>().map(|message| (*message).to_owned()).unwrap_or_default()
    };
    for rate in [
        || CircuitBreaker::new().rate(0.0),
        || CircuitBreaker::new().rate(1.1),
        || CircuitBreaker::new().rate(f64::NAN),
    ] {
        assert_eq!(refused(rate), "rate must be above 0 and at most 1");
    }
    assert_eq!(refused(|| CircuitBreaker::new().slow_rate(-1.0)), "slow_rate must be above 0 and at most 1");
    assert_eq!(refused(|| CircuitBreaker::new().last_calls(0)), "the window must hold at least 1 call");
    assert_eq!(refused(|| CircuitBreaker::new().last_calls(u32::MAX)), "the window must hold at most 1,000,000 calls");
    assert_eq!(refused(|| CircuitBreaker::new().window(Duration::ZERO)), "the window must be at least 10 ms");
    assert_eq!(refused(|| CircuitBreaker::new().min_calls(0)), "min_calls must be at least 1");
    assert!(refused(|| CircuitBreaker::new().min_calls(101)).starts_with("min_calls must not be more than the calls"));
    assert!(refused(|| CircuitBreaker::new().min_calls(50).last_calls(10)).starts_with("min_calls must not be more"));
    assert_eq!(refused(|| CircuitBreaker::new().consecutive(0)), "consecutive must be at least 1");
    assert_eq!(refused(|| CircuitBreaker::new().open(Duration::ZERO)), "open must be longer than zero");
    assert!(refused(|| CircuitBreaker::new().max_open(SECOND)).starts_with("max_open must not be shorter than open"));
    assert!(
        refused(|| touchy().max_open(SECOND).open(2 * SECOND)).starts_with("open must not be longer than max_open")
    );
    assert_eq!(refused(|| CircuitBreaker::new().slow(Duration::ZERO)), "slow must be longer than zero");
    // Longest of everything: no overflow.
    let _ =
        CircuitBreaker::new().last_calls(1_000_000).min_calls(1_000_000).open(Duration::MAX).max_open(Duration::MAX);
    let longest = CircuitBreaker::new().window(Duration::MAX).slow(Duration::MAX).consecutive(1).open(Duration::MAX);
    fail(&longest);
    assert!(retry_after(&longest).is_some());
}

#[test]
#[should_panic = "probes must be at least 1"]
fn case_29_no_probes_are_refused() {
    let _ = CircuitBreaker::new().probes(0);
}

#[test]
fn a_judgement_of_its_own_says_what_refusals_inside_count_as() {
    let full = || Err::<(), _>(io::Error::from(Rejected::BulkheadFull));
    let kept_back = |error: &io::Error| error.rejected().is_some_and(Rejected::kept_the_call_back);
    let breaker = touchy();
    let state = |judged: bool| {
        for _ in 0..3 {
            let outcome = match judged {
                true => breaker.unless(kept_back).run_blocking(full),
                false => breaker.unless(|_: &io::Error| false).run_blocking(full),
            };
            outcome.unwrap_err();
        }
        breaker.state()
    };
    assert_eq!(state(true), CircuitState::Closed);
    assert_eq!(state(false), CircuitState::Open);
}
