//! The contract of tower services, for the circuit breaker.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use ft_runtime::{CircuitBreaker, CircuitState, Error, Rejected, Timeout};
use ft_tower::CircuitBreakerLayer;
use tower::limit::ConcurrencyLimit;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::flaky::{Script, Wrong};
use crate::tower_contract::Probe;

const SECOND: Duration = Duration::from_secs(1);

type Answer = Result<u32, Error<Wrong>>;

/// Opens at the first failure, for a second.
fn touchy() -> Arc<CircuitBreaker> {
    Arc::new(CircuitBreaker::new().consecutive(1).open(SECOND))
}

/// The probe panics when it is called unready.
fn probed(script: Script) -> impl Service<(), Response = u32, Error = BoxError, Future: Send> + Clone + Send {
    Probe::new(Arc::new(script)).map_err(Into::into)
}

fn is_refusal(outcome: &Result<u32, BoxError>) -> bool {
    outcome.as_ref().is_err_and(|error| matches!(error.downcast_ref(), Some(Rejected::CircuitOpen { .. })))
}

#[tokio::test(start_paused = true)]
async fn case_37_the_breaker_calls_the_instance_that_was_made_ready_and_no_other() {
    let script = Script::new([Ok(1), Err(Wrong::Passing), Ok(3)]);
    let mut service = ServiceBuilder::new()
        .layer(CircuitBreakerLayer::new(touchy()).when(|error: &BoxError| error.is::<Wrong>()))
        .buffer(1)
        .concurrency_limit(1)
        .service(probed(script));
    assert_eq!(service.ready().await.unwrap().call(()).await.unwrap(), 1);
    assert!(!is_refusal(&service.ready().await.unwrap().call(()).await));
    assert!(is_refusal(&service.ready().await.unwrap().call(()).await));
    tokio::time::advance(SECOND).await;
    assert_eq!(service.ready().await.unwrap().call(()).await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn case_38_readiness_takes_no_permit_and_a_refusal_keeps_no_slot_of_what_is_inside() {
    let breaker = touchy();
    breaker.acquire().unwrap().failed();
    tokio::time::advance(SECOND).await;
    let mut service = CircuitBreakerLayer::new(&breaker).layer(probed(Script::new([Ok(1)])));
    for _ in 0..3 {
        service.ready().await.unwrap();
    }
    drop(service);
    assert_eq!(breaker.state(), CircuitState::Open, "to be ready is not to be a probe");

    // One slot inside, which is free again when the service is dropped or used after a refusal.
    breaker.force_close();
    let limited = ConcurrencyLimit::new(service_fn(|()| async { Answer::Ok(1) }), 1);
    let mut service = CircuitBreakerLayer::new(&breaker).layer(limited.clone());
    service.ready().await.unwrap();
    breaker.force_open();
    service.call(()).await.unwrap_err();
    breaker.reset();
    assert_eq!(service.ready().await.unwrap().call(()).await, Ok(1));
    let mut other = limited;
    assert_eq!(other.ready().await.unwrap().call(()).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn case_42_an_open_breaker_does_not_tear_down_the_buffer_around_it() {
    let breaker = touchy();
    let mut service =
        ServiceBuilder::new().buffer(4).layer(CircuitBreakerLayer::new(&breaker)).service(probed(Script::new([Ok(1)])));
    breaker.force_open();
    for _ in 0..10 {
        assert!(is_refusal(&service.ready().await.expect("the buffer lives").call(()).await));
    }
    breaker.reset();
    assert_eq!(service.ready().await.expect("the buffer lives").call(()).await.unwrap(), 1);
}

/// Never ready, and counts how often it is asked.
#[derive(Clone)]
struct Stuck(Arc<std::sync::atomic::AtomicU32>);

impl Service<()> for Stuck {
    type Response = u32;
    type Error = Error<Wrong>;
    type Future = std::future::Ready<Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error<Wrong>>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Poll::Pending
    }

    fn call(&mut self, (): ()) -> Self::Future {
        unreachable!("it is never ready")
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_refuses_at_once_although_the_service_inside_is_not_ready() {
    let (breaker, asked) = (touchy(), Arc::default());
    breaker.acquire().unwrap().failed();
    let mut service = CircuitBreakerLayer::new(&breaker).layer(Stuck(Arc::clone(&asked)));
    let refusal = service.ready().await.unwrap().call(()).await;
    assert_eq!(refusal, Err(Error::Rejected(Rejected::CircuitOpen { retry_after: SECOND })));
    assert_eq!((asked.load(Ordering::SeqCst), breaker.snapshot().refused), (0, 1));

    // Ready while it was open, called when it no longer is: what is inside was not made ready and is not called.
    service.ready().await.unwrap();
    tokio::time::advance(SECOND).await;
    let refusal = service.call(()).await;
    assert_eq!(refusal, Err(Error::Rejected(Rejected::CircuitOpen { retry_after: Duration::ZERO })));
    assert!(
        tokio::time::timeout(SECOND, service.ready()).await.is_err(),
        "no longer open: it waits for what is inside"
    );
}

#[tokio::test(start_paused = true)]
async fn case_48_the_clones_and_the_services_of_one_layer_share_its_breaker() {
    let breaker = touchy();
    let layer = CircuitBreakerLayer::new(&breaker);
    let service = |answer: Answer| layer.layer(service_fn(move |()| std::future::ready(answer.clone())));
    let (failing, well) = (service(Err(Error::Failed(Wrong::Passing))), service(Ok(1)));
    failing.clone().oneshot(()).await.unwrap_err();
    for service in [failing.clone(), failing] {
        assert!(matches!(service.oneshot(()).await, Err(Error::Rejected(_))));
    }
    assert!(matches!(well.oneshot(()).await, Err(Error::Rejected(_))));
}

#[tokio::test(start_paused = true)]
async fn case_31_two_hundred_requests_cut_off_by_the_timeout_above_open_the_breaker() {
    let breaker = Arc::new(CircuitBreaker::new());
    let mut service = CircuitBreakerLayer::new(&breaker).layer(service_fn(|()| std::future::pending::<Answer>()));
    let mut reasons = [0, 0];
    for _ in 0..200 {
        match Timeout::new(SECOND).run(service.ready().await.unwrap().call(())).await {
            Err(Error::Rejected(Rejected::TimedOut { .. })) => reasons[0] += 1,
            Err(Error::Rejected(Rejected::CircuitOpen { .. })) => reasons[1] += 1,
            other => panic!("{other:?}"),
        }
    }
    // What is refused takes no time, so no probe is due in between.
    assert_eq!((reasons, breaker.state()), ([20, 180], CircuitState::Open));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_gives_the_probe_back() {
    let breaker = touchy();
    breaker.acquire().unwrap().failed();
    tokio::time::advance(SECOND).await;
    let mut service = CircuitBreakerLayer::new(&breaker).layer(service_fn(|()| std::future::pending::<Answer>()));
    let probe = service.ready().await.unwrap().call(());
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    assert!(breaker.acquire().is_err());
    drop(probe);
    breaker.acquire().unwrap().succeeded();
    assert_eq!(breaker.state(), CircuitState::Closed);
}
