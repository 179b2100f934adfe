// Generated from tx.rs: `FT_EXPAND=write cargo test --test expanded` writes it anew.

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
pub fn debit(tx: &Transaction<'_>, order: u32, cents: i64) -> Result<i64, BankError> {
    let site = ::ft_runtime::site!().enter();
    let checkpoint = {
        const FT_CHECKPOINT: ::ft_runtime::Checkpoint = ::ft_runtime::Checkpoint::new();
        &FT_CHECKPOINT
    };
    let step = checkpoint
        .step("debit")
        .key(&(order))
        .input(&order)
        .input(&cents)
        .at(site);
    match step.calls::<Result<i64, BankError>>().look_up_blocking(&*tx) {
        ::ft_runtime::checkpoint::TxStep::Answered(outcome) => outcome,
        ::ft_runtime::checkpoint::TxStep::Execute(step) => {
            let outcome = step
                .run_blocking(|| -> Result<i64, BankError> {
                    tx.execute("UPDATE account SET cents = cents - ?1", [cents])?;
                    Ok(tx.query_row("SELECT cents FROM account", [], |row| row.get(0))?)
                });
            step.record_blocking(&*tx, outcome)
        }
    }
}

/// As an `async fn`, over a parameter of another name.
pub fn credit(
    bank: &mut Transaction<'_>,
    order: u32,
    cents: i64,
) -> impl ::core::future::Future<Output = Result<(), BankError>> {
    let site = ::ft_runtime::site!().enter();
    let checkpoint = {
        const FT_CHECKPOINT: ::ft_runtime::Checkpoint = ::ft_runtime::Checkpoint::new();
        &FT_CHECKPOINT
    };
    let step = checkpoint
        .step("credit")
        .key(&(order))
        .input(&order)
        .input(&cents)
        .at(site);
    async move {
        match step.calls::<Result<(), BankError>>().look_up(&*bank).await {
            ::ft_runtime::checkpoint::TxStep::Answered(outcome) => outcome,
            ::ft_runtime::checkpoint::TxStep::Execute(step) => {
                let outcome = step
                    .run(async {
                        let outcome: Result<(), BankError> = {
                            bank.execute(
                                "UPDATE account SET cents = cents + ?1",
                                [cents],
                            )?;
                            Ok(())
                        };
                        outcome
                    })
                    .await;
                step.record(&*bank, outcome).await
            }
        }
    }
}

/// Whoever begins a transaction ends it.
pub async fn settle(
    bank: &mut Connection,
    order: u32,
    lost: bool,
) -> Result<i64, BankError> {
    let site = ::ft_runtime::site!().enter();
    let checkpoint = {
        const FT_CHECKPOINT: ::ft_runtime::Checkpoint = ::ft_runtime::Checkpoint::new();
        &FT_CHECKPOINT
    };
    checkpoint
        .run(format!("order-{order}"))
        .named("settle")
        .argument("order", ::ft_runtime::fingerprint_of!(order))
        .calls::<Result<i64, BankError>>()
        .at(site)
        .run(async {
            let outcome: Result<i64, BankError> = {
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
            };
            outcome
        })
        .await
}

pub async fn story() -> Vec<String> {
    let store = Store::open("memory:").expect("memory is always there");
    let mut bank = Connection::open_in_memory().expect("memory is always there");
    bank.execute_batch(
            "CREATE TABLE account (cents INTEGER); INSERT INTO account VALUES (2000)",
        )
        .expect("SQL");
    sqlite::create_table(&bank).expect("SQL");
    let mut told = Vec::new();
    for lost in [true, false, false] {
        let settled = store.scope(settle(&mut bank, 42, lost)).await;
        let cents: i64 = bank
            .query_row("SELECT cents FROM account", [], |row| row.get(0))
            .expect("SQL");
        told.push(format!("{settled:?}, {cents} in the account"));
    }
    told
}
