use std::sync::Arc;

use ft_runtime::{CircuitBreaker, Keyed, Rejected, checkpoint, circuit_breaker, coalesce, hedge};

type Answer = Result<u32, Rejected>;

static HOSTS: Keyed<CircuitBreaker> = Keyed::new(CircuitBreaker::new());

#[circuit_breaker(Arc::new(CircuitBreaker::new()))]
async fn anew() -> Answer {
    Ok(1)
}

#[circuit_breaker(key = host, HOSTS)]
async fn first_comes_the_policy(host: &str) -> Answer {
    Ok(host.len() as u32)
}

#[circuit_breaker(HOSTS, key = host, open = 5s)]
async fn settings_elsewhere(host: &str) -> Answer {
    Ok(host.len() as u32)
}

#[circuit_breaker(Keyed::new(CircuitBreaker::new()))]
async fn without_a_key(host: &str) -> Answer {
    Ok(host.len() as u32)
}

#[hedge(key = host)]
async fn word_of_others(host: &str) -> Answer {
    Ok(host.len() as u32)
}

#[coalesce(key = host)]
#[checkpoint]
async fn step(host: &str) -> Answer {
    Ok(host.len() as u32)
}

fn main() {}
