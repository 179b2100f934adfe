use std::io;

use ft_runtime::fallback;

async fn of_another_type(id: u64) -> io::Result<String> {
    Ok(id.to_string())
}

async fn of_other_arguments(_: u64, _: bool) -> io::Result<u64> {
    Ok(1)
}

fn not_async(id: u64) -> io::Result<u64> {
    Ok(id)
}

#[fallback(to = of_another_type)]
async fn one(id: u64) -> io::Result<u64> {
    Ok(id)
}

#[fallback(to = of_other_arguments)]
async fn two(id: u64) -> io::Result<u64> {
    Ok(id)
}

#[fallback(to = not_async)]
async fn three(id: u64) -> io::Result<u64> {
    Ok(id)
}

#[fallback(value = "seven")]
async fn four(id: u64) -> io::Result<u64> {
    Ok(id)
}

#[fallback(with = |error| Ok(error))]
fn five(id: u64) -> io::Result<u64> {
    Ok(id)
}

#[fallback(value = 7, until = |value| *value > 1)]
fn six(id: u64) -> io::Result<u64> {
    Ok(id)
}

fn main() {}
