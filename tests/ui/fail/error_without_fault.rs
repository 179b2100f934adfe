use ft_runtime::retry;

#[derive(Debug)]
struct Declined;

#[retry(max_attempts = 5)]
async fn pay() -> Result<u32, Declined> {
    Err(Declined)
}

fn main() {}
