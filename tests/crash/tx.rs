//! A process that dies around the commit of a transaction in which a step is recorded: each debit is done once.
//!
//! The bank is a database of its own, in SQLite or Postgres. A child pays one order after the other, line by line, each in
//! a transaction, and dies at a chosen place or when it is killed. The bank is its own witness: a ledger without a unique
//! key takes a line as often as it is written.

use std::cell::Cell;
use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use ft_runtime::checkpoint::tx::{postgres, sqlite};
use ft_runtime::{Error, Store, checkpoint};
use rusqlite::{Connection, TransactionBehavior};
use tempfile::TempDir;

const BANK: &str = "FT_CRASH_BANK";
const FROM: &str = "FT_CRASH_FROM";
const TO: &str = "FT_CRASH_TO";
/// A place and how often it is passed before the process dies there.
const FATE: &str = "FT_CRASH_FATE";

/// Lines of an order.
const LINES: u32 = 3;
const AT_FIRST: i64 = 1_000_000_000;
const TABLES: &str = "CREATE TABLE account (cents bigint); CREATE TABLE ledger (order_no integer, line integer)";

/// Where the child dies: before a debit, in it, behind its record, behind the commit, and anywhere (killed by us).
const PLACES: [&str; 5] = ["begun", "debited", "recorded", "committed", "anywhere"];

type Outcome = Result<i64, Error<String>>;

#[test]
fn killed_around_the_commit_of_sqlite_each_debit_is_done_once() {
    let dir = TempDir::new().expect("a temporary directory");
    let path = dir.path().join("bank.db").display().to_string();
    let bank = Connection::open(&path).expect("a bank");
    bank.pragma_update(None, "journal_mode", "wal").expect("a bank with a log");
    bank.execute_batch(&format!("{TABLES}; INSERT INTO account VALUES ({AT_FIRST})")).expect("its tables");
    sqlite::create_table(&bank).expect("the table of records");
    live_and_die("sqlite", dir.path(), &path, crate::cycles(), || {
        let mut lines = bank.prepare("SELECT order_no, line, (SELECT cents FROM account) FROM ledger").expect("SQL");
        let rows = lines.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).expect("SQL");
        rows.map(|row| row.expect("a row")).collect()
    });
}

#[test]
fn killed_around_the_commit_of_postgres_each_debit_is_done_once() {
    let Some(cluster) = ft_test_postgres::required("killed_around_the_commit_of_postgres_each_debit_is_done_once")
    else {
        return;
    };
    let dir = TempDir::new().expect("a temporary directory");
    let url = cluster.database();
    let runtime = runtime();
    let bank = runtime.block_on(connect(&url));
    runtime.block_on(async {
        bank.batch_execute(&format!("{TABLES}; INSERT INTO account VALUES ({AT_FIRST})")).await.expect("its tables");
        postgres::create_table(&bank).await.expect("the table of records");
    });
    live_and_die("postgres", dir.path(), &url, crate::cycles() / 2, || {
        // One snapshot of both tables, in which nothing of a process that died is on its way.
        let lines = "SELECT order_no, line, (SELECT cents FROM account) FROM ledger";
        let rows = runtime.block_on(bank.query(lines, &[])).expect("SQL");
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
    });
}

/// Kills child after child, and looks into the bank after each; `ledger` reads its lines and what the account holds.
fn live_and_die(kind: &str, dir: &Path, bank: &str, lives: u64, ledger: impl Fn() -> Vec<(i32, i32, i64)>) {
    let mut dice = fastrand::Rng::with_seed(crate::seed());
    let mut heard = Heard::default();
    for life in 0..lives {
        let place = PLACES[life as usize % PLACES.len()];
        let passes = 1 + (life / PLACES.len() as u64 % u64::from(2 * LINES)) as u32;
        // The order before is finished: it has to answer with its record.
        let from = heard.next.saturating_sub(1);
        heard.said(&live(dir, bank, from, u32::MAX, Some((place, passes)), &mut dice));
        heard.hold_against(&ledger(), &format!("life {life}, {place} {passes}, seed {}", crate::seed()));
    }
    // Undisturbed, the last order comes to its end, and all of them answer as if nothing had happened.
    let last = heard.next;
    heard.said(&live(dir, bank, 0, last, None, &mut dice));
    let debits = heard.hold_against(&ledger(), "the last life");
    println!("crash: tx bank={kind} lives={lives} debits={debits} lost=0 repeated=0");
    assert_eq!((heard.next, debits as u32), (last + 1, (last + 1) * LINES), "orders are missing at the end");
    assert!(u64::from(last) * 4 > lives, "only {last} orders ended in {lives} lives: the kills come too early");
}

