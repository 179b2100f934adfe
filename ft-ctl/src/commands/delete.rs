//! `ft delete`

use clap::Args;
use serde::Serialize;

use crate::failure::Failure;
use crate::human::{count, quoted};
use crate::session::{Session, find, no_such_run};

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// The run
    run: String,

    /// Delete it; without this, say what would go
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Serialize)]
struct Answer {
    run: String,
    steps: u64,
    deleted: bool,
}

impl Delete {
    pub(crate) fn run(&self, session: &Session) -> Result<(), Failure> {
        let store = if self.yes { session.open()? } else { session.look()? };
        let run = find(&store, &self.run)?;
        if self.yes && !store.delete(&run.run).wait()? {
            return Err(no_such_run(&store, &self.run));
        }
        let answer = Answer { run: run.run.clone(), steps: run.steps, deleted: self.yes };
        session.answer(&answer, || {
            let what = format!("{} ({}, with {})", run.run, run.status.as_str(), count(run.steps, "step"));
            match self.yes {
                true => format!("deleted {what}"),
                false => format!("would delete {what}; do it with: ft delete {} --yes", quoted(&run.run)),
            }
        })
    }
}
