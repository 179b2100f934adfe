//! `ft state`

use clap::Args;
use ft_runtime::checkpoint::{RunRecord, StateRecord, Store};
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::human::{ago, cut, now, quoted, size};
use crate::record::State as Shown;
use crate::session::{Session, find};
use crate::table::Table;
use crate::value::Recorded;

/// Characters of a value that stand in the table; `--full` and `--json` show all of it.
const SHOWN: usize = 60;

#[derive(Debug, Args)]
pub(crate) struct State {
    /// The run
    run: String,

    /// Only this state, with all of its value
    name: Option<String>,

    /// All of each value
    #[arg(long)]
    full: bool,
}

#[derive(Debug, Serialize)]
struct Answer {
    run: String,
    states: Vec<Shown>,
}

impl State {
    pub(crate) fn run(&self, session: &Session) -> Result<(), Failure> {
        let store = session.look()?;
        let run = find(&store, &self.run)?;
        let mut states = store.saved(&run.run).wait()?;
        if let Some(name) = &self.name {
            states.retain(|state| *state.name == **name);
            if states.is_empty() {
                let message =
                    format!("run `{}` has not saved a state `{name}`; see: ft state {}", run.run, quoted(&run.run));
                return Err(Failure::new(Exit::NotFound, message));
            }
        }
        let answer = Answer {
            run: run.run.clone(),
            states: states.iter().map(|state| Shown::new(&store, &run, state)).collect(),
        };
        session.answer(&answer, || self.to_text(&store, &run, &states))
    }

    fn to_text(&self, store: &Store, run: &RunRecord, states: &[StateRecord]) -> String {
        if states.is_empty() {
            let why = if run.finished_at.is_some() { "; those of a run that has ended are deleted" } else { "" };
            return format!("run `{}` has no saved state{why}\n", run.run);
        }
        let now = now();
        let mut table = Table::new(&["STATE", ">VERSION", "SAVED", ">STEPS", ">SIZE", "VALUE"]);
        for state in states {
            let value = Recorded::open(store, &state.value, &run.place_of_state(state)).to_line();
            table.row([
                state.name.to_string(),
                state.generation.to_string(),
                ago(state.recorded_at, now),
                state.steps.to_string(),
                size(state.value.len() as u64),
                if self.full || self.name.is_some() { value } else { cut(&value, SHOWN) },
            ]);
        }
        table.to_text()
    }
}
