//! What each request does inside the transaction.

mod abandoned;
mod claim;
mod holders;
mod operate;
mod retention;
mod runs;
mod states;
mod steps;
mod verify;
mod whole;

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row};

pub(super) use self::abandoned::Release;
pub(super) use self::holders::Holders;
pub(super) use self::operate::{Cancel, Resume};
pub(super) use self::runs::{Delete, Input, Output};
pub(super) use self::states::{Save, Saved, States};
pub(super) use self::steps::{Append, Steps};
pub(super) use self::verify::Verify;
pub(super) use self::whole::Export;
use super::values::{Files, Pointer, Values};
use super::writer::Hands;
use crate::checkpoint::error::StoreError;
use crate::checkpoint::ticket::Reply;

/// A request in the queue, whatever it asks for.
pub(super) type Request = Box<dyn Work>;

/// A question that leaves the database as it is.
pub(super) trait Look: Send + 'static {
    /// What it is answered with.
    type Answer: Send + 'static;

    /// Reads the answer, in a transaction of its own.
    fn look(&self, db: &Connection, files: &Files) -> rusqlite::Result<Self::Answer>;
}

/// A request to the database and what it is answered with.
pub(super) trait Ask: Send + 'static {
    /// What it is answered with, once the transaction is committed.
    type Answer: Send + 'static;

    /// Bytes of values it carries.
    fn size(&self) -> usize {
        0
    }

    /// Does what takes long and needs no transaction: writes large values to their files. An `Err` is this request's answer.
    fn prepare(&mut self, _: &Values) -> Result<(), StoreError> {
        Ok(())
    }

    /// Whether it needs no savepoint of its own, as it answers with an `Err`, or panics, only where a row is damaged or the
    /// code is. If that happens nevertheless, the whole batch is executed once more, with savepoints.
    fn is_trusted(&self) -> bool {
        false
    }

    /// Does the work; once more if the batch has to be executed again. An `Err` outside means that the database failed and takes the whole batch with it; one inside
    /// is this request's own answer, and nothing was changed for it.
    fn execute(&self, db: &Connection, hands: &mut Hands) -> Executed<Self::Answer>;

    /// What changes in this process once the answer is known.
    fn settle(&self, _: Result<&Self::Answer, &StoreError>, _: &mut Hands) {}
}

type Executed<T> = rusqlite::Result<Result<T, StoreError>>;

/// A question, the one who waits for the answer, and the answer until it may be given.
pub(super) struct Job<A: Ask> {
    ask: A,
    reply: Reply<A::Answer>,
    /// What went wrong before the transaction, in which there is nothing to do then.
    refused: Option<StoreError>,
    answer: Option<Result<A::Answer, StoreError>>,
}

/// How the requests of a batch are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Apart {
    /// Those that are [trusted](Ask::is_trusted) are not: the cheaper way, nearly always enough.
    Untrusted,
    /// Each has a savepoint.
    All,
}

/// What became of a request in its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a batch in which a trusted request failed must not be committed"]
pub(super) enum Outcome {
    /// It has its answer.
    Answered,
    /// It was trusted and failed: nobody knows what it has left in the transaction.
    Spoilt,
}

impl<A: Ask> Job<A> {
    pub(super) fn new(ask: A, reply: Reply<A::Answer>) -> Self {
        Self { ask, reply, refused: None, answer: None }
    }
}

/// A [`Job`] of any kind.
pub(super) trait Work: Send {
    fn size(&self) -> usize;
    fn prepare(&mut self, values: &Values);
    fn execute(&mut self, db: &Connection, hands: &mut Hands, apart: Apart) -> rusqlite::Result<Outcome>;
    fn acknowledge(self: Box<Self>, hands: &mut Hands);
    fn fail(self: Box<Self>, error: &StoreError, hands: &mut Hands);
    fn refuse(self: Box<Self>, error: StoreError);
}

impl<A: Ask> Work for Job<A> {
    fn size(&self) -> usize {
        self.ask.size()
    }

    fn prepare(&mut self, values: &Values) {
        self.refused = self.ask.prepare(values).err();
    }

