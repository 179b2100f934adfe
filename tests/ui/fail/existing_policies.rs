use ft_runtime::{Bulkhead, CircuitBreaker, Keyed, Rejected, bulkhead, circuit_breaker};

type Answer = Result<u32, Rejected>;

// A constant has no state: each call would have a fresh one.
const CONSTANT: CircuitBreaker = CircuitBreaker::new();

#[circuit_breaker(CONSTANT)]
async fn constant() -> Answer {
    Ok(1)
}

// So would a call that makes one.
fn made() -> CircuitBreaker {
    CircuitBreaker::new()
}

#[circuit_breaker(made())]
async fn made_by_a_call() -> Answer {
    Ok(1)
}

// A `static` is made before the function is called.
#[bulkhead(Bulkhead::new(limit))]
async fn of_an_argument(limit: u32) -> Answer {
    Ok(limit)
}

#[bulkhead(Bulkhead::new(0))]
async fn of_nothing() -> Answer {
    Ok(1)
}

// Something else than the policy.
const LIMIT: u32 = 4;

#[bulkhead(LIMIT)]
async fn number() -> Answer {
    Ok(1)
}

static HOSTS: Keyed<CircuitBreaker> = Keyed::new(CircuitBreaker::new());
static BREAKER: CircuitBreaker = CircuitBreaker::new();

#[circuit_breaker(HOSTS)]
async fn without_a_key(host: &str) -> Answer {
    Ok(host.len() as u32)
}

#[circuit_breaker(BREAKER, key = host)]
async fn one_for_all_keys(host: &str) -> Answer {
    Ok(host.len() as u32)
}

fn main() {}
