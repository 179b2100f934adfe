//! Steps that are recorded in the caller's own transaction, in Postgres.

use std::time::Duration;

use tokio_postgres::{Client, NoTls, Transaction};

use crate::checkpoint::tx::postgres;
use crate::checkpoint::{Checkpoint, CheckpointError, Store};
use crate::{Error, Fault, FaultKind, Rejected, checkpoint};

type Failed = Error<String>;
type Debited = Result<i64, Failed>;

fn sql(error: tokio_postgres::Error) -> Failed {
    Error::Failed(error.to_string())
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A bank with one account, 1000 at first; `None` where there is no server.
async fn bank(test: &str) -> Option<(String, Client)> {
    let url = ft_test_postgres::required(test)?.database();
    let bank = connect(&url).await;
    bank.batch_execute("CREATE TABLE account (cents bigint); INSERT INTO account VALUES (1000)").await.unwrap();
    postgres::create_table(&bank).await.unwrap();
    Some((url, bank))
}

async fn left(bank: &Client) -> i64 {
    bank.query_one("SELECT cents FROM account", &[]).await.unwrap().get(0)
}

fn why(error: Failed) -> CheckpointError {
    match error {
        Error::Rejected(Rejected::Checkpoint(error)) => *error,
        other => panic!("not an error of a checkpoint: {other:?}"),
    }
}

#[checkpoint(tx, key = order)]
async fn debit(tx: &Transaction<'_>, order: u32, cents: i64) -> Debited {
    tx.execute("UPDATE account SET cents = cents - $1", &[&cents]).await.map_err(sql)?;
    Ok(tx.query_one("SELECT cents FROM account", &[]).await.map_err(sql)?.get(0))
}

/// Debits; then commits, fails, or both.
#[checkpoint(run = "order", skip(bank, commits, fails))]
async fn pay(bank: &mut Client, commits: bool, fails: bool) -> Debited {
    let tx = bank.transaction().await.map_err(sql)?;
    let left = debit(&tx, 7, 100).await?;
    if commits {
        tx.commit().await.map_err(sql)?;
    }
    if fails { Err(Error::Failed("died".into())) } else { Ok(left) }
}

#[tokio::test]
async fn on_postgres_what_was_committed_is_done_once_and_what_was_rolled_back_is_done_again() {
    let name = "on_postgres_what_was_committed_is_done_once_and_what_was_rolled_back_is_done_again";
    let Some((_, mut bank)) = bank(name).await else { return };
    let store = Store::open("memory:").unwrap();
    for (commits, expected) in [(false, 1000), (true, 900), (true, 900)] {
        store.scope(pay(&mut bank, commits, true)).await.unwrap_err();
        assert_eq!(left(&bank).await, expected);
    }
    // On another task: the future can be sent.
    let paid = tokio::spawn(async move { (store.scope(pay(&mut bank, true, false)).await, left(&bank).await) });
    assert_eq!(paid.await.unwrap(), (Ok(900), 900));
}

#[tokio::test]
async fn on_postgres_another_execution_that_was_first_holds_this_one_off() {
    /// While it is executed, another process that executes the run has done the same and commits.
    #[checkpoint(tx, key = 1, skip(other))]
    async fn overtaken(tx: &mut Transaction<'_>, other: &Client) -> Debited {
        tx.execute("UPDATE account SET cents = cents - 100", &[]).await.map_err(sql)?;
        let theirs = "INSERT INTO ft_tx_step \
            SELECT run, incarnation, started_at, 'overtaken(1)', schema, input, value, recorded_at FROM ft_tx_step";
        other.execute(theirs, &[]).await.map_err(sql).map(|_| 0)
    }
    let name = "on_postgres_another_execution_that_was_first_holds_this_one_off";
    let Some((url, mut bank)) = bank(name).await else { return };
    let other = connect(&url).await;
    let run = Checkpoint::new().run("order").calls::<Result<(), Failed>>();
    let mut seen = None;
    let body = async {
        let tx = bank.transaction().await.map_err(sql)?;
        debit(&tx, 1, 100).await?;
        tx.commit().await.map_err(sql)?;
        let mut tx = bank.transaction().await.map_err(sql)?;
        seen = Some(overtaken(&mut tx, &other).await);
        // Even who goes on and commits gets a rollback.
        let _ = tx.commit().await;
        Ok(())
    };
    assert_eq!(Store::open("memory:").unwrap().scope(run.run(body)).await, Ok(()));
    let conflict = why(seen.unwrap().unwrap_err());
    assert!(matches!(&conflict, CheckpointError::TxConflict { step, .. } if step == "overtaken(1)"), "{conflict}");
    assert_eq!(conflict.kind(), FaultKind::Transient, "called again, it is answered");
    assert_eq!(left(&bank).await, 900);
}

#[tokio::test]
async fn on_postgres_a_missing_table_is_named_and_many_may_create_it_at_once() {
    let name = "on_postgres_a_missing_table_is_named_and_many_may_create_it_at_once";
    let Some((url, mut bank)) = bank(name).await else { return };
    bank.batch_execute("DROP TABLE ft_tx_step").await.unwrap();
    let store = Store::open("memory:").unwrap();
    let missing = why(store.scope(pay(&mut bank, true, false)).await.unwrap_err());
    assert!(matches!(missing, CheckpointError::TxTableMissing { .. }), "{missing}");
    let creating: Vec<_> = (0..8)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { postgres::create_table(&connect(&url).await).await })
        })
        .collect();
    for created in creating {
        created.await.unwrap().unwrap();
    }
    assert_eq!(store.scope(pay(&mut bank, true, false)).await, Ok(900));
}

#[tokio::test]
async fn on_postgres_a_connection_that_was_lost_is_transient_and_the_step_is_done_again() {
    let name = "on_postgres_a_connection_that_was_lost_is_transient_and_the_step_is_done_again";
    let Some((url, mut bank)) = bank(name).await else { return };
    let other = connect(&url).await;
    let store = Store::open("memory:").unwrap();
    let run = Checkpoint::new().run("order").named("pay").calls::<Debited>();
    let body = async {
        let tx = bank.transaction().await.map_err(sql)?;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        other.execute(end, &[]).await.map_err(sql)?;
        debit(&tx, 7, 100).await
    };
    let lost = why(store.scope(run.run(body)).await.unwrap_err());
    assert!(matches!(&lost, CheckpointError::TxFailed { doing: "looking for the record", .. }), "{lost}");
    assert_eq!(lost.kind(), FaultKind::Transient, "{lost}");
    let mut bank = connect(&url).await;
    assert_eq!(store.scope(pay(&mut bank, true, false)).await, Ok(900));
}

#[tokio::test]
async fn on_postgres_only_what_is_old_is_pruned_and_only_so_much_at_once() {
    let name = "on_postgres_only_what_is_old_is_pruned_and_only_so_much_at_once";
    let Some((_, bank)) = bank(name).await else { return };
    let insert = "INSERT INTO ft_tx_step SELECT 'r', n, 0, 'k', 0, '', '', CASE WHEN n < 6 THEN 0 ELSE $1::bigint END \
        FROM generate_series(0, 7) AS n";
    bank.execute(insert, &[&i64::MAX]).await.unwrap();
    let mut pruned = Vec::new();
    for _ in 0..3 {
        pruned.push(postgres::prune(&bank, Duration::from_secs(60)).await.unwrap());
    }
    assert_eq!(pruned, [4, 2, 0]);
}
