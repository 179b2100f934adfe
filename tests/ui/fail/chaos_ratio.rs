use std::io;

use ft_runtime::chaos;

#[chaos(latency = 0.5, errors = 1.5)]
async fn often(id: u64) -> io::Result<u64> {
    Ok(id)
}

#[chaos(panics = -0.1)]
fn seldom(id: u64) -> io::Result<u64> {
    Ok(id)
}

fn main() {}
