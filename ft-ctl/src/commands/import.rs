//! `ft import`

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::PathBuf;

use clap::Args;
use ft_runtime::checkpoint::{RunCopy, StoreError};
use serde::Serialize;

use crate::archive::{Reader, Unreadable};
use crate::failure::{Exit, Failure};
use crate::human::count;
use crate::session::Session;

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// A file that `ft export` has written
    file: PathBuf,

    /// Only these runs of it
    runs: Vec<String>,

    /// Another id for the run, if it is one; it is another run then, whose steps get other idempotency keys
    #[arg(long = "as", value_name = "NEW")]
    into: Option<String>,
}

#[derive(Debug, Default, Serialize)]
struct Answer {
    imported: Vec<Imported>,
    refused: Vec<Refused>,
}

#[derive(Debug, Serialize)]
struct Imported {
    run: String,
    into: String,
    steps: u64,
}

#[derive(Debug, Serialize)]
struct Refused {
    run: String,
    why: String,
}

impl Import {
    pub(crate) fn run(&self, session: &Session) -> Result<(), Failure> {
        let cannot_read = |error| self.explain(Unreadable::Io(error));
        let mut file = File::open(&self.file).map_err(cannot_read)?;
        // All of it is read once before anything is written.
        let mut chosen = 0;
        self.each(&file, |_| {
            chosen += 1;
            Ok(())
        })?;
        self.check(chosen)?;
        file.rewind().map_err(cannot_read)?;

        let store = session.open()?;
        let mut answer = Answer::default();
        self.each(&file, |copy| {
            let (run, steps) = (copy.run.run.clone(), copy.run.steps);
            match store.import(copy, self.into.as_deref()).wait() {
                Ok(new) => answer.imported.push(Imported { run, into: new.run, steps }),
                Err(error @ (StoreError::RunExists { .. } | StoreError::NotImported { .. })) => {
                    answer.refused.push(Refused { run, why: error.to_string() });
                }
                Err(error) => return Err(error.into()),
            }
            Ok(())
        })?;
        session.answer(&answer, || to_text(&answer))?;
        if answer.refused.is_empty() {
            return Ok(());
        }
        answer.refused.iter().for_each(|refused| session.remark(&refused.why));
        let refused = count(answer.refused.len() as u64, "run");
        Err(Failure::new(Exit::Refused, format!("{refused} of {chosen} not imported")))
    }

    /// Each run that is asked for.
    fn each(&self, file: &File, mut then: impl FnMut(RunCopy) -> Result<(), Failure>) -> Result<(), Failure> {
        let mut reader = self.reader(BufReader::new(file))?;
        while let Some(copy) = reader.read().map_err(|error| self.explain(error))? {
            if self.runs.is_empty() || self.runs.contains(&copy.run.run) {
                then(copy)?;
            }
        }
        Ok(())
    }

    fn reader<R: Read>(&self, input: R) -> Result<Reader<R>, Failure> {
        Reader::new(input).map_err(|error| self.explain(error))
    }

    fn check(&self, chosen: usize) -> Result<(), Failure> {
        let file = self.file.display();
        if chosen < self.runs.len() {
            let message = format!("{file} does not hold all of the runs `{}`", self.runs.join("`, `"));
            return Err(Failure::new(Exit::NotFound, message));
        }
        if self.into.is_some() && chosen != 1 {
            let message = format!(
                "--as names one run, and {} of {file} are asked for; name one of them",
                count(chosen as u64, "run")
            );
            return Err(Failure::new(Exit::Usage, message));
        }
        Ok(())
    }

    fn explain(&self, error: Unreadable) -> Failure {
        let file = self.file.display();
        match error {
            Unreadable::Io(error) => Failure::new(Exit::Store, format!("cannot read {file}: {error}")),
            Unreadable::NotOurs => {
                Failure::new(Exit::Damage, format!("{file} is no file that `ft export` has written"))
            }
            Unreadable::Newer(format) => {
                Failure::new(Exit::Store, format!("{file} was written by a newer ft (format {format}); use that one"))
            }
            Unreadable::Damaged(what) => Failure::new(
                Exit::Damage,
                format!("{file} is damaged: {what}; export it again, nothing of it was imported"),
            ),
        }
    }
}

fn to_text(answer: &Answer) -> String {
    let imported = answer.imported.iter().map(|imported| {
        let steps = count(imported.steps, "step");
        match imported.run == imported.into {
            true => format!("imported {} with {steps}\n", imported.run),
            false => format!("imported {} as {} with {steps}\n", imported.run, imported.into),
        }
    });
    imported.collect()
}
