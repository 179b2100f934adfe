//! Which functions `#[timeout]`, `#[circuit_breaker]`, `#[bulkhead]` and `#[rate_limiter]` go on, and who shares their
//! state. As in `matrix`: one row, one test, and what is spawned stays `Send`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use ft_runtime::{
    Bulkhead, CircuitBreaker, Keyed, RateLimiter, Rejected, bulkhead, circuit_breaker, rate_limiter, retry, timeout,
};

type Answer = Result<u32, Rejected>;

async fn spawned<R: Send + 'static>(call: impl Future<Output = R> + Send + 'static) -> R {
    tokio::spawn(call).await.expect("the task does not panic")
}

/// Whether the second of two calls finds the state that the first one left behind.
macro_rules! shares_its_state {
    ($first:expr, $second:expr) => {
        assert_eq!($first, Ok(1));
        assert!(matches!($second, Err(Rejected::RateLimited { .. })), "a state of its own for each call");
    };
}

// ===== policies that are made in the attribute =====

#[rate_limiter(RateLimiter::new(1).burst(1))]
async fn made_here() -> Answer {
    Ok(1)
}

#[rate_limiter(&ft_runtime::RateLimiter::new(1), per = 10s)]
fn made_here_with_more() -> Answer {
    Ok(1)
}

#[rate_limiter(Keyed::new(RateLimiter::new(1)).max_keys(8), key = host)]
async fn made_here_for_keys(host: &str) -> Answer {
    Ok(host.len() as u32)
}

#[rate_limiter(RateLimiter::new(1), key = host, max_keys = 8)]
async fn made_here_and_keyed(host: &str) -> Answer {
    Ok(host.len() as u32)
}

const ONE: u32 = 1;

#[rate_limiter(ONE * 1)]
#[expect(clippy::identity_op, reason = "an expression is a rate")]
async fn reckoned() -> Answer {
    Ok(1)
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_the_attribute_makes_is_one_for_all_calls() {
    shares_its_state!(made_here().await, made_here().await);
    shares_its_state!(made_here_with_more(), made_here_with_more());
    shares_its_state!(made_here_for_keys("a").await, made_here_for_keys("a").await);
    shares_its_state!(made_here_and_keyed("a").await, made_here_and_keyed("a").await);
    shares_its_state!(reckoned().await, reckoned().await);
    assert_eq!(made_here_for_keys("b").await, Ok(1));
    assert_eq!(made_here_and_keyed("b").await, Ok(1));
}

#[rate_limiter(1)]
async fn generic<T: Send>(_: T) -> Answer {
    Ok(1)
}

#[tokio::test(start_paused = true)]
async fn a_generic_function_has_one_state_for_all_its_types() {
    shares_its_state!(generic("a").await, generic(7).await);
}

// ===== policies that exist =====

static LATE: LazyLock<RateLimiter> = LazyLock::new(|| RateLimiter::new(1));
static SEVERAL: LazyLock<Vec<RateLimiter>> = LazyLock::new(|| vec![RateLimiter::new(1)]);

#[rate_limiter(LATE)]
async fn of_a_lazy_static() -> Answer {
    Ok(1)
}

#[rate_limiter(SEVERAL[index])]
async fn of_several(index: usize) -> Answer {
    Ok(1 + index as u32)
}

#[rate_limiter(limiter)]
async fn of_an_argument(limiter: &RateLimiter) -> Answer {
    Ok(1)
}

trait Limited {
    const LIMITER: &'static RateLimiter;

    #[rate_limiter(Self::LIMITER)]
    fn of_the_type(&self) -> Answer {
        Ok(1)
    }
}

impl Limited for u8 {
    const LIMITER: &'static RateLimiter = {
        static LIMITER: RateLimiter = RateLimiter::new(1);
        &LIMITER
    };
}

struct Client {
    limiter: Arc<RateLimiter>,
    breaker: CircuitBreaker,
    called: u32,
}

impl Client {
    fn new() -> Self {
        Self { limiter: Arc::new(RateLimiter::new(1)), breaker: CircuitBreaker::new(), called: 0 }
    }

