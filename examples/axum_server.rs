//! An axum server with the stack: deadline, timeout, circuit breaker, rate limiter, bulkhead. Its own client overloads it,
//! fails it and slows it down, and every refusal comes back as an answer with a status.
//!
//! `cargo run --example axum_server`

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use ft_runtime::{Bulkhead, CircuitBreaker, Deadline, RateLimiter, Retry, Timeout, retry};
use ft_tower::http::{AnswerRefusalsLayer, ByStatus, DeadlineLayer};
use ft_tower::{BulkheadLayer, CircuitBreakerLayer, RateLimiterLayer, TimeoutLayer};
use futures_util::future::join_all;
use http::{Response, StatusCode};
use tower::ServiceBuilder;

/// One state each for the whole server, whatever the number of connections.
static BREAKER: CircuitBreaker = CircuitBreaker::new().consecutive(3).open(Duration::from_millis(1500));
static RATE: RateLimiter = RateLimiter::new(1).per(Duration::from_secs(2)).burst(4);
static HALL: Bulkhead = Bulkhead::new(2).queue(2).max_wait(Duration::from_millis(900));
const LIMIT: Timeout = Timeout::new(Duration::from_secs(1));

/// The router, and around it what can refuse, the outermost first. The limiter stands before one route only.
fn app() -> Router {
    let layers = ServiceBuilder::new()
        .layer(DeadlineLayer::new())
        .layer(TimeoutLayer::new(LIMIT))
        .layer(CircuitBreakerLayer::new(&BREAKER).classify(ByStatus))
        .layer(BulkheadLayer::new(&HALL));
    Router::new()
        .route("/search", get(async || "found").layer(AnswerRefusalsLayer::new(RateLimiterLayer::new(&RATE))))
        .route("/order", get(order))
        .route("/slow", get(async || tokio::time::sleep(Duration::from_secs(60)).await))
        .layer(AnswerRefusalsLayer::new(layers))
}

static DATABASE_IS_DOWN: AtomicBool = AtomicBool::new(false);
static ORDERS: AtomicU32 = AtomicU32::new(0);

/// A fifth of a second of work, and it tells how much time its caller had left.
async fn order() -> Result<String, StatusCode> {
    ORDERS.fetch_add(1, Ordering::SeqCst);
    let left = Deadline::current().map_or(Duration::MAX, Deadline::remaining);
    if DATABASE_IS_DOWN.load(Ordering::SeqCst) {
        return Err(StatusCode::INTERNAL_SERVER_ERROR);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    Ok(left.as_millis().to_string())
}

/// The client of the example.
#[derive(Clone)]
struct Client {
    http: reqwest::Client,
    server: SocketAddr,
}

static REQUESTS: AtomicU32 = AtomicU32::new(0);

impl Client {
    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Response<reqwest::Body>, reqwest::Error> {
        REQUESTS.fetch_add(1, Ordering::SeqCst);
        let request = self.http.get(format!("http://{}{path}", self.server));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Ok(request.send().await?.into())
    }

    async fn status(&self, path: &str, headers: &[(&str, &str)]) -> u16 {
        let status = self.get(path, headers).await.expect("every request is answered").status().as_u16();
        println!("  GET {path} {headers:?}: {status}");
        status
    }

    /// Keeps to what the server says: comes back when `Retry-After` allows.
    #[retry(Retry::new().max_attempts(4), classify = ByStatus)]
    async fn patiently(&self, path: &str) -> Result<Response<reqwest::Body>, reqwest::Error> {
        self.get(path, &[]).await
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let server = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app()).await });
    let client = Client { http: reqwest::Client::builder().no_proxy().build()?, server };

    println!("overload: two run, two wait, the others are refused at once");
    let ten = join_all((0..10).map(|_| client.status("/order", &[]))).await;
    assert_eq!((count(&ten, 200), count(&ten, 503)), (4, 6));

    println!("over the rate: the burst passes, and whoever waits as told gets through");
    let six = join_all((0..6).map(|_| client.status("/search", &[]))).await;
    assert_eq!((count(&six, 200), count(&six, 429)), (4, 2));
    assert_eq!(client.patiently("/search").await?.status(), StatusCode::OK);

    println!("timeout: the server's limit, or the client's where that is nearer");
    let (status, took) = timed(client.status("/slow", &[])).await;
    assert!(status == 504 && took >= Duration::from_secs(1) && took < Duration::from_secs(30), "{took:?}");
    let (status, took) = timed(client.status("/slow", &[(Deadline::HEADER, "50")])).await;
    assert!(status == 504 && took >= Duration::from_millis(50) && took < Duration::from_secs(1), "{took:?}");
    assert_eq!(client.status("/slow", &[(Deadline::HEADER, "soon")]).await, 400, "not a duration");
    assert_eq!(client.status("/order", &[]).await, 200);

    println!("failure: after three in a row nobody asks the database any more, until it is up again");
    DATABASE_IS_DOWN.store(true, Ordering::SeqCst);
    for status in [500, 500, 500, 503, 503] {
        assert_eq!(client.status("/order", &[]).await, status);
    }
    let asked = ORDERS.load(Ordering::SeqCst);
    DATABASE_IS_DOWN.store(false, Ordering::SeqCst);
    let (answer, took) = timed(client.patiently("/order")).await;
    assert_eq!(answer?.status(), StatusCode::OK);
    assert!(took >= Duration::from_secs(1) && ORDERS.load(Ordering::SeqCst) == asked + 1, "{took:?}");

    println!("axum_server: {} requests, every refusal answered", REQUESTS.load(Ordering::SeqCst));
    Ok(())
}

fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|other| **other == status).count()
}

async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let began = Instant::now();
    (work.await, began.elapsed())
}
