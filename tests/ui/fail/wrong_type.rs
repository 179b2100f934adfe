use ft_runtime::retry;

#[retry(max_attempts = "five")]
async fn text() -> std::io::Result<u32> {
    Ok(1)
}

#[retry(max_attempts = 5s)]
async fn duration() -> std::io::Result<u32> {
    Ok(1)
}

fn main() {}