/// What the program promised, over all its lives.
#[derive(Default)]
struct Heard {
    committed: HashSet<(i32, i32)>,
    /// The first order that is not finished.
    next: u32,
}

impl Heard {
    fn said(&mut self, lines: &[String]) {
        for line in lines {
            let numbers: Vec<i64> = line.split(' ').skip(1).map(|word| word.parse().expect("a number")).collect();
            match (line.split(' ').next(), &numbers[..]) {
                (Some("committed"), [order, line]) => _ = self.committed.insert((*order as i32, *line as i32)),
                (Some("finished"), [order, sum]) => {
                    assert_eq!(*sum, (0..LINES).map(|line| cents_of(*order as i32, line as i32)).sum::<i64>());
                    self.next = self.next.max(*order as u32 + 1);
                }
                _ => panic!("no line of the program: {line:?}"),
            }
        }
    }

    /// What the bank holds is what was promised, and each line of it once. How many there are.
    fn hold_against(&self, ledger: &[(i32, i32, i64)], when: &str) -> usize {
        let lines: HashSet<(i32, i32)> = ledger.iter().map(|(order, line, _)| (*order, *line)).collect();
        let twice = ledger.len() - lines.len();
        assert_eq!(twice, 0, "{twice} lines were debited twice; {when}");
        let lost: Vec<_> = self.committed.difference(&lines).collect();
        assert!(lost.is_empty(), "{lost:?} were committed and are gone; {when}");
        let debited: i64 = lines.iter().map(|(order, line)| cents_of(*order, *line)).sum();
        let account = ledger.first().map_or(AT_FIRST, |(.., cents)| *cents);
        assert_eq!(AT_FIRST - account, debited, "the account does not follow from the ledger; {when}");
        lines.len()
    }
}

/// Starts a child, which dies or is killed at its place, if it has one; all that it said.
fn live(
    dir: &Path,
    bank: &str,
    from: u32,
    to: u32,
    fate: Option<(&str, u32)>,
    dice: &mut fastrand::Rng,
) -> Vec<String> {
    let mut command = crate::child("tx");
    command.env(crate::child::DIR, dir).env(BANK, bank).env(FROM, from.to_string()).env(TO, to.to_string());
    if let Some((place, passes)) = fate {
        command.env(FATE, format!("{place} {passes}"));
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("this program starts again");
    let out = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut said = Vec::new();
    let anywhere = fate.filter(|(place, _)| *place == "anywhere").map(|(_, lines)| lines as usize);
    for line in out {
        said.extend(line.expect("text").split_once("@ ").map(|(_, line)| line.to_owned()));
        if anywhere == Some(said.len()) {
            std::thread::sleep(std::time::Duration::from_micros(dice.u64(0..6_000)));
            child.kill().expect("a child that can be killed");
        }
    }
    let status = child.wait().expect("a child");
    // What dies, dies of a signal.
    assert_eq!(status.code().is_none(), fate.is_some(), "the child ended by itself ({status}) after {said:?}");
    said
}

/// The child: pays one order after the other.
pub(crate) fn program(dir: &Path) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok()).expect("a number");
    let (from, to): (u32, u32) = (number(FROM), number(TO));
    let fate = Fate::from_parent();
    let bank = std::env::var(BANK).expect("the parent names the bank");
    let store = Store::open(&format!("sqlite:{}", dir.join("ft.db").display())).expect("a store");
    runtime().block_on(async {
        let mut bank = if bank.starts_with("postgres") {
            Bank::Postgres(Box::new(connect(&bank).await))
        } else {
            let db = Connection::open(&bank).expect("a bank");
            db.pragma_update(None, "synchronous", "full").expect("a bank");
            db.busy_timeout(std::time::Duration::from_secs(10)).expect("a bank");
            Bank::Sqlite(db)
        };
        for order in from..=to {
            let paid = store.scope(pay(&mut bank, order, &fate)).await;
            fate.say(&format!("finished {order} {}", paid.unwrap_or_else(|error| panic!("order {order}: {error:?}"))));
        }
    });
}

