//! `#[circuit_breaker]`: the body once, or not at all.

use std::time::Duration;

use ft_runtime::{CircuitBreaker, Error, Keyed, circuit_breaker};

#[derive(Clone, Copy, Debug)]
pub enum PayError {
    Down,
    Declined,
}

type Paid = Result<u64, Error<PayError>>;

static BANK: CircuitBreaker = CircuitBreaker::new().consecutive(2).open(Duration::from_secs(2));

/// A breaker that several functions share is borrowed; `on` says what is a failure.
#[circuit_breaker(BANK, on = Error::Failed(PayError::Down))]
pub async fn pay(cents: u64, answer: Result<(), PayError>) -> Paid {
    answer.map_err(Error::Failed)?;
    Ok(cents)
}

/// Setters make a breaker of this function's own, in a `static`: nonsense does not compile.
#[circuit_breaker(rate = 0.5, last_calls = 10, min_calls = 2, open = 1min, abandoned = failure, on = _)]
pub fn look_up(answer: Result<u64, PayError>) -> Paid {
    answer.map_err(Error::Failed)
}

/// With a key there is one for each value of it.
#[circuit_breaker(consecutive = 1, key = shop, max_keys = 100, on = _)]
pub async fn order(shop: &str, answer: Result<u64, PayError>) -> Paid {
    answer.map_err(Error::Failed)
}

static SHOPS: Keyed<CircuitBreaker> = Keyed::new(CircuitBreaker::new().consecutive(1));

/// So may those of a value.
#[circuit_breaker(SHOPS, key = (shop.0), on = _)]
pub fn refund(shop: (u32, &str), answer: Result<u64, PayError>) -> Paid {
    answer.map_err(Error::Failed)
}

pub async fn story() -> Vec<String> {
    let mut story = Vec::new();
    for answer in [Ok(()), Err(PayError::Declined), Err(PayError::Down), Err(PayError::Down), Ok(()), Ok(())] {
        story.push(format!("pay: {:?}", pay(7, answer).await));
        tokio::time::advance(Duration::from_millis(600)).await;
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    story.push(format!("pay: {:?}, {}", pay(8, Ok(())).await, BANK.state()));
    for answer in [Ok(1), Err(PayError::Down), Ok(2)] {
        story.push(format!("look_up: {:?}", look_up(answer)));
    }
    for (shop, answer) in [("red", Err(PayError::Down)), ("red", Ok(1)), ("blue", Ok(2))] {
        story.push(format!("order from {shop}: {:?}", order(shop, answer).await));
    }
    for (shop, answer) in [((1, "red"), Err(PayError::Down)), ((1, "blue"), Ok(1)), ((2, "blue"), Ok(2))] {
        story.push(format!("refund of {shop:?}: {:?}", refund(shop, answer)));
    }
    story
}
