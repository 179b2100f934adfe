//! Runs: named executions that are claimed, resumed and finished.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{self, Poll, ready};

use super::active::Run;
use super::arguments::Arguments;
use super::around::Around;
use super::envelope::{self, Envelope, EnvelopeError, Place};
use super::error::{CheckpointError, StoreError};
use super::fingerprint::InputHash;
use super::giving_back::GivingBack;
use super::inputs::Inputs;
use super::record::{Claim, Claimed, Finish, Granted, Lease, Left, millis, unix_now};
use super::recover::{Fate, Resuming};
use super::shutdown::{Admitted, Shutdown};
use super::stop::Stoppable;
use super::store::Store;
use super::ticket::Ticket;
use super::value::{Read, Recorded, Seal, check_name, read};
use super::{Again, Checkpoint, POLICY, failpoint};
use crate::context::Context;
use crate::observe::{self, What};
use crate::outcome::Refusable;
use crate::rejected::{FromRejected, Rejected};
use crate::site::{Entered, Site};

/// A run about to be opened: made by [`Checkpoint::run`].
#[derive(Clone, Debug)]
pub struct RunCall {
    policy: Checkpoint,
    id: String,
    function: &'static str,
    arguments: Arguments,
    inputs: Option<Inputs>,
}

impl RunCall {
    pub(super) fn new(policy: Checkpoint, id: String) -> Self {
        Self { policy, id, function: "run", arguments: Arguments::default(), inputs: None }
    }

    /// The function that the run belongs to: another one that asks for the same id is refused. `run` by default.
    #[must_use]
    pub fn named(self, function: &'static str) -> Self {
        Self { function, ..self }
    }

    /// An argument of the function, by [`fingerprint_of!`](crate::fingerprint_of): a run that was started with another one is
    /// refused, finished or not, unless it goes [`again`](Checkpoint::again). Without a fingerprint it is not compared.
    #[must_use]
    pub fn argument(self, name: &'static str, fingerprint: Option<InputHash>) -> Self {
        Self { arguments: self.arguments.with(name, fingerprint), ..self }
    }

    /// Records the arguments, so that the run goes on by itself after a crash: see [`recover`](super::recover()). The function
    /// has to be [registered](crate::recoverable!), or to have a [factory](super::Recovery::factory).
    #[must_use]
    pub fn recover(self, inputs: Inputs) -> Self {
        Self { inputs: Some(inputs), ..self }
    }

    /// The session of one call that returns `R`.
    #[must_use]
    pub fn calls<R>(mut self) -> RunSession<R::Value, R::Error>
    where
        R: Refusable,
        R::Value: Recorded,
    {
        let resuming = Around::with(|around| around.resuming.clone());
        let resuming = resuming.filter(|resuming| resuming.function == self.function && !resuming.has_finished());
        if let Some(resuming) = &resuming {
            self.id.clone_from(&resuming.run);
        }
        RunSession {
            call: self,
            resuming,
            site: None,
            seal: envelope::seal_with::<R::Value>,
            read: read::<R::Value>,
            reject: <R::Error as FromRejected>::from_rejected,
        }
    }
}

/// One execution of a run.
///
/// # Cancel safety
///
/// Dropping the future leaves the run resumable and gives the claim back, as one that was interrupted.
///
/// Steps that were spawned may be executing still when the run fails or is dropped. Until the last of them has ended, the
/// run is not given back and answers [`CheckpointError::RunBusy`], which is transient.
pub struct RunSession<T, E> {
    call: RunCall,
    /// Why it has this id: it was called to go on with that run.
    resuming: Option<Arc<Resuming>>,
    site: Option<&'static Site>,
    seal: Seal<T>,
    read: Read<T>,
    reject: fn(Rejected) -> E,
}

impl<T, E> RunSession<T, E> {
    /// Files the run's events under its site: `session.at(site!().enter())`.
    #[must_use]
    pub fn at(self, site: Entered) -> Self {
        Self { site: Some(site.site), ..self }
    }

