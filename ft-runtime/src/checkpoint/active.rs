//! A run that is being executed: which steps it has, and who has taken which.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::envelope::{Header, Place};
use super::error::{CheckpointError, StoreError};
use super::fingerprint::InputHash;
use super::giving_back::GivingBack;
use super::numbers::Numbers;
use super::record::{Appended, Forgotten, Granted, Lease, Left, Step, StepRecord, UnixMillis, unix_now};
use super::saved::Failure;
use super::self_describing::Migrate;
use super::shutdown::Admitted;
use super::stop::Stop;
use super::store::Store;
use super::ticket::Ticket;
use super::value::check_name;
use super::{Checkpoint, Every, POLICY};
use crate::observe::{self, What};
use crate::site::Site;
use crate::sync::lock;

/// A run that is being executed, shared by everything inside it.
#[derive(Debug)]
pub(crate) struct Run {
    pub(super) store: Store,
    pub(super) lease: Lease,
    pub(super) version: u16,
    pub(super) migrate: Option<Migrate>,
    pub(super) every: Every,
    pub(super) incarnation: u64,
    /// When this incarnation was started.
    pub(super) started_at: UnixMillis,
    pub(super) site: Option<&'static Site>,
    /// How long the run lasts between two failures.
    pub(super) between_failures: Duration,
    /// How many steps the run had recorded when it was claimed.
    recorded: u64,
    progress: Mutex<Progress>,
    pub(super) stop: Stop,
    /// What the shutdown of the process knows it by, until it has ended.
    admitted: Mutex<Option<Admitted>>,
}

#[derive(Debug)]
struct Progress {
    steps: HashMap<Arc<str>, Known>,
    numbers: Numbers,
    /// Those that are loaded, and what each of them looks at when it is marked.
    states: HashMap<Arc<str>, Arc<Failure>>,
    /// A state was loaded: counted steps would be miscounted after a resume.
    has_state: bool,
    /// So many steps were recorded when the newest of the loaded states was saved: the run goes on behind them.
    covered: u64,
    ended: bool,
    /// Steps that are being executed.
    executing: usize,
    /// The claim is to be given back, by the last step that is being executed.
    given_up: Option<Left>,
}

/// What this execution knows of a step.
#[derive(Debug)]
enum Known {
    /// Recorded by an earlier execution, not called yet in this one.
    Recorded(StepRecord),
    /// Recorded by an earlier execution, and called in this one by somebody who left without the answer.
    Called(StepRecord),
    /// Being called.
    Taken,
    /// Handed to the store by a call that did not wait for the answer.
    Unanswered(Step),
    /// Answered.
    Done,
}

impl Run {
    pub(super) fn new(
        policy: &Checkpoint,
        id: &str,
        site: Option<&'static Site>,
        store: Store,
        granted: Granted,
        admitted: Admitted,
    ) -> Arc<Self> {
        if granted.attempts > 1 {
            let (attempt, steps) = (granted.attempts.into(), granted.steps.len() as u64);
            observe::emit(site, POLICY, What::Resumed { run: id, attempt, steps });
        }
        for Forgotten { run, status, why } in &granted.forgotten {
            observe::emit(site, POLICY, What::Forgotten { run, status: status.as_str(), why: why.as_str() });
        }
        let (recorded, steps) = (granted.recorded, granted.steps.into_iter());
        let run = Arc::new(Self {
            store,
            lease: Lease { run: id.into(), token: granted.token },
            version: policy.version,
            migrate: policy.migrate.map(|migrate| migrate.0),
            every: policy.every,
            incarnation: granted.incarnation,
            started_at: granted.created_at,
            site,
            between_failures: between_failures(granted.attempts, unix_now().saturating_sub(granted.created_at)),
            recorded,
            progress: Mutex::new(Progress {
                steps: steps.map(|step| (Arc::clone(&step.key), Known::Recorded(step))).collect(),
                numbers: Numbers::default(),
                states: HashMap::new(),
                has_state: false,
                covered: 0,
                ended: false,
                executing: 0,
                given_up: None,
            }),
            stop: Stop::default(),
            admitted: Mutex::new(None),
        });
        admitted.opened(&run);
        *lock(&run.admitted) = Some(admitted);
        run
    }

    /// It is to stop at its next durable point.
    pub(super) fn stop(&self) {
        self.stop.request();
        let states: Vec<_> = lock(&self.progress).states.values().cloned().collect();
        states.iter().for_each(|state| state.alarm());
    }

    /// How many of its steps are being executed.
    pub(super) fn executing(&self) -> usize {
        lock(&self.progress).executing
    }

    /// It has its result in the store.
    pub(super) fn finished(&self) {
        self.stop.over();
        drop(lock(&self.admitted).take());
    }