    fn limiter(&self) -> &RateLimiter {
        &self.limiter
    }

    #[rate_limiter(self.limiter)]
    async fn by_field(&self) -> Answer {
        Ok(1)
    }

    #[rate_limiter(self.limiter())]
    async fn by_method(&self) -> Answer {
        Ok(1)
    }

    // A policy that is borrowed from `self` would lock the body out of it: a clone of the pointer does not.
    #[rate_limiter(Arc::clone(&self.limiter))]
    async fn beside_a_mutable_self(&mut self) -> Answer {
        self.called += 1;
        Ok(self.called)
    }

    #[timeout(1s)]
    #[circuit_breaker(self.breaker)]
    #[bulkhead(4)]
    async fn consumed(self) -> Answer {
        Ok(self.called)
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_exists_is_found_wherever_it_is() {
    shares_its_state!(of_a_lazy_static().await, of_a_lazy_static().await);
    shares_its_state!(of_several(0).await, of_several(0).await);
    let limiter = RateLimiter::new(1);
    shares_its_state!(of_an_argument(&limiter).await, of_an_argument(&limiter).await);
    shares_its_state!(7_u8.of_the_type(), 8_u8.of_the_type());
    let client = Client::new();
    shares_its_state!(client.by_field().await, client.by_method().await);
    let mut client = Client::new();
    shares_its_state!(client.beside_a_mutable_self().await, client.beside_a_mutable_self().await);
    assert_eq!(spawned(client.consumed()).await, Ok(1));
}

// ===== functions of all kinds =====

#[async_trait]
trait Fetches {
    async fn fetch(&mut self, page: u32) -> Answer;
}

#[async_trait]
impl Fetches for Client {
    #[timeout(1s)]
    #[circuit_breaker(key = page)]
    #[rate_limiter(self.limiter.clone())]
    #[bulkhead(4, queue = 1)]
    async fn fetch(&mut self, page: u32) -> Answer {
        self.called += page;
        tokio::task::yield_now().await;
        Ok(self.called)
    }
}

#[timeout(1s)]
#[circuit_breaker]
#[rate_limiter(100)]
#[bulkhead(4)]
#[expect(clippy::manual_async_fn, reason = "that it is written so is the point")]
fn future(page: &u32) -> impl Future<Output = Answer> + Send {
    async move { Ok(*page) }
}

#[timeout(1s)]
#[circuit_breaker]
#[rate_limiter(100)]
#[bulkhead(4)]
fn boxed(page: &u32) -> Pin<Box<dyn Future<Output = Answer> + Send + '_>> {
    Box::pin(async move { Ok(*page) })
}

#[tokio::test(start_paused = true)]
async fn functions_of_all_kinds_have_limits() {
    assert_eq!(spawned(async { Client::new().fetch(7).await }).await, Ok(7));
    assert_eq!(spawned(async { future(&7).await }).await, Ok(7));
    assert_eq!(spawned(async { boxed(&7).await }).await, Ok(7));
}

/// Neither `Send` nor `Sync`.
#[derive(Debug)]
struct Local(#[allow(dead_code, reason = "it is there to make the error neither Send nor Sync")] Rc<()>);

impl From<Rejected> for Local {
    fn from(_: Rejected) -> Self {
        Self(Rc::new(()))
    }
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("local")
    }
}

static PLACES: Bulkhead = Bulkhead::new(4);

#[timeout(1s)]
#[retry(max_attempts = 2, on = _)]
#[circuit_breaker(on = _)]
#[rate_limiter(100)]
#[timeout(100ms)]
#[bulkhead(PLACES)]
async fn local_error(page: u32) -> Result<u32, Local> {
    tokio::task::yield_now().await;
    if page == 0 { Err(Local(Rc::new(()))) } else { Ok(page) }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_is_not_send_leaves_the_future_send() {
    assert_eq!(spawned(async { local_error(7).await.ok() }).await, Some(7));
    assert_eq!(spawned(async { local_error(0).await.ok() }).await, None);
}
