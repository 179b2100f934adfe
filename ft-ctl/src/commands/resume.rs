//! `ft resume`

use clap::Args;
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::session::{Session, find};
use crate::standing::{Holders, Standing};

#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// The run
    run: String,
}

#[derive(Debug, Serialize)]
struct Answer {
    run: String,
    resumed: bool,
}

impl Resume {
    pub(crate) fn run(&self, session: &Session) -> Result<(), Failure> {
        let store = session.open()?;
        let run = find(&store, &self.run)?;
        if !store.resume(&run.run).wait()? {
            let holders = Holders::of(session, &store, std::slice::from_ref(&run));
            let standing = Standing::of(&run, &holders);
            let message = format!(
                "run `{}` is not parked, so there is nothing to resume: it is {} ({}); to do: {}",
                run.run,
                standing.as_str(),
                standing.why(&run, &holders),
                standing.to_do(&run)
            );
            return Err(Failure::new(Exit::Refused, message));
        }
        let answer = Answer { run: run.run.clone(), resumed: true };
        session.answer(&answer, || {
            let goes_on = if run.is_http_request() {
                "when its client sends it again with its key".to_owned()
            } else {
                format!("at the next call of `{}`, or when its program recovers it", run.function)
            };
            format!("{} is not parked any more; it goes on {goes_on}", run.run)
        })
    }
}
