use ft_runtime::{Rejected, bulkhead, rate_limiter};

type Answer = Result<u32, Rejected>;

#[bulkhead]
async fn no_limit() -> Answer {
    Ok(1)
}

#[rate_limiter(burst = 10)]
async fn no_rate() -> Answer {
    Ok(1)
}

fn main() {}
