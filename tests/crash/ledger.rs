//! The judge: what the program said, held against what it did.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::work::{STEPS, sum_below};

/// One step of one run.
pub(crate) type StepId = (String, u32);

/// What a program acknowledged so far, over all its lives, and the promises it broke.
///
/// A *life* is one process, from its start to its crash.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    acknowledged: HashSet<StepId>,
    /// Acknowledged before this life began.
    before: HashSet<StepId>,
    committed: HashMap<String, u32>,
    finished: HashSet<String>,
    executed: HashMap<StepId, u32>,
    /// In how many lives a step was on its way when the crash came.
    in_flight: HashMap<StepId, u32>,
    /// Executed in this life.
    now: HashSet<StepId>,
    broken: Broken,
    complaints: Vec<String>,
}

/// Broken promises, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Broken {
    /// Acknowledged and gone: a step that had to run again, a saved state behind its last commit.
    pub(crate) lost: u32,
    /// Executed more often than a crash explains.
    pub(crate) repeated: u32,
    /// A value that is not the one written.
    pub(crate) corrupt: u32,
}

impl Ledger {
    /// A new life begins: what is acknowledged by now must hold from here on.
    pub(crate) fn begin_life(&mut self) {
        self.before = self.acknowledged.clone();
        self.now.clear();
    }

    /// Enters one line of what the program said (see [`crate::work`]).
    pub(crate) fn said(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["acknowledged", run, step] => {
                self.acknowledged.insert((run.into(), number(step)));
            }
            ["committed", run, cursor] => {
                self.committed.insert(run.into(), number(cursor));
            }
            ["resumed", run, cursor, sum] => self.resumed(run, number(cursor), sum),
            ["finished", run, sum] => {
                if sum != sum_below(run, STEPS).to_string() {
                    self.break_promise(Kind::Corrupt, format!("{run} ended with {sum}"));
                }
                self.finished.insert(run.into());
            }
            ["wrong", ..] => self.break_promise(Kind::Corrupt, line.into()),
            _ => self.break_promise(Kind::Corrupt, format!("no line of the program: {line:?}")),
        }
    }

    /// Enters one execution of a step's body, as the witness saw it.
    pub(crate) fn executed(&mut self, id: StepId) {
        *self.executed.entry(id.clone()).or_default() += 1;
        if self.before.contains(&id) {
            self.break_promise(Kind::Lost, format!("{id:?} was acknowledged, and ran again"));
        }
        if !self.now.insert(id.clone()) {
            self.break_promise(Kind::Repeated, format!("{id:?} ran twice without a crash"));
        }
    }

    /// The life ended in a crash: at most `at_once` steps may have run and not been acknowledged.
    pub(crate) fn end_life(&mut self, at_once: usize) {
        let open: Vec<_> = self.now.difference(&self.acknowledged).cloned().collect();
        if open.len() > at_once {
            let complaint = format!("{open:?} ran without an acknowledgement, at most {at_once} can be on their way");
            self.break_promise(Kind::Repeated, complaint);
        }
        for id in open {
            *self.in_flight.entry(id).or_default() += 1;
        }
    }

    /// Nothing follows: no step may have run more often than the crashes that met it on its way explain.
    pub(crate) fn close(&mut self) {
        for (id, times) in self.executed.clone() {
            let crashes = self.in_flight.get(&id).copied().unwrap_or(0);
            if times > 1 + crashes {
                let complaint = format!("{id:?} ran {times} times, and met {crashes} crashes on its way");
                self.break_promise(Kind::Repeated, complaint);
            }
        }
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    pub(crate) fn is_finished(&self, run: &str) -> bool {
        self.finished.contains(run)
    }

    pub(crate) fn broken(&self) -> Broken {
        self.broken
    }

    /// The first few broken promises, one line each.
    pub(crate) fn complaints(&self) -> String {
        self.complaints.iter().take(5).map(|complaint| format!("\n    {complaint}")).collect()
    }

    fn resumed(&mut self, run: &str, cursor: u32, sum: &str) {
        let committed = self.committed.get(run).copied().unwrap_or(0);
        if self.finished.contains(run) {
            self.break_promise(Kind::Lost, format!("{run} was finished, and began again"));
        }
        if cursor < committed {
            self.break_promise(Kind::Lost, format!("{run} resumed at {cursor}, committed was {committed}"));
        }
        if cursor > STEPS || sum != sum_below(run, cursor.min(STEPS)).to_string() {
            self.break_promise(Kind::Corrupt, format!("{run} resumed at {cursor} with the sum {sum}"));
        }
    }

    fn break_promise(&mut self, kind: Kind, complaint: String) {
        match kind {
            Kind::Lost => self.broken.lost += 1,
            Kind::Repeated => self.broken.repeated += 1,
            Kind::Corrupt => self.broken.corrupt += 1,
        }
        self.complaints.push(complaint);
    }
}

enum Kind {
    Lost,
    Repeated,
    Corrupt,
}

fn number(text: &str) -> u32 {
    text.parse().unwrap_or(u32::MAX)
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lost={} repeated={} corrupt={}", self.lost, self.repeated, self.corrupt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(k: u32) -> StepId {
        ("steps-0".into(), k)
    }

    #[test]
    fn a_step_in_flight_at_the_crash_may_run_again() {
        let mut ledger = Ledger::default();
        ledger.begin_life();
        ledger.executed(step(0));
        ledger.end_life(1);
        ledger.begin_life();
        ledger.executed(step(0));
        ledger.said("acknowledged steps-0 0");
        ledger.end_life(1);
        ledger.close();
        assert_eq!(ledger.broken(), Broken::default());
    }

    #[test]
    fn an_acknowledged_step_that_runs_again_is_lost() {
        let mut ledger = Ledger::default();
        ledger.begin_life();
        ledger.executed(step(0));
        ledger.said("acknowledged steps-0 0");
        ledger.begin_life();
        ledger.executed(step(0));
        ledger.close();
        assert_eq!(ledger.broken(), Broken { lost: 1, repeated: 1, corrupt: 0 });
    }

    #[test]
    fn a_step_that_runs_twice_in_one_life_is_repeated() {
        let mut ledger = Ledger::default();
        ledger.begin_life();
        ledger.executed(step(0));
        ledger.executed(step(0));
        assert_eq!(ledger.broken().repeated, 1);
    }

    #[test]
    fn a_state_behind_its_last_commit_is_lost_and_one_with_another_sum_is_corrupt() {
        let mut ledger = Ledger::default();
        ledger.said("committed count-0 4");
        ledger.said(&format!("resumed count-0 3 {}", sum_below("count-0", 3)));
        assert_eq!(ledger.broken(), Broken { lost: 1, ..Broken::default() });
        ledger.said("resumed count-0 5 0");
        assert_eq!(ledger.broken(), Broken { lost: 1, corrupt: 1, ..Broken::default() });
    }
}
