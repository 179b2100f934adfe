use ft_runtime::{Backoff, retry};

#[retry(deadline = 5sec, backoff = Backoff::fixed(2minutes))]
async fn fetch() -> std::io::Result<u32> {
    Ok(1)
}

fn main() {}
