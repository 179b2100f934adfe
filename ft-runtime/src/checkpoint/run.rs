//! Runs: named executions that are claimed, resumed and finished.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex};

use super::envelope::{self, Envelope, EnvelopeError};
use super::error::CheckpointError;
use super::fingerprint::InputHash;
use super::record::{Claim, Claimed, Finish, Granted, Lease, Step, StepRecord, millis, unix_now};
use super::store::Store;
use super::ticket::Ticket;
use super::value::{Recorded, check_name};
use super::{Again, Checkpoint, Every, POLICY};
use crate::context::Context;
use crate::observe::{self, What};
use crate::outcome::Refusable;
use crate::rejected::{FromRejected, Rejected};
use crate::site::Site;
use crate::sync::lock;

/// A run about to be opened: made by [`Checkpoint::run`].
#[derive(Clone, Debug)]
pub struct RunCall {
    policy: Checkpoint,
    id: String,
    function: &'static str,
}

impl RunCall {
    pub(super) fn new(policy: Checkpoint, id: String) -> Self {
        Self { policy, id, function: "run" }
    }

    /// The function that the run belongs to: another one that asks for the same id is refused. `run` by default.
    #[must_use]
    pub fn named(self, function: &'static str) -> Self {
        Self { function, ..self }
    }

    /// The session of one call that returns `R`.
    #[must_use]
    pub fn calls<R>(self) -> RunSession<R::Value, R::Error>
    where
        R: Refusable,
        R::Value: Recorded,
    {
        RunSession {
            call: self,
            site: None,
            seal: envelope::seal::<R::Value>,
            read: read::<R::Value>,
            reject: <R::Error as FromRejected>::from_rejected,
        }
    }
}

fn read<T: Recorded>(bytes: &[u8], schema: u16) -> Result<T, EnvelopeError> {
    Envelope::parse(bytes)?.decode(schema)
}

/// One execution of a run.
///
/// # Cancel safety
///
/// Dropping the future leaves the run resumable and gives the claim back.
pub struct RunSession<T, E> {
    call: RunCall,
    site: Option<&'static Site>,
    seal: fn(&T, u16) -> Result<Vec<u8>, EnvelopeError>,
    read: fn(&[u8], u16) -> Result<T, EnvelopeError>,
    reject: fn(Rejected) -> E,
}

impl<T, E> RunSession<T, E> {
    /// Files the run's events under a site that was entered.
    #[must_use]
    pub fn at(self, site: &'static Site) -> Self {
        Self { site: Some(site), ..self }
    }

    /// Opens the run and executes `body` in it; a run that is finished answers with its result instead.
    ///
    /// # Errors
    ///
    /// The body's own error, which leaves the run resumable; or a [`Rejected::Checkpoint`].
    pub async fn run<F: Future<Output = Result<T, E>>>(self, body: F) -> Result<T, E> {
        let opened = match self.claim() {
            Ok(claiming) => {
                let store = claiming.store.clone();
                match claiming.await {
                    Ok(claimed) => self.open(store, claimed),
                    Err(error) => Err(error.into()),
                }
            }
            Err(error) => Err(error),
        };
        let held = match opened {
            Ok(Opened::Execute(held)) => held,
            Ok(Opened::Answer(value)) => return Ok(value),
            Err(error) => return Err((self.reject)(error.into())),
        };
        let value = held.context().scope(body).await?;
        let finished = match self.finish(&held, &value) {
            Ok(ticket) => ticket.await.map_err(CheckpointError::from),
            Err(error) => Err(error),
        };
        self.close(held, value, finished)
    }

    /// As [`run`](Self::run), blocking the thread.
    ///
    /// # Errors
    ///
    /// The body's own error, which leaves the run resumable; or a [`Rejected::Checkpoint`].
    pub fn run_blocking(self, body: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let opened = self.claim().and_then(|claiming| {
            let store = claiming.store.clone();
            let claimed = claiming.wait()?;
            self.open(store, claimed)
        });
        let held = match opened {
            Ok(Opened::Execute(held)) => held,
            Ok(Opened::Answer(value)) => return Ok(value),
            Err(error) => return Err((self.reject)(error.into())),
        };
        let value = held.context().scope_blocking(body)?;
        let finished = self.finish(&held, &value).and_then(|ticket| ticket.wait().map_err(CheckpointError::from));
        self.close(held, value, finished)
    }

    fn claim(&self) -> Result<Claiming, CheckpointError> {
        check_name("run", &self.call.id)?;
        let store = Store::current()?;
        let run: Arc<str> = self.call.id.as_str().into();
        let claim = Claim {
            run: Arc::clone(&run),
            function: self.call.function.into(),
            version: self.call.policy.version.into(),
            again: self.call.policy.again == Again::Always,
            at: unix_now(),
        };
        let ticket = store.backend().claim(claim);
        Ok(Claiming { ticket: Some(ticket), store, run })
    }

