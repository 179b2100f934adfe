//! The contract of tower services, for the layers that let a request through or refuse it: bulkhead and rate limiter.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use ft_runtime::{Bulkhead, Error, Keyed, RateLimiter, Rejected};
use ft_tower::{BulkheadLayer, RateLimiterLayer};
use tokio::time::Instant;
use tower::limit::ConcurrencyLimit;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::flaky::{Script, Wrong};
use crate::tower_contract::Probe;

const MS: Duration = Duration::from_millis(1);

/// A service whose requests take so long.
fn slow(takes: Duration) -> impl Service<(), Response = u32, Error = Error<Wrong>, Future: Send> + Clone + Send {
    service_fn(move |()| async move {
        tokio::time::sleep(takes).await;
        Ok(1)
    })
}

fn script() -> Arc<Script> {
    Arc::new(Script::new([Ok(1)]))
}

/// The probe panics when it is called unready.
fn probed() -> tower::util::MapErr<Probe, fn(Wrong) -> BoxError> {
    Probe::new(script()).map_err(Into::into)
}

#[tokio::test(start_paused = true)]
async fn case_37_the_instance_that_was_made_ready_makes_the_call() {
    let mut bulkhead = BulkheadLayer::new(Arc::new(Bulkhead::new(1))).layer(probed());
    let mut limiter = RateLimiterLayer::new(Arc::new(RateLimiter::new(1_000).burst(9))).layer(probed());
    for _ in 0..3 {
        assert_eq!(bulkhead.ready().await.unwrap().call(()).await.unwrap(), 1);
        assert_eq!(limiter.ready().await.unwrap().call(()).await.unwrap(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn case_37_both_work_over_a_concurrency_limit_and_a_buffer_of_one() {
    let mut service = ServiceBuilder::new()
        .layer(BulkheadLayer::new(Arc::new(Bulkhead::new(4))))
        .layer(RateLimiterLayer::new(Arc::new(RateLimiter::new(1_000).burst(9))))
        .buffer(1)
        .concurrency_limit(1)
        .service(Probe::new(script()));
    for _ in 0..3 {
        assert_eq!(service.ready().await.unwrap().call(()).await.unwrap(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn case_38_readiness_takes_nothing_however_often_it_is_asked_for() {
    let policy = Arc::new(Bulkhead::new(1));
    let mut service = BulkheadLayer::new(&policy).layer(slow(MS));
    for _ in 0..3 {
        service.ready().await.unwrap();
    }
    assert_eq!(policy.in_flight(), 0);
    // A request that is dropped gives its permit back, begun or not.
    drop(service.ready().await.unwrap().call(()));
    let begun = service.ready().await.unwrap().call(());
    assert!(tokio::time::timeout(Duration::ZERO, begun).await.is_err());
    assert_eq!(policy.in_flight(), 0);
    assert_eq!(service.ready().await.unwrap().call(()).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn case_39_a_request_that_waits_is_polled_a_few_times_only() {
    let bulkhead = Arc::new(Bulkhead::new(1).queue(1).max_wait(Duration::MAX));
    let service = BulkheadLayer::new(&bulkhead).layer(slow(Duration::from_secs(3600)));
    let running = tokio::spawn(service.clone().call(()));
    tokio::task::yield_now().await;
    let (polls, mut waiting) = (AtomicU32::new(0), Box::pin(service.clone().call(())));
    let counted = std::future::poll_fn(|cx| {
        polls.fetch_add(1, Ordering::SeqCst);
        waiting.as_mut().poll(cx)
    });
    assert_eq!(counted.await.unwrap(), 1);
    running.await.unwrap().unwrap();
    // The wait, the permit, the answer.
    assert!(polls.load(Ordering::SeqCst) <= 3, "{polls:?}");
}

#[tokio::test(start_paused = true)]
async fn case_40_every_clone_that_waits_is_served_also_when_others_are_dropped() {
    let bulkhead = Arc::new(Bulkhead::new(1).queue(20).max_wait(Duration::from_secs(60)));
    let limiter = Arc::new(RateLimiter::new(100).max_wait(Duration::from_secs(60)));
    let service = ServiceBuilder::new()
        .layer(RateLimiterLayer::new(&limiter))
        .layer(BulkheadLayer::new(&bulkhead))
        .service(slow(25 * MS));
    let clones: Vec<_> = (0..12)
        .map(|number| {
            let ask = service.clone().oneshot(());
            let patience = if number % 3 == 0 { number * 7 * MS } else { Duration::from_secs(10) };
            tokio::spawn(async move { number % 3 == 0 || tokio::time::timeout(patience, ask).await.is_ok() })
        })
        .collect();
    for clone in clones {
        assert!(clone.await.unwrap(), "woken");
    }
    assert_eq!((bulkhead.in_flight(), bulkhead.waiting(), limiter.waiting()), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn case_41_who_waits_for_a_permit_or_a_turn_holds_no_readiness_of_the_service_inside() {
    // One slot inside, shared with somebody who does not pass the bulkhead.
    let inside = ConcurrencyLimit::new(slow(MS), 1);
    let limiter = Arc::new(RateLimiter::new(10).max_wait(Duration::from_secs(1)));
    limiter.run(async { Ok::<_, Rejected>(()) }).await.unwrap();
    let full = Arc::new(Bulkhead::new(1).queue(4));
    let holding = Arc::clone(&full);
    let hold = async {
        tokio::time::sleep(100 * MS).await;
        Ok::<_, Rejected>(())
    };
    let holder = tokio::spawn(async move { holding.run(hold).await });
    tokio::task::yield_now().await;
    let waits = [
        tokio::spawn(BulkheadLayer::new(&full).layer(inside.clone()).oneshot(())),
        tokio::spawn(RateLimiterLayer::new(&limiter).layer(inside.clone()).oneshot(())),
    ];
    tokio::task::yield_now().await;
    let asked = Instant::now();
    assert_eq!(inside.clone().oneshot(()).await.unwrap(), 1, "the slot is free");
    assert_eq!(asked.elapsed(), MS);
    for waits in waits {
        assert_eq!(waits.await.unwrap().unwrap(), 1);
    }
    holder.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn case_42_a_refusal_does_not_tear_down_a_buffer() {
    let bulkhead = Arc::new(Bulkhead::new(1));
    let limiter = Arc::new(RateLimiter::new(10));
    let service = ServiceBuilder::new()
        .buffer(4)
        .layer(RateLimiterLayer::new(&limiter))
        .layer(BulkheadLayer::new(&bulkhead))
        .service(slow(MS));
    let refused = |outcome: Result<u32, BoxError>| {
        outcome.is_err_and(|error| matches!(error.downcast_ref(), Some(Error::<Wrong>::Rejected(_))))
    };
    assert_eq!(service.clone().oneshot(()).await.unwrap(), 1);
    assert!(refused(service.clone().oneshot(()).await));
    tokio::time::sleep(100 * MS).await;
    assert_eq!(service.oneshot(()).await.unwrap(), 1, "the buffer lives");
}

/// Never ready, for a while or for good.
#[derive(Clone)]
struct Broken;

impl Service<()> for Broken {
    type Response = u32;
    type Error = Error<Wrong>;
    type Future = std::future::Ready<Result<u32, Error<Wrong>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Err(Error::Failed(Wrong::ForGood)))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        unreachable!("never ready")
    }
}

#[tokio::test(start_paused = true)]
async fn case_42_an_error_of_readiness_is_the_answer_and_gives_the_permit_back() {
    let bulkhead = Arc::new(Bulkhead::new(1));
    for _ in 0..2 {
        let outcome = BulkheadLayer::new(&bulkhead).layer(Broken).oneshot(()).await;
        assert!(matches!(outcome, Err(Error::Failed(Wrong::ForGood))));
        assert_eq!(bulkhead.in_flight(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn case_48_clones_and_the_services_of_several_connections_share_one_limit() {
    let limiter = RateLimiterLayer::new(Arc::new(RateLimiter::new(5).burst(5)));
    let bulkhead = BulkheadLayer::new(Arc::new(Bulkhead::new(5)));
    let (mut by_rate, mut by_number) = (Vec::new(), Vec::new());
    // A server makes a service for each connection, and clones it for each request.
    for _ in 0..10 {
        let connection = (limiter.clone().layer(slow(MS)), bulkhead.clone().layer(slow(MS)));
        for _ in 0..3 {
            by_rate.push(tokio::spawn(connection.0.clone().oneshot(())));
            by_number.push(tokio::spawn(connection.1.clone().oneshot(())));
        }
    }
    for requests in [by_rate, by_number] {
        let mut admitted = 0;
        for request in requests {
            admitted += u32::from(request.await.unwrap().is_ok());
        }
        assert_eq!(admitted, 5);
    }
}

#[tokio::test(start_paused = true)]
async fn each_key_has_a_limit_of_its_own_and_a_full_one_holds_nothing_of_the_service_inside() {
    static PLACES: Keyed<Bulkhead> = Keyed::new(Bulkhead::new(1).queue(1));
    static RATES: Keyed<RateLimiter> = Keyed::new(RateLimiter::new(1).per(Duration::from_secs(3600)));
    let answer = |tenant: &'static str| async move {
        tokio::time::sleep(MS).await;
        Ok::<_, Error<Wrong>>(tenant)
    };
    let inside = ConcurrencyLimit::new(service_fn(answer), 2);
    let tenant = |tenant: &&'static str| *tenant;

    let service = BulkheadLayer::keyed(&PLACES, tenant).layer(inside.clone());
    let mut requests: Vec<_> = ["red"; 3].map(|tenant| tokio::spawn(service.clone().oneshot(tenant))).into();
    tokio::task::yield_now().await;
    // One red one runs, one waits for it, one is refused: the second place inside is free for blue.
    assert_eq!((PLACES.of("red").in_flight(), PLACES.of("red").waiting()), (1, 1));
    let asked = Instant::now();
    assert_eq!(service.oneshot("blue").await, Ok("blue"));
    assert_eq!(asked.elapsed(), MS);
    assert_eq!(requests.pop().unwrap().await.unwrap(), Err(Error::Rejected(Rejected::BulkheadFull)));
    for request in requests {
        assert_eq!(request.await.unwrap(), Ok("red"));
    }
    assert_eq!(PLACES.entries().iter().map(|(_, places)| places.in_flight()).sum::<u32>(), 0);

    let service = RateLimiterLayer::keyed(&RATES, tenant).layer(inside);
    let limited = |outcome: Result<_, _>| matches!(outcome, Err(Error::Rejected(Rejected::RateLimited { .. })));
    assert!(!limited(service.clone().oneshot("red").await) && limited(service.clone().oneshot("red").await));
    assert!(!limited(service.oneshot("blue").await));
}
