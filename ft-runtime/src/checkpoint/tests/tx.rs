//! Steps that are recorded in the caller's own transaction: in a bank with one account, 1000 at first.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::{Connection, Transaction, params};

use super::World;
use crate::checkpoint::envelope::{self, Place};
use crate::checkpoint::record::unix_now;
use crate::checkpoint::tx::{TxStep, sqlite};
use crate::checkpoint::{Checkpoint, CheckpointError, Import, Store};
use crate::{Error, Fault, FaultKind, Rejected, checkpoint, idempotency_key, retry, site};

type Failed = Error<String>;
type Debited = Result<i64, Failed>;

fn sql(error: rusqlite::Error) -> Failed {
    Error::Failed(error.to_string())
}

fn bank() -> Connection {
    let bank = Connection::open_in_memory().unwrap();
    bank.execute_batch("CREATE TABLE account (cents INTEGER); INSERT INTO account VALUES (1000)").unwrap();
    sqlite::create_table(&bank).unwrap();
    bank
}

fn left(bank: &Connection) -> i64 {
    bank.query_row("SELECT cents FROM account", [], |row| row.get(0)).unwrap()
}

fn records(bank: &Connection) -> Vec<(String, String)> {
    let mut all = bank.prepare("SELECT run, key FROM ft_tx_step ORDER BY run, key").unwrap();
    all.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

fn store() -> Store {
    Store::open("memory:").unwrap()
}

fn why(error: Failed) -> CheckpointError {
    match error {
        Error::Rejected(Rejected::Checkpoint(error)) => *error,
        other => panic!("not an error of a checkpoint: {other:?}"),
    }
}

#[checkpoint(tx, key = order)]
fn debit(tx: &Transaction<'_>, order: u32, cents: i64) -> Debited {
    tx.execute("UPDATE account SET cents = cents - ?1", [cents]).map_err(sql)?;
    tx.query_row("SELECT cents FROM account", [], |row| row.get(0)).map_err(sql)
}

/// Debits and commits; then fails, or not.
#[checkpoint(run = "order", skip(bank, fails))]
fn pay(bank: &mut Connection, order: u32, cents: i64, fails: bool) -> Debited {
    let tx = bank.transaction().map_err(sql)?;
    let left = debit(&tx, order, cents)?;
    tx.commit().map_err(sql)?;
    if fails { Err(Error::Failed("died".into())) } else { Ok(left) }
}

#[test]
fn what_was_committed_is_done_once_and_answered_after_that() {
    for world in World::all() {
        let (store, mut bank) = (world.store(), bank());
        for _ in 0..3 {
            let failed = store.scope_blocking(|| pay(&mut bank, 7, 100, true));
            assert_eq!(failed, Err(Error::Failed("died".into())));
            assert_eq!(left(&bank), 900);
        }
        assert_eq!(store.scope_blocking(|| pay(&mut bank, 7, 100, false)), Ok(900));
        assert_eq!((left(&bank), records(&bank)), (900, vec![("order".into(), "debit(7)".into())]));
    }
}

#[test]
fn what_was_rolled_back_is_done_again_by_the_next_try_in_the_same_run() {
    static TRIES: AtomicU32 = AtomicU32::new(0);

    #[retry(on = _)]
    fn transfer(bank: &mut Connection) -> Debited {
        let tx = bank.transaction().map_err(sql)?;
        let left = debit(&tx, 1, 100)?;
        match TRIES.fetch_add(1, Ordering::Relaxed) {
            0 => Err(Error::Failed("rolled back".into())),
            1 => {
                tx.commit().map_err(sql)?;
                Err(Error::Failed("the answer to the commit was lost".into()))
            }
            _ => Ok(left),
        }
    }

    #[checkpoint(run = "transfer", skip(bank))]
    fn run(bank: &mut Connection) -> Debited {
        transfer(bank)
    }

    let mut bank = bank();
    assert_eq!(store().scope_blocking(|| run(&mut bank)), Ok(900));
    assert_eq!((left(&bank), TRIES.load(Ordering::Relaxed)), (900, 3));
}

#[test]
fn a_run_that_starts_anew_under_its_id_does_its_steps_anew() {
    let (store, mut bank) = (store(), bank());
    for expected in [900, 800] {
        assert_eq!(store.scope_blocking(|| pay(&mut bank, 7, 100, false)), Ok(expected));
        assert_eq!(store.delete("order").wait(), Ok(true));
    }
    // In another store, which counts from one again, too: it was started later.
    let (other, then) = (Store::open("memory:").unwrap(), unix_now());
    while unix_now() == then {}
    assert_eq!(other.scope_blocking(|| pay(&mut bank, 7, 100, false)), Ok(700));
}

#[test]
fn a_run_that_is_carried_to_another_store_finds_its_records_and_under_another_id_it_is_another_run() {
    #[checkpoint(run = run, skip(run, bank, fails))]
    fn pay(run: &str, bank: &mut Connection, fails: bool) -> Debited {
        let tx = bank.transaction().map_err(sql)?;
        let left = debit(&tx, 7, 100)?;
        tx.commit().map_err(sql)?;
        if fails { Err(Error::Failed("died".into())) } else { Ok(left) }
    }

    for (here, there) in World::pairs() {
        let (here, there, mut bank) = (here.store(), there.store(), bank());
        here.scope_blocking(|| pay("order", &mut bank, true)).unwrap_err();
        let copy = here.export("order").wait().unwrap().unwrap();
        let imported = there.import(copy.clone(), None).wait().unwrap();
        assert_eq!((imported.incarnation, imported.created_at), (copy.run.incarnation, copy.run.created_at));
        assert_eq!(there.scope_blocking(|| pay("order", &mut bank, false)), Ok(900));
        let mut other = Import::new(copy.clone());
        (other.into, other.at) = ("other".into(), copy.run.created_at + 5);
        let imported = there.backend().import(other).wait().unwrap();
        assert_eq!((imported.incarnation, imported.created_at), (imported.token, copy.run.created_at + 5));
        assert_eq!(there.scope_blocking(|| pay("other", &mut bank, false)), Ok(800));
    }
}

#[test]
fn a_record_made_with_other_arguments_is_not_used() {
    #[checkpoint(run = "order", skip(bank, cents))]
    fn pay(bank: &mut Connection, cents: i64) -> Debited {
        let tx = bank.transaction().map_err(sql)?;
        debit(&tx, 7, cents)?;
        tx.commit().map_err(sql)?;
        Err(Error::Failed("died".into()))
    }
    let (store, mut bank) = (store(), bank());
    store.scope_blocking(|| pay(&mut bank, 100)).unwrap_err();
    let changed = why(store.scope_blocking(|| pay(&mut bank, 200)).unwrap_err());
    assert!(matches!(&changed, CheckpointError::InputChanged { step, .. } if step == "debit(7)"), "{changed}");
    assert_eq!(left(&bank), 900);
}

#[test]
fn without_its_table_a_step_says_so_and_does_nothing() {
    let (store, mut bank) = (store(), bank());
    bank.execute_batch("DROP TABLE ft_tx_step").unwrap();
    let missing = why(store.scope_blocking(|| pay(&mut bank, 7, 100, false)).unwrap_err());
    assert!(matches!(&missing, CheckpointError::TxTableMissing { run, step } if run == "order" && step == "debit(7)"));
    assert!(missing.to_string().contains("create it once with create_table"), "{missing}");
    assert_eq!(left(&bank), 1000);
}

#[test]
fn another_execution_that_was_first_holds_this_one_off_and_nothing_of_it_can_be_committed() {
    /// As another process that executes the run, at a moment at which only Postgres would let it.
    #[checkpoint(tx, key = 1)]
    fn overtaken(tx: &Transaction<'_>) -> Debited {
        tx.execute("UPDATE account SET cents = cents - 100", []).map_err(sql)?;
        tx.execute(
            "INSERT INTO ft_tx_step SELECT run, incarnation, started_at, 'overtaken(1)', 0, '', '', 0 FROM ft_tx_step",
            [],
        )
        .map_err(sql)
        .map(|_| 0)
    }
    let (store, mut bank) = (store(), bank());
    let (mut seen, mut committed) = (None, None);
    let run = Checkpoint::new().run("order").calls::<Result<(), Failed>>();
    let ended = store.scope_blocking(|| {
        run.run_blocking(|| {
            let tx = bank.transaction().map_err(sql)?;
            debit(&tx, 1, 100)?;
            tx.commit().map_err(sql)?;
            let tx = bank.transaction().map_err(sql)?;
            seen = Some(overtaken(&tx));
            committed = Some(tx.commit());
            Ok(())
        })
    });
    assert_eq!(ended, Ok(()));
    let conflict = why(seen.unwrap().unwrap_err());
    assert!(matches!(&conflict, CheckpointError::TxConflict { step, .. } if step == "overtaken(1)"), "{conflict}");
    assert_eq!(conflict.kind(), FaultKind::Transient, "called again, it is answered");
    assert!(conflict.to_string().contains("roll this transaction back and call again"), "{conflict}");
    assert!(committed.unwrap().is_err());
    assert_eq!(left(&bank), 900);
}

#[test]
fn a_step_that_ends_its_transaction_is_told_so_and_not_recorded_alone() {
    #[checkpoint(tx, key = 1)]
    fn commits(tx: &Transaction<'_>) -> Debited {
        tx.execute_batch("COMMIT").map_err(sql)?;
        Ok(0)
    }
    let mut bank = bank();
    let run = Checkpoint::new().run("order").calls::<Debited>();
    let tx = bank.transaction().unwrap();
    let ended = why(store().scope_blocking(|| run.run_blocking(|| commits(&tx))).unwrap_err());
    assert!(matches!(&ended, CheckpointError::TxEnded { .. }), "{ended}");
    drop(tx);
    assert!(records(&bank).is_empty());
}

#[test]
fn a_step_without_a_key_is_refused() {
    let mut bank = bank();
    let run = Checkpoint::new().run("order").calls::<Debited>();
    let tx = bank.transaction().unwrap();
    let counted = || {
        let step = Checkpoint::new().step("debit").at(site!("debit").enter());
        match step.calls::<Debited>().look_up_blocking(&tx) {
            TxStep::Answered(answer) => answer,
            TxStep::Execute(_) => panic!("it would be counted"),
        }
    };
    let refused = why(store().scope_blocking(|| run.run_blocking(counted)).unwrap_err());
    assert!(matches!(&refused, CheckpointError::TxKeyNeeded { step, .. } if step == "debit#1"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn inside_of_another_step_it_is_recorded_too_under_the_keys_of_both() {
    #[checkpoint(key = order, skip(bank, fails))]
    async fn charge(bank: &mut Connection, order: u32, fails: bool) -> Debited {
        let tx = bank.transaction().map_err(sql)?;
        let left = debit(&tx, order, 100)?;
        tx.commit().map_err(sql)?;
        if fails { Err(Error::Failed("died before the outer record".into())) } else { Ok(left) }
    }
    let (store, mut bank) = (store(), bank());
    for fails in [true, true, false] {
        let run = Checkpoint::new().run("order").calls::<Debited>();
        let charged = store.scope(run.run(async { charge(&mut bank, 7, fails).await })).await;
        assert_eq!(charged.is_err(), fails);
    }
    assert_eq!((left(&bank), records(&bank)), (900, vec![("order".into(), "charge(7)\u{1f}debit(7)".into())]));
}

#[tokio::test(start_paused = true)]
async fn an_async_function_may_hold_a_transaction_of_sqlite_and_knows_its_idempotency_key() {
    #[checkpoint(tx = bank, key = order)]
    async fn slow(bank: &mut Transaction<'_>, order: u32) -> Result<Option<String>, Failed> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let inner = bank.savepoint().map_err(sql)?;
        inner.execute("UPDATE account SET cents = cents - 1", []).map_err(sql)?;
        inner.commit().map_err(sql)?;
        Ok(idempotency_key().map(|key| key.to_string()))
    }
    let (store, mut bank) = (store(), bank());
    let mut keys = Vec::new();
    for _ in 0..2 {
        let run = Checkpoint::new().run("order").calls::<Result<(), Failed>>();
        let body = async {
            let mut tx = bank.transaction().map_err(sql)?;
            keys.push(slow(&mut tx, 7).await?);
            tx.commit().map_err(sql)?;
            Err(Error::Failed("died".into()))
        };
        store.scope(run.run(body)).await.unwrap_err();
    }
    assert!(keys[0].is_some() && keys[0] == keys[1], "{keys:?}");
    assert_eq!(left(&bank), 999);
}

#[test]
fn outside_of_a_run_it_is_a_plain_call() {
    let mut bank = bank();
    for expected in [900, 800] {
        let tx = bank.transaction().unwrap();
        assert_eq!(debit(&tx, 7, 100), Ok(expected));
        tx.commit().unwrap();
    }
    assert!(records(&bank).is_empty());
}

#[test]
fn a_step_that_older_code_recorded_in_the_store_answers_from_there() {
    let (store, mut bank) = (store(), bank());
    for execution in 0..2 {
        let run = Checkpoint::new().run("order").calls::<Debited>();
        let ended = store.scope_blocking(|| {
            run.run_blocking(|| match execution {
                0 => {
                    let step = Checkpoint::new().step("debit").key(&7).input(&7).input(&100);
                    step.at(site!("debit").enter()).calls::<Debited>().run_blocking(|| Ok(500))?;
                    Err(Error::Failed("died".into()))
                }
                _ => debit(&bank.transaction().map_err(sql)?, 7, 100),
            })
        });
        assert_eq!(ended.is_ok(), execution == 1, "{ended:?}");
    }
    assert_eq!(left(&bank), 1000);
}

#[test]
fn a_record_that_was_damaged_or_moved_is_refused() {
    let damages = [
        "UPDATE ft_tx_step SET value = substr(value, 1, length(value) - 1)",
        "UPDATE ft_tx_step SET value = (SELECT value FROM ft_tx_step AS other WHERE other.key <> ft_tx_step.key)",
        "UPDATE ft_tx_step SET input = x'00'",
    ];
    for damage in damages {
        let (store, mut bank) = (store(), bank());
        let twice = |bank: &mut Connection| {
            let run = Checkpoint::new().run("order").calls::<Debited>();
            store.scope_blocking(|| {
                run.run_blocking(|| {
                    let tx = bank.transaction().map_err(sql)?;
                    debit(&tx, 7, 100)?;
                    debit(&tx, 8, 100)?;
                    tx.commit().map_err(sql)?;
                    Err(Error::Failed("died".into()))
                })
            })
        };
        assert_eq!(twice(&mut bank), Err(Error::Failed("died".into())));
        bank.execute_batch(damage).unwrap();
        let corrupt = why(twice(&mut bank).unwrap_err());
        assert!(matches!(&corrupt, CheckpointError::Corrupt { what, .. } if what.contains("debit(7)")), "{corrupt}");
        assert_eq!(left(&bank), 800);
    }
}

#[test]
fn only_what_is_old_is_pruned_and_only_so_much_at_once() {
    let bank = bank();
    let place = Place::Step { incarnation: 1, run: "r", key: "k", input: Default::default() };
    let value = envelope::seal(&1, 0, &place).unwrap();
    for (at, count) in [(0, 6), (i64::MAX, 2)] {
        for n in 0..count {
            let insert = "INSERT INTO ft_tx_step VALUES ('r', ?1, ?2, 'k', 0, x'', ?3, ?2)";
            bank.execute(insert, params![n, at, value]).unwrap();
        }
    }
    let pruned: Vec<u64> = (0..3).map(|_| sqlite::prune(&bank, Duration::from_secs(60)).unwrap()).collect();
    assert_eq!((pruned, records(&bank).len()), (vec![4, 2, 0], 2));
}
