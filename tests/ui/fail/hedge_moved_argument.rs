use std::io;

use ft_runtime::hedge;

async fn send(_: String) -> io::Result<()> {
    Ok(())
}

#[hedge(after = 50ms)]
async fn greet(name: String) -> io::Result<()> {
    send(name).await
}

fn main() {}
