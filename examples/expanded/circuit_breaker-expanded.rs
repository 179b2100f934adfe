// Generated from circuit_breaker.rs: `FT_EXPAND=write cargo test --test expanded` writes it anew.

//! `#[circuit_breaker]`: the body once, or not at all.

use std::time::Duration;
use ft_runtime::{CircuitBreaker, Error, Keyed, circuit_breaker};

#[derive(Clone, Copy, Debug)]
pub enum PayError {
    Down,
    Declined,
}

type Paid = Result<u64, Error<PayError>>;

static BANK: CircuitBreaker = CircuitBreaker::new()
    .consecutive(2)
    .open(Duration::from_secs(2));

/// A breaker that several functions share is borrowed; `on` says what is a failure.
pub async fn pay(cents: u64, answer: Result<(), PayError>) -> Paid {
    let site = ::ft_runtime::site!().enter();
    let circuit_breaker: &'static ::ft_runtime::CircuitBreaker = &BANK;
    circuit_breaker
        .calls::<Paid>()
        .at(site)
        .on(|error| ::core::matches!(error, Error::Failed(PayError::Down)))
        .run(async {
            let outcome: Paid = {
                answer.map_err(Error::Failed)?;
                Ok(cents)
            };
            outcome
        })
        .await
}

/// Setters make a breaker of this function's own, in a `static`: nonsense does not compile.
pub fn look_up(answer: Result<u64, PayError>) -> Paid {
    let site = ::ft_runtime::site!().enter();
    let circuit_breaker = {
        static FT_CIRCUIT_BREAKER: ::ft_runtime::CircuitBreaker = ::ft_runtime::CircuitBreaker::new()
            .rate(0.5)
            .last_calls(10)
            .min_calls(2)
            .open(::core::time::Duration::from_secs(60))
            .abandoned(::ft_runtime::Abandoned::Failure);
        &FT_CIRCUIT_BREAKER
    };
    circuit_breaker
        .calls::<Paid>()
        .at(site)
        .on(|error| ::core::matches!(error, _))
        .run_blocking(|| -> Paid { answer.map_err(Error::Failed) })
}

/// With a key there is one for each value of it.
pub async fn order(shop: &str, answer: Result<u64, PayError>) -> Paid {
    let site = ::ft_runtime::site!().enter();
    let circuit_breaker = {
        static FT_CIRCUIT_BREAKER: ::ft_runtime::Keyed<::ft_runtime::CircuitBreaker> = ::ft_runtime::Keyed::new(
                ::ft_runtime::CircuitBreaker::new().consecutive(1),
            )
            .max_keys(100);
        FT_CIRCUIT_BREAKER.of(&(shop))
    };
    circuit_breaker
        .calls::<Paid>()
        .at(site)
        .on(|error| ::core::matches!(error, _))
        .run(async {
            let outcome: Paid = { answer.map_err(Error::Failed) };
            outcome
        })
        .await
}

static SHOPS: Keyed<CircuitBreaker> = Keyed::new(CircuitBreaker::new().consecutive(1));

/// So may those of a value.
pub fn refund(shop: (u32, &str), answer: Result<u64, PayError>) -> Paid {
    let site = ::ft_runtime::site!().enter();
    let circuit_breaker: &'static ::ft_runtime::Keyed<::ft_runtime::CircuitBreaker> = &SHOPS;
    let circuit_breaker = circuit_breaker.of(&((shop.0)));
    circuit_breaker
        .calls::<Paid>()
        .at(site)
        .on(|error| ::core::matches!(error, _))
        .run_blocking(|| -> Paid { answer.map_err(Error::Failed) })
}

pub async fn story() -> Vec<String> {
    let mut story = Vec::new();
    for answer in [
        Ok(()),
        Err(PayError::Declined),
        Err(PayError::Down),
        Err(PayError::Down),
        Ok(()),
        Ok(()),
    ] {
        story.push(format!("pay: {:?}", pay(7, answer). await));
        tokio::time::advance(Duration::from_millis(600)).await;
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    story.push(format!("pay: {:?}, {}", pay(8, Ok(())). await, BANK.state()));
    for answer in [Ok(1), Err(PayError::Down), Ok(2)] {
        story.push(format!("look_up: {:?}", look_up(answer)));
    }
    for (shop, answer) in [
        ("red", Err(PayError::Down)),
        ("red", Ok(1)),
        ("blue", Ok(2)),
    ] {
        story.push(format!("order from {shop}: {:?}", order(shop, answer). await));
    }
    for (shop, answer) in [
        ((1, "red"), Err(PayError::Down)),
        ((1, "blue"), Ok(1)),
        ((2, "blue"), Ok(2)),
    ] {
        story.push(format!("refund of {shop:?}: {:?}", refund(shop, answer)));
    }
    story
}