    fn open(&self, store: Store, claimed: Claimed) -> Result<Opened<T>, CheckpointError> {
        let run = self.call.id.clone();
        let now = self.call.policy.version;
        match claimed {
            Claimed::Granted(granted) => {
                let run = Run::new(&self.call, self.site, store, granted);
                // From here on the claim is given back whatever happens.
                let held = Held { run: Arc::new(run), finished: false };
                held.run.check_sequence()?;
                Ok(Opened::Execute(held))
            }
            Claimed::Finished(output) => match (self.read)(&output, now) {
                Ok(value) => Ok(Opened::Answer(value)),
                Err(error) => Err(error.about(&run, "the result".into(), now)),
            },
            Claimed::Cancelled => Err(CheckpointError::Cancelled { run }),
            Claimed::Busy { owner } => Err(CheckpointError::RunBusy { run, owner }),
            Claimed::OtherFunction { recorded } => {
                Err(CheckpointError::RunIdReused { run, recorded, now: self.call.function.into() })
            }
            Claimed::OtherVersion { recorded } => {
                Err(CheckpointError::VersionChanged { run, recorded, now: now.into() })
            }
        }
    }

    fn finish(&self, held: &Held, value: &T) -> Result<Ticket<()>, CheckpointError> {
        let policy = &self.call.policy;
        let run = &held.run;
        let about = |error: EnvelopeError| error.about(&run.lease.run, "the result".into(), policy.version);
        let output = (self.seal)(value, policy.version).map_err(about)?;
        if let Err(error) = (self.read)(&output, policy.version) {
            return Err(error.not_round_trip(&run.lease.run, "the result"));
        }
        let at = unix_now();
        let expires_at = (policy.again != Again::Always).then(|| at.saturating_add(millis(policy.keep)));
        let finish = Finish { lease: run.lease.clone(), output: output.into(), expires_at, at };
        Ok(run.store.backend().finish(finish))
    }

    fn close(&self, mut held: Held, value: T, finished: Result<(), CheckpointError>) -> Result<T, E> {
        match finished {
            Ok(()) => {
                held.finished = true;
                Ok(value)
            }
            Err(error) => Err((self.reject)(error.into())),
        }
    }
}

impl<T, E> fmt::Debug for RunSession<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunSession").field("call", &self.call).finish_non_exhaustive()
    }
}

enum Opened<T> {
    Execute(Held),
    Answer(T),
}

/// A claim on its way. Dropped before the answer, it gives back what may still be granted.
struct Claiming {
    ticket: Option<Ticket<Claimed>>,
    store: Store,
    run: Arc<str>,
}

impl Claiming {
    fn wait(mut self) -> Result<Claimed, CheckpointError> {
        match self.ticket.take() {
            Some(ticket) => Ok(ticket.wait()?),
            None => unreachable!("the ticket is taken only here, and by the drop afterwards"),
        }
    }
}

impl Future for Claiming {
    type Output = Result<Claimed, super::StoreError>;

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        let Some(ticket) = &mut self.ticket else { return std::task::Poll::Pending };
        let answer = std::task::ready!(std::pin::Pin::new(ticket).poll(cx));
        self.ticket = None;
        std::task::Poll::Ready(answer)
    }
}

impl Drop for Claiming {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let (store, run) = (self.store.clone(), Arc::clone(&self.run));
        ticket.abandon(move |claimed| {
            if let Ok(Claimed::Granted(Granted { token, .. })) = claimed {
                drop(store.backend().release(Lease { run, token }));
            }
        });
    }
}

/// The right to execute a run; dropped without a result, the run stays resumable and is given back.
struct Held {
    run: Arc<Run>,
    finished: bool,
}

