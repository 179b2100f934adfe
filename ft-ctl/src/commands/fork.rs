//! `ft fork`

use clap::Args;
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::human::{count, quoted};
use crate::record::Run;
use crate::session::{Session, find};
use crate::standing::Holders;

#[derive(Debug, Args)]
pub(crate) struct Fork {
    /// The run to start from; it stays as it is
    run: String,

    /// The first step that the new run executes itself, as `ft steps` calls it
    #[arg(long, value_name = "STEP")]
    from: String,

    /// The new run
    #[arg(long = "as", value_name = "NEW")]
    into: String,
}

#[derive(Debug, Serialize)]
struct Answer {
    from: String,
    #[serde(flatten)]
    run: Run,
}

impl Fork {
    pub(crate) fn run(&self, session: &Session) -> Result<(), Failure> {
        let store = session.open()?;
        let run = find(&store, &self.run)?;
        if !store.steps(&run.run).wait()?.iter().any(|step| *step.key == *self.from) {
            let message = format!(
                "run `{}` has not recorded a step `{}`; see: ft steps {}",
                run.run,
                self.from,
                quoted(&run.run)
            );
            return Err(Failure::new(Exit::NotFound, message));
        }
        let new = store.fork(&run.run, &self.from, &self.into).wait()?;
        let holders = Holders::of(session, &store, std::slice::from_ref(&new));
        let answer = Answer { from: run.run.clone(), run: Run::new(&new, &holders) };
        session.answer(&answer, || {
            format!(
                "{} starts with {} of {}; the next call of `{}` for it executes the rest, from {}",
                new.run,
                count(new.steps, "step"),
                run.run,
                new.function,
                self.from
            )
        })
    }
}
