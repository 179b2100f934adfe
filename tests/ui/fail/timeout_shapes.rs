use ft_runtime::{Rejected, timeout};

#[timeout(2s)]
fn blocking() -> Result<u32, Rejected> {
    Ok(1)
}

#[timeout]
async fn how_long() -> Result<u32, Rejected> {
    Ok(1)
}

#[timeout(2s, limit = 3s)]
async fn twice() -> Result<u32, Rejected> {
    Ok(1)
}

#[timeout(2 seconds)]
async fn not_a_duration() -> Result<u32, Rejected> {
    Ok(1)
}

fn main() {}
