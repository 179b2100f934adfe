//! `#[checkpoint(tx)]`: a step that is recorded in the caller's own transaction, and so done exactly once.

use ft_runtime::checkpoint::tx::sqlite;
use ft_runtime::{Rejected, Store, checkpoint};
use rusqlite::{Connection, Transaction};

#[derive(Debug, thiserror::Error)]
pub enum BankError {
    #[error("the connection was lost")]
    Lost,
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    #[error(transparent)]
    Rejected(#[from] Rejected),
}

/// Its record is written by the transaction that its own writes are part of.
#[checkpoint(tx, key = order)]
pub fn debit(tx: &Transaction<'_>, order: u32, cents: i64) -> Result<i64, BankError> {
    tx.execute("UPDATE account SET cents = cents - ?1", [cents])?;
    Ok(tx.query_row("SELECT cents FROM account", [], |row| row.get(0))?)
}

/// As an `async fn`, over a parameter of another name.
#[checkpoint(tx = bank, key = order)]
pub async fn credit(bank: &mut Transaction<'_>, order: u32, cents: i64) -> Result<(), BankError> {
    bank.execute("UPDATE account SET cents = cents + ?1", [cents])?;
    Ok(())
}

/// Whoever begins a transaction ends it.
#[checkpoint(run = format!("order-{order}"), skip(bank, lost))]
pub async fn settle(bank: &mut Connection, order: u32, lost: bool) -> Result<i64, BankError> {
    let tx = bank.transaction()?;
    let left = debit(&tx, order, 500)?;
    tx.commit()?;
    let mut tx = bank.transaction()?;
    credit(&mut tx, order, 20).await?;
    if lost {
        return Err(BankError::Lost);
    }
    tx.commit()?;
    Ok(left)
}

pub async fn story() -> Vec<String> {
    let store = Store::open("memory:").expect("memory is always there");
    let mut bank = Connection::open_in_memory().expect("memory is always there");
    bank.execute_batch("CREATE TABLE account (cents INTEGER); INSERT INTO account VALUES (2000)").expect("SQL");
    sqlite::create_table(&bank).expect("SQL");
    let mut told = Vec::new();
    for lost in [true, false, false] {
        let settled = store.scope(settle(&mut bank, 42, lost)).await;
        let cents: i64 = bank.query_row("SELECT cents FROM account", [], |row| row.get(0)).expect("SQL");
        told.push(format!("{settled:?}, {cents} in the account"));
    }
    told
}
