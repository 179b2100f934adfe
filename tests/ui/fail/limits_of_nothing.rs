use ft_runtime::{Rejected, bulkhead, rate_limiter};

type Answer = Result<u32, Rejected>;

#[bulkhead(0)]
async fn nobody() -> Answer {
    Ok(1)
}

#[rate_limiter(100, burst = 0)]
async fn never() -> Answer {
    Ok(1)
}

#[rate_limiter(100, per = 0s)]
fn at_once() -> Answer {
    Ok(1)
}

fn main() {}
