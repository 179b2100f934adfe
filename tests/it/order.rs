//! The top attribute is the outermost one: for every pair, and for the whole stack that the documentation recommends.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ft_runtime::{
    Bulkhead, Chaos, CircuitBreaker, Coalesce, Fallback, Hedge, RateLimiter, Rejected, Store, bulkhead, chaos,
    checkpoint, circuit_breaker, coalesce, failover, fallback, hedge, rate_limiter, retry, timeout,
};

type Answer = Result<u32, Rejected>;

thread_local! {
    static ENTERED: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

/// Notes that the attribute is entered: what it takes is evaluated where it stands in the nest.
fn enter<X>(name: &'static str, value: X) -> X {
    ENTERED.with_borrow_mut(|entered| entered.push(name));
    value
}

fn entered() -> Vec<&'static str> {
    ENTERED.take()
}

static BREAKER: CircuitBreaker = CircuitBreaker::new();
static PLACES: Bulkhead = Bulkhead::new(8);
// Two tests share it, each on a paused clock of its own: a burst that no difference between the two can use up.
static RATE: RateLimiter = RateLimiter::new(1_000).burst(1_000_000);
static HEDGE: Hedge = Hedge::new();
// One test asks with the key 7, the other one with 8: neither waits for the other's clock.
static SHARED: Coalesce = Coalesce::new();
static QUIET: Chaos = Chaos::new();

async fn other(id: u32) -> Answer {
    Ok(id)
}

/// A run that nobody has opened before.
fn fresh() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("order-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Each outer attribute above each inner one.
macro_rules! each_above_each {
    ([$($outer:tt)*] $inner:tt) => { $(each_above_each!(@row $outer $inner);)* };
    (@row $outer:tt [$($inner:tt)*]) => { $(each_above_each!(@pair $outer $inner);)* };
    (@pair ($outer:ident $($outer_args:tt)*) ($inner:ident $($inner_args:tt)*)) => {{
        #[$outer $($outer_args)*]
        #[$inner $($inner_args)*]
        async fn pair(id: u32) -> Answer {
            enter("body", Ok(id))
        }
        assert_eq!(pair(7).await, Ok(7), "{} above {}", stringify!($outer), stringify!($inner));
        assert_eq!(entered(), [stringify!($outer), stringify!($inner), "body"]);
        PAIRS.fetch_add(1, Ordering::Relaxed);
    }};
}

static PAIRS: AtomicU32 = AtomicU32::new(0);

#[tokio::test(start_paused = true)]
async fn for_every_pair_of_attributes_the_upper_one_is_the_outer_one() {
    Store::open("memory:").unwrap().scope(all_pairs()).await;
    // Eleven attributes above each of the ten others, and nine of them above themselves.
    assert_eq!(PAIRS.load(Ordering::Relaxed), 11 * 10 + 9);
}

async fn all_pairs() {
    each_above_each! {
        [
            (fallback(enter("fallback", Fallback::new()), value = 0))
            (coalesce(enter("coalesce", &SHARED), key = 7))
            (timeout(enter("timeout", Duration::from_secs(1))))
            (failover(to = [other], max_targets = enter("failover", 1)))
            (hedge(enter("hedge", &HEDGE)))
            (retry(max_attempts = enter("retry", 1)))
            (circuit_breaker(enter("circuit_breaker", &BREAKER)))
            (rate_limiter(enter("rate_limiter", &RATE)))
            (bulkhead(enter("bulkhead", &PLACES)))
            (chaos(enter("chaos", &QUIET)))
            (checkpoint(run = enter("checkpoint", fresh())))
        ]
        [
            (fallback(enter("fallback", Fallback::new()), value = 0))
            (timeout(enter("timeout", Duration::from_secs(1))))
            (failover(to = [other], max_targets = enter("failover", 1)))
            (hedge(enter("hedge", &HEDGE)))
            (retry(max_attempts = enter("retry", 1)))
            (circuit_breaker(enter("circuit_breaker", &BREAKER)))
            (rate_limiter(enter("rate_limiter", &RATE)))
            (bulkhead(enter("bulkhead", &PLACES)))
            (chaos(enter("chaos", &QUIET)))
        ]
    }
    each_above_each! {
        [
            (fallback(enter("fallback", Fallback::new()), value = 0))
            (timeout(enter("timeout", Duration::from_secs(1))))
            (failover(to = [other], max_targets = enter("failover", 1)))
            (hedge(enter("hedge", &HEDGE)))
            (retry(max_attempts = enter("retry", 1)))
            (circuit_breaker(enter("circuit_breaker", &BREAKER)))
            (rate_limiter(enter("rate_limiter", &RATE)))
            (bulkhead(enter("bulkhead", &PLACES)))
            (chaos(enter("chaos", &QUIET)))
        ]
        [
            (coalesce(enter("coalesce", &SHARED), key = 7))
            (checkpoint(run = enter("checkpoint", fresh())))
        ]
    }
    each_above_each!(
        [(coalesce(enter("coalesce", &SHARED), key = 7))][(checkpoint(run = enter("checkpoint", fresh())))]
    );
    each_above_each!(
        [(checkpoint(run = enter("checkpoint", fresh())))][(coalesce(enter("coalesce", &SHARED), key = 7))]
    );
}

#[fallback(enter("fallback", Fallback::new()), value = 0)]
#[coalesce(enter("coalesce", &SHARED), key = 8)]
#[timeout(enter("timeout", Duration::from_secs(1)))]
#[failover(to = [other], max_targets = enter("failover", 1))]
#[hedge(enter("hedge", &HEDGE))]
#[retry(max_attempts = enter("retry", 1))]
#[circuit_breaker(enter("circuit_breaker", &BREAKER))]
#[rate_limiter(enter("rate_limiter", &RATE))]
#[timeout(enter("timeout", Duration::from_millis(100)))]
#[bulkhead(enter("bulkhead", &PLACES))]
#[chaos(enter("chaos", &QUIET))]
async fn recommended(id: u32) -> Answer {
    Ok(id)
}

#[tokio::test(start_paused = true)]
async fn the_recommended_order_is_the_one_that_is_printed() {
    assert_eq!(recommended(7).await.unwrap(), 7);
    let docs = include_str!("../../ft-runtime/src/lib.rs");
    let table =
        docs.split("//! # Order").nth(1).and_then(|rest| rest.split("//! # ").next()).expect("the section is there");
    let printed: Vec<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `"))
        .filter_map(|line| line.split('`').next())
        .collect();
    assert_eq!(entered(), printed);
}
