use ft_runtime::retry;

async fn send(_: String) -> std::io::Result<()> {
    Ok(())
}

#[retry(max_attempts = 5)]
async fn greet(name: String) -> std::io::Result<()> {
    send(name).await
}

fn main() {}
