//! All layers at once, in the recommended order, over a service with little room that fails, hangs and panics.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use ft_runtime::{
    Bulkhead, Chaos, CircuitBreaker, CircuitState, Coalesce, Fault, FaultKind, Hedge, RateLimiter, Rejected, Retry,
    RetryBudget, Timeout, chaos,
};
use ft_tower::testing::{Probe, ProbeCounts};
use ft_tower::{
    BulkheadLayer, ChaosLayer, CircuitBreakerLayer, CoalesceLayer, Failover, FallbackLayer, HedgeLayer,
    RateLimiterLayer, RetryLayer, TimeoutLayer,
};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq)]
enum Failure {
    Broken,
    Rejected(Rejected),
    /// What the stack must never cause: a buffer that is torn down.
    Other(String),
}

impl Failure {
    /// What the buffer made of it.
    fn of(error: BoxError) -> Self {
        error.downcast::<Self>().map_or_else(|other| Self::Other(other.to_string()), |own| *own)
    }
}

impl From<Rejected> for Failure {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

impl Fault for Failure {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Broken => FaultKind::Transient,
            Self::Rejected(rejected) => rejected.kind(),
            Self::Other(_) => FaultKind::Permanent,
        }
    }

    fn rejected(&self) -> Option<&Rejected> {
        match self {
            Self::Rejected(rejected) => Some(rejected),
            _ => None,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Failure {}

/// Of its calls one in seven fails, one in eleven takes too long, one in a hundred panics, once in its future; until it
/// is well.
#[derive(Clone, Default)]
struct Server {
    well: Arc<AtomicBool>,
    calls: Arc<AtomicU32>,
    running: Arc<AtomicU32>,
}

/// Counts what runs, as long as it is not dropped.
struct Running(Arc<AtomicU32>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service<u32> for Server {
    type Response = u32;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<u32, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, id: u32) -> Self::Future {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(self.running.fetch_add(1, Ordering::SeqCst) < 2, "more than the limit lets through");
        let running = Running(Arc::clone(&self.running));
        let call = if self.well.load(Ordering::SeqCst) { 1 } else { call };
        Box::pin(async move {
            let _running = running;
            tokio::time::sleep(if call.is_multiple_of(11) { 3600 * SECOND } else { 5 * MS }).await;
            assert!(!call.is_multiple_of(100), "one in a hundred");
            if call.is_multiple_of(7) { Err(Failure::Broken) } else { Ok(id) }
        })
    }
}

/// The policies of one target, and what its server counts.
struct Target {
    hedge: Arc<Hedge>,
    breaker: Arc<CircuitBreaker>,
    rate: Arc<RateLimiter>,
    hall: Arc<Bulkhead>,
    chaos: Arc<Chaos>,
    server: Server,
    counts: std::sync::Mutex<Option<Arc<ProbeCounts>>>,
}

impl Target {
    fn new() -> Self {
        Self {
            hedge: Arc::new(Hedge::new().after(50 * MS)),
            breaker: Arc::new(CircuitBreaker::new().open(50 * MS)),
            rate: Arc::new(RateLimiter::new(1_000).burst(50).max_wait(SECOND)),
            hall: Arc::new(Bulkhead::new(4).queue(40).max_wait(SECOND)),
            chaos: Arc::new(Chaos::new().errors(0.05).latency(0.05).delay(20 * MS).panics(0.01).seed(7)),
            server: Server::default(),
            counts: std::sync::Mutex::default(),
        }
    }

    fn service(
        &self,
        retry: Retry,
    ) -> impl Service<u32, Response = u32, Error = Failure, Future: Send> + Clone + Send + use<> {
        let probe = Probe::new(self.server.clone());
        *self.counts.lock().unwrap() = Some(probe.counts());
        ServiceBuilder::new()
            .layer(HedgeLayer::new(&self.hedge))
            .layer(RetryLayer::new(retry))
            .layer(CircuitBreakerLayer::new(&self.breaker))
            .layer(RateLimiterLayer::new(&self.rate))
            .layer(TimeoutLayer::new(200 * MS))
            .layer(BulkheadLayer::new(&self.hall))
            .layer(ChaosLayer::new(&self.chaos))
            .map_err(Failure::of as fn(BoxError) -> Failure)
            .buffer(1)
            .concurrency_limit(2)
            .service(probe)
    }

    /// Nothing that a request takes is still taken.
    fn is_at_rest(&self) {
        assert_eq!(self.server.running.load(Ordering::SeqCst), 0, "a request runs on");
        assert_eq!((self.hall.in_flight(), self.hall.waiting()), (0, 0), "the bulkhead");
        assert_eq!(self.rate.waiting(), 0, "the limiter");
        let counts = self.counts.lock().unwrap().take().expect("it has a service");
        assert_eq!(counts.reserved(), 0, "readiness of what is inside");
        assert_eq!(u64::from(self.server.calls.load(Ordering::SeqCst)), counts.calls());
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_requests_through_all_layers_leave_nothing_behind() {
    static BUDGET: RetryBudget = RetryBudget::new();
    let chaos = chaos::scoped();
    let targets = [Target::new(), Target::new()];
    let retry = Retry::new().budget(&BUDGET);
    let shared = Arc::new(Coalesce::new());
    let failover = Failover::new(
        ft_runtime::Failover::new(),
        targets.iter().enumerate().map(|(index, target)| (index.to_string(), target.service(retry))),
    );
    let service = ServiceBuilder::new()
        .layer(FallbackLayer::value(u32::MAX))
        .layer(CoalesceLayer::new(&shared, |id: &u32| *id))
        .layer(TimeoutLayer::new(Timeout::new(10 * SECOND)))
        .service(failover);

    let began = tokio::time::Instant::now();
    let requests: Vec<_> = (0..1_000_u32)
        .map(|number| {
            let answer = service.clone().oneshot(number % 400);
            // Some come later, and some leave early: at once, while they wait, while they run.
            let (delay, patience) = ((number % 50) * 7 * MS, if number % 5 == 0 { number * MS } else { 60 * SECOND });
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                tokio::time::timeout(patience, answer).await.ok()
            })
        })
        .collect();
    let (mut answered, mut substituted, mut left, mut panicked) = (0, 0, 0, 0);
    for (number, request) in requests.into_iter().enumerate() {
        match request.await {
            Ok(Some(Ok(u32::MAX))) => substituted += 1,
            Ok(Some(Ok(id))) => {
                assert_eq!(id, number as u32 % 400, "the answer to another request");
                answered += 1;
            }
            Ok(Some(Err(error))) => panic!("{error:?} has a fallback"),
            Ok(None) => left += 1,
            Err(panic) => {
                assert!(panic.is_panic());
                panicked += 1;
            }
        }
    }
    println!("{answered} answered, {substituted} substituted, {left} left, {panicked} panicked, {:?}", began.elapsed());
    assert!(began.elapsed() < 30 * SECOND, "{:?}", began.elapsed());
    assert!(answered > 300 && substituted > 0 && left > 0 && panicked > 0);

    // Whatever is still in flight there belongs to nobody; then the next request passes as the first one did.
    tokio::time::sleep(SECOND).await;
    assert_eq!(shared.in_flight(), 0, "keys in flight");
    targets.iter().for_each(Target::is_at_rest);
    drop(chaos);
    targets.iter().for_each(|target| target.server.well.store(true, Ordering::SeqCst));
    let calm = async {
        for _ in 0..20 {
            let _ = service.clone().oneshot(1).await;
        }
        service.clone().oneshot(7).await
    };
    assert!(tokio::time::timeout(5 * SECOND, calm).await.expect("nobody waits for ever").is_ok());
    assert!(targets.iter().any(|target| target.breaker.state() == CircuitState::Closed));
}
