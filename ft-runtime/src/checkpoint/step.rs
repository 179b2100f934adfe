//! Steps: calls whose result is recorded once.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::active::{Run, Taken};
use super::envelope::{self, Envelope, EnvelopeError};
use super::error::{CheckpointError, StoreError};
use super::fingerprint::{Fingerprint, InputHash};
use super::inside::{Inside, Nested};
use super::record::{Appended, Step, StepRecord, unix_now};
use super::ticket::Ticket;
use super::value::{Read, Recorded, Seal, check_name, read};
use super::{Checkpoint, POLICY, failpoint};
use crate::context::Context;
use crate::deadline::under;
use crate::observe::{self, What};
use crate::outcome::Refusable;
use crate::rejected::{FromRejected, Rejected};
use crate::site::{Entered, Site};

/// A step about to be called: made by [`Checkpoint::step`].
///
/// Its context (run, deadline, store), its key and its input are taken when it is made, not when it is first polled: so
/// steps under `join!` get their numbers in the order in which they are written, and a step that is spawned stays in the
/// run, and under the deadline, that it was called in.
#[derive(Debug)]
pub struct StepCall {
    policy: Checkpoint,
    name: &'static str,
    context: Context,
    key: Option<String>,
    input: Result<InputHash, String>,
    site: Option<&'static Site>,
    plan: Option<Plan>,
}

/// What becomes of the call.
#[derive(Debug)]
enum Plan {
    /// No run: just call.
    Plain,
    /// Inside another step: call, as a part of that step.
    Nested(Nested),
    /// An error before anything happens.
    Refuse(CheckpointError),
    /// Answer from the record, or execute and record.
    Take(Taken),
}

impl StepCall {
    pub(super) fn new(policy: Checkpoint, name: &'static str) -> Self {
        let context = Context::current();
        let missing = policy.require_run && context.around().run.is_none();
        Self {
            policy,
            name,
            context,
            key: None,
            input: Ok(InputHash::default()),
            site: None,
            plan: missing.then(|| Plan::Refuse(CheckpointError::NoRun { step: name.into() })),
        }
    }

    /// What tells this call from the others of its name in the run. Without a key, calls are counted.
    ///
    /// A counted call that fails leaves its number to the next call with an equal [`input`](Self::input), which is taken
    /// for another try. Give a key to steps that may fail without ending the run where arguments do not tell them apart.
    #[must_use]
    pub fn key<K: fmt::Display + ?Sized>(mut self, key: &K) -> Self {
        if self.context.around().run.is_some() {
            self.key = Some(key.to_string());
        }
        self
    }

    /// The arguments: a record made with other ones is refused. Given several times, all of them count, in order.
    ///
    /// What is not given does not count. That goes for the `self` of a method: what its result depends on belongs into
    /// the input or the key, too.
    #[must_use]
    pub fn input<I: Fingerprint + ?Sized>(mut self, input: &I) -> Self {
        if self.context.around().run.is_some() {
            self.input = self.input.and_then(|before| Ok(before.then(input.fingerprint()?)));
        }
        self
    }

    /// Files the step's events under its site, and takes its key: the last one before [`calls`](Self::calls).
    #[must_use]
    pub fn at(mut self, site: Entered) -> Self {
        self.site = Some(site.site);
        self.take();
        self
    }

    /// The session of one call that returns `R`.
    #[must_use]
    pub fn calls<R>(mut self) -> StepSession<R::Value, R::Error>
    where
        R: Refusable,
        R::Value: Recorded,
    {
        self.take();
        StepSession {
            plan: self.plan.unwrap_or(Plan::Plain),
            context: self.context,
            policy: self.policy,
            site: self.site,
            seal: envelope::seal_with::<R::Value>,
            read: read::<R::Value>,
            errors: None,
            reject: <R::Error as FromRejected>::from_rejected,
        }
    }

    /// Decides what becomes of the call, once.
    fn take(&mut self) {
        if self.plan.is_some() {
            return;
        }
        self.plan = Some(match &self.context.around().run {
            None => Plan::Plain,
            Some(run) => self.take_in(run).unwrap_or_else(Plan::Refuse),
        });
    }

