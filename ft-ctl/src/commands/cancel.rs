//! `ft cancel`

use clap::Args;
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::session::{Session, find};
use crate::standing::{Holders, Standing};

#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// The run
    run: String,
}

#[derive(Debug, Serialize)]
struct Answer {
    run: String,
    /// Where it stood before.
    was: &'static str,
    cancelled: bool,
}

impl Cancel {
    pub(crate) fn run(&self, session: &Session) -> Result<(), Failure> {
        let store = session.open()?;
        let run = find(&store, &self.run)?;
        let holders = Holders::of(session, &store, std::slice::from_ref(&run));
        let standing = Standing::of(&run, &holders);
        if !store.cancel(&run.run).wait()? {
            let message =
                format!("run `{}` has ended already: it is {}", run.run, find(&store, &run.run)?.status.as_str());
            return Err(Failure::new(Exit::Refused, message));
        }
        let answer = Answer { run: run.run.clone(), was: standing.as_str(), cancelled: true };
        session.answer(&answer, || {
            let process = holders.get(&run.run).map(|holder| holder.process.as_ref().unwrap_or(&holder.owner));
            match (standing, process) {
                (Standing::Running, Some(process)) => {
                    format!("{} is cancelled; {process} learns of it at its next step, save or end", run.run)
                }
                _ => format!("{} is cancelled; whoever calls it is told so", run.run),
            }
        })
    }
}
