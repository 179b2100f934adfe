use ft_runtime::{Error, coalesce};

#[coalesce]
async fn without_key(id: u64, name: &str) -> Result<String, Error<u64>> {
    Ok(format!("{name} {id}"))
}

#[coalesce(key = id)]
fn blocking(id: u64) -> Result<u64, Error<u64>> {
    Ok(id)
}

fn main() {}
