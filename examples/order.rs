//! A workflow: it reserves, charges, waits and ships, each of it once, however its process dies.
//!
//! `cargo run --example order` shows it: it starts itself as a process that dies right behind the charge, and then does as
//! the next process would, which goes on with the order although nobody calls for it.
//!
//! `cargo run --example order -- --crash-after STEP` (reserve, charge, pause or ship) places an order and dies there; say
//! `--resume` instead to see what is left to do. `--dir DIR` says where the order and the books are kept.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;
use std::{env, process};

use ft_runtime::checkpoint::{recover, sleep};
use ft_runtime::{Fault, Rejected, Store, checkpoint, idempotency_key, retry, shutdown};
use serde::{Deserialize, Serialize};

#[derive(Debug, Fault, thiserror::Error)]
enum ShopError {
    #[error("the books cannot be written: {0}")]
    #[fault(transparent)]
    Books(#[from] std::io::Error),
    #[error(transparent)]
    #[fault(transparent)]
    Rejected(#[from] Rejected),
}

#[derive(Debug, Deserialize, Serialize)]
struct Order {
    id: u32,
    cents: u64,
}

/// The workflow. Its arguments are recorded, so that it goes on without a caller; `#[retry]` does what a caller would do
/// after a failure that may pass.
#[retry]
#[checkpoint(run = format!("order-{}", order.id), recover)]
async fn place_order(order: &Order) -> Result<String, ShopError> {
    let hold = reserve(order).await?;
    die_after("reserve");
    let receipt = charge(order).await?;
    die_after("charge");
    // A day, in a real shop. The moment is recorded: what a crash takes of the wait is not waited for again.
    sleep("until it is packed", Duration::from_millis(300)).await?;
    die_after("pause");
    let parcel = ship(order, &hold).await?;
    die_after("ship");
    Ok(format!("{receipt}, {parcel}"))
}

/// A step: recorded once, and answered from its record when the workflow is executed again.
#[checkpoint]
async fn reserve(order: &Order) -> Result<String, ShopError> {
    write(&format!("reserved {}", order.id))?;
    Ok(format!("hold-{}", order.id))
}

/// The process may die after the bank has taken the money and before that is recorded. So the bank gets a key that is the
/// same in each attempt at this step, and knows the request when it comes again.
#[checkpoint]
async fn charge(order: &Order) -> Result<String, ShopError> {
    let key = idempotency_key().map_or_else(String::new, |key| key.to_string());
    if !read().contains(&key) {
        write(&format!("charged {} {} {key}", order.id, order.cents))?;
    }
    Ok(format!("{} cents paid", order.cents))
}

/// All attempts of a step belong inside its one record.
#[checkpoint]
#[retry(max_attempts = 5)]
async fn ship(order: &Order, hold: &str) -> Result<String, ShopError> {
    write(&format!("shipped {}", order.id))?;
    Ok(format!("{hold} is on its way"))
}

/// What this process was told.
static OPTIONS: OnceLock<Options> = OnceLock::new();

#[derive(Debug, Default)]
struct Options {
    directory: PathBuf,
    crash_after: Option<String>,
    resume: bool,
}

/// Ends the process as a crash does: nothing is tidied up.
fn die_after(step: &str) {
    if OPTIONS.get().and_then(|options| options.crash_after.as_deref()) == Some(step) {
        println!("dies after {step}");
        process::abort();
    }
}

/// The books of the shop and of the bank: a file that knows nothing of the store.
fn books() -> PathBuf {
    OPTIONS.get().map(|options| options.directory.join("books")).unwrap_or_default()
}

fn write(line: &str) -> std::io::Result<()> {
    println!("  {line}");
    let mut file = File::options().create(true).append(true).open(books())?;
    writeln!(file, "{line}")?;
    file.sync_data()
}

fn read() -> String {
    fs::read_to_string(books()).unwrap_or_default()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut given = Options::default();
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--crash-after" => given.crash_after = arguments.next(),
            "--dir" => given.directory = arguments.next().unwrap_or_default().into(),
            "--resume" => given.resume = true,
            other => return Err(format!("unknown option {other}; there are --crash-after, --dir and --resume").into()),
        }
    }
    let shows_all = given.crash_after.is_none() && !given.resume;
    if given.directory.as_os_str().is_empty() {
        given.directory = env::temp_dir().join(if shows_all { "ft-order-shown" } else { "ft-order" });
    }
    if shows_all {
        crash_another(&given.directory)?;
    }
    fs::create_dir_all(&given.directory)?;
    let options = OPTIONS.get_or_init(|| given);
    Store::open(&format!("sqlite:{}", options.directory.join("ft.db").display()))?.install();

    // What a service does when it starts: before it takes orders, those that were left go on.
    let mut recovered = recover().await?;
    println!("{recovered}");
    recovered.ended().await;
    if options.crash_after.is_some() {
        println!("{}", place_order(&Order { id: 42, cents: 500 }).await?);
    }
    if shows_all {
        let count = |what: &str| read().lines().filter(|line| line.starts_with(what)).count();
        let (reserved, charged, shipped) = (count("reserved"), count("charged"), count("shipped"));
        println!("order: reserved {reserved}, charged {charged}, shipped {shipped}, without a second call");
    }
    // And what it does when it is told to end.
    println!("{}", shutdown(Duration::from_secs(5)).await);
    Ok(())
}

/// Places an order in a process that dies behind the charge.
fn crash_another(directory: &Path) -> Result<(), Box<dyn std::error::Error>> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    let mut process = Command::new(env::current_exe()?);
    let died = process.args(["--crash-after", "charge", "--dir"]).arg(directory).status()?;
    if died.success() {
        return Err("it was to die behind the charge, and did not".into());
    }
    Ok(())
}
