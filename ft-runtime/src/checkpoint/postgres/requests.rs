//! What each request does inside the transaction.

mod abandoned;
mod claim;
mod holders;
mod operate;
mod retention;
mod rows;
mod runs;
mod states;
mod steps;
mod verify;
mod whole;

use std::time::Instant;

use super::hold::Hold;
use super::session::{Session, Trouble, read};
use crate::checkpoint::error::StoreError;
use crate::checkpoint::record::{
    Appended, Claim, Claimed, Collected, Finish, Fork, Gc, Import, Renewed, RunRecord, Step, UnixMillis,
};
use crate::checkpoint::ticket::Reply;

pub(super) use self::abandoned::{Release, abandoned, leave, sweep, tidy};
pub(super) use self::holders::holders;
pub(super) use self::rows::{input_of, output_of, runs_of, saved_of, states_of, steps_of};
pub(super) use self::runs::renew;
pub(super) use self::states::Save;
pub(super) use self::verify::verify;
pub(super) use self::whole::export;

/// What a request comes to: an `Err` outside takes the whole transaction with it; one inside is this request's own answer,
/// and nothing was changed for it.
type Executed<T> = Result<Result<T, StoreError>, Trouble>;

/// A request and the one who waits for its answer, which is given once the transaction is committed.
pub(super) struct Job<Q, A> {
    pub(super) ask: Q,
    reply: Reply<A>,
    answer: Option<Result<A, StoreError>>,
}

impl<Q, A> Job<Q, A> {
    pub(super) fn new(ask: Q, reply: Reply<A>) -> Self {
        Self { ask, reply, answer: None }
    }

    fn acknowledge(self) {
        // Without an answer the reply says `Closed` when it is dropped here.
        if let Some(answer) = self.answer {
            self.reply.send(answer);
        }
    }
}

/// What an operator asks of one run.
pub(super) struct OfRun {
    pub(super) run: String,
    pub(super) at: UnixMillis,
}

/// Every kind of write.
pub(super) enum Request {
    Claim(Job<Claim, Claimed>),
    Append(Job<Vec<Step>, Vec<Appended>>),
    Save(Job<Save, ()>),
    Finish(Job<Finish, ()>),
    Release(Job<Release, ()>),
    Renew(Job<Option<Instant>, Renewed>),
    Delete(Job<String, bool>),
    Cancel(Job<OfRun, bool>),
    Resume(Job<OfRun, bool>),
    Fork(Job<Fork, RunRecord>),
    Gc(Job<Gc, Collected>),
    Import(Job<Box<Import>, RunRecord>),
}

