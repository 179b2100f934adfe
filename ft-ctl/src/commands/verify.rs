//! `ft verify`

use std::collections::BTreeSet;

use clap::Args;
use ft_runtime::checkpoint::envelope::EnvelopeError;
use ft_runtime::checkpoint::{Filter, Finding, RunCopy, Store, StoreError};
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::human::count;
use crate::record::Defect;
use crate::session::{Session, find};
use crate::table::Table;
use crate::value::why;

/// Runs that are listed at once.
const PAGE: u32 = 500;

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Only these runs, and nothing of the store around them
    runs: Vec<String>,
}

#[derive(Debug, Default, Serialize)]
struct Answer {
    sound: bool,
    checked: Checked,
    defects: Vec<Defect>,
}

#[derive(Debug, Default, Serialize)]
struct Checked {
    runs: u64,
    steps: u64,
    states: u64,
    outputs: u64,
}

impl Verify {
    pub(crate) fn run(&self, session: &Session) -> Result<(), Failure> {
        let store = session.look()?;
        let mut check =
            Check { store: &store, opens: session.has_keys(), checked: Checked::default(), findings: BTreeSet::new() };
        if self.runs.is_empty() {
            check.all()?;
        } else {
            for run in &self.runs {
                check.run(&find(&store, run)?.run)?;
            }
        }
        let Check { checked, findings, .. } = check;
        let sound = findings.is_empty();
        let answer = Answer { sound, checked, defects: findings.iter().map(Defect::from).collect() };
        session.answer(&answer, || to_text(&store, &answer.checked, &findings))?;
        if sound { Ok(()) } else { Err(Failure::said(Exit::Damage)) }
    }
}

struct Check<'s> {
    store: &'s Store,
    /// There are keys: what is encrypted is opened.
    opens: bool,
    checked: Checked,
    /// Each once, those of the store first.
    findings: BTreeSet<Finding>,
}

impl Check<'_> {
    fn all(&mut self) -> Result<(), Failure> {
        match self.store.verify().wait() {
            Ok(findings) => self.findings.extend(findings),
            Err(error) => self.damage(None, error)?,
        }
        let (mut after, mut limit) = (None, PAGE);
        loop {
            let mut filter = Filter::default().limit(limit);
            filter.after.clone_from(&after);
            match self.store.runs(filter).wait() {
                Ok(runs) => {
                    let ended = runs.len() < limit as usize;
                    for run in &runs {
                        self.run(&run.run)?;
                    }
                    after = runs.last().map(|run| run.run.clone()).or(after);
                    if ended {
                        return Ok(());
                    }
                }
                // One that makes no sense hides the others of its page: up to it one by one, and over it.
                Err(error) if limit == 1 => {
                    let next = self.next_found(after.as_deref());
                    self.damage(next.clone(), error)?;
                    let Some(next) = next else { return Ok(()) };
                    (after, limit) = (Some(next), PAGE);
                }
                Err(_) => limit = 1,
            }
        }
    }

    /// The next run of which the store itself has found something.
    fn next_found(&self, after: Option<&str>) -> Option<String> {
        let found = self.findings.iter().filter_map(|finding| finding.run.clone());
        found.filter(|run| after.is_none_or(|after| &**run > after)).min()
    }

    fn run(&mut self, run: &str) -> Result<(), Failure> {
        match self.store.export(run).wait() {
            // Deleted meanwhile.
            Ok(None) => Ok(()),
            Ok(Some(copy)) => {
                self.count(&copy);
                self.findings.extend(copy.findings());
                if self.opens {
                    self.open(&copy);
                }
                Ok(())
            }
            Err(error) => self.damage(Some(run.to_owned()), error),
        }
    }

    /// Whether what is encrypted was made with the keys, for its place.
    fn open(&mut self, copy: &RunCopy) {
        for (at, place, value) in copy.values() {
            match self.store.unseal(value, &place) {
                // A damaged one is found already.
                Ok(_) | Err(EnvelopeError::Corrupt { .. }) => {}
                Err(error) => {
                    self.findings.insert(Finding::new(Some(copy.run.run.clone()), Some(at), why(&error)));
                }
            }
        }
    }

    fn count(&mut self, copy: &RunCopy) {
        self.checked.runs += 1;
        self.checked.steps += copy.steps.len() as u64;
        self.checked.states += copy.states.len() as u64;
        self.checked.outputs += u64::from(copy.output.is_some());
    }

    /// What the store says of damage is found; that it cannot be read at all is not.
    fn damage(&mut self, run: Option<String>, error: StoreError) -> Result<(), Failure> {
        let what = match error {
            StoreError::Damaged { reason, .. } | StoreError::DamagedRows { reason, .. } => reason,
            error => {
                let failure = Failure::from(error.clone());
                if failure.exit() != Exit::Damage {
                    return Err(failure);
                }
                error.to_string()
            }
        };
        let known = self.findings.iter().any(|finding| finding.run == run && finding.what == what);
        if !known {
            self.findings.insert(Finding::new(run, None, what));
        }
        Ok(())
    }
}

fn to_text(store: &Store, checked: &Checked, findings: &BTreeSet<Finding>) -> String {
    let what = format!(
        "{}, {}, {} and {} in {}",
        count(checked.runs, "run"),
        count(checked.steps, "step"),
        count(checked.states, "saved version"),
        count(checked.outputs, "output"),
        store.url()
    );
    if findings.is_empty() {
        return format!("sound: {what}\n");
    }
    let mut table = Table::new(&["RUN", "WHERE", "DEFECT"]);
    for finding in findings {
        let run = finding.run.clone().unwrap_or_else(|| "(the store)".into());
        table.row([run, finding.at.clone().unwrap_or_default(), finding.what.clone()]);
    }
    let number = count(findings.len() as u64, "defect");
    table.to_text() + &format!("{number}; checked {what}\n")
}
