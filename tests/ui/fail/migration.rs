//! A migration that is none, and one that leads nowhere.

use ft_runtime::checkpoint::{Value, ValueError};
use ft_runtime::{Error, checkpoint};

fn migrate(from: u16, value: Value) -> Result<Value, ValueError> {
    if from < 1 { Err("too old".into()) } else { Ok(value) }
}

fn forgets_the_version(value: Value) -> Result<Value, ValueError> {
    Ok(value)
}

#[checkpoint(run = "charge", migrate = migrate)]
async fn without_a_version() -> Result<u32, Error<String>> {
    Ok(1)
}

#[checkpoint(version = 1, migrate = forgets_the_version)]
async fn of_another_shape() -> Result<u32, Error<String>> {
    Ok(1)
}

#[checkpoint(version = 1, migrate = migrate)]
async fn right() -> Result<u32, Error<String>> {
    Ok(1)
}

fn main() {}
