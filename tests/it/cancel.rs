//! A call that is dropped gives everything back, at whichever await it was.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use ft_runtime::{
    Backoff, Bulkhead, CircuitBreaker, CircuitState, Error, Jitter, RateLimiter, Retry, RetryBudget, bulkhead,
    circuit_breaker, rate_limiter, retry, timeout,
};
use tokio::time::sleep;

use crate::flaky::Wrong;

const MS: Duration = Duration::from_millis(1);

/// The state behind one stack, fresh for each drop.
struct Stack {
    retry: Retry,
    budget: &'static RetryBudget,
    breaker: CircuitBreaker,
    rate: RateLimiter,
    places: Bulkhead,
    /// How far bodies have come: two steps in each.
    steps: AtomicU32,
}

impl Stack {
    /// The breaker lets one probe through, the rate has just been used up, and somebody is in the only place.
    async fn new() -> Self {
        // A budget in a policy value lives as long as the program.
        let budget: &'static RetryBudget = Box::leak(Box::new(RetryBudget::new().ratio(0.0).floor(1)));
        let breaker = CircuitBreaker::new().consecutive(1).open(50 * MS);
        let failed: Result<(), Error<Wrong>> = breaker.run(async { Err(Error::Failed(Wrong::Passing)) }).await;
        assert!(failed.is_err() && breaker.state() == CircuitState::Open);
        sleep(50 * MS).await;
        let rate = RateLimiter::new(1).per(10 * MS).max_wait(100 * MS);
        rate.run(async { Ok::<_, Error<Wrong>>(()) }).await.unwrap();
        Self {
            retry: Retry::new().max_attempts(4).backoff(Backoff::fixed(20 * MS).jitter(Jitter::None)).budget(budget),
            budget,
            breaker,
            rate,
            places: Bulkhead::new(1).queue(1).max_wait(100 * MS),
            steps: AtomicU32::new(0),
        }
    }

    /// What is taken right now: a word for each await that a call may be dropped at.
    fn at(&self) -> String {
        format!(
            "rate: {}, place: {}+{}, steps: {}, {}",
            self.rate.waiting(),
            self.places.in_flight(),
            self.places.waiting(),
            self.steps.load(Ordering::Relaxed),
            self.breaker.state(),
        )
    }
}

#[timeout(1s)]
#[retry(stack.retry)]
#[circuit_breaker(stack.breaker)]
#[rate_limiter(stack.rate)]
#[bulkhead(stack.places)]
async fn five_deep(stack: &Stack) -> Result<u32, Error<Wrong>> {
    let first = stack.steps.fetch_add(1, Ordering::Relaxed) == 0;
    sleep(5 * MS).await;
    stack.steps.fetch_add(1, Ordering::Relaxed);
    sleep(5 * MS).await;
    if first { Err(Error::Failed(Wrong::Passing)) } else { Ok(7) }
}

/// Polls `future` so many times; `None` if it is not done by then.
async fn polled<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|cx| {
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Drops a call after each number of polls, until it gets to its end; what was taken each time, and how it ended.
async fn dropped_everywhere() -> (BTreeSet<String>, usize) {
    let mut seen = BTreeSet::new();
    for times in 1.. {
        let stack = Stack::new().await;
        let holder = async {
            let napping = async {
                sleep(15 * MS).await;
                Ok::<_, Error<Wrong>>(())
            };
            let _ = stack.places.run(napping).await;
        };
        let call = async {
            let mut call = Box::pin(five_deep(&stack));
            let outcome = polled(times, &mut call).await;
            if outcome.is_none() {
                seen.insert(stack.at());
            }
            drop(call);
            outcome
        };
        let ((), outcome) = tokio::join!(holder, call);

        assert_eq!(stack.rate.waiting(), 0, "dropped after {times} polls");
        assert_eq!((stack.places.in_flight(), stack.places.waiting()), (0, 0), "dropped after {times} polls");
        // An extra attempt that never began costs nothing: the charge is back. One that did is spent.
        let began_again = stack.steps.load(Ordering::Relaxed) > 2 || stack.breaker.snapshot().refused > 0;
        assert_eq!(stack.budget.withdraw().is_none(), began_again, "dropped after {times} polls at {:?}", stack.steps);
        // The place of the probe is free: one call gets through, once it may.
        if outcome.is_none() {
            sleep(60 * MS).await;
            let probe = stack.breaker.acquire();
            assert!(probe.is_ok(), "dropped after {times} polls: {probe:?}");
        }
        if let Some(outcome) = outcome {
            assert_eq!(outcome, Ok(7));
            return (seen, times);
        }
    }
    unreachable!("a call ends");
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_at_any_await_of_five_policies_gives_everything_back() {
    let (seen, polls) = dropped_everywhere().await;
    let waits = [
        ("for the rate", "rate: 1"),
        ("for a place", "place: 1+1"),
        ("in the first step of the body", "place: 1+0, steps: 1"),
        ("in its second step", "place: 1+0, steps: 2, half_open"),
        ("between the attempts", "place: 0+0, steps: 2, open"),
        ("in the second body", "steps: 3"),
        ("in its second step", "steps: 4"),
    ];
    for (wait, taken) in waits {
        assert!(seen.iter().any(|at| at.contains(taken)), "never dropped {wait} ({taken}): {seen:#?}");
    }
    assert!(polls >= 7, "{polls} polls: {seen:#?}");
}
