//! The contract of tower services: readiness is asked for before each call, and nobody spins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use ft_runtime::{Backoff, Jitter, Retry};
use ft_tower::RetryLayer;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt};

use crate::flaky::{Script, Wrong};

const RETRY: Retry =
    Retry::new().max_attempts(3).backoff(Backoff::fixed(Duration::from_millis(10)).jitter(Jitter::None));

/// Panics when it is called without having been made ready, as the contract allows it to; a clone is not ready.
#[derive(Debug)]
pub struct Probe {
    script: Arc<Script>,
    ready: AtomicBool,
    polls: Arc<AtomicU32>,
}

impl Probe {
    pub fn new(script: Arc<Script>) -> Self {
        Self { script, ready: AtomicBool::new(false), polls: Arc::default() }
    }
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        Self { script: Arc::clone(&self.script), ready: AtomicBool::new(false), polls: Arc::clone(&self.polls) }
    }
}

impl Service<()> for Probe {
    type Response = u32;
    type Error = Wrong;
    type Future = std::future::Ready<Result<u32, Wrong>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Wrong>> {
        self.polls.fetch_add(1, Ordering::SeqCst);
        *self.ready.get_mut() = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        assert!(std::mem::take(self.ready.get_mut()), "called without readiness");
        std::future::ready(self.script.play())
    }
}

fn fails_twice() -> Arc<Script> {
    Arc::new(Script::new([Err(Wrong::Passing), Err(Wrong::Passing), Ok(3)]))
}

#[tokio::test(start_paused = true)]
async fn case_37_retry_polls_ready_before_each_attempt_and_uses_the_ready_instance_first() {
    let probe = Probe::new(fails_twice());
    let polls = Arc::clone(&probe.polls);
    let mut service = RetryLayer::new(RETRY).layer(probe);
    assert_eq!(service.ready().await.unwrap().call(()).await, Ok(3));
    assert_eq!(polls.load(Ordering::SeqCst), 3, "once for each attempt");
}

#[tokio::test(start_paused = true)]
async fn case_37_retry_works_over_a_concurrency_limit_of_one() {
    let script = fails_twice();
    let mut service = ServiceBuilder::new()
        .layer(RetryLayer::new(RETRY))
        .concurrency_limit(1)
        .service(Probe::new(Arc::clone(&script)));
    assert_eq!(service.ready().await.unwrap().call(()).await, Ok(3));
    assert_eq!(service.ready().await.unwrap().call(()).await, Ok(3));
    assert_eq!(script.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn case_37_retry_works_over_a_buffer_of_one() {
    let script = fails_twice();
    let transient = |error: &BoxError| error.downcast_ref() == Some(&Wrong::Passing);
    let mut service = ServiceBuilder::new()
        .layer(RetryLayer::new(RETRY).when(transient))
        .buffer(1)
        .service(Probe::new(Arc::clone(&script)));
    assert_eq!(service.ready().await.unwrap().call(()).await.unwrap(), 3);
    assert_eq!(script.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn case_39_a_request_in_its_wait_is_not_polled_until_the_wait_is_over() {
    struct Counting<F>(F, Arc<AtomicU32>);
    impl<F: Future + Unpin> Future for Counting<F> {
        type Output = F::Output;
        fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
            self.1.fetch_add(1, Ordering::SeqCst);
            std::pin::Pin::new(&mut self.0).poll(cx)
        }
    }
    let polls = Arc::new(AtomicU32::new(0));
    let retry = RETRY.backoff(Backoff::fixed(Duration::from_secs(3600)));
    let mut service = RetryLayer::new(retry).layer(Probe::new(fails_twice()));
    let answer = Box::pin(service.ready().await.unwrap().call(()));
    assert_eq!(Counting(answer, Arc::clone(&polls)).await, Ok(3));
    assert!(polls.load(Ordering::SeqCst) <= 5, "{polls:?}");
}

#[tokio::test(start_paused = true)]
async fn case_40_every_clone_that_waits_is_woken_also_when_others_are_dropped() {
    // Ten clones share one slot; some give up while they wait.
    let script = Arc::new(Script::new([Ok(1)]));
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(RETRY))
        .concurrency_limit(1)
        .service(Probe::new(Arc::clone(&script)));
    let clones: Vec<_> = (0..10)
        .map(|number| {
            let mut clone = service.clone();
            tokio::spawn(async move {
                let ask = async { clone.ready().await.unwrap().call(()).await };
                if number % 3 == 0 {
                    tokio::time::timeout(Duration::ZERO, ask).await.unwrap_or(Ok(0))
                } else {
                    ask.await
                }
            })
        })
        .collect();
    for clone in clones {
        tokio::time::timeout(Duration::from_secs(1), clone).await.expect("woken").unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn case_15_dropping_the_answer_in_its_wait_stops_the_request() {
    let script = Arc::new(Script::always(Wrong::Passing));
    let mut service = RetryLayer::new(RETRY).layer(Probe::new(Arc::clone(&script)));
    let answer = service.ready().await.unwrap().call(());
    assert!(tokio::time::timeout(Duration::from_millis(5), answer).await.is_err());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_service_sees_the_deadline_of_the_layer_above_already_when_it_is_called() {
    let deadlines = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&deadlines);
    let inner = tower::service_fn(move |()| {
        // Not in the future, but where it is made.
        seen.lock().unwrap().push(ft_runtime::Deadline::current().map(ft_runtime::Deadline::remaining));
        std::future::ready(Err::<u32, _>(Wrong::Passing))
    });
    let mut service = RetryLayer::new(RETRY.deadline(Duration::from_secs(1))).layer(inner);
    service.ready().await.unwrap().call(()).await.unwrap_err();
    let left = [1000, 990, 980].map(|ms| Some(Duration::from_millis(ms)));
    assert_eq!(*deadlines.lock().unwrap(), left);
}
#[tokio::test(start_paused = true)]
async fn case_12_no_attempt_begins_after_the_deadline_also_when_the_service_becomes_ready_late() {
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    let inner = tower::service_fn(move |()| {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Err::<u32, _>(Wrong::Passing))
    });
    let limited = tower::limit::ConcurrencyLimit::new(inner, 1);
    let mut other = limited.clone();
    let began = tokio::time::Instant::now();
    let call = tokio::spawn(RetryLayer::new(RETRY.deadline(Duration::from_secs(1))).layer(limited).oneshot(()));
    tokio::time::sleep(Duration::from_millis(1)).await;
    other.ready().await.unwrap(); // has the only place, for ten seconds
    tokio::time::sleep(Duration::from_secs(10)).await;
    drop(other);
    assert_eq!(call.await.unwrap(), Err(Wrong::Passing));
    assert_eq!(calls.load(Ordering::SeqCst), 1, "an attempt began {:?} after the start", began.elapsed());
}
