//! Runs this program under valgrind, and makes a table of what both say.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode};

use crate::meter::CALLS;

/// The first argument of the process that measures.
pub(crate) const CHILD: &str = "--measure";

/// The function inside which instructions are counted. (With a pattern instead of a name, valgrind counts there, but
/// dumps no counts.)
const COUNTED: &str = "ft_benches::meter::counted";

/// Prints the table of the cases whose name holds `pattern`.
pub(crate) fn overhead(pattern: &str) -> ExitCode {
    let measured = match measure(pattern) {
        Ok(rows) => Ok((rows, ExitCode::SUCCESS)),
        Err(NoCounts::NoValgrind) => {
            eprintln!("no valgrind: allocations only (install valgrind for instruction counts)");
            run_child(Command::new(this_program()), pattern).map(|lines| (rows_of(&lines, &[]), ExitCode::from(2)))
        }
        Err(NoCounts::Failed(why)) => Err(why),
    };
    match measured {
        Ok((rows, code)) => {
            print(&rows);
            code
        }
        Err(why) => {
            eprintln!("could not measure: {why}");
            ExitCode::FAILURE
        }
    }
}

enum NoCounts {
    NoValgrind,
    Failed(String),
}

struct Row {
    case: String,
    who: String,
    over: String,
    /// In full, for one call.
    instructions: Option<f64>,
    allocations: f64,
}

fn measure(pattern: &str) -> Result<Vec<Row>, NoCounts> {
    match Command::new("valgrind").arg("--version").output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(NoCounts::NoValgrind),
        _ => {}
    }
    let profile = std::env::temp_dir().join(format!("ft-benches-{}.callgrind", std::process::id()));
    let counted = run_under_valgrind(pattern, &profile);
    // It may not be there.
    let _ = std::fs::remove_file(&profile);
    let (lines, totals) = counted.map_err(NoCounts::Failed)?;
    if totals.len() < 2 * lines.len() {
        return Err(NoCounts::Failed(format!("{} cases, but {} counts of valgrind", lines.len(), totals.len())));
    }
    Ok(rows_of(&lines, &totals))
}

/// The lines of the child, and the totals of its counted parts: two for each line.
fn run_under_valgrind(pattern: &str, profile: &Path) -> Result<(Vec<String>, Vec<u64>), String> {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--quiet", "--tool=callgrind", "--combine-dumps=yes", "--dump-line=no"])
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(format!("--dump-after={COUNTED}"))
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(this_program());
    let lines = run_child(valgrind, pattern)?;
    let profile = std::fs::read_to_string(profile).map_err(|error| format!("{}: {error}", profile.display()))?;
    let totals = profile.lines().filter_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    Ok((lines, totals.collect()))
}

fn run_child(mut command: Command, pattern: &str) -> Result<Vec<String>, String> {
    let output = command.args([CHILD, pattern]).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

fn this_program() -> std::path::PathBuf {
    // The system cannot say only where the program was removed while it ran.
    std::env::current_exe().expect("the path of this program")
}

fn rows_of(lines: &[String], totals: &[u64]) -> Vec<Row> {
    let row = |(at, line): (usize, &String)| {
        let mut fields = line.split('\t').map(str::to_owned);
        let once = totals.get(2 * at).copied();
        let twice = totals.get(2 * at + 1).copied();
        Some(Row {
            case: fields.next()?,
            who: fields.next()?,
            over: fields.next()?,
            allocations: fields.next()?.parse::<f64>().ok()? / CALLS as f64,
            instructions: once.zip(twice).map(|(once, twice)| (twice as f64 - once as f64) / CALLS as f64),
        })
    };
    lines.iter().enumerate().filter_map(row).collect()
}

fn print(rows: &[Row]) {
    let bare: HashMap<&str, f64> = rows
        .iter()
        .filter_map(|row| Some((row.case.as_str(), row.instructions.filter(|_| row.over.is_empty())?)))
        .collect();
    let own = |row: &Row| Some(row.instructions? - bare.get(row.over.as_str()).copied().unwrap_or_default());
    let mut ours: HashMap<&str, f64> = HashMap::new();
    for row in rows.iter().filter(|row| row.who.starts_with("ft")) {
        if let Some(instructions) = own(row) {
            ours.entry(&row.case).or_insert(instructions);
        }
    }
    println!("case\twho\tinstructions\tallocations\tratio_to_ours");
    for row in rows {
        let instructions = own(row);
        let ratio = match (instructions, ours.get(row.case.as_str())) {
            (Some(theirs), Some(ours)) if *ours > 0.0 => format!("{:.2}", theirs / ours),
            _ => "-".to_owned(),
        };
        let instructions = instructions.map_or("-".to_owned(), |count| format!("{count:.0}"));
        println!("{}\t{}\t{instructions}\t{}\t{ratio}", row.case, row.who, short(row.allocations));
    }
}

/// Whole numbers without a fraction.
fn short(number: f64) -> String {
    if number.fract() == 0.0 { format!("{number}") } else { format!("{number:.2}") }
}