    /// Opens the run and executes `body` in it; a run that is finished answers with its result instead.
    ///
    /// # Errors
    ///
    /// The body's own error, which leaves the run resumable, when the store has confirmed that it was given back or the
    /// caller's deadline has passed; or a [`Rejected::Checkpoint`]. A body that returns `Ok`
    /// while steps of it are still executing is [`CheckpointError::StepsExecuting`]. Where a claim has to be renewed and
    /// could not be, the body is dropped before another process may begin: [`StoreError::LeaseLost`].
    pub async fn run<F: Future<Output = Result<T, E>>>(self, body: F) -> Result<T, E> {
        let claimed = async {
            let (store, admitted) = self.admit()?;
            if let Some(room) = store.backend().full() {
                room.await?;
            }
            let claimed = self.claim(&store)?.await?;
            self.open(store, admitted, claimed)
        };
        let opened = claimed.await;
        let mut held = match opened {
            Ok(Opened::Execute(held)) => held,
            Ok(Opened::Answer(value)) => return Ok(value),
            Err(error) => return Err(self.refused(error)),
        };
        let lost = held.run.store.backend().lost(&held.run.lease);
        let stoppable = Stoppable::new(&held.run, held.context().scope(body));
        let outcome = match unless_lost(lost, stoppable).await {
            Ok(Some(outcome)) => outcome,
            Ok(None) => {
                let error = held.run.shutting_down();
                drop(held);
                return Err((self.reject)(stopped(error).await.into()));
            }
            Err(error) => return Err((self.reject)(error.into())),
        };
        let value = match held.ended(outcome) {
            Ok(value) => value,
            Err(error) => {
                held.given_back().await;
                return Err(error);
            }
        };
        let finished = match self.finish(&held, &value) {
            Ok((value, ticket)) => ticket.await.map(|()| value).map_err(CheckpointError::from),
            Err(error) => Err(error),
        };
        let closed = self.close(&mut held, finished);
        held.given_back().await;
        closed
    }

    /// As [`run`](Self::run), blocking the thread.
    ///
    /// # Errors
    ///
    /// The body's own error, which leaves the run resumable; or a [`Rejected::Checkpoint`].
    pub fn run_blocking(self, body: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let opened = self.admit().and_then(|(store, admitted)| {
            if let Some(room) = store.backend().full() {
                room.wait()?;
            }
            let claimed = self.claim(&store)?.wait()?;
            self.open(store, admitted, claimed)
        });
        let mut held = match opened {
            Ok(Opened::Execute(held)) => held,
            Ok(Opened::Answer(value)) => return Ok(value),
            Err(error) => return Err(self.refused(error)),
        };
        let value = match held.ended(held.context().scope_blocking(body)) {
            Ok(value) => value,
            Err(error) => {
                held.given_back_blocking();
                return Err(error);
            }
        };
        let finished = self.finish(&held, &value).and_then(|(value, ticket)| {
            ticket.wait()?;
            Ok(value)
        });
        let closed = self.close(&mut held, finished);
        held.given_back_blocking();
        closed
    }

    /// The store, and that the process is not shutting down.
    fn admit(&self) -> Result<(Store, Admitted), CheckpointError> {
        check_name("run", &self.call.id)?;
        let inside = Around::with(|around| around.run.is_some());
        let admitted = Shutdown::current().admit(&self.call.id, inside)?;
        Ok((Store::current()?, admitted))
    }

    fn refused(&self, error: CheckpointError) -> E {
        if let Some(resuming) = &self.resuming {
            resuming.note(Fate::Refused(error.clone()));
        }
        (self.reject)(error.into())
    }

    fn claim(&self, store: &Store) -> Result<Claiming, CheckpointError> {
        let version = self.call.policy.version;
        let inputs =
            self.call.inputs.as_ref().map(|inputs| inputs.seal(&self.call.id, version, store.sealing())).transpose()?;
        let run: Arc<str> = self.call.id.as_str().into();
        let claim = Claim {
            run: Arc::clone(&run),
            function: self.call.function.into(),
            version: self.call.policy.version.into(),
            upgrades: self.call.policy.migrate.is_some(),
            arguments: self.call.arguments.clone(),
            input: inputs.map(Into::into),
            again: self.call.policy.again == Again::Always,
            max_recoveries: self.call.policy.max_recoveries,
            keep_unfinished: self.call.policy.keep_unfinished,
            at: unix_now(),
        };
        let ticket = store.backend().claim(claim);
        Ok(Claiming { ticket: Some(ticket), store: store.clone(), run })
    }

