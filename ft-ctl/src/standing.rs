//! Where a run really stands: its status, and whether the process that executes it lives.

use std::collections::HashMap;

use clap::ValueEnum;
use ft_runtime::checkpoint::{Holder, RunRecord, RunStatus, Store};

use crate::human::{count, quoted};
use crate::session::Session;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Standing {
    /// A living process executes it
    Running,
    /// The process that executed it is gone
    Abandoned,
    /// Nobody executes it, and it is to go on by itself: its process was shutting down, or it was resumed
    Interrupted,
    /// Nobody executes it: it stopped before its end, or nobody has called it yet
    Waiting,
    /// It kept ending its process, and waits for an operator
    Parked,
    /// Ended with a result
    Finished,
    /// Ended by an operator
    Cancelled,
}

impl Standing {
    pub(crate) fn of(run: &RunRecord, holders: &Holders) -> Self {
        match (run.status, &run.owner) {
            (RunStatus::Finished, _) => Self::Finished,
            (RunStatus::Cancelled, _) => Self::Cancelled,
            (RunStatus::Parked, _) => Self::Parked,
            (_, None) if run.interrupted => Self::Interrupted,
            (_, None) => Self::Waiting,
            (_, Some(_)) if holders.may_hold(&run.run) => Self::Running,
            (_, Some(_)) => Self::Abandoned,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Abandoned => "abandoned",
            Self::Interrupted => "interrupted",
            Self::Waiting => "waiting",
            Self::Parked => "parked",
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
        }
    }

    /// What the store calls it.
    pub(crate) fn status(self) -> RunStatus {
        match self {
            Self::Running | Self::Abandoned | Self::Interrupted | Self::Waiting => RunStatus::Running,
            Self::Parked => RunStatus::Parked,
            Self::Finished => RunStatus::Finished,
            Self::Cancelled => RunStatus::Cancelled,
        }
    }

    /// Whether it is not finished and nobody works on it.
    pub(crate) fn is_stuck(self) -> bool {
        matches!(self, Self::Abandoned | Self::Interrupted | Self::Waiting | Self::Parked)
    }

    /// Why it stands there.
    pub(crate) fn why(self, run: &RunRecord, holders: &Holders) -> String {
        match self {
            Self::Running => match (holders.get(&run.run), &run.owner) {
                (Some(Holder { process: Some(process), .. }), _) => format!("{process} executes it"),
                (Some(holder), _) => format!("{} executes it", holder.owner),
                (None, Some(owner)) => format!("{owner} executes it, if it lives: that cannot be told"),
                (None, None) => String::new(),
            },
            Self::Abandoned => "the process that executed it is gone".into(),
            Self::Interrupted => "it was let go to be gone on with, and nobody has done so yet".into(),
            Self::Waiting if run.attempts == 0 => "nobody has called it yet".into(),
            Self::Waiting => "it stopped before its end, and nobody has called it again".into(),
            Self::Parked => format!(
                "its process died {} in a row before the next step was recorded",
                count((run.recoveries + 1).into(), "time")
            ),
            Self::Finished => "it has its result".into(),
            Self::Cancelled => "an operator ended it".into(),
        }
    }

    /// What an operator does about it.
    pub(crate) fn to_do(self, run: &RunRecord) -> String {
        let (function, id) = (&run.function, quoted(&run.run));
        let begins = match run.steps {
            0 => "starts it from its beginning".to_owned(),
            steps => format!("goes on behind step {steps}"),
        };
        let next = format!("the next call of `{function}` for this run {begins}");
        match self {
            Self::Running => format!("nothing; `ft cancel {id}` would end it at its next step"),
            Self::Abandoned | Self::Interrupted | Self::Waiting if run.is_http_request() => {
                "an HTTP request: it goes on when its client sends it again with its key".into()
            }
            // No program has what it would start it with.
            Self::Abandoned | Self::Interrupted if run.input_len.is_none() => {
                format!("call `{function}` for it again (it was started without `recover`): that {begins}")
            }
            Self::Abandoned | Self::Interrupted => format!("start the program again: {next}"),
            Self::Waiting if run.attempts == 0 => format!("call it: {next}"),
            Self::Waiting => format!("the program's log says what stopped it; {next}"),
            Self::Parked => {
                format!("find out what ends its process, then `ft resume {id}`; or give it up: `ft cancel {id}`")
            }
            Self::Finished => "nothing; whoever calls it is answered with its output".into(),
            Self::Cancelled => format!("nothing; `ft delete {id}` frees its name"),
        }
    }
}

/// The living owners of some runs; or nothing, where the store cannot tell.
#[derive(Debug)]
pub(crate) struct Holders(Option<HashMap<String, Holder>>);

impl Holders {
    /// Asks who executes these runs.
    pub(crate) fn of(session: &Session, store: &Store, runs: &[RunRecord]) -> Self {
        let asked: Vec<String> = runs.iter().filter(|run| run.owner.is_some()).map(|run| run.run.clone()).collect();
        if asked.is_empty() {
            return Self(Some(HashMap::new()));
        }
        match store.holders(asked).wait() {
            Ok(held) => Self(Some(held.into_iter().map(|holder| (holder.run.clone(), holder)).collect())),
            // What can be seen is shown all the same.
            Err(error) => {
                session.remark(&format!("which processes live cannot be told, all are taken for living: {error}"));
                Self(None)
            }
        }
    }

    pub(crate) fn get(&self, run: &str) -> Option<&Holder> {
        self.0.as_ref()?.get(run)
    }

    fn may_hold(&self, run: &str) -> bool {
        self.0.as_ref().is_none_or(|holders| holders.contains_key(run))
    }
}