    fn take_in(&self, run: &Arc<Run>) -> Result<Plan, CheckpointError> {
        check_name("step", self.name)?;
        if let Some(key) = &self.key {
            check_name("step's key", key)?;
        }
        let input = self.input.clone().map_err(|reason| CheckpointError::Encode {
            run: run.id().into(),
            what: format!("the arguments of step `{}`", self.name),
            reason,
        })?;
        let key = self.key.as_deref();
        Ok(match &self.context.around().step {
            Some(step) => Plan::Nested(step.nest(self.name, key, input)),
            None => Plan::Take(run.take_step(self.name, key, input)?),
        })
    }
}

/// One call of a step.
///
/// # Cancel safety
///
/// Dropping the future before its body has ended records nothing. Dropped after that, the result is recorded all the
/// same, and the next call under the key is answered with it. A step that is being executed on another task keeps its
/// run from being executed by anybody else, even after the run has failed; so drop it, or let it end.
pub struct StepSession<T, E> {
    plan: Plan,
    pub(super) context: Context,
    pub(super) policy: Checkpoint,
    pub(super) site: Option<&'static Site>,
    pub(super) seal: Seal<T>,
    pub(super) read: Read<T>,
    /// How errors are recorded, if they are.
    errors: Option<(Seal<E>, Read<E>)>,
    pub(super) reject: fn(Rejected) -> E,
}

impl<T, E: Recorded> StepSession<T, E> {
    /// Records an error, too: it is the step's answer, and it is not executed again. For errors that decide what a run does
    /// next, such as a card that was declined.
    ///
    /// An error that does not serialise is not recorded: refusals of ft ([`Rejected`]) in an [`Error`](crate::Error), and
    /// variants with `#[serde(skip)]`.
    #[must_use]
    pub fn record_err(self) -> Self {
        Self { errors: Some((envelope::seal_error::<E>, read::<E>)), ..self }
    }
}

impl<T, E> StepSession<T, E> {
    /// Answers with the recorded result, or executes `body` and records what it returns: an `Ok`, and an `Err` if
    /// [told so](Self::record_err).
    ///
    /// A value is what its record says from the first execution on: a field that is not serialised has its default.
    ///
    /// # Errors
    ///
    /// The body's own error; or a [`Rejected::Checkpoint`].
    pub async fn run<F: Future<Output = Result<T, E>>>(mut self, body: F) -> Result<T, E> {
        if let Some(run) = self.stops() {
            let run = Arc::clone(run);
            // The key is free again.
            drop(std::mem::replace(&mut self.plan, Plan::Plain));
            return Err((self.reject)(run.rest().await.into()));
        }
        // On another task than the one that called it, too.
        let deadline = self.context.deadline();
        if let Some(room) = self.room()
            && let Err(error) = under(deadline, room).await
        {
            return Err((self.reject)(error.into()));
        }
        let mut taken = match self.begin() {
            Begun::Plain => return body.await,
            Begun::Nested(nested) => {
                let outcome = self.inside(nested.inside()).scope(body).await;
                return nested.end(outcome);
            }
            Begun::Answered(answer) => return answer,
            Begun::Repeat(taken, ticket) => {
                let appended = under(deadline, ticket).await;
                return self.repeated(taken, appended);
            }
            Begun::Execute(taken) => taken,
        };
        let outcome = self.inside(Inside::new(&taken.key)).scope(body).await;
        match self.hand_over(&mut taken, outcome) {
            Ok((outcome, None)) => outcome,
            Ok((outcome, Some(ticket))) => {
                let appended = under(deadline, ticket).await;
                self.end(taken, outcome, appended)
            }
            Err(error) => Err((self.reject)(error.into())),
        }
    }

    /// As [`run`](Self::run), blocking the thread.
    ///
    /// # Errors
    ///
    /// The body's own error; or a [`Rejected::Checkpoint`].
    pub fn run_blocking(mut self, body: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        if let Some(run) = self.stops() {
            return Err((self.reject)(run.refuse().into()));
        }
        if let Some(room) = self.room()
            && let Err(error) = room.wait()
        {
            return Err((self.reject)(error.into()));
        }
        let mut taken = match self.begin() {
            Begun::Plain => return body(),
            Begun::Nested(nested) => {
                let outcome = self.inside(nested.inside()).scope_blocking(body);
                return nested.end(outcome);
            }
            Begun::Answered(answer) => return answer,
            Begun::Repeat(taken, ticket) => return self.repeated(taken, ticket.wait()),
            Begun::Execute(taken) => taken,
        };
        let outcome = self.inside(Inside::new(&taken.key)).scope_blocking(body);
        match self.hand_over(&mut taken, outcome) {
            Ok((outcome, None)) => outcome,
            Ok((outcome, Some(ticket))) => self.end(taken, outcome, ticket.wait()),
            Err(error) => Err((self.reject)(error.into())),
        }
    }

