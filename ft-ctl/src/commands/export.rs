//! `ft export`

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use ft_runtime::checkpoint::{Filter, Store};
use serde::Serialize;

use crate::archive::Writer;
use crate::failure::{Exit, Failure};
use crate::human::{count, size};
use crate::session::{Session, no_such_run};

/// Runs that are listed at once.
const PAGE: u32 = 500;

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["runs", "all"])))]
pub(crate) struct Export {
    /// The runs
    runs: Vec<String>,

    /// All runs
    #[arg(long)]
    all: bool,

    /// The file to write, which must not be there yet; `-` is the standard output
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Debug, Serialize)]
struct Answer {
    file: String,
    size: u64,
    runs: u64,
    steps: u64,
    /// What was damaged when it was read, and is in the file as it is.
    damaged: Vec<String>,
}

impl Export {
    pub(crate) fn run(&self, session: &Session) -> Result<(), Failure> {
        let store = session.look()?;
        if self.output == Path::new("-") {
            let out = io::stdout().lock();
            if out.is_terminal() {
                let message = "the file is no text for a terminal; give it a name: --output FILE";
                return Err(Failure::new(Exit::Usage, message));
            }
            let mut written = Written::default();
            self.write(&store, BufWriter::new(out), &mut written)?;
            return written.end(session);
        }
        let file = File::create_new(&self.output).map_err(|error| self.cannot_write(&error))?;
        let mut written = Written::default();
        let done = self.write(&store, BufWriter::new(&file), &mut written);
        // Whoever moves a run away by it deletes it here next.
        let synced = done.and_then(|()| file.sync_all().map_err(|error| self.cannot_write(&error)));
        if let Err(failure) = synced {
            // Half a file is worth nothing, and is in the way of the next try.
            let _ = fs::remove_file(&self.output);
            return Err(failure);
        }
        let answer = Answer {
            file: self.output.display().to_string(),
            size: file.metadata().map_or(0, |meta| meta.len()),
            runs: written.runs,
            steps: written.steps,
            damaged: written.damaged.clone(),
        };
        session.answer(&answer, || {
            let (runs, steps) = (count(answer.runs, "run"), count(answer.steps, "step"));
            format!("wrote {runs} with {steps} to {} ({})", answer.file, size(answer.size))
        })?;
        written.end(session)
    }

    fn write<W: Write>(&self, store: &Store, out: W, written: &mut Written) -> Result<(), Failure> {
        let failed = |error: io::Error| self.cannot_write(&error);
        let mut writer = Writer::new(out).map_err(failed)?;
        let mut add = |run: &str, named: bool| -> Result<(), Failure> {
            let Some(copy) = store.export(run).wait()? else {
                // Of all runs, it was deleted meanwhile.
                return if named { Err(no_such_run(store, run)) } else { Ok(()) };
            };
            written.runs += 1;
            written.steps += copy.steps.len() as u64;
            written.damaged.extend(copy.findings().iter().map(|finding| format!("run `{run}`: {finding}")));
            writer.write(&copy).map_err(failed)
        };
        self.runs.iter().try_for_each(|run| add(run, true))?;
        if self.all {
            each_run(store, |run| add(run, false))?;
        }
        writer.end().map(drop).map_err(failed)
    }

    fn cannot_write(&self, error: &io::Error) -> Failure {
        let file = self.output.display();
        match error.kind() {
            io::ErrorKind::AlreadyExists => Failure::new(
                Exit::Refused,
                format!("{file} is there already and was left as it is; choose another name"),
            ),
            _ => Failure::new(Exit::Store, format!("cannot write {file}: {error}")),
        }
    }
}

/// Does something for each run of the store, in the order of their ids.
fn each_run(store: &Store, mut then: impl FnMut(&str) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut filter = Filter::default().limit(PAGE);
    loop {
        let runs = store.runs(filter.clone()).wait()?;
        runs.iter().try_for_each(|run| then(&run.run))?;
        match runs.last() {
            Some(last) => filter.after = Some(last.run.clone()),
            None => return Ok(()),
        }
    }
}

/// What is in the file.
#[derive(Debug, Default)]
struct Written {
    runs: u64,
    steps: u64,
    damaged: Vec<String>,
}

impl Written {
    /// A file with damage in it is better than none, and not well.
    fn end(&self, session: &Session) -> Result<(), Failure> {
        if self.damaged.is_empty() {
            return Ok(());
        }
        self.damaged.iter().for_each(|damaged| session.remark(damaged));
        Err(Failure::new(Exit::Damage, "what is damaged was written as it is; an import refuses it"))
    }
}
