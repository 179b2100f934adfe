//! Imports a real table through a service that fails, is killed on the way, and loses and repeats nothing.
//!
//! `cargo run --example quickstart` starts two servers and the importer as processes of their own and kills what
//! `supervisor.rs` says; `-- --help` tells the rest. The user's program is this file down to `main`: a run of
//! 34,924 steps, each of them one request that may fail.

mod client;
mod options;
mod progress;
mod report;
mod server;
mod supervisor;
mod tally;
mod unicode;
mod witness;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;
use std::{fs, io};

use ft_runtime::{Backoff, Fault, Pool, Rejected, Store, checkpoint, failover, idempotency_key, observe, retry};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};

use crate::client::Server;
use crate::options::{Command, HELP, Protection};
use crate::tally::{Event, tell};
use crate::unicode::{Enriched, Record};

/// The run: every record is enriched, 64 at a time. Called again after a crash, it goes on where it was.
#[checkpoint(run = "import")]
async fn import(records: &[Record], results: &Path) -> Result<Summary, ImportError> {
    let mut enriched: Vec<Enriched> = stream::iter(records).map(enrich).buffer_unordered(64).try_collect().await?;
    enriched.sort_by_key(|enriched| enriched.code);
    fs::write(results, serde_json::to_vec_pretty(&enriched).map_err(io::Error::from)?)?;
    Ok(Summary::of(enriched.iter().map(|enriched| &*enriched.category)))
}

/// A step: its result is recorded once. The same server is asked up to four times, then the other one; all those
/// requests carry one key, so that what a server has executed already is not executed again.
#[checkpoint(key = record.code)]
#[failover(server in servers())]
#[retry(max_attempts = 4, backoff = Backoff::exponential(10ms).max_delay(200ms))]
async fn enrich(record: &Record) -> Result<Enriched, ImportError> {
    server.enrich(record.line, idempotency_key()).await
}

/// How many records of each general category there are.
#[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
struct Summary(BTreeMap<String, u64>);

impl Summary {
    fn of<'a>(categories: impl Iterator<Item = &'a str>) -> Self {
        let mut counts = BTreeMap::new();
        categories.for_each(|category| *counts.entry(category.to_owned()).or_default() += 1);
        Self(counts)
    }
}

/// What can go wrong, and what may be done about it.
#[derive(Debug, Fault, thiserror::Error)]
enum ImportError {
    #[error("the server is unavailable")]
    #[fault(transient)]
    Unavailable,
    #[error("the server is busy for {retry_after:?}")]
    #[fault(throttled, retry_after = retry_after)]
    Busy { retry_after: Duration },
    #[error("the server cannot be reached: {0}")]
    #[fault(unsent)]
    Unreachable(hyper_util::client::legacy::Error),
    #[error("the connection broke before the answer was there: {0}")]
    #[fault(transient)]
    Broken(Failure),
    #[error("the server's answer is of no use: {0}")]
    #[fault(permanent)]
    Answer(String),
    #[error("the results cannot be written: {0}")]
    #[fault(permanent)]
    Results(#[from] io::Error),
    /// One of the protections stepped in.
    #[error(transparent)]
    #[fault(transparent)]
    Rejected(#[from] Rejected),
}

/// The servers, and how they are doing.
fn servers() -> &'static Pool<Server> {
    SERVERS.get().expect("set before the import starts")
}

static SERVERS: OnceLock<Pool<Server>> = OnceLock::new();

/// What ends a process.
type Failure = Box<dyn Error + Send + Sync>;

/// The importing process. `--break` takes away what would outlive it: the store's file, or the keys of its requests.
async fn importer(work: &Path, broken: Option<Protection>, [a, b]: &[String; 2]) -> Result<(), Failure> {
    let store = match broken {
        Some(Protection::Checkpoint) => "memory:".to_owned(),
        _ => format!("sqlite:{}", work.join("ft.db").display()),
    };
    Store::open(&store)?.install();
    let server = |address| Server::new(address, broken != Some(Protection::Key));
    SERVERS.get_or_init(|| Pool::of([("a", server(a)), ("b", server(b))]));
    let _listening = observe::subscribe(tally::hear);

    let summary = import(&unicode::table()?, &work.join("enriched.json")).await?;
    tell(&Event::Done(summary));
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let command = match Command::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("quickstart: {error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match act(command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("quickstart: {error}");
            if error.is::<supervisor::Interrupted>() { ExitCode::from(130) } else { ExitCode::FAILURE }
        }
    }
}

async fn act(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Help => print!("{HELP}"),
        Command::Show(options) => {
            let report = supervisor::run(&options).await?;
            println!("{report}");
            return Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Serve { name, witness, seed } => {
            supervisor::die_with_it();
            match server::serve(&name, &witness, seed).await? {}
        }
        Command::Import { work, broken, servers } => {
            supervisor::die_with_it();
            importer(&work, broken, &servers).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