    /// The run, if it is to stop here.
    fn stops(&self) -> Option<&Arc<Run>> {
        match &self.plan {
            Plan::Take(taken) if taken.run.stop.is_requested() => Some(&taken.run),
            _ => None,
        }
    }

    /// What to wait for before a step that asks the store for something may begin.
    fn room(&self) -> Option<Ticket<()>> {
        match &self.plan {
            Plan::Take(taken) if taken.record().is_none() => taken.run.store.backend().full(),
            _ => None,
        }
    }

    pub(super) fn begin(&mut self) -> Begun<T, E> {
        let mut taken = match std::mem::replace(&mut self.plan, Plan::Plain) {
            Plan::Plain => return Begun::Plain,
            Plan::Nested(nested) => return Begun::Nested(nested),
            Plan::Refuse(error) => return Begun::Answered(Err((self.reject)(error.into()))),
            Plan::Take(taken) => taken,
        };
        if let Some(record) = taken.record() {
            let answer = self.replay(&taken, record);
            if answer.is_ok() {
                taken.answer();
            }
            return Begun::Answered(answer.unwrap_or_else(|error| Err((self.reject)(error.into()))));
        }
        if let Err(error) = taken.enter() {
            return Begun::Answered(Err((self.reject)(error.into())));
        }
        if let Some(step) = taken.unanswered().cloned() {
            let ticket = taken.hand_over(step);
            return Begun::Repeat(taken, ticket);
        }
        Begun::Execute(taken)
    }

    /// The context of the body: the one that the step was called in, inside the step.
    fn inside(&mut self, step: Arc<Inside>) -> Context {
        let called_in = std::mem::take(&mut self.context);
        called_in.with_around(|around| around.step = Some(step)).under_current_deadline()
    }

    /// The recorded answer. One that cannot be read is an error: executing again would repeat the step's effect.
    fn replay(&self, taken: &Taken, record: &StepRecord) -> Result<Result<T, E>, CheckpointError> {
        let answer = self.open(&record.value, taken, record.input)?;
        observe::emit(self.site, POLICY, What::Replayed { run: taken.run.id(), step: &taken.key });
        Ok(answer)
    }

    /// The answer in a sealed value.
    fn open(&self, sealed: &[u8], taken: &Taken, input: InputHash) -> Result<Result<T, E>, CheckpointError> {
        let (run, what) = (taken.run.id(), || format!("step `{}`", taken.key));
        let place = taken.run.place_of(&taken.key, input);
        let about = |error: EnvelopeError| error.about(run, what(), self.policy.version);
        let envelope = Envelope::open(sealed, &place, taken.run.store.sealing()).map_err(about)?;
        if !envelope.is_error() {
            return (self.read)(&envelope, &self.policy).map(Ok).map_err(about);
        }
        match self.errors {
            Some((_, read)) => read(&envelope, &self.policy).map(Err).map_err(about),
            None => Err(CheckpointError::Decode {
                run: run.into(),
                what: what(),
                recorded: "an error".into(),
                now: "a result".into(),
                reason: "it does not record errors any more (`record_err`)".into(),
            }),
        }
    }