    fn open(&self, store: Store, admitted: Admitted, claimed: Claimed) -> Result<Opened<T>, CheckpointError> {
        let run = self.call.id.clone();
        let now = self.call.policy.version;
        match claimed {
            Claimed::Granted(granted) => {
                let run = Run::new(&self.call.policy, &run, self.site, store, granted, admitted);
                // From here on the claim is given back whatever happens.
                let resuming = self.resuming.clone();
                let mut held = Held { run, resuming, finished: false, left: Left::Interrupted, over: false };
                failpoint::pass("claim: acknowledged")?;
                match held.run.check_steps() {
                    Ok(()) => Ok(Opened::Execute(held)),
                    Err(error) => {
                        held.left = Left::Failed;
                        Err(error)
                    }
                }
            }
            Claimed::Finished(output) => match self.answer(&output, &run, &store) {
                Ok(value) => {
                    if let Some(resuming) = &self.resuming {
                        resuming.note(Fate::Finished);
                    }
                    Ok(Opened::Answer(value))
                }
                Err(error) => Err(error.about(&run, "the result".into(), now)),
            },
            Claimed::Cancelled => Err(CheckpointError::Cancelled { run }),
            Claimed::Parked { recoveries, now } => {
                if now {
                    observe::emit(self.site, POLICY, What::Parked { run: &run, recoveries });
                }
                Err(CheckpointError::Parked { run, recoveries })
            }
            Claimed::Busy { owner } => Err(CheckpointError::RunBusy { run, owner }),
            Claimed::OtherFunction { recorded } => {
                Err(CheckpointError::RunIdReused { run, recorded, now: self.call.function.into() })
            }
            Claimed::OtherArguments { differ } => Err(CheckpointError::RunInputChanged { run, arguments: differ }),
            Claimed::OtherVersion { recorded } => {
                Err(CheckpointError::VersionChanged { run, recorded, now: now.into() })
            }
        }
    }

    /// The result in a sealed output.
    fn answer(&self, output: &[u8], run: &str, store: &Store) -> Result<T, EnvelopeError> {
        let envelope = Envelope::open(output, &Place::Output { run }, store.sealing())?;
        (self.read)(&envelope, &self.call.policy)
    }

    /// Hands the result to the store. From here on it is the value that was read back, as it will be answered again.
    fn finish(&self, held: &Held, value: &T) -> Result<(T, Ticket<()>), CheckpointError> {
        held.run.end()?;
        failpoint::pass("finish: begun")?;
        let policy = &self.call.policy;
        let run = &held.run;
        let about = |error: EnvelopeError| error.about(&run.lease.run, "the result".into(), policy.version);
        let place = Place::Output { run: run.id() };
        let output = (self.seal)(value, policy.version, &place, run.store.sealing()).map_err(about)?;
        let read = self
            .answer(&output, run.id(), &run.store)
            .map_err(|error| error.not_round_trip(&run.lease.run, "the result"))?;
        let at = unix_now();
        let expires_at = (policy.again != Again::Always).then(|| at.saturating_add(millis(policy.keep)));
        let finish = Finish { lease: run.lease.clone(), output: output.into(), expires_at, at };
        Ok((read, run.store.backend().finish(finish)))
    }

    fn close(&self, held: &mut Held, finished: Result<T, CheckpointError>) -> Result<T, E> {
        let finished = finished.and_then(|value| {
            failpoint::pass("finish: acknowledged")?;
            Ok(value)
        });
        match &finished {
            Ok(_) => held.finished = true,
            // What could not be written may be another time; what cannot be recorded stays so.
            Err(CheckpointError::Store(_) | CheckpointError::ShuttingDown { .. }) => {}
            Err(_) => held.left = Left::Failed,
        }
        finished.map_err(|error| (self.reject)(error.into()))
    }
}

impl<T, E> fmt::Debug for RunSession<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunSession").field("call", &self.call).finish_non_exhaustive()
    }
}

