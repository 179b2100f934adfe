// Generated from rate_limiter.rs: `FT_EXPAND=write cargo test --test expanded` writes it anew.

//! `#[rate_limiter]`: now, in its turn, or not at all.

use ft_runtime::{Error, RateLimiter, rate_limiter};

pub type Outcome = Result<u32, Error<std::io::Error>>;

/// The rate belongs to the function: two at once, then one every 10 ms, and nobody waits longer than 15 ms.
pub async fn send(id: u32) -> Outcome {
    let site = ::ft_runtime::site!().enter();
    let rate_limiter = {
        static FT_RATE_LIMITER: ::ft_runtime::RateLimiter = ::ft_runtime::RateLimiter::new(
                100,
            )
            .burst(2)
            .max_wait(::core::time::Duration::from_millis(15));
        &FT_RATE_LIMITER
    };
    rate_limiter
        .calls::<Outcome>()
        .at(site)
        .run(async {
            let outcome: Outcome = { Ok(id) };
            outcome
        })
        .await
}

static PARTNER: RateLimiter = RateLimiter::new(1)
    .per(std::time::Duration::from_secs(3600));

/// A policy value is borrowed; two functions can share it.
pub async fn ask(id: u32) -> Outcome {
    let site = ::ft_runtime::site!().enter();
    let rate_limiter: &'static ::ft_runtime::RateLimiter = &PARTNER;
    rate_limiter
        .calls::<Outcome>()
        .at(site)
        .run(async {
            let outcome: Outcome = { Ok(id) };
            outcome
        })
        .await
}

/// A rate for each host.
pub async fn fetch(host: &str) -> Outcome {
    let site = ::ft_runtime::site!().enter();
    let rate_limiter = {
        static FT_RATE_LIMITER: ::ft_runtime::Keyed<::ft_runtime::RateLimiter> = ::ft_runtime::Keyed::new(
            ::ft_runtime::RateLimiter::new(1)
                .per(::core::time::Duration::from_secs(3600)),
        );
        FT_RATE_LIMITER.of(&(host))
    };
    rate_limiter
        .calls::<Outcome>()
        .at(site)
        .run(async {
            let outcome: Outcome = { Ok(host.len() as u32) };
            outcome
        })
        .await
}

pub async fn story() -> Vec<String> {
    let (a, b, c, d) = tokio::join!(send(1), send(2), send(3), send(4));
    let (first, second) = (ask(1).await, ask(2).await);
    let (one, again, other) = (
        fetch("a.example").await,
        fetch("a.example").await,
        fetch("host.example").await,
    );
    vec![
        format!("{a:?} {b:?} {c:?} {d:?}"), format!("{first:?} {}", second.is_err()),
        format!("{one:?} {} {other:?}", again.is_err()),
    ]
}
