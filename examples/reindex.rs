//! A long loop that saves itself: an index over Unicode's table of characters, killed at 60 % and started again. It saves as
//! often as is worth it, by itself, and tells what was lost and what saving cost.
//!
//! `cargo run --example reindex`; or by hand, to kill it yourself: `cargo run --example reindex -- build DIR`

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use ft_runtime::{Rejected, Saved, Store, checkpoint};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const TABLE: &str = include_str!("data/unicode-data/UnicodeData.txt");

/// Records that are read at once, and how long that takes: the disk or the service that a real index would read from.
const BATCH: usize = 50;
const READING: Duration = Duration::from_millis(14);

/// The process is killed at this share of the records.
const DIES_AT: usize = 60;

/// How far it is, and what it has found: how many characters each category has, the first and the last of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Index {
    records: usize,
    categories: BTreeMap<String, Category>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Category {
    count: usize,
    first: String,
    last: String,
}

impl Index {
    fn add(&mut self, record: &str) {
        let mut fields = record.split(';');
        let (code, category) = (fields.next().unwrap_or_default(), fields.nth(1).unwrap_or_default());
        let category = self.categories.entry(category.to_owned()).or_default();
        if category.count == 0 {
            code.clone_into(&mut category.first);
        }
        code.clone_into(&mut category.last);
        category.count += 1;
        self.records += 1;
    }
}

/// The result: what was found, and what this life of the process had to do for it.
#[derive(Debug, Serialize, Deserialize)]
struct Report {
    index: Index,
    took: Duration,
    saving: Duration,
}

/// `index` is supplied. The table is an argument of the run: if it changed, a half-built index of the old one is refused.
#[checkpoint(run = "reindex")]
async fn reindex(index: &mut Saved<Index>, table: &str) -> Result<Report, Rejected> {
    println!("from {}", index.records);
    let (began, mut saving) = (Instant::now(), Duration::ZERO);
    for (number, record) in table.lines().enumerate().skip(index.records) {
        if number.is_multiple_of(BATCH) {
            println!("at {number}");
            tokio::time::sleep(READING).await;
        }
        index.add(record);
        let before = Instant::now();
        index.mark().await?; // a consistent point: saved when that is worth it
        saving += before.elapsed();
    }
    Ok(Report { index: index.clone(), took: began.elapsed(), saving })
}

async fn build(folder: &Path) -> Result<Report, Failure> {
    open(folder)?.install();
    Ok(reindex(TABLE).await?)
}

fn open(folder: &Path) -> Result<Store, Failure> {
    Ok(Store::open(&format!("sqlite:{}", folder.join("ft.db").display()))?)
}

/// A process that builds the index, killed when it is dropped.
struct Builder {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    progress: Progress,
}

/// What it says.
enum Said {
    From(usize),
    At(usize),
    Done(Box<Report>),
}

impl Builder {
    fn start(folder: &Path, records: usize) -> Result<Self, Failure> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("built")
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let lines = BufReader::new(process.stdout.take().ok_or("no stdout")?).lines();
        Ok(Self { process, lines, progress: Progress { records, tenths: 0 } })
    }

    async fn says(&mut self) -> Result<Said, Failure> {
        let line = self.lines.next_line().await?.ok_or("the builder ended")?;
        let (what, rest) = line.split_once(' ').ok_or("the builder says nothing of use")?;
        Ok(match what {
            "from" => Said::From(rest.parse()?),
            "at" => {
                let at = rest.parse()?;
                self.progress.at(at);
                Said::At(at)
            }
            _ => Said::Done(serde_json::from_str(rest)?),
        })
    }
}

/// A line on a terminal that changes, or one for every ten percent where there is none.
struct Progress {
    records: usize,
    tenths: usize,
}

impl Progress {
    fn at(&mut self, record: usize) {
        let mut err = io::stderr();
        // What cannot be shown is not worth an error.
        if err.is_terminal() {
            let _ =
                write!(err, "\r{:3} %  {} of {}", record * 100 / self.records, grouped(record), grouped(self.records));
            let _ = err.flush();
        } else if record * 10 / self.records > self.tenths {
            self.tenths = record * 10 / self.records;
            let _ = writeln!(err, "{:3} %  {} of {}", self.tenths * 10, grouped(record), grouped(self.records));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if io::stderr().is_terminal() {
            eprintln!();
        }
    }
}

async fn show(folder: &Path) -> Result<(), Failure> {
    let records = TABLE.lines().count();
    let mut first = Builder::start(folder, records)?;
    let killed_at = loop {
        match first.says().await? {
            Said::At(record) if record * 100 >= records * DIES_AT => break record,
            Said::Done(_) => return Err("it was done before it was killed".into()),
            Said::From(_) | Said::At(_) => {}
        }
    };
    first.process.kill().await?;
    drop(first);
    // Another process looks into the store; the newest version of the state has the number of saves.
    let saves = open(folder)?.states("reindex", "index").await?.first().map_or(0, |newest| newest.generation);
    println!("killed at {} of {}, after {saves} saves", grouped(killed_at), grouped(records));

    let mut second = Builder::start(folder, records)?;
    let mut resumed_at = 0;
    let report = loop {
        match second.says().await? {
            Said::From(record) => resumed_at = record,
            Said::At(_) => {}
            Said::Done(report) => break report,
        }
    };
    drop(second);
    let again = killed_at.saturating_sub(resumed_at);
    println!("resumed at {}: {} records were read again", grouped(resumed_at), grouped(again));
    assert!(saves > 0 && resumed_at > 0, "nothing was saved before the kill");

    let mut whole = Index::default();
    TABLE.lines().for_each(|record| whole.add(record));
    assert_eq!(report.index, whole, "the index is not what it would be without the kill");
    let time = |records: usize| READING.as_secs_f64() * records as f64 / BATCH as f64;
    let saving = 100.0 * report.saving.as_secs_f64() / report.took.as_secs_f64();
    println!(
        "reindex: {} records in {} categories as without the kill; it cost {:.1} of {:.1} s, saving {saving:.2} %",
        grouped(records),
        whole.categories.len(),
        time(again),
        time(records),
    );
    Ok(())
}

/// `34924` as `34,924`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Ends this process when the one that started it is gone, and with it the other end of our stdin.
fn die_with_it() {
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(1);
    });
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => show(tempfile::tempdir()?.path()).await?,
        ["build", folder] => println!("{:#?}", build(folder.as_ref()).await?.index.categories),
        ["built", folder] => {
            die_with_it();
            println!("done {}", serde_json::to_string(&build(folder.as_ref()).await?)?);
        }
        _ => {
            eprintln!("reindex [build DIR]");
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}
