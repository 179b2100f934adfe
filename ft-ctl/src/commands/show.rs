//! `ft show`

use clap::Args;
use ft_runtime::checkpoint::{RunRecord, StateRecord, StepRecord, Store, UnixMillis};
use serde::Serialize;

use crate::failure::Failure;
use crate::human::{ago, count, cut, moment, now, size};
use crate::record::{Moment, Output, Run};
use crate::session::{Session, find};
use crate::standing::{Holders, Standing};
use crate::table::Facts;
use crate::value::Recorded;

/// Characters of a value that people see; `--json` has all of it.
const SHOWN: usize = 200;

/// What a durable sleep is recorded as.
const SLEEP: &str = "ft.sleep";

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The run
    run: String,
}

#[derive(Debug, Serialize)]
struct Answer {
    #[serde(flatten)]
    run: Run,
    to_do: String,
    sleeps_until: Option<Moment>,
    last_step: Option<LastStep>,
    states: Vec<NewestState>,
    output: Option<Output>,
}

#[derive(Debug, Serialize)]
struct LastStep {
    seq: u64,
    step: String,
    recorded_at: Moment,
}

#[derive(Debug, Serialize)]
struct NewestState {
    name: String,
    generation: u64,
    size: usize,
    saved_at: Moment,
}

impl Show {
    pub(crate) fn run(&self, session: &Session) -> Result<(), Failure> {
        let store = session.look()?;
        let run = find(&store, &self.run)?;
        let seen = Seen::of(session, &store, run)?;
        session.answer(&seen.answer(), || seen.to_text())
    }
}

/// A run and what is told of it.
struct Seen {
    store: Store,
    run: RunRecord,
    holders: Holders,
    standing: Standing,
    last: Option<StepRecord>,
    states: Vec<StateRecord>,
    output: Option<std::sync::Arc<[u8]>>,
    now: UnixMillis,
}

impl Seen {
    fn of(session: &Session, store: &Store, run: RunRecord) -> Result<Self, Failure> {
        let holders = Holders::of(session, store, std::slice::from_ref(&run));
        let standing = Standing::of(&run, &holders);
        let last = store.steps(&run.run).wait()?.pop();
        let mut states = store.saved(&run.run).wait()?;
        states.dedup_by(|older, newer| older.name == newer.name);
        let output = store.output(&run.run).wait()?;
        Ok(Self { store: store.clone(), run, holders, standing, last, states, output, now: now() })
    }

    fn output(&self) -> Option<Output> {
        self.output.as_ref().map(|sealed| Output::new(&self.store, &self.run, sealed))
    }

    /// The end of the durable sleep in which the run is.
    fn sleeps_until(&self) -> Option<UnixMillis> {
        let step = self.last.as_ref().filter(|step| step.key.starts_with(SLEEP))?;
        let until = match Recorded::open(&self.store, &step.value, &self.run.place_of_step(step)) {
            Recorded::Value { value, .. } => value.as_i64()?,
            _ => return None,
        };
        (until > self.now && self.run.finished_at.is_none()).then_some(until)
    }

    fn answer(&self) -> Answer {
        Answer {
            run: Run::new(&self.run, &self.holders),
            to_do: self.standing.to_do(&self.run),
            sleeps_until: self.sleeps_until().map(Moment),
            last_step: self.last.as_ref().map(|step| LastStep {
                seq: step.seq,
                step: step.key.to_string(),
                recorded_at: Moment(step.recorded_at),
            }),
            states: self.states.iter().map(newest).collect(),
            output: self.output(),
        }
    }

    fn to_text(&self) -> String {
        let (run, now) = (&self.run, self.now);
        let mut facts = Facts::default();
        facts.add("run", &*run.run);
        facts.add("status", format!("{}: {}", self.standing.as_str(), self.standing.why(run, &self.holders)));
        facts.add("to do", self.standing.to_do(run));
        if let Some(until) = self.sleeps_until() {
            facts.add("sleeps", format!("until {}", moment(until, now)));
        }
        facts.add("function", format!("{}, version {}", run.function, run.version));
        facts.add("started", moment(run.created_at, now));
        facts.add("touched", moment(run.updated_at, now));
        facts.add(
            "tries",
            format!("{}; its process died in {} of them since the last step", run.attempts, run.recoveries),
        );
        facts.add(
            "steps",
            match &self.last {
                Some(step) => format!("{}; the last one: {} ({})", run.steps, step.key, ago(step.recorded_at, now)),
                None => "none".into(),
            },
        );
        for state in &self.states {
            let (name, bytes) = (&state.name, size(state.value.len() as u64));
            facts.add("state", format!("{name}: {bytes}, saved {}", moment(state.recorded_at, now)));
        }
        if let Some(output) = self.output() {
            let value = cut(&output.recorded().to_line(), SHOWN);
            facts.add("output", format!("{}: {value}", size(output.size())));
        }
        if let Some(at) = run.finished_at {
            facts.add("ended", moment(at, now));
        }
        facts.add("kept", self.kept());
        facts.to_text()
    }

    fn kept(&self) -> String {
        match (self.run.finished_at, self.run.expires_at) {
            (Some(_), Some(at)) => format!("until {}", moment(at, self.now)),
            (Some(_), None) => "for good".into(),
            (None, _) => {
                let days = self.run.keep_unfinished.as_secs() / (24 * 60 * 60);
                format!("for {} after it was last touched", count(days, "day"))
            }
        }
    }
}

fn newest(state: &StateRecord) -> NewestState {
    NewestState {
        name: state.name.to_string(),
        generation: state.generation,
        size: state.value.len(),
        saved_at: Moment(state.recorded_at),
    }
}
