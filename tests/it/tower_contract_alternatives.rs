//! The contract of tower services, for fallback, hedge, coalesce and chaos.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use ft_runtime::{Chaos, Coalesce, Error, Hedge};
use ft_tower::{ChaosLayer, CoalesceLayer, FallbackLayer, HedgeLayer};
use tokio::time::Instant;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::flaky::{Script, Wrong};

type Answer = Result<u32, Error<Wrong>>;

const MS: Duration = Duration::from_millis(1);

/// Takes its time, panics when it is called unready (a clone is not ready), and counts what is running.
struct Slow {
    takes: Duration,
    ready: bool,
    calls: Arc<AtomicU32>,
}

impl Slow {
    fn new(takes: Duration) -> (Self, Arc<AtomicU32>) {
        let calls = Arc::new(AtomicU32::new(0));
        (Self { takes, ready: false, calls: Arc::clone(&calls) }, calls)
    }
}

impl Clone for Slow {
    fn clone(&self) -> Self {
        Self { takes: self.takes, ready: false, calls: Arc::clone(&self.calls) }
    }
}

impl Service<u32> for Slow {
    type Response = u32;
    type Error = Error<Wrong>;
    type Future = std::pin::Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, id: u32) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without readiness");
        self.calls.fetch_add(1, Ordering::SeqCst);
        let takes = self.takes;
        Box::pin(async move {
            tokio::time::sleep(takes).await;
            Ok(id)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn case_37_each_call_of_a_hedge_is_made_ready_first() {
    let (slow, calls) = Slow::new(100 * MS);
    let hedge = Arc::new(Hedge::new().after(10 * MS).max_extra(2));
    let mut service = HedgeLayer::new(hedge).layer(slow);
    assert_eq!(service.ready().await.unwrap().call(7).await, Ok(7));
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn case_37_who_takes_over_makes_the_service_ready_first() {
    let (slow, calls) = Slow::new(100 * MS);
    let service = CoalesceLayer::new(Arc::new(Coalesce::new()), |_: &u32| "all").layer(slow);
    let callers: Vec<_> = (0..3).map(|id| tokio::spawn(service.clone().oneshot(id))).collect();
    tokio::time::sleep(10 * MS).await;
    callers[0].abort();
    let mut answers = Vec::new();
    for caller in callers.into_iter().skip(1) {
        answers.push(caller.await.unwrap());
    }
    assert_eq!((answers, calls.load(Ordering::SeqCst)), (vec![Ok(1), Ok(1)], 2));
}

/// Hedge, coalesce, fallback and chaos over something that has room for one.
#[tokio::test(start_paused = true)]
async fn case_37_all_work_over_a_concurrency_limit_of_one() {
    let (slow, calls) = Slow::new(100 * MS);
    let service = ServiceBuilder::new()
        .layer(FallbackLayer::with(async |_: Error<Wrong>| Ok(0)))
        .layer(CoalesceLayer::new(Arc::new(Coalesce::new()), |id: &u32| *id))
        .layer(HedgeLayer::new(Arc::new(Hedge::new().after(10 * MS))))
        .layer(ChaosLayer::new(Arc::new(Chaos::new())))
        .concurrency_limit(1)
        .service(slow);
    let callers: Vec<_> = [1, 1, 2].map(|id| tokio::spawn(service.clone().oneshot(id))).into();
    let mut answers = Vec::new();
    for caller in callers {
        answers.push(tokio::time::timeout(Duration::from_secs(9), caller).await.expect("woken").unwrap());
    }
    assert_eq!(answers, [Ok(1), Ok(1), Ok(2)]);
    // One after the other: the next request is made when there is a place, and so finds nobody to share with; the extra
    // one of a hedge waits for that place too, and is gone when the first one is done.
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn case_37_a_hedge_works_over_a_buffer_of_one() {
    let (slow, calls) = Slow::new(100 * MS);
    let mut service = ServiceBuilder::new()
        .layer(HedgeLayer::new(Arc::new(Hedge::new().after(10 * MS))).when(|_: &BoxError| true))
        .buffer(1)
        .service(slow);
    assert_eq!(service.ready().await.unwrap().call(7).await.unwrap(), 7);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn case_38_readiness_that_is_not_used_is_given_back() {
    let (slow, _) = Slow::new(MS);
    let limited = ServiceBuilder::new().concurrency_limit(1).service(slow);
    let mut hedged = HedgeLayer::new(Arc::new(Hedge::new())).layer(limited.clone());
    let mut shared = CoalesceLayer::new(Arc::new(Coalesce::new()), |id: &u32| *id).layer(limited.clone());
    let mut answered = FallbackLayer::value(0).layer(limited.clone());
    let mut quiet = ChaosLayer::new(Arc::new(Chaos::new())).layer(limited.clone());
    // Twice, and then dropped.
    for _ in 0..2 {
        hedged.ready().await.unwrap();
    }
    drop(hedged);
    for _ in 0..2 {
        shared.ready().await.unwrap();
    }
    drop(shared);
    for _ in 0..2 {
        answered.ready().await.unwrap();
    }
    drop(answered);
    for _ in 0..2 {
        quiet.ready().await.unwrap();
    }
    drop(quiet);
    let asked = tokio::time::timeout(Duration::from_secs(1), limited.oneshot(7)).await;
    assert_eq!(asked.expect("the place is free"), Ok(7));
}

/// Ten requests wait for one execution that holds one of two places; another user of the service gets the second one.
#[tokio::test(start_paused = true)]
async fn case_41_requests_that_wait_for_another_hold_no_readiness() {
    let (slow, _) = Slow::new(100 * MS);
    let limited = ServiceBuilder::new().concurrency_limit(2).service(slow);
    let shared = CoalesceLayer::new(Arc::new(Coalesce::new()), |_: &u32| "all").layer(limited.clone());
    let waiting: Vec<_> = (0..10).map(|id| tokio::spawn(shared.clone().oneshot(id))).collect();
    tokio::time::sleep(10 * MS).await;
    let began = Instant::now();
    assert_eq!(limited.oneshot(7).await, Ok(7));
    assert_eq!(began.elapsed(), 100 * MS, "it had to wait for a place");
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), Ok(0));
    }
}

#[tokio::test(start_paused = true)]
async fn case_40_all_requests_that_wait_are_woken_also_when_others_are_dropped() {
    let (slow, calls) = Slow::new(100 * MS);
    let service = CoalesceLayer::new(Arc::new(Coalesce::new()), |_: &u32| "all").layer(slow);
    let callers: Vec<_> = (0..10).map(|id| tokio::spawn(service.clone().oneshot(id))).collect();
    tokio::time::sleep(10 * MS).await;
    callers[3].abort();
    callers[7].abort();
    let mut answered = 0;
    for caller in callers {
        if let Ok(answer) = tokio::time::timeout(Duration::from_secs(1), caller).await.expect("woken") {
            assert_eq!(answer, Ok(0));
            answered += 1;
        }
    }
    assert_eq!((answered, calls.load(Ordering::SeqCst)), (8, 1));
}

/// Counts how often a future is polled.
struct Counting<F>(F, Arc<AtomicU32>);

impl<F: Future + Unpin> Future for Counting<F> {
    type Output = F::Output;
    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.1.fetch_add(1, Ordering::SeqCst);
        std::pin::Pin::new(&mut self.0).poll(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn case_39_hedged_and_shared_requests_are_polled_a_few_times_only() {
    let polls = Arc::new(AtomicU32::new(0));
    let (slow, _) = Slow::new(Duration::from_secs(3600));
    let hedged = HedgeLayer::new(Arc::new(Hedge::new().after(10 * MS))).layer(slow.clone());
    Counting(Box::pin(hedged.oneshot(1)), Arc::clone(&polls)).await.unwrap();
    assert!(polls.load(Ordering::SeqCst) <= 4, "{polls:?}");

    let polls = Arc::new(AtomicU32::new(0));
    let shared = CoalesceLayer::new(Arc::new(Coalesce::new()), |_: &u32| "all").layer(slow);
    let leader = tokio::spawn(shared.clone().oneshot(1));
    tokio::task::yield_now().await;
    Counting(Box::pin(shared.oneshot(2)), Arc::clone(&polls)).await.unwrap();
    leader.await.unwrap().unwrap();
    assert!(polls.load(Ordering::SeqCst) <= 3, "{polls:?}");
}

#[tokio::test(start_paused = true)]
async fn case_42_an_error_of_readiness_has_no_fallback_and_no_hedge() {
    #[derive(Clone)]
    struct Broken;
    impl Service<u32> for Broken {
        type Response = u32;
        type Error = Wrong;
        type Future = std::future::Ready<Result<u32, Wrong>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Wrong>> {
            Poll::Ready(Err(Wrong::Passing))
        }
        fn call(&mut self, _: u32) -> Self::Future {
            unreachable!("it never is ready")
        }
    }
    assert_eq!(FallbackLayer::value(0).layer(Broken).oneshot(1).await, Err(Wrong::Passing));
    assert_eq!(HedgeLayer::new(Arc::new(Hedge::new())).layer(Broken).oneshot(1).await, Err(Wrong::Passing));
}

#[tokio::test(start_paused = true)]
async fn a_request_is_cloned_only_where_the_fallback_needs_it() {
    /// Cannot be cloned.
    struct Request(u32);
    let script = Arc::new(Script::always(Wrong::Passing));
    let inner = service_fn(move |request: Request| std::future::ready(script.play().map(|played| played + request.0)));
    assert_eq!(FallbackLayer::value(7).layer(inner.clone()).oneshot(Request(1)).await, Ok(7));
    let with = FallbackLayer::with(async |error: Wrong| if error == Wrong::Passing { Ok(8) } else { Err(error) });
    assert_eq!(with.layer(inner).oneshot(Request(1)).await, Ok(8));
}
