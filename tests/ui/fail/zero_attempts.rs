use ft_runtime::{Backoff, retry};

#[retry(deadline = 5s, max_attempts = 0)]
async fn fetch() -> std::io::Result<u32> {
    Ok(1)
}

#[retry(backoff = Backoff::exponential(0ms))]
fn at_once() -> std::io::Result<u32> {
    Ok(1)
}

fn main() {}
