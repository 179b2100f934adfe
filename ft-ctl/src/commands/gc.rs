//! `ft gc`

use std::time::Duration;

use clap::{Args, ValueEnum};
use ft_runtime::checkpoint::{Gc as Ask, RunRecord, RunStatus, Store};
use serde::Serialize;

use crate::failure::Failure;
use crate::human::{ago, count, now, parse_span, size};
use crate::record::Moment;
use crate::session::Session;
use crate::table::Table;

/// Runs that are deleted in one transaction: a long one would keep the program waiting.
const AT_ONCE: u32 = 200;

/// Runs that a look at what would go names.
const SHOWN: u32 = 10_000;

#[derive(Debug, Args)]
pub(crate) struct Gc {
    /// Also runs that nobody has touched for so long: 90s, 15m, 12h, 30d
    #[arg(long, value_name = "AGE", value_parser = parse_span)]
    older_than: Option<Duration>,

    /// Also all runs of each status but so many, the newest
    #[arg(long, value_name = "NUMBER")]
    at_most: Option<u32>,

    /// Only runs of this status [default: any for those whose time is over; finished and cancelled for the others]
    #[arg(long, value_enum, value_name = "STATUS")]
    status: Vec<Status>,

    /// Only ids that begin with this
    #[arg(long, default_value = "", hide_default_value = true)]
    prefix: String,

    /// Delete them; without this, say what would go
    #[arg(long)]
    yes: bool,
}

/// What a store calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Status {
    /// Not finished; one that a living process executes never goes
    Running,
    /// Ended with a result
    Finished,
    /// Ended by an operator
    Cancelled,
    /// Waiting for an operator
    Parked,
}

#[derive(Debug, Serialize)]
struct Answer {
    deleted: bool,
    runs: Vec<Gone>,
    /// Without `--yes`: there are more than were named.
    more: bool,
}

#[derive(Debug, Serialize)]
struct Gone {
    run: String,
    status: &'static str,
    function: String,
    steps: u64,
    output_size: Option<u64>,
    updated_at: Moment,
}

impl Gc {
    pub(crate) fn run(&self, session: &Session) -> Result<(), Failure> {
        let store = session.open()?;
        let (mut runs, mut more) = (Vec::new(), false);
        for ask in self.asks() {
            let (gone, others) = self.collect(&store, ask)?;
            runs.extend(gone);
            more |= others;
        }
        let answer = Answer { deleted: self.yes, runs: runs.iter().map(gone).collect(), more };
        session.answer(&answer, || self.to_text(&runs, more))
    }

    /// One for each status that was named, or one for all.
    fn asks(&self) -> Vec<Ask> {
        let ended = [RunStatus::Finished, RunStatus::Cancelled];
        if self.status.is_empty() {
            return vec![ended.into_iter().fold(self.ask(), |ask, status| self.more_of(ask, status))];
        }
        let named = RunStatus::ALL.into_iter().filter(|status| self.status.iter().any(|named| named.is(*status)));
        named.map(|status| self.more_of(self.ask().only(status), status)).collect()
    }

    fn ask(&self) -> Ask {
        let limit = if self.yes { AT_ONCE } else { SHOWN };
        Ask::new().prefix(&*self.prefix).limit(limit).dry_run(!self.yes)
    }

    fn more_of(&self, mut ask: Ask, status: RunStatus) -> Ask {
        if let Some(age) = self.older_than {
            ask = ask.older_than(status, age);
        }
        if let Some(number) = self.at_most {
            ask = ask.at_most(status, number);
        }
        ask
    }

    fn collect(&self, store: &Store, ask: Ask) -> Result<(Vec<RunRecord>, bool), Failure> {
        let mut runs = Vec::new();
        loop {
            let collected = store.gc(ask.clone()).wait()?;
            runs.extend(collected.runs);
            if !collected.more || !self.yes {
                return Ok((runs, collected.more));
            }
        }
    }

    fn to_text(&self, runs: &[RunRecord], more: bool) -> String {
        let now = now();
        let mut table = Table::new(&["RUN", "STATUS", "FUNCTION", ">STEPS", ">OUTPUT", "TOUCHED"]);
        for run in runs {
            table.row([
                run.run.clone(),
                run.status.as_str().into(),
                run.function.clone(),
                run.steps.to_string(),
                run.output_len.map(size).unwrap_or_default(),
                ago(run.updated_at, now),
            ]);
        }
        let number = count(runs.len() as u64, "run");
        let and_more = if more { ", and there are more" } else { "" };
        let end = match (self.yes, table.is_empty()) {
            (_, true) => return "nothing to delete\n".into(),
            (true, false) => format!("deleted {number}\n"),
            (false, false) => format!("would delete {number}{and_more}; do it with the same command and --yes\n"),
        };
        table.to_text() + &end
    }
}

impl Status {
    fn is(self, status: RunStatus) -> bool {
        let named = match self {
            Self::Running => RunStatus::Running,
            Self::Finished => RunStatus::Finished,
            Self::Cancelled => RunStatus::Cancelled,
            Self::Parked => RunStatus::Parked,
        };
        named == status
    }
}

fn gone(run: &RunRecord) -> Gone {
    Gone {
        run: run.run.clone(),
        status: run.status.as_str(),
        function: run.function.clone(),
        steps: run.steps,
        output_size: run.output_len,
        updated_at: Moment(run.updated_at),
    }
}