    fn execute(&mut self, db: &Connection, hands: &mut Hands, apart: Apart) -> rusqlite::Result<Outcome> {
        if let Some(refused) = &self.refused {
            self.answer = Some(Err(refused.clone()));
            return Ok(Outcome::Answered);
        }
        let has_savepoint = apart == Apart::All || !self.ask.is_trusted();
        let doomed = hands.values.doomed();
        if has_savepoint {
            db.prepare_cached("SAVEPOINT request")?.execute([])?;
        }
        // What a panic leaves half-changed is the database, and that is rolled back.
        let executed = panic::catch_unwind(AssertUnwindSafe(|| self.ask.execute(db, hands)));
        let answer = match executed {
            Ok(Err(error)) if is_senseless(&error) => Err(hands.damaged(&error)),
            Ok(executed) => executed?,
            Err(panic) => Err(hands.panicked(&*panic)),
        };
        // A request that fails on its own has changed nothing; the others of the batch go on.
        match (has_savepoint, answer.is_err()) {
            (false, false) => {}
            (false, true) => return Ok(Outcome::Spoilt),
            (true, failed) => {
                if failed {
                    db.prepare_cached("ROLLBACK TO request")?.execute([])?;
                    hands.values.undo(doomed);
                }
                db.prepare_cached("RELEASE request")?.execute([])?;
            }
        }
        self.answer = Some(answer);
        Ok(Outcome::Answered)
    }

    fn acknowledge(self: Box<Self>, hands: &mut Hands) {
        let Job { ask, reply, answer, .. } = *self;
        // Without an answer the reply says `Closed` when it is dropped here.
        if let Some(answer) = answer {
            ask.settle(answer.as_ref(), hands);
            reply.send(answer);
        }
    }

    fn fail(self: Box<Self>, error: &StoreError, hands: &mut Hands) {
        self.ask.settle(Err(error), hands);
        self.reply.send(Err(error.clone()));
    }

    fn refuse(self: Box<Self>, error: StoreError) {
        self.reply.send(Err(error));
    }
}

/// The fence, as a condition on the row of a run. What writes for a run contains it, or follows in the same transaction on
/// a statement that does: `?1` run, `?2` token, `?3` owner.
macro_rules! fence {
    () => {
        "run = ?1 AND token = ?2 AND owner = ?3 AND status = 'running'"
    };
}
use fence;

/// Why the fence held a write off.
fn fenced(db: &Connection, run: &str) -> rusqlite::Result<StoreError> {
    let found = db
        .prepare_cached("SELECT owner, status = 'cancelled' FROM ft_run WHERE run = ?1")?
        .query_row([run], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let run = run.to_owned();
    Ok(match found {
        Some((_, true)) => StoreError::RunCancelled { run },
        Some((owner, false)) => StoreError::Fenced { run, owner },
        None => StoreError::Fenced { run, owner: None },
    })
}

/// A value, in its row or its file. Its bytes are taken whatever type a tampered row gives them: their envelope tells whether
/// they are whole.
fn value(row: &Row<'_>, column: usize, files: &Files) -> rusqlite::Result<Arc<[u8]>> {
    Ok(files.read(row.get_ref(column)?.as_bytes_or_null()?.unwrap_or_default()))
}

/// The length of a value: selected itself, or what may stand for its file.
fn value_len(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(_) => count(row, column).map(Some),
        stored => {
            let stored = stored.as_bytes()?;
            Ok(Some(Pointer::parse(stored).map_or(stored.len() as u64, |pointer| pointer.len)))
        }
    }
}

/// Selects what may stand for a file.
macro_rules! file_of {
    ($column:literal) => {
        concat!("iif(octet_length(", $column, ") = 36, ", $column, ", NULL)")
    };
}
use file_of;

/// A number that is counted from 0.
fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let found: i64 = row.get(column)?;
    match u64::try_from(found) {
        Ok(count) => Ok(count),
        Err(_) => Err(senseless(format!("its {} is {found}", row.as_ref().column_name(column)?))),
    }
}

/// What was read makes no sense, for `reason`.
pub(super) fn senseless(reason: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Null, reason.into())
}

/// What a row that made no sense had wrong.
pub(super) fn reason(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::FromSqlConversionFailure(_, _, reason) => reason.to_string(),
        error => error.to_string(),
    }
}

/// Whether a row did not make sense, as opposed to the database failing.
pub(super) fn is_senseless(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
    // No request of ours breaks a constraint, unless what it read of its own run was damaged.
    let impossible = error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation);
    impossible
        || matches!(
            error,
            FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..)
        )
}

/// Deletes every run and panics.
#[cfg(test)]
pub(super) struct Panic {
    pub(super) is_trusted: bool,
}

#[cfg(test)]
impl Ask for Panic {
    type Answer = ();

    fn is_trusted(&self) -> bool {
        self.is_trusted
    }

    fn execute(&self, db: &Connection, _: &mut Hands) -> Executed<()> {
        db.execute("DELETE FROM ft_run", [])?;
        panic!("asked to");
    }
}