    /// Nothing begins in it any more, as it has its result. That has to wait for every step: what a step returns later
    /// would be lost, and a run that starts again would execute beside it.
    pub(super) fn end(&self) -> Result<(), CheckpointError> {
        if self.stop.has_refused() {
            return Err(self.shutting_down());
        }
        let mut progress = lock(&self.progress);
        progress.ended = true;
        if progress.executing > 0 {
            return Err(CheckpointError::StepsExecuting { run: self.id().into(), steps: progress.executing });
        }
        let leftover = progress.leftover();
        drop(progress);
        if let Some((steps, first)) = leftover {
            observe::emit(self.site, POLICY, What::LeftoverSteps { run: self.id(), steps, first: &first });
        }
        Ok(())
    }

    /// Nothing begins in it any more, and its claim is given back: now, or when the last of its steps has ended, so that
    /// nobody executes a step beside one of them.
    pub(super) fn give_up(&self, left: Left) -> Option<GivingBack> {
        let mut progress = lock(&self.progress);
        progress.ended = true;
        progress.given_up = Some(left);
        let last = progress.executing == 0;
        drop(progress);
        self.stop.over();
        last.then(|| self.release(left))
    }

    fn release(&self, left: Left) -> GivingBack {
        let answer = self.store.backend().release(self.lease.clone(), unix_now(), left);
        GivingBack::new(Arc::clone(&self.lease.run), left, answer, lock(&self.admitted).take())
    }

    fn fenced(&self) -> CheckpointError {
        StoreError::Fenced { run: self.id().into(), owner: None }.into()
    }

    pub(super) fn id(&self) -> &str {
        &self.lease.run
    }

    /// Where the result of a step stands.
    pub(super) fn place_of<'a>(&'a self, key: &'a str, input: InputHash) -> Place<'a> {
        Place::Step { incarnation: self.incarnation, run: self.id(), key, input }
    }

    /// Looks at every recorded step before anything is executed: under a damaged key its step would be taken for one
    /// that was never recorded. And steps are counted and numbered without gaps, so a row that damage has hidden leaves a
    /// hole, and the newest one a number that is not reached.
    pub(super) fn check_steps(&self) -> Result<(), CheckpointError> {
        let progress = lock(&self.progress);
        let mut last = self.recorded;
        for entry in progress.steps.values() {
            let Known::Recorded(record) = entry else { continue };
            last = last.max(record.seq);
            Header::read(&record.value, &self.place_of(&record.key, record.input))
                .map_err(|error| error.about(self.id(), format!("step `{}`", record.key), record.schema))?;
        }
        if last == progress.steps.len() as u64 {
            return Ok(());
        }
        Err(CheckpointError::Corrupt {
            run: self.id().into(),
            what: "the list of steps".into(),
            reason: format!("{} of {last} recorded steps are there", progress.steps.len()),
        })
    }

    /// Takes the key of a step for one call: an explicit one, or the next number of the name.
    pub(super) fn take_step(
        self: &Arc<Self>,
        name: &'static str,
        key: Option<&str>,
        input: InputHash,
    ) -> Result<Taken, CheckpointError> {
        let mut progress = lock(&self.progress);
        if progress.ended {
            return Err(self.fenced());
        }
        let (key, number): (Arc<str>, _) = match key {
            Some(key) => (format!("{name}({key})").into(), None),
            None => {
                if progress.has_state {
                    return Err(CheckpointError::KeyNeeded { run: self.id().into(), step: name.into() });
                }
                let number = progress.numbers.take(name, input);
                (format!("{name}#{number}").into(), Some(number))
            }
        };
        let recorded = match progress.steps.get(&key) {
            None => None,
            Some(Known::Recorded(record) | Known::Called(record)) => Some(record.input),
            Some(Known::Unanswered(step)) => Some(step.input),
            Some(Known::Taken | Known::Done) => {
                return Err(CheckpointError::DuplicateKey { run: self.id().into(), step: key.as_ref().into() });
            }
        };
        if let Some(recorded) = recorded.filter(|recorded| *recorded != input) {
            if let Some(number) = number {
                progress.numbers.give_back(name, number, input);
            }
            return Err(CheckpointError::InputChanged {
                run: self.id().into(),
                step: key.as_ref().into(),
                recorded: recorded.to_string(),
                now: input.to_string(),
            });
        }
        let before = progress.steps.insert(Arc::clone(&key), Known::Taken);
        Ok(Taken { run: Arc::clone(self), name, number, key, input, before, executing: false, answered: false })
    }

