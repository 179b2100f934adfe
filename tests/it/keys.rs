//! One site, many keys: an event says whose.

use std::sync::{Arc, Mutex};

use ft_runtime::observe::{self, What};
use ft_runtime::{Bulkhead, CircuitBreaker, Keyed, RateLimiter, Rejected, bulkhead, circuit_breaker, rate_limiter};

static BREAKERS: Keyed<CircuitBreaker> = Keyed::new(CircuitBreaker::new());
static PLACES: Keyed<Bulkhead> = Keyed::new(Bulkhead::new(1));
static RATES: Keyed<RateLimiter> = Keyed::new(RateLimiter::new(1));

#[circuit_breaker(BREAKERS, key = host, name = "keys: refused")]
async fn broken(host: &str) -> Result<usize, Rejected> {
    Ok(host.len())
}

#[bulkhead(PLACES, key = host, name = "keys: refused")]
async fn full(host: &str) -> Result<usize, Rejected> {
    Ok(host.len())
}

#[rate_limiter(RATES, key = host, name = "keys: refused")]
async fn over(host: &str) -> Result<usize, Rejected> {
    Ok(host.len())
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_which_key_it_was() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&told);
    let _listening = observe::subscribe(move |event| {
        if let ("keys: refused", What::Refused { key, reason, .. }) = (event.site, &event.what) {
            into.lock().unwrap().push(format!("{key}: {reason}"));
        }
    });
    BREAKERS.of("a.example").force_open();
    assert!(broken("a.example").await.is_err());
    assert!(broken("b.example").await.is_ok());
    let taken = PLACES.of("b.example");
    let inside: Result<(), Rejected> = taken
        .run(async {
            assert!(full("b.example").await.is_err());
            assert!(full("a.example").await.is_ok());
            Ok(())
        })
        .await;
    assert!(inside.is_ok());
    assert!(over("c.example").await.is_ok());
    assert!(over("c.example").await.is_err());
    let expected = ["a.example: circuit_open", "b.example: bulkhead_full", "c.example: rate_limited"];
    assert_eq!(*told.lock().unwrap(), expected);
}
