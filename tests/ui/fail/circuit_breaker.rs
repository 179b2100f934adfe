use ft_runtime::{CircuitBreaker, Fault, Rejected, circuit_breaker};

// Nonsense, on the key that says it.
#[circuit_breaker(open = 5s, rate = 1.5)]
async fn rate() -> std::io::Result<u32> {
    Ok(1)
}

#[circuit_breaker(probes = 0)]
fn probes() -> std::io::Result<u32> {
    Ok(1)
}

#[circuit_breaker(last_calls = 10, min_calls = 20)]
fn min_calls() -> std::io::Result<u32> {
    Ok(1)
}

#[circuit_breaker(key = host, max_keys = 0)]
fn keys(host: &str) -> Result<u32, Rejected> {
    Ok(host.len() as u32)
}

// An error that cannot hold a refusal.
#[derive(Debug, Fault)]
#[fault(transient)]
struct MyError;

#[circuit_breaker]
async fn refusable() -> Result<u32, MyError> {
    Ok(1)
}

// An error that does not say whether it is a failure.
#[derive(Debug)]
struct Mute;

impl From<Rejected> for Mute {
    fn from(_: Rejected) -> Self {
        Mute
    }
}

static BREAKER: CircuitBreaker = CircuitBreaker::new();

#[circuit_breaker(BREAKER)]
fn judged() -> Result<u32, Mute> {
    Ok(1)
}

#[circuit_breaker(BREAKER)]
async fn judged_async() -> Result<u32, Mute> {
    Ok(1)
}

fn main() {}
