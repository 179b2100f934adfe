use std::io;

use ft_runtime::fallback;

async fn send(_: String) -> io::Result<()> {
    Ok(())
}

#[fallback(to = send)]
async fn greet(name: String) -> io::Result<()> {
    send(name).await
}

fn main() {}