    /// Opens a state for one `Saved` at a time.
    pub(super) fn take_state(&self, name: &str, failure: &Arc<Failure>) -> Result<Arc<str>, CheckpointError> {
        check_name("saved state", name)?;
        let mut progress = lock(&self.progress);
        let name: Arc<str> = name.into();
        match progress.states.entry(Arc::clone(&name)) {
            Entry::Occupied(_) => {
                return Err(CheckpointError::DuplicateKey { run: self.id().into(), step: name.as_ref().into() });
            }
            Entry::Vacant(free) => drop(free.insert(Arc::clone(failure))),
        }
        progress.has_state = true;
        drop(progress);
        if self.stop.is_requested() {
            failure.alarm();
        }
        Ok(name)
    }

    /// A state was loaded that was saved when so many steps were recorded.
    pub(super) fn goes_on_behind(&self, steps: u64) {
        let mut progress = lock(&self.progress);
        progress.covered = progress.covered.max(steps);
    }

    pub(super) fn give_state_back(&self, name: &str) {
        lock(&self.progress).states.remove(name);
    }
}

impl Progress {
    /// The recorded steps that nobody has called: how many, and the first one.
    fn leftover(&self) -> Option<(u64, Arc<str>)> {
        let left = self.steps.values().filter_map(|entry| match entry {
            Known::Recorded(record) if record.seq > self.covered => Some((record.seq, &record.key)),
            _ => None,
        });
        let (steps, first) = left.fold((0, None), |(steps, first), record| {
            (steps + 1, Some(first.map_or(record, |first| std::cmp::min(first, record))))
        });
        first.map(|(_, first)| (steps, Arc::clone(first)))
    }
}

/// How long a run lasts between two failures, from how often it was begun in how long. A guess, six hours, counts as one
/// more failure-free time, so that the first crash does not look like a rule.
fn between_failures(attempts: u32, age: UnixMillis) -> Duration {
    const GUESS: Duration = Duration::from_secs(6 * 60 * 60);
    let age = Duration::from_millis(age.try_into().unwrap_or(0));
    age.saturating_add(GUESS) / attempts.max(1)
}

/// A step's key, taken for one call. Dropped without an answer, it can be taken again.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) run: Arc<Run>,
    pub(super) key: Arc<str>,
    pub(super) input: InputHash,
    name: &'static str,
    number: Option<u64>,
    before: Option<Known>,
    executing: bool,
    answered: bool,
}

impl Taken {
    /// What an earlier execution recorded.
    pub(super) fn record(&self) -> Option<&StepRecord> {
        match &self.before {
            Some(Known::Recorded(record) | Known::Called(record)) => Some(record),
            _ => None,
        }
    }

    /// Whether it has a number, and no key.
    pub(super) fn is_counted(&self) -> bool {
        self.number.is_some()
    }

    /// What an earlier call handed to the store without learning what became of it.
    pub(super) fn unanswered(&self) -> Option<&Step> {
        match &self.before {
            Some(Known::Unanswered(step)) => Some(step),
            _ => None,
        }
    }

    /// From now on the step counts as being executed, until this is dropped.
    pub(super) fn enter(&mut self) -> Result<(), CheckpointError> {
        // Somebody else may be executing it: what cannot be recorded any more must not be done.
        if let Some(lost) = self.run.store.backend().barred(&self.run.lease) {
            return Err(lost.into());
        }
        let mut progress = lock(&self.run.progress);
        if progress.ended {
            return Err(self.run.fenced());
        }
        progress.executing += 1;
        self.executing = true;
        Ok(())
    }

    /// Puts the key back, unless it is used up.
    fn leave(&mut self, progress: &mut Progress) {
        if self.answered {
            progress.steps.insert(Arc::clone(&self.key), Known::Done);
            return;
        }
        match self.before.take() {
            Some(Known::Recorded(record)) => progress.steps.insert(Arc::clone(&self.key), Known::Called(record)),
            Some(entry) => progress.steps.insert(Arc::clone(&self.key), entry),
            None => progress.steps.remove(&self.key),
        };
        if let Some(number) = self.number {
            progress.numbers.give_back(self.name, number, self.input);
        }
    }

    /// From now on the step counts as handed to the store, even if nobody waits for the answer.
    pub(super) fn hand_over(&mut self, step: Step) -> Ticket<Vec<Appended>> {
        self.before = Some(Known::Unanswered(step.clone()));
        self.run.store.backend().append(vec![step])
    }

    /// The step has its answer; the key is used up.
    pub(super) fn answer(mut self) {
        self.answered = true;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let run = Arc::clone(&self.run);
        let mut progress = lock(&run.progress);
        self.leave(&mut progress);
        progress.executing -= usize::from(self.executing);
        let ended = self.executing;
        let last_out = progress.given_up.filter(|_| self.executing && progress.executing == 0);
        drop(progress);
        if let Some(left) = last_out {
            drop(run.release(left));
        } else if ended {
            run.stop.wake();
        }
    }
}
