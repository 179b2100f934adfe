//! `ft steps`

use clap::Args;
use ft_runtime::checkpoint::{RunRecord, StepRecord, Store};
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::human::{ago, cut, now, quoted, size};
use crate::record::Step;
use crate::session::{Session, find};
use crate::table::Table;
use crate::value::Recorded;

/// Characters of a value that stand in the table; `--full` and `--json` show all of it.
const SHOWN: usize = 60;

#[derive(Debug, Args)]
pub(crate) struct Steps {
    /// The run
    run: String,

    /// Only this step, with all of its value
    step: Option<String>,

    /// All of each value
    #[arg(long)]
    full: bool,
}

#[derive(Debug, Serialize)]
struct Answer {
    run: String,
    steps: Vec<Step>,
}

impl Steps {
    pub(crate) fn run(&self, session: &Session) -> Result<(), Failure> {
        let store = session.look()?;
        let run = find(&store, &self.run)?;
        let mut steps = store.steps(&run.run).wait()?;
        if let Some(step) = &self.step {
            steps.retain(|recorded| *recorded.key == **step);
            if steps.is_empty() {
                let message =
                    format!("run `{}` has not recorded a step `{step}`; see: ft steps {}", run.run, quoted(&run.run));
                return Err(Failure::new(Exit::NotFound, message));
            }
        }
        let answer =
            Answer { run: run.run.clone(), steps: steps.iter().map(|step| Step::new(&store, &run, step)).collect() };
        session.answer(&answer, || self.to_text(&store, &run, &steps))
    }

    fn to_text(&self, store: &Store, run: &RunRecord, steps: &[StepRecord]) -> String {
        if steps.is_empty() {
            return format!("run `{}` has recorded no step\n", run.run);
        }
        let now = now();
        let mut table = Table::new(&[">SEQ", "STEP", "RECORDED", ">SIZE", "VALUE"]);
        for step in steps {
            let value = Recorded::open(store, &step.value, &run.place_of_step(step)).to_line();
            table.row([
                step.seq.to_string(),
                step.key.to_string(),
                ago(step.recorded_at, now),
                size(step.value.len() as u64),
                if self.full || self.step.is_some() { value } else { cut(&value, SHOWN) },
            ]);
        }
        table.to_text()
    }
}
