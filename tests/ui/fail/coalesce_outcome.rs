use std::io;

use ft_runtime::{Error, coalesce};

#[coalesce(key = id)]
async fn not_clone(id: u64) -> Result<u64, Error<io::Error>> {
    Ok(id)
}

#[coalesce(key = id)]
async fn borrowed<'a>(names: &'a [String], id: usize) -> Result<&'a str, Error<u64>> {
    Ok(&names[id])
}

struct Id;

#[coalesce(key = id)]
async fn not_display(id: &Id) -> Result<u64, Error<u64>> {
    let _ = id;
    Ok(1)
}

fn main() {}
