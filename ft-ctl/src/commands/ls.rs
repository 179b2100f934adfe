//! `ft ls`

use std::rc::Rc;

use clap::Args;
use ft_runtime::checkpoint::{Filter, RunRecord, Store};
use serde::Serialize;

use crate::failure::Failure;
use crate::human::{ago, now, quoted};
use crate::record::Run;
use crate::session::Session;
use crate::standing::{Holders, Standing};
use crate::table::Table;

/// Runs that are asked for at once.
const PAGE: u32 = 500;

#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// Only runs that are not finished and that nobody works on: abandoned, waiting and parked
    #[arg(long, conflicts_with = "status")]
    stuck: bool,

    /// Only runs that stand here
    #[arg(long, value_enum, value_name = "STATUS")]
    status: Option<Standing>,

    /// Only ids that begin with this
    #[arg(long, default_value = "", hide_default_value = true)]
    prefix: String,

    /// Only ids after this one: the last id of the page before
    #[arg(long, value_name = "RUN")]
    after: Option<String>,

    /// At most so many
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

#[derive(Debug, Serialize)]
struct Answer {
    runs: Vec<Run>,
    /// There are more behind the last one.
    more: bool,
}

impl Ls {
    pub(crate) fn run(&self, session: &Session) -> Result<(), Failure> {
        let store = session.look()?;
        let mut listed = Vec::new();
        let mut more = self.after.clone();
        let mut ended = false;
        while !ended && listed.len() <= self.limit as usize {
            let page = store.runs(self.filter(more.take())).wait()?;
            ended = page.len() < PAGE as usize;
            more = page.last().map(|run| run.run.clone());
            self.keep(session, &store, page, &mut listed);
        }
        let more = listed.len() > self.limit as usize;
        listed.truncate(self.limit as usize);
        let now = now();
        let answer = Answer { runs: listed.iter().map(|(run, _, holders)| Run::new(run, holders)).collect(), more };
        session.answer(&answer, || {
            let mut table = Table::new(&["RUN", "STATUS", "FUNCTION", ">STEPS", ">TRIES", "TOUCHED", "WHY"]);
            for (run, standing, holders) in &listed {
                table.row([
                    run.run.clone(),
                    standing.as_str().into(),
                    run.function.clone(),
                    run.steps.to_string(),
                    run.attempts.to_string(),
                    ago(run.updated_at, now),
                    standing.why(run, holders),
                ]);
            }
            if table.is_empty() { self.nothing(&store) } else { table.to_text() }
        })?;
        if let (true, Some((last, ..))) = (more, listed.last()) {
            session.remark(&format!("there are more: --after {}", quoted(&last.run)));
        }
        Ok(())
    }

    fn filter(&self, after: Option<String>) -> Filter {
        let mut filter = Filter::default().prefix(&*self.prefix).limit(PAGE);
        filter.status = self.status.map(Standing::status);
        filter.after = after;
        filter
    }

    fn keep(&self, session: &Session, store: &Store, page: Vec<RunRecord>, listed: &mut Vec<Listed>) {
        let holders = Rc::new(Holders::of(session, store, &page));
        for run in page {
            let standing = Standing::of(&run, &holders);
            if self.status.is_none_or(|status| status == standing) && (!self.stuck || standing.is_stuck()) {
                listed.push((run, standing, Rc::clone(&holders)));
            }
        }
    }

    fn nothing(&self, store: &Store) -> String {
        let kind = match (self.stuck, self.status) {
            (true, _) => "stuck run",
            (false, Some(_)) => "such run",
            (false, None) => "run",
        };
        format!("no {kind} in {}\n", store.url())
    }
}

type Listed = (RunRecord, Standing, Rc<Holders>);
