//! Two processes share a batch of work on Postgres. One of them is killed with SIGKILL in the middle; the other one takes
//! its runs over when the lease is out, and goes on behind the last record of each.
//!
//! `cargo run --example two_nodes` starts a server of its own; `-- --url postgres://user:password@host/database` uses that
//! one, and leaves everything in the schemas `two_nodes` and `two_nodes_ledger`.

use std::collections::BTreeMap;
use std::env;
use std::process::{ExitCode, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use ft_runtime::checkpoint::{Filter, Recovery, RunStatus, tx};
use ft_runtime::{Rejected, Store, checkpoint, shutdown};
use ft_test_postgres::Cluster;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio_postgres::{Client, NoTls, Transaction};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("the ledger: {0}")]
    Ledger(#[from] tokio_postgres::Error),
    #[error(transparent)]
    Rejected(#[from] Rejected),
}

/// Runs that each process begins, and how much each of them has to do.
const RUNS: u32 = 6;
const ITEMS: u32 = 10;

/// How long a process is believed to live after it was last heard of. 30 s if nothing is said, which survives a hiccup.
const LEASE: Duration = Duration::from_secs(3);

/// The server.
static SERVER: OnceLock<String> = OnceLock::new();

fn url() -> &'static str {
    SERVER.get().map_or("", String::as_str)
}

/// What a process of this example is told: the server, which process it is, and the name of the batch.
const URL: &str = "TWO_NODES_URL";
const NODE: &str = "TWO_NODES_NODE";
const BATCH: &str = "TWO_NODES_BATCH";

/// A run of the batch. Its arguments are recorded, so that any process can go on with it.
#[checkpoint(run = format!("{batch}-{number}"), recover)]
async fn import(batch: &str, number: u32) -> Result<i64, Failed> {
    let mut ledger = connect().await?;
    let run = format!("{batch}-{number}");
    let mut total = 0;
    for item in 0..ITEMS {
        let cents = price(item).await?;
        let tx = ledger.transaction().await?;
        total += book(&tx, &run, item, cents).await?;
        tx.commit().await?;
    }
    Ok(total)
}

/// A step, recorded in the store. The next call would have another answer, so nothing but the record can repeat it.
#[checkpoint(key = item)]
async fn price(item: u32) -> Result<i64, Failed> {
    tokio::time::sleep(Duration::from_millis(80)).await;
    Ok(fastrand::i64(1..1_000))
}

/// A step, recorded in the transaction that writes the ledger. There is no key in that table that would stop a second line.
#[checkpoint(tx, key = item)]
async fn book(tx: &Transaction<'_>, run: &str, item: u32, cents: i64) -> Result<i64, Failed> {
    let (item, node) = (i64::from(item), env::var(NODE).unwrap_or_default());
    let line = "INSERT INTO ledger (run, item, cents, node) VALUES ($1, $2, $3, $4)";
    tx.execute(line, &[&run, &item, &cents, &node]).await?;
    Ok(cents)
}

/// One of the two processes: begins its share, and goes on with what others leave, until its input ends.
async fn serve(node: &str, batch: &str) -> Result<(), Failure> {
    open_store()?.install();
    Recovery::new().keep_watching().every(Duration::from_millis(500)).start().await?;
    let mine = if node == "a" { 0..RUNS } else { RUNS..2 * RUNS };
    for number in mine {
        let batch = batch.to_owned();
        tokio::spawn(async move {
            if let Err(error) = import(&batch, number).await {
                println!("  {batch}-{number}: {error}");
            }
        });
    }
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    println!("  node {node} {}", shutdown(Duration::from_secs(5)).await);
    Ok(())
}

fn open_store() -> Result<Store, Failure> {
    let url = url();
    let separator = if url.contains('?') { '&' } else { '?' };
    let store = Store::open(&format!("{url}{separator}ft_schema=two_nodes&ft_lease={}ms", LEASE.as_millis()))?;
    Ok(store)
}

