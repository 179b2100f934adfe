//! `#[rate_limiter]`: now, in its turn, or not at all.

use ft_runtime::{Error, RateLimiter, rate_limiter};

pub type Outcome = Result<u32, Error<std::io::Error>>;

/// The rate belongs to the function: two at once, then one every 10 ms, and nobody waits longer than 15 ms.
#[rate_limiter(100, burst = 2, max_wait = 15ms)]
pub async fn send(id: u32) -> Outcome {
    Ok(id)
}

static PARTNER: RateLimiter = RateLimiter::new(1).per(std::time::Duration::from_secs(3600));

/// A policy value is borrowed; two functions can share it.
#[rate_limiter(PARTNER)]
pub async fn ask(id: u32) -> Outcome {
    Ok(id)
}

/// A rate for each host.
#[rate_limiter(1, per = 1h, key = host)]
pub async fn fetch(host: &str) -> Outcome {
    Ok(host.len() as u32)
}

pub async fn story() -> Vec<String> {
    let (a, b, c, d) = tokio::join!(send(1), send(2), send(3), send(4));
    let (first, second) = (ask(1).await, ask(2).await);
    let (one, again, other) = (fetch("a.example").await, fetch("a.example").await, fetch("host.example").await);
    vec![
        format!("{a:?} {b:?} {c:?} {d:?}"),
        format!("{first:?} {}", second.is_err()),
        format!("{one:?} {} {other:?}", again.is_err()),
    ]
}
