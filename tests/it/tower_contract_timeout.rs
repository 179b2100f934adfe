//! The contract of tower services, for the timeout.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ft_runtime::testing::Script;
use ft_runtime::{Backoff, Deadline, Error, Rejected, Retry};
use ft_tower::testing::{Probe, Scripted};
use ft_tower::{RetryLayer, TimeoutLayer};
use tower::limit::ConcurrencyLimit;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::flaky::Wrong;

const SECOND: Duration = Duration::from_secs(1);

type Outcome = Result<u32, Error<Wrong>>;

fn answers() -> Script<u32, Error<Wrong>> {
    Script::new([Ok(1)])
}

/// Answers never.
async fn hangs(_: ()) -> Outcome {
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn case_37_the_instance_that_was_made_ready_makes_the_call() {
    let probe = Probe::new(Scripted::new(&answers()));
    let counts = probe.counts();
    let mut service = TimeoutLayer::new(SECOND).layer(probe);
    for _ in 0..3 {
        assert_eq!(service.ready().await.unwrap().call(()).await, Ok(1));
    }
    assert_eq!((counts.polls(), counts.calls(), counts.reserved()), (3, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn case_37_the_timeout_works_over_a_concurrency_limit_and_a_buffer_of_one() {
    let mut service = ServiceBuilder::new()
        .layer(TimeoutLayer::new(SECOND))
        .buffer(1)
        .concurrency_limit(1)
        .service(Probe::new(Scripted::new(&Script::<_, BoxError>::from_fn(|_| Ok(1)))));
    for _ in 0..3 {
        assert_eq!(service.ready().await.unwrap().call(()).await.unwrap(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn case_38_what_is_cut_off_gives_its_place_inside_back_before_the_error_is_answered() {
    let inner = ConcurrencyLimit::new(service_fn(hangs), 1);
    let mut service = TimeoutLayer::new(SECOND).layer(inner);
    for _ in 0..3 {
        let mut late = Box::pin(service.ready().await.unwrap().call(()));
        assert_eq!(late.as_mut().await, Err(Error::Rejected(Rejected::TimedOut { limit: SECOND })));
        // The answered future is still there, and holds nothing.
        tokio::time::timeout(SECOND, service.ready()).await.expect("free again").unwrap();
        drop(late);
    }
}

#[tokio::test(start_paused = true)]
async fn case_39_a_request_that_waits_is_not_polled_until_something_happens() {
    let polls = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&polls);
    let inner = service_fn(move |()| {
        let polls = Arc::clone(&counted);
        std::future::poll_fn(move |_| {
            *polls.lock().unwrap() += 1;
            std::task::Poll::<Outcome>::Pending
        })
    });
    let late = TimeoutLayer::new(3600 * SECOND).layer(inner).oneshot(()).await;
    assert_eq!(late, Err(Error::Rejected(Rejected::TimedOut { limit: 3600 * SECOND })));
    assert_eq!(*polls.lock().unwrap(), 2, "when it was called, and when its time was over");
}

#[tokio::test(start_paused = true)]
async fn a_service_sees_its_deadline_already_when_it_is_called_and_is_not_called_without_time() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&seen);
    let inner = service_fn(move |()| {
        // Not in the future, but where it is made.
        into.lock().unwrap().push(Deadline::current().map(Deadline::remaining));
        hangs(())
    });
    // Two and a half seconds for attempts of one second each.
    let retry = Retry::new().max_attempts(9).deadline(SECOND * 5 / 2).backoff(Backoff::none());
    let layers = ServiceBuilder::new()
        .layer(RetryLayer::new(retry).when(|error: &Error<Wrong>| error.failed().is_none()))
        .layer(TimeoutLayer::new(SECOND));
    let outcome = layers.service(inner.clone()).oneshot(()).await;
    assert_eq!(outcome, Err(Error::Rejected(Rejected::TimedOut { limit: SECOND / 2 })));
    let left = [1000, 1000, 500].map(|ms| Some(Duration::from_millis(ms)));
    assert_eq!(*seen.lock().unwrap(), left);

    let call = async { TimeoutLayer::new(SECOND).layer(inner).oneshot(()).await };
    let passed = Deadline::after(Duration::ZERO).scope(call).await;
    assert_eq!(passed, Err(Error::Rejected(Rejected::DeadlinePassed)));
    assert_eq!(seen.lock().unwrap().len(), 3, "not called");
}
