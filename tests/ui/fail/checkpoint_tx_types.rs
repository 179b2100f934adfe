use ft_runtime::{Rejected, checkpoint};

#[checkpoint(tx, key = 1)]
fn autocommit(tx: &rusqlite::Connection) -> Result<(), Rejected> {
    let _ = tx;
    Ok(())
}

#[checkpoint(tx, key = 1)]
fn blocking(tx: &tokio_postgres::Transaction<'_>) -> Result<(), Rejected> {
    let _ = tx;
    Ok(())
}

#[checkpoint(tx, key = 1)]
async fn another_library(tx: &mut String) -> Result<(), Rejected> {
    let _ = tx;
    Ok(())
}

fn main() {}
