use ft_runtime::{Rejected, checkpoint};
use rusqlite::Transaction;

#[checkpoint(tx)]
fn counted(tx: &Transaction<'_>) -> Result<(), Rejected> {
    let _ = tx;
    Ok(())
}

#[checkpoint(tx, key = 1)]
fn no_parameter(cents: u64) -> Result<u64, Rejected> {
    Ok(cents)
}

#[checkpoint(tx, key = 1)]
fn given_away(tx: Transaction<'_>) -> Result<(), Rejected> {
    drop(tx);
    Ok(())
}

#[checkpoint(tx, key = 1)]
#[ft_runtime::retry(max_attempts = 5)]
fn retried(tx: &Transaction<'_>) -> Result<(), Rejected> {
    let _ = tx;
    Ok(())
}

#[checkpoint(tx, run = "order")]
fn run(tx: &Transaction<'_>) -> Result<(), Rejected> {
    let _ = tx;
    Ok(())
}

fn main() {}