enum Bank {
    Sqlite(Connection),
    Postgres(Box<tokio_postgres::Client>),
}

/// What a line costs.
fn cents_of(order: i32, line: i32) -> i64 {
    i64::from(order * 7 + line + 1)
}

#[checkpoint(run = format!("order-{order}"), skip(bank, fate))]
async fn pay(bank: &mut Bank, order: u32, fate: &Fate) -> Outcome {
    let mut sum = 0;
    for line in 0..LINES as i32 {
        let order = order as i32;
        sum += match bank {
            Bank::Sqlite(db) => {
                let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
                let cents = debit(&tx, order, line, fate)?;
                fate.reaches("recorded");
                tx.commit().map_err(failed)?;
                cents
            }
            Bank::Postgres(client) => {
                let tx = client.transaction().await.map_err(failed)?;
                let cents = debit_in_postgres(&tx, order, line, fate).await?;
                fate.reaches("recorded");
                tx.commit().await.map_err(failed)?;
                cents
            }
        };
        fate.reaches("committed");
        fate.say(&format!("committed {order} {line}"));
    }
    Ok(sum)
}

#[checkpoint(tx, key = line, name = "debit", skip(fate))]
fn debit(tx: &rusqlite::Transaction<'_>, order: i32, line: i32, fate: &Fate) -> Outcome {
    fate.reaches("begun");
    let cents = cents_of(order, line);
    tx.execute("UPDATE account SET cents = cents - ?1", [cents]).map_err(failed)?;
    tx.execute("INSERT INTO ledger VALUES (?1, ?2)", [order, line]).map_err(failed)?;
    fate.reaches("debited");
    Ok(cents)
}

#[checkpoint(tx, key = line, name = "debit", skip(fate))]
async fn debit_in_postgres(tx: &tokio_postgres::Transaction<'_>, order: i32, line: i32, fate: &Fate) -> Outcome {
    fate.reaches("begun");
    let cents = cents_of(order, line);
    tx.execute("UPDATE account SET cents = cents - $1", &[&cents]).await.map_err(failed)?;
    tx.execute("INSERT INTO ledger VALUES ($1, $2)", &[&order, &line]).await.map_err(failed)?;
    fate.reaches("debited");
    Ok(cents)
}

/// Where this process dies.
struct Fate {
    place: String,
    passes: Cell<u32>,
}

impl Fate {
    fn from_parent() -> Self {
        let fate = std::env::var(FATE).unwrap_or_default();
        let (place, passes) = fate.split_once(' ').unwrap_or(("nowhere", "1"));
        Self { place: place.into(), passes: Cell::new(passes.parse().expect("a number")) }
    }

    fn reaches(&self, place: &str) {
        if place == self.place {
            self.passes.set(self.passes.get() - 1);
            if self.passes.get() == 0 {
                std::process::abort();
            }
        }
    }

    fn say(&self, line: &str) {
        use std::io::Write;
        // One write, so that a kill cannot cut a line in two.
        let mut out = std::io::stdout().lock();
        out.write_all(format!("@ {line}\n").as_bytes()).expect("the parent listens");
        out.flush().expect("the parent listens");
    }
}

fn failed(error: impl std::fmt::Display) -> Error<String> {
    Error::Failed(error.to_string())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("a server");
    tokio::spawn(connection);
    client
}