async fn connect() -> Result<Client, Failed> {
    let (client, connection) = tokio_postgres::connect(url(), NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute("SET search_path = two_nodes_ledger").await?;
    Ok(client)
}

/// What the ledger says: who has booked each item of a run, and for how much.
type Ledger = BTreeMap<(String, i64), Vec<(String, i64)>>;

async fn read(ledger: &Client, batch: &str) -> Result<Ledger, Failure> {
    let mut lines = Ledger::new();
    let all = "SELECT run, item, node, cents FROM ledger WHERE run LIKE $1 || '-%'";
    for row in ledger.query(all, &[&batch]).await? {
        lines.entry((row.get(0), row.get(1))).or_default().push((row.get(2), row.get(3)));
    }
    Ok(lines)
}

fn start(node: &str, batch: &str) -> Result<Child, Failure> {
    let mut process = Command::new(env::current_exe()?);
    process.env(URL, url()).env(NODE, node).env(BATCH, batch).stdin(Stdio::piped()).kill_on_drop(true);
    Ok(process.spawn()?)
}

async fn show() -> Result<bool, Failure> {
    let batch = format!("batch-{}", SystemTime::UNIX_EPOCH.elapsed()?.as_millis());
    let ledger = connect().await?;
    ledger
        .batch_execute(
            "CREATE SCHEMA IF NOT EXISTS two_nodes_ledger;
             CREATE TABLE IF NOT EXISTS ledger (run text, item bigint, cents bigint, node text)",
        )
        .await?;
    tx::postgres::create_table(&ledger).await?;
    let store = open_store()?;

    println!("two processes, {RUNS} runs of {ITEMS} items each, a lease of {LEASE:?}");
    let (mut a, mut b) = (start("a", &batch)?, start("b", &batch)?);
    let by = |lines: &Ledger, node: &str, first: u32| {
        let runs: Vec<_> = (first..first + RUNS).map(|number| format!("{batch}-{number}")).collect();
        lines.iter().filter(|((run, _), who)| runs.contains(run) && who.iter().any(|(by, _)| by == node)).count()
    };
    let patience = Instant::now() + Duration::from_secs(60);
    while by(&read(&ledger, &batch).await?, "a", 0) < 15 {
        patient(patience, "node a does not get on")?;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    a.kill().await?;
    let killed = Instant::now();
    println!("node a is killed; it has booked {} of {} items", by(&read(&ledger, &batch).await?, "a", 0), RUNS * ITEMS);

    let mut taken_over = None;
    loop {
        if taken_over.is_none() && by(&read(&ledger, &batch).await?, "b", 0) > 0 {
            taken_over = Some(killed.elapsed());
        }
        let runs = store.runs(Filter::default().prefix(&batch)).await?;
        let finished = runs.iter().filter(|run| run.status == RunStatus::Finished).count();
        if finished == 2 * RUNS as usize {
            break;
        }
        patient(patience, "the batch does not come to its end")?;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let Some(taken_over) = taken_over else { return Err("node a was killed too late: nothing was left".into()) };
    println!("node b has gone on with the first of them {:.1} s later", taken_over.as_secs_f64());
    drop(b.stdin.take());
    b.wait().await?;
    judge(&store, &read(&ledger, &batch).await?, &batch, taken_over).await
}

/// Holds the ledger against what was to be done, and against what each run answers.
async fn judge(store: &Store, lines: &Ledger, batch: &str, taken_over: Duration) -> Result<bool, Failure> {
    let (mut lost, mut repeated, mut different, mut handed) = (0, 0, 0, 0);
    for number in 0..2 * RUNS {
        let run = format!("{batch}-{number}");
        let mut who = BTreeMap::<&str, u32>::new();
        let mut total = 0;
        for item in 0..ITEMS {
            let booked = lines.get(&(run.clone(), item.into())).map_or(&[][..], Vec::as_slice);
            lost += u32::from(booked.is_empty());
            repeated += booked.len().saturating_sub(1);
            for (node, cents) in booked {
                *who.entry(node).or_default() += 1;
                total += cents;
            }
        }
        if number < RUNS && who.contains_key("b") {
            handed += 1;
            println!("  run {number}: {} items by a, {} by b", who.get("a").unwrap_or(&0), who["b"]);
        }
        // It is finished: this is its recorded result, whoever asks.
        different += u32::from(store.scope(import(batch, number)).await? != total);
    }
    println!("two_nodes: {handed} runs taken over, {lost} lost, {repeated} repeated, {different} wrong results");
    // The lease, then the next look of the other process; and this machine may be busy.
    Ok(lost == 0 && repeated == 0 && different == 0 && handed > 0 && taken_over < LEASE * 2)
}

fn patient(until: Instant, what: &str) -> Result<(), Failure> {
    if Instant::now() < until { Ok(()) } else { Err(what.into()) }
}

fn main() -> Result<ExitCode, Failure> {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    if let (Ok(url), Ok(node), Ok(batch)) = (env::var(URL), env::var(NODE), env::var(BATCH)) {
        SERVER.get_or_init(|| url);
        runtime()?.block_on(serve(&node, &batch))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut arguments = env::args().skip(1);
    let (url, _cluster) = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => match Cluster::start() {
            Ok(cluster) => (cluster.database(), Some(cluster)),
            Err(missing) => {
                println!("skipped: two_nodes needs {missing}");
                return Ok(ExitCode::SUCCESS);
            }
        },
        (Some("--url"), Some(url)) => (url, None),
        _ => return Err("there is one option, --url postgres://..".into()),
    };
    SERVER.get_or_init(|| url);
    let went_well = runtime()?.block_on(show())?;
    Ok(if went_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
