use ft_runtime::{checkpoint, retry};

#[retry(max_attempts = 5)]
#[checkpoint(key = order)]
async fn charge(order: u32) -> std::io::Result<u32> {
    Ok(order)
}

fn main() {}