    /// Seals the outcome, proves that it can be read back, and hands it to the store, if it is one to record. From here on
    /// it is the one that was read back: what a replay will answer, whatever its `Serialize` leaves out.
    fn hand_over(&self, taken: &mut Taken, outcome: Result<T, E>) -> Result<HandedOver<T, E>, CheckpointError> {
        failpoint::pass("step: executed")?;
        let run = &taken.run;
        let place = run.place_of(&taken.key, taken.input);
        let (schema, sealing) = (self.policy.version, run.store.sealing());
        let about = |error: EnvelopeError| error.about(run.id(), format!("step `{}`", taken.key), schema);
        let sealed = match (&outcome, self.errors) {
            (Ok(value), _) => (self.seal)(value, schema, &place, sealing).map_err(about)?,
            (Err(error), Some((seal, _))) => match seal(error, schema, &place, sealing) {
                Ok(sealed) => sealed,
                Err(EnvelopeError::Encode { .. }) => return Ok((outcome, None)),
                Err(error) => return Err(about(error)),
            },
            (Err(_), None) => return Ok((outcome, None)),
        };
        let not_round_trip = |error: EnvelopeError| error.not_round_trip(run.id(), &taken.key);
        let envelope = Envelope::open(&sealed, &place, sealing).map_err(not_round_trip)?;
        let read = match (outcome, self.errors) {
            (Err(_), Some((_, read))) => Err(read(&envelope, &self.policy).map_err(not_round_trip)?),
            _ => Ok((self.read)(&envelope, &self.policy).map_err(not_round_trip)?),
        };
        let step = Step {
            lease: run.lease.clone(),
            key: Arc::clone(&taken.key),
            schema,
            input: taken.input,
            value: sealed.into(),
            version: run.version.into(),
            at: unix_now(),
        };
        failpoint::pass("step: sealed")?;
        Ok((read, Some(taken.hand_over(step))))
    }

    /// The store has answered a step that was executed.
    fn end(&self, taken: Taken, outcome: Result<T, E>, appended: Result<Vec<Appended>, StoreError>) -> Result<T, E> {
        match self.recorded(&taken, appended) {
            Ok(None) => {
                observe::emit(self.site, POLICY, What::Recorded { run: taken.run.id(), step: &taken.key });
                taken.answer();
                outcome
            }
            // Somebody recorded it first: that record stands.
            Ok(Some(record)) => self.settle(taken, &record),
            Err(error) => Err((self.reject)(error.into())),
        }
    }

    /// The store has answered a step that an earlier call had handed to it.
    pub(super) fn repeated(&self, taken: Taken, appended: Result<Vec<Appended>, StoreError>) -> Result<T, E> {
        let step = taken.unanswered().map(|step| (Arc::clone(&step.value), step.input));
        match (self.recorded(&taken, appended), step) {
            (Ok(Some(record)), _) => self.settle(taken, &record),
            (Ok(None), Some((value, input))) => {
                let answer = self.open(&value, &taken, input);
                taken.answer();
                answer.unwrap_or_else(|error| Err((self.reject)(error.into())))
            }
            (Ok(None), None) => unreachable!("only an unanswered step is repeated"),
            (Err(error), _) => Err((self.reject)(error.into())),
        }
    }

    fn settle(&self, taken: Taken, record: &StepRecord) -> Result<T, E> {
        let answer = self.replay(&taken, record);
        if answer.is_ok() {
            taken.answer();
        }
        answer.unwrap_or_else(|error| Err((self.reject)(error.into())))
    }

    /// `None`: recorded now; `Some`: recorded before.
    fn recorded(
        &self,
        taken: &Taken,
        appended: Result<Vec<Appended>, StoreError>,
    ) -> Result<Option<StepRecord>, CheckpointError> {
        failpoint::pass("step: acknowledged")?;
        match appended?.pop() {
            Some(Appended::Recorded { .. }) => Ok(None),
            Some(Appended::Already(record)) if record.input == taken.input => Ok(Some(record)),
            Some(Appended::Already(record)) => Err(CheckpointError::InputChanged {
                run: taken.run.id().into(),
                step: taken.key.as_ref().into(),
                recorded: record.input.to_string(),
                now: taken.input.to_string(),
            }),
            Some(Appended::Cancelled) => Err(CheckpointError::Cancelled { run: taken.run.id().into() }),
            Some(Appended::Fenced { owner }) => Err(StoreError::Fenced { run: taken.run.id().into(), owner }.into()),
            None => Err(StoreError::Closed { store: taken.run.store.url().into() }.into()),
        }
    }
}

impl<T, E> fmt::Debug for StepSession<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepSession").field("plan", &self.plan).finish_non_exhaustive()
    }
}

/// An outcome, and the ticket for its record, if it is to be recorded.
type HandedOver<T, E> = (Result<T, E>, Option<Ticket<Vec<Appended>>>);

pub(super) enum Begun<T, E> {
    Plain,
    Nested(Nested),
    Answered(Result<T, E>),
    Repeat(Taken, Ticket<Vec<Appended>>),
    Execute(Taken),
}
