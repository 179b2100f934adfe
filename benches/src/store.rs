//! What it costs to record a step durably, beside the database and the disk by themselves.

mod embedded;
mod mark;
mod postgres;
mod raw;
mod runs;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

pub(crate) use self::mark::measure;

/// Rounds; medians over them are printed. `FT_BENCH_ROUNDS` sets another number.
const ROUNDS: usize = 60;

/// Bytes of a value that is recorded.
const VALUE: usize = 200;

/// What a row says when it is done with a round: how long it took, and how long each of its writes waited.
#[derive(Default)]
struct Sample {
    took: Duration,
    waits: Vec<Duration>,
}

impl Sample {
    /// One write after the other.
    fn of(writes: usize, mut write: impl FnMut()) -> Self {
        let began = Instant::now();
        let waits = (0..writes)
            .map(|_| {
                let began = Instant::now();
                write();
                began.elapsed()
            })
            .collect();
        Self { took: began.elapsed(), waits }
    }

    fn rate(&self) -> f64 {
        self.waits.len() as f64 / self.took.as_secs_f64()
    }
}

/// One way to do what the case is called after. The first row of a case that is `raw` is what the others are held against.
struct Row {
    case: &'static str,
    who: &'static str,
    /// So many writes of each producer.
    round: Box<dyn FnMut(usize) -> Sample>,
    writes: usize,
    samples: Vec<Sample>,
}

/// The rows, until they run.
struct Rows {
    pattern: String,
    rows: Vec<Row>,
}

impl Rows {
    /// Whether a case that begins like this may run.
    fn wants(&self, beginning: &str) -> bool {
        self.pattern.is_empty() || self.pattern.starts_with(beginning) || beginning.contains(&self.pattern)
    }

    fn row(
        &mut self,
        case: &'static str,
        who: &'static str,
        writes: usize,
        round: impl FnMut(usize) -> Sample + 'static,
    ) {
        if case.contains(&self.pattern) {
            self.rows.push(Row { case, who, round: Box::new(round), writes, samples: Vec::new() });
        }
    }
}

/// A folder on the disk that is measured, removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Self> {
        let at = std::env::var_os("FT_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let folder = at.join(format!("ft-benches-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs all cases whose name holds the pattern, and prints the table.
pub(crate) fn run(pattern: &str) -> ExitCode {
    let folder = match Folder::new() {
        Ok(folder) => folder,
        Err(error) => {
            eprintln!("cannot write where the disk is to be measured (FT_BENCH_DIR sets the place): {error}");
            return ExitCode::FAILURE;
        }
    };
    let before = load();
    let mut rows = Rows { pattern: pattern.to_owned(), rows: Vec::new() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    // Building a runtime fails where the system gives no more threads or file descriptors.
    let runtime: &'static tokio::runtime::Runtime = Box::leak(Box::new(runtime.expect("a runtime")));
    embedded::rows(&mut rows, &folder, runtime);
    postgres::rows(&mut rows, runtime);
    let mut rows = rows.rows;
    for row in &mut rows {
        (row.round)(row.writes.div_ceil(10));
    }
    let rounds = std::env::var("FT_BENCH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    for round in 0..rounds {
        // Another one begins in each round, so that what changes while a round lasts is nobody's advantage.
        let count = rows.len();
        for at in 0..count {
            let row = &mut rows[(at + round) % count];
            let sample = (row.round)(row.writes);
            row.samples.push(sample);
        }
    }
    print(&rows);
    eprintln!(
        "load of the machine before and after: {before} and {}; values of {VALUE} bytes in {}",
        load(),
        folder.0.display()
    );
    ExitCode::SUCCESS
}

fn print(rows: &[Row]) {
    println!("case\twho\tper_second\tp50_us\tp99_us\tratio_to_raw\tquartiles");
    for row in rows {
        let raw = rows.iter().find(|raw| raw.case == row.case && raw.who.starts_with("raw"));
        let mut rates: Vec<f64> = row.samples.iter().map(Sample::rate).collect();
        let mut waits: Vec<f64> =
            row.samples.iter().flat_map(|sample| &sample.waits).map(|wait| wait.as_secs_f64() * 1e6).collect();
        // In the same round, as the disk has faster and slower phases.
        let ratios = raw.map(|raw| {
            let pairs = row.samples.iter().zip(&raw.samples);
            let mut ratios: Vec<f64> = pairs.map(|(ours, raw)| ours.rate() / raw.rate()).collect();
            let [low, middle, high] = [0.25, 0.5, 0.75].map(|part| quantile(&mut ratios, part));
            format!("{middle:.2}\t{low:.2}-{high:.2}")
        });
        println!(
            "{}\t{}\t{:.0}\t{:.0}\t{:.0}\t{}",
            row.case,
            row.who,
            quantile(&mut rates, 0.5),
            quantile(&mut waits, 0.5),
            quantile(&mut waits, 0.99),
            ratios.as_deref().unwrap_or("-\t-")
        );
    }
}

fn quantile(numbers: &mut [f64], part: f64) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let at = (numbers.len() as f64 * part) as usize;
    numbers.get(at.min(numbers.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// Processes that want to run, as the system counts them.
fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown").to_owned()
}