impl Held {
    fn context(&self) -> Context {
        Context::current().with_around(|around| {
            around.run = Some(Arc::clone(&self.run));
            around.step = None;
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        lock(&self.run.progress).ended = true;
        if !self.finished {
            drop(self.run.store.backend().release(self.run.lease.clone()));
        }
    }
}

/// A run that is being executed, shared by everything inside it.
#[derive(Debug)]
pub(crate) struct Run {
    pub(super) store: Store,
    pub(super) lease: Lease,
    pub(super) version: u16,
    pub(super) every: Every,
    pub(super) incarnation: u32,
    pub(super) site: Option<&'static Site>,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    steps: HashMap<Arc<str>, Entry>,
    counts: HashMap<&'static str, u64>,
    states: HashSet<Arc<str>>,
    /// A state was loaded: counted steps would be miscounted after a resume.
    has_state: bool,
    ended: bool,
}

/// What this execution knows of a step.
#[derive(Debug)]
enum Entry {
    /// Recorded by an earlier execution, not called yet in this one.
    Recorded(StepRecord),
    /// Being called.
    Taken,
    /// Handed to the store by a call that did not wait for the answer.
    Unanswered(Step),
    /// Answered.
    Done,
}

impl Run {
    fn new(call: &RunCall, site: Option<&'static Site>, store: Store, granted: Granted) -> Self {
        if granted.attempts > 1 {
            let (attempt, steps) = (granted.attempts.into(), granted.steps.len() as u64);
            observe::emit(site, POLICY, What::Resumed { run: &call.id, attempt, steps });
        }
        let steps = granted.steps.into_iter();
        Self {
            store,
            lease: Lease { run: call.id.as_str().into(), token: granted.token },
            version: call.policy.version,
            every: call.policy.every,
            incarnation: granted.incarnation,
            site,
            progress: Mutex::new(Progress {
                steps: steps.map(|step| (Arc::clone(&step.key), Entry::Recorded(step))).collect(),
                counts: HashMap::new(),
                states: HashSet::new(),
                has_state: false,
                ended: false,
            }),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.lease.run
    }

    /// Steps are numbered without gaps, so a row that damage has hidden leaves a hole.
    fn check_sequence(&self) -> Result<(), CheckpointError> {
        let progress = lock(&self.progress);
        let last = progress.steps.values().map(|entry| match entry {
            Entry::Recorded(record) => record.seq,
            _ => 0,
        });
        match last.max().unwrap_or(0) {
            last if last == progress.steps.len() as u64 => Ok(()),
            last => Err(CheckpointError::Corrupt {
                run: self.id().into(),
                what: "the list of steps".into(),
                reason: format!("{} of {last} recorded steps are there", progress.steps.len()),
            }),
        }
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
            return Err(super::StoreError::Fenced { run: self.id().into(), owner: None }.into());
        }
        let (key, number): (Arc<str>, _) = match key {
            Some(key) => (format!("{name}({key})").into(), None),
            None => {
                if progress.has_state {
                    return Err(CheckpointError::KeyNeeded { run: self.id().into(), step: name.into() });
                }
                let count = progress.counts.entry(name).or_default();
                *count += 1;
                (format!("{name}#{count}").into(), Some(*count))
            }
        };
        let recorded = match progress.steps.get(&key) {
            None => None,
            Some(Entry::Recorded(record)) => Some(record.input),
            Some(Entry::Unanswered(step)) => Some(step.input),
            Some(Entry::Taken | Entry::Done) => {
                return Err(CheckpointError::DuplicateKey { run: self.id().into(), step: key.as_ref().into() });
            }
        };
        if let Some(recorded) = recorded.filter(|recorded| *recorded != input) {
            return Err(CheckpointError::InputChanged {
                run: self.id().into(),
                step: key.as_ref().into(),
                recorded: recorded.to_string(),
                now: input.to_string(),
            });
        }
        let before = progress.steps.insert(Arc::clone(&key), Entry::Taken);
        Ok(Taken { run: Arc::clone(self), name, number, key, input, before, answered: false })
    }

    /// Opens a state for one `Saved` at a time.
    pub(super) fn take_state(&self, name: &str) -> Result<Arc<str>, CheckpointError> {
        check_name("saved state", name)?;
        let mut progress = lock(&self.progress);
        let name: Arc<str> = name.into();
        if !progress.states.insert(Arc::clone(&name)) {
            return Err(CheckpointError::DuplicateKey { run: self.id().into(), step: name.as_ref().into() });
        }
        progress.has_state = true;
        Ok(name)
    }

    pub(super) fn give_state_back(&self, name: &str) {
        lock(&self.progress).states.remove(name);
    }
}

/// A step's key, taken for one call. Dropped without an answer, it can be taken again.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) run: Arc<Run>,
    pub(super) key: Arc<str>,
    pub(super) input: InputHash,
    name: &'static str,
    number: Option<u64>,
    before: Option<Entry>,
    answered: bool,
}

impl Taken {
    /// What an earlier execution recorded.
    pub(super) fn record(&self) -> Option<&StepRecord> {
        match &self.before {
            Some(Entry::Recorded(record)) => Some(record),
            _ => None,
        }
    }

    /// What an earlier call handed to the store without learning what became of it.
    pub(super) fn unanswered(&self) -> Option<&Step> {
        match &self.before {
            Some(Entry::Unanswered(step)) => Some(step),
            _ => None,
        }
    }

    /// From now on the step counts as handed to the store, even if nobody waits for the answer.
    pub(super) fn hand_over(&mut self, step: Step) -> Ticket<Vec<super::Appended>> {
        self.before = Some(Entry::Unanswered(step.clone()));
        self.run.store.backend().append(vec![step])
    }

    /// The step has its answer; the key is used up.
    pub(super) fn answer(mut self) {
        self.answered = true;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut progress = lock(&self.run.progress);
        if self.answered {
            progress.steps.insert(Arc::clone(&self.key), Entry::Done);
            return;
        }
        match self.before.take() {
            Some(entry) => progress.steps.insert(Arc::clone(&self.key), entry),
            None => progress.steps.remove(&self.key),
        };
        // A call that failed leaves its number to the next one, so that trying again in a loop records under the
        // number that a replay asks for.
        match progress.counts.get_mut(self.name) {
            Some(count) if Some(*count) == self.number => *count -= 1,
            _ => {}
        }
    }
}