/// What `body` comes to. If the claim is lost before, it is dropped: somebody else may begin to execute it.
async fn unless_lost<F: Future>(lost: Option<Ticket<()>>, body: F) -> Result<F::Output, StoreError> {
    let Some(mut lost) = lost else { return Ok(body.await) };
    let mut body = pin!(body);
    poll_fn(|cx| {
        match Pin::new(&mut lost).poll(cx) {
            // The deadline is the body's to keep.
            Poll::Pending | Poll::Ready(Ok(()) | Err(StoreError::DeadlinePassed)) => body.as_mut().poll(cx).map(Ok),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
    })
    .await
}

/// The execution of a run was stopped. A run around it, which is to stop too, does not learn of it: it rests, as nothing
/// but to be dropped is left to it.
async fn stopped(error: CheckpointError) -> CheckpointError {
    match Around::with(|around| around.run.clone()).filter(|outer| outer.stop.is_requested()) {
        Some(outer) => outer.rest().await,
        None => error,
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
    fn wait(mut self) -> Result<Claimed, StoreError> {
        let Some(ticket) = &mut self.ticket else {
            unreachable!("the ticket is taken only here, and by the drop afterwards")
        };
        let answer = ticket.wait_mut();
        self.answered(answer)
    }

    /// Too late for the caller, a claim may still be granted.
    fn answered(&mut self, answer: Result<Claimed, StoreError>) -> Result<Claimed, StoreError> {
        if answer != Err(StoreError::DeadlinePassed) {
            self.ticket = None;
        }
        answer
    }
}

impl Future for Claiming {
    type Output = Result<Claimed, StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let Some(ticket) = &mut self.ticket else { return Poll::Pending };
        let answer = ready!(Pin::new(ticket).poll(cx));
        Poll::Ready(self.answered(answer))
    }
}

impl Drop for Claiming {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        // Not the store itself, which a claim under way must not keep open; closing it lets go of everything anyway.
        let (backend, run) = (Arc::downgrade(self.store.backend()), Arc::clone(&self.run));
        ticket.abandon(move |claimed| {
            if let (Ok(Claimed::Granted(Granted { token, .. })), Some(backend)) = (claimed, backend.upgrade()) {
                drop(backend.release(Lease { run, token }, unix_now(), Left::Interrupted));
            }
        });
    }
}

/// The right to execute a run; dropped without a result, the run stays resumable and is given back.
struct Held {
    run: Arc<Run>,
    resuming: Option<Arc<Resuming>>,
    finished: bool,
    /// What becomes of it if it is dropped now.
    left: Left,
    over: bool,
}

impl Held {
    /// The body has ended, in this way.
    fn ended<T, E>(&mut self, outcome: Result<T, E>) -> Result<T, E> {
        // What was refused to it, because the process is shutting down, is no failure of its own.
        if outcome.is_err() && !self.run.stop.has_refused() {
            self.left = Left::Failed;
        }
        outcome
    }

    /// Ends the execution. That of a run that failed has ended when the store says so: a process that ends right behind the
    /// error would look as if it had died in the run.
    async fn given_back(mut self) {
        if let Some(back) = self.let_go().filter(|_| self.left == Left::Failed) {
            back.confirmed().await;
        }
    }

    /// As [`given_back`](Self::given_back), blocking the thread.
    fn given_back_blocking(mut self) {
        if let Some(back) = self.let_go().filter(|_| self.left == Left::Failed) {
            back.confirmed_blocking();
        }
    }

    fn let_go(&mut self) -> Option<GivingBack> {
        if std::mem::replace(&mut self.over, true) {
            return None;
        }
        if let Some(resuming) = &self.resuming {
            resuming.note(if self.finished { Fate::Finished } else { Fate::Left });
        }
        if self.finished {
            self.run.finished();
            return None;
        }
        // What panics would do so again.
        self.run.give_up(if std::thread::panicking() { Left::Failed } else { self.left })
    }

    fn context(&self) -> Context {
        Context::current().with_around(|around| {
            around.run = Some(Arc::clone(&self.run));
            around.step = None;
            // The runs that it calls are others.
            around.resuming = None;
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.let_go());
    }
}