impl Request {
    /// Bytes of values it carries.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Append(job) => job.ask.iter().map(|step| step.value.len()).sum(),
            Self::Finish(job) => job.ask.output.len(),
            Self::Import(job) => job.ask.copy.values().map(|(.., value)| value.len()).sum(),
            _ => 0,
        }
    }

    /// Whether it may be executed again although nobody knows whether it was: the answer is the same.
    pub(super) fn is_repeatable(&self) -> bool {
        match self {
            Self::Claim(_) | Self::Append(_) | Self::Save(_) | Self::Finish(_) | Self::Release(_) | Self::Renew(_) => {
                true
            }
            Self::Resume(_) | Self::Delete(_) | Self::Cancel(_) | Self::Fork(_) | Self::Gc(_) | Self::Import(_) => {
                false
            }
        }
    }

    /// The run whose steps it has to find recorded; `None` where that may be any.
    fn run(&self) -> Option<&str> {
        match self {
            Self::Claim(job) => Some(&job.ask.run),
            Self::Save(job) => Some(&job.ask.0.lease.run),
            Self::Finish(job) => Some(&job.ask.lease.run),
            Self::Release(job) => Some(&job.ask.lease.run),
            Self::Delete(job) => Some(&job.ask),
            Self::Cancel(job) | Self::Resume(job) => Some(&job.ask.run),
            Self::Append(_) | Self::Renew(_) | Self::Fork(_) | Self::Gc(_) | Self::Import(_) => None,
        }
    }

    /// Does the work of anything but an append. `repeated`: nobody knows whether an earlier attempt was committed.
    async fn execute(&mut self, db: &Session, hold: &Hold, repeated: bool) -> Result<(), Trouble> {
        match self {
            Self::Append(_) => {}
            Self::Claim(job) => job.answer = Some(Ok(claim::claim(&job.ask, db, hold).await?)),
            Self::Save(job) => job.answer = Some(states::save(&mut job.ask, db, hold).await?),
            Self::Finish(job) => job.answer = Some(runs::finish(&job.ask, db, hold, repeated).await?),
            Self::Release(job) => job.answer = Some(Ok(abandoned::release(&job.ask, db, hold).await?)),
            Self::Renew(job) => {
                let (sent, renewed) = renew(db, hold).await?;
                job.ask = Some(sent);
                job.answer = Some(Ok(renewed));
            }
            Self::Delete(job) => job.answer = Some(runs::delete(&job.ask, db, hold).await?),
            Self::Cancel(job) => job.answer = Some(Ok(operate::cancel(&job.ask, db).await?)),
            Self::Resume(job) => job.answer = Some(Ok(operate::resume(&job.ask, db).await?)),
            Self::Fork(job) => job.answer = Some(operate::fork(&job.ask, db).await?),
            Self::Gc(job) => job.answer = Some(Ok(retention::gc(&job.ask, db).await?)),
            Self::Import(job) => job.answer = Some(whole::import(&job.ask, db).await?),
        }
        Ok(())
    }

    /// Gives the answer, with the commit behind it.
    pub(super) fn acknowledge(self, hold: &Hold) {
        match self {
            Self::Claim(job) => {
                if let Some(Ok(Claimed::Granted(granted))) = &job.answer {
                    hold.hold(&job.ask.run, granted.token);
                }
                job.acknowledge();
            }
            Self::Append(job) => job.acknowledge(),
            Self::Save(job) => job.acknowledge(),
            Self::Finish(job) => {
                hold.let_go(&job.ask.lease);
                job.acknowledge();
            }
            Self::Release(job) => {
                hold.let_go(&job.ask.lease);
                job.acknowledge();
            }
            Self::Renew(job) => {
                if let Some(sent) = job.ask {
                    hold.renewed(sent);
                }
                job.acknowledge();
            }
            Self::Delete(job) => job.acknowledge(),
            Self::Cancel(job) | Self::Resume(job) => job.acknowledge(),
            Self::Fork(job) => job.acknowledge(),
            Self::Gc(job) => job.acknowledge(),
            Self::Import(job) => job.acknowledge(),
        }
    }

    /// Answers with an error. What is given back is out of our hands even if that could not be written.
    pub(super) fn settle_failed(self, error: &StoreError, hold: &Hold) {
        match &self {
            Self::Finish(job) => hold.let_go(&job.ask.lease),
            Self::Release(job) => {
                hold.let_go(&job.ask.lease);
                hold.left_over();
            }
            // It may have been granted, to nobody.
            Self::Claim(_) => hold.left_over(),
            _ => {}
        }
        self.fail(error);
    }

    /// Answers with an error what was never begun.
    pub(super) fn fail(self, error: &StoreError) {
        match self {
            Self::Claim(job) => job.reply.send(Err(error.clone())),
            Self::Append(job) => job.reply.send(Err(error.clone())),
            Self::Save(job) => job.reply.send(Err(error.clone())),
            Self::Finish(job) => job.reply.send(Err(error.clone())),
            Self::Release(job) => job.reply.send(Err(error.clone())),
            Self::Renew(job) => job.reply.send(Err(error.clone())),
            Self::Delete(job) => job.reply.send(Err(error.clone())),
            Self::Cancel(job) | Self::Resume(job) => job.reply.send(Err(error.clone())),
            Self::Fork(job) => job.reply.send(Err(error.clone())),
            Self::Gc(job) => job.reply.send(Err(error.clone())),
            Self::Import(job) => job.reply.send(Err(error.clone())),
        }
    }
}

/// Executes a batch. Appends of several requests go into one statement where the order of what concerns each run allows it.
pub(super) async fn execute(batch: &mut [Request], db: &Session, hold: &Hold, repeated: bool) -> Result<(), Trouble> {
    let mut appends: Vec<usize> = Vec::new();
    for next in 0..batch.len() {
        if let Request::Append(_) = batch[next] {
            appends.push(next);
            continue;
        }
        let comes_after = |append: &usize| match (&batch[*append], batch[next].run()) {
            (Request::Append(job), Some(run)) => job.ask.iter().any(|step| &*step.lease.run == run),
            _ => true,
        };
        if appends.iter().any(comes_after) {
            append(batch, &std::mem::take(&mut appends), db, hold, repeated).await?;
        }
        batch[next].execute(db, hold, repeated).await?;
    }
    append(batch, &appends, db, hold, repeated).await
}

/// Whether a batch is one statement, which needs no transaction around it.
pub(super) fn is_one_statement(batch: &[Request]) -> bool {
    batch.iter().all(|request| matches!(request, Request::Append(_)))
}

/// Executes those requests of the batch, which are appends, as one.
async fn append(
    batch: &mut [Request],
    which: &[usize],
    db: &Session,
    hold: &Hold,
    repeated: bool,
) -> Result<(), Trouble> {
    let steps = which.iter().flat_map(|index| match &batch[*index] {
        Request::Append(job) => job.ask.as_slice(),
        _ => &[],
    });
    let steps: Vec<&Step> = steps.collect();
    let mut answers = steps::append(&steps, db, hold, repeated).await?.into_iter();
    for index in which {
        if let Request::Append(job) = &mut batch[*index] {
            job.answer = Some(Ok(answers.by_ref().take(job.ask.len()).collect()));
        }
    }
    Ok(())
}

/// Why the fence held a write off.
async fn fenced(db: &Session, run: &str) -> Result<StoreError, Trouble> {
    let row = db.query_opt("SELECT owner, status = 'cancelled' FROM ft_run WHERE run = $1", &[&run]).await?;
    let run = run.to_owned();
    Ok(match row {
        None => StoreError::Fenced { run, owner: None },
        Some(row) if read(&row, 1)? => StoreError::RunCancelled { run },
        Some(row) => StoreError::Fenced { run, owner: read(&row, 0)? },
    })
}
