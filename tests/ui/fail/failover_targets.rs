use ft_runtime::failover;
use std::io;

#[failover(to = [from_cache])]
async fn from_primary(id: u32) -> io::Result<String> {
    Ok(id.to_string())
}

async fn from_cache(id: u32) -> io::Result<u32> {
    Ok(id)
}

#[failover]
async fn nowhere(id: u32) -> io::Result<u32> {
    Ok(id)
}

#[failover(to = [], eject_after = 0)]
async fn nobody(id: u32) -> io::Result<u32> {
    Ok(id)
}

fn main() {}
