//! Steps that are done exactly once: recorded in the transaction in which they write.
//!
//! An ordinary step is recorded in the [`Store`](crate::Store) after it was executed, so a process that dies between the
//! two executes it again. `#[checkpoint(tx)]` records a step in the caller's own database, by the transaction that its
//! writes are part of: the commit makes both durable, or neither.
//!
//! ```
//! use ft_runtime::checkpoint::tx::sqlite;
//! use ft_runtime::{Rejected, Store, checkpoint};
//! use rusqlite::{Connection, Transaction, TransactionBehavior};
//!
//! #[derive(Debug)]
//! enum BankError { Sql(rusqlite::Error), Rejected(Rejected) }
//! # impl From<rusqlite::Error> for BankError { fn from(error: rusqlite::Error) -> Self { Self::Sql(error) } }
//! # impl From<Rejected> for BankError { fn from(error: Rejected) -> Self { Self::Rejected(error) } }
//!
//! #[checkpoint(tx, key = order)]
//! fn debit(tx: &Transaction<'_>, order: u32, cents: i64) -> Result<i64, BankError> {
//!     tx.execute("UPDATE account SET cents = cents - ?1", [cents])?;
//!     Ok(tx.query_row("SELECT cents FROM account", [], |row| row.get(0))?)
//! }
//!
//! #[checkpoint(run = format!("order-{order}"), skip(bank, lost))]
//! fn pay(bank: &mut Connection, order: u32, lost: bool) -> Result<i64, BankError> {
//!     // Whoever begins the transaction ends it. `Immediate`, as it is going to write.
//!     let tx = bank.transaction_with_behavior(TransactionBehavior::Immediate)?;
//!     let left = debit(&tx, order, 500)?;
//!     tx.commit()?;
//!     // A process that dies here has paid, and the next one knows it.
//!     if lost { Err(rusqlite::Error::QueryReturnedNoRows.into()) } else { Ok(left) }
//! }
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BankError> {
//! let mut bank = Connection::open_in_memory()?;
//! bank.execute_batch("CREATE TABLE account (cents INTEGER); INSERT INTO account VALUES (2000)")?;
//! sqlite::create_table(&bank)?;                              // once, or `sqlite::TABLE` in your migrations
//!
//! let store = Store::open("memory:").unwrap();
//! store.scope(async { pay(&mut bank, 42, true) }).await.unwrap_err();
//! assert_eq!(store.scope(async { pay(&mut bank, 42, false) }).await?, 1500);
//! # Ok(()) }
//! ```
//!
//! # Which transactions
//!
//! `&Transaction` and `&Savepoint` of `rusqlite` 0.41, in a `fn` or an `async fn`, and with the feature `postgres` the
//! `&Transaction` of `tokio-postgres` 0.7, in an `async fn`; each may be `&mut`. The parameter is the one named `tx`, or
//! the one that `tx = name` says. A pool's transaction that dereferences to one of these can be passed for it.
//!
//! # What is promised
//!
//! - The record is looked for before the body is executed, and written after it, in the same transaction. Where it is
//!   found, the body is not executed, whichever process asks.
//! - Two executions at the same moment (one of a process that lost its run, and does not know) cannot both commit: the
//!   table's primary key holds one of them off. It gets [`TxConflict`](crate::CheckpointError::TxConflict) and its
//!   transaction can only be rolled back; called again, the step answers with the other one's record.
//! - Nothing else depends on this table: the run, its other steps and its states are in the store, as ever.
//!
//! # What to know
//!
//! - **The caller rolls back after an `Err`**, or when the step was dropped before its end: what it wrote so far is in the
//!   transaction, and no record of it is. Retries stand around the function that begins the transaction.
//! - **`key` is needed**, and names what is to be done once in a run: an order, a line of it. A second call under the key is
//!   answered, not executed, as it may be another try after a commit whose answer was lost.
//! - **A record belongs to one started run**, as an [`idempotency_key`](super::idempotency_key) does. A run that is started
//!   anew under its id executes its steps anew; so does a [`fork`](crate::Store::fork), which takes only the steps in
//!   the store with it.
//! - **Records stay** until [`sqlite::prune`] or [`postgres::prune`] deletes them. Not before the run is over: a step whose
//!   record is gone is executed again. With the defaults no run is kept for longer than 97 days after its last step
//!   ([`keep`](crate::Checkpoint::keep) and [`keep_unfinished`](crate::Checkpoint::keep_unfinished)).
//! - **Its value is sealed as those in the store are**: compressed and encrypted, where the store is told to.
//! - **In a step**, too, such a step is recorded, under the keys of both. Outside of a run it is a plain call.

mod error;
#[cfg(feature = "postgres")]
pub mod postgres;
mod records;
pub mod sqlite;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use self::error::TxError;
use self::records::{At, BlockingRecords, Records, Row};
use super::POLICY;
use super::active::{Run, Taken};
use super::envelope::{Envelope, EnvelopeError, Place};
use super::error::CheckpointError;
use super::fingerprint::InputHash;
use super::inside::{Inside, Nested};
use super::step::{Begun, StepSession};
use crate::context::Context;
use crate::observe::{self, What};

/// Records that one call deletes at most, so that a database is not locked for long.
const PRUNED_AT_ONCE: i64 = if cfg!(test) { 4 } else { 10_000 };

/// A transaction in which a step can be recorded.
///
/// Implemented for `rusqlite`'s `Transaction` and `Savepoint` and, with the feature `postgres`, for `tokio-postgres`'s
/// `Transaction`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no transaction that `#[checkpoint(tx)]` can record a step in",
    label = "not a transaction of `rusqlite` 0.41 or `tokio-postgres` 0.7",
    note = "take `&rusqlite::Transaction<'_>` or, with the feature \"postgres\", `&tokio_postgres::Transaction<'_>`; a plain connection would commit the record and the writes one by one"
)]
pub trait Transaction: Records {}

/// A [`Transaction`] that answers at once: one of `rusqlite`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no transaction that `#[checkpoint(tx)]` can record a step in without waiting",
    label = "not a transaction of `rusqlite` 0.41",
    note = "take `&rusqlite::Transaction<'_>`, or make this an `async fn` with a transaction of `tokio-postgres`"
)]
pub trait BlockingTransaction: Transaction + BlockingRecords {}

impl<T, E> StepSession<T, E> {
    /// Looks for the step's record in the caller's transaction: the first half of `#[checkpoint(tx)]`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn look_up<X: Transaction>(mut self, tx: &X) -> TxStep<T, E> {
        let recording = match self.open_in_tx() {
            Opened::Plain => None,
            Opened::Answered(answer) => return TxStep::Answered(answer),
            Opened::Repeat(taken, ticket) => {
                let appended = ticket.await;
                return TxStep::Answered(self.repeated(taken, appended));
            }
            Opened::Look(recording) => Some(recording),
        };
        let found = match &recording {
            Some(recording) => tx.find(&recording.at()).await,
            None => Ok(None),
        };
        self.found(recording, found)
    }

    /// As [`look_up`](Self::look_up), blocking the thread.
    pub fn look_up_blocking<X: BlockingTransaction>(mut self, tx: &X) -> TxStep<T, E> {
        let recording = match self.open_in_tx() {
            Opened::Plain => None,
            Opened::Answered(answer) => return TxStep::Answered(answer),
            Opened::Repeat(taken, ticket) => return TxStep::Answered(self.repeated(taken, ticket.wait())),
            Opened::Look(recording) => Some(recording),
        };
        let found = match &recording {
            Some(recording) => tx.find_blocking(&recording.at()),
            None => Ok(None),
        };
        self.found(recording, found)
    }

    fn open_in_tx(&mut self) -> Opened<T, E> {
        let opened = match self.begin() {
            Begun::Plain => return Opened::Plain,
            // Recorded in the store, by code that did not ask for a transaction yet.
            Begun::Answered(answer) => return Opened::Answered(answer),
            Begun::Repeat(taken, ticket) => return Opened::Repeat(taken, ticket),
            Begun::Execute(taken) => Recording::of_step(taken),
            Begun::Nested(nested) => match &self.context.around().run {
                Some(run) => Recording::of_nested(Arc::clone(run), nested),
                None => unreachable!("a step is inside of another one only in a run"),
            },
        };
        match opened {
            Ok(recording) => Opened::Look(recording),
            Err(error) => Opened::Answered(Err((self.reject)(error.into()))),
        }
    }

    fn found(self, recording: Option<Recording>, found: Result<Option<Row>, TxError>) -> TxStep<T, E> {
        let answer = match (&recording, found) {
            (None, _) | (_, Ok(None)) => return TxStep::Execute(TxSession { session: self, recording }),
            (Some(recording), Ok(Some(row))) => self.replay_from(recording, &row),
            (Some(recording), Err(error)) => Err(recording.explain(error, "looking for the record")),
        };
        TxStep::Answered(answer.map_err(|error| (self.reject)(error.into())))
    }

    fn replay_from(&self, recording: &Recording, row: &Row) -> Result<T, CheckpointError> {
        let run = recording.run.id();
        let input = <[u8; 16]>::try_from(&*row.input).map(InputHash::from_bytes).map_err(|_| {
            let reason = "the fingerprint of its arguments is not 16 bytes".into();
            CheckpointError::Corrupt { run: run.into(), what: recording.what(), reason }
        })?;
        if input != recording.input {
            return Err(CheckpointError::InputChanged {
                run: run.into(),
                step: recording.name(),
                recorded: input.to_string(),
                now: recording.input.to_string(),
            });
        }
        let value = Envelope::open(&row.value, &recording.place(), recording.run.store.sealing())
            .and_then(|envelope| (self.read)(&envelope, &self.policy))
            .map_err(|error| error.about(run, recording.what(), self.policy.version))?;
        observe::emit(self.site, POLICY, What::Replayed { run, step: &recording.name() });
        Ok(value)
    }
}

/// What the caller's transaction says about a step.
#[derive(Debug)]
#[must_use = "the step is not executed by itself"]
#[expect(clippy::large_enum_variant, reason = "it lives for one call, and a box would cost each of them an allocation")]
pub enum TxStep<T, E> {
    /// Its recorded result, or why it can have none.
    Answered(Result<T, E>),
    /// It is not recorded: to be executed.
    Execute(TxSession<T, E>),
}

/// One execution of a step that is recorded in the caller's transaction.
///
/// Dropped without [`record`](Self::record), nothing is recorded, and its transaction has to be rolled back.
#[must_use = "the step is recorded by `record`"]
pub struct TxSession<T, E> {
    session: StepSession<T, E>,
    /// `None` outside of a run.
    recording: Option<Recording>,
}

impl<T, E> TxSession<T, E> {
    /// Executes the step's body, inside of the step.
    ///
    /// # Errors
    ///
    /// The body's own.
    pub async fn run<F: Future<Output = Result<T, E>>>(&self, body: F) -> Result<T, E> {
        match self.inside() {
            Some(context) => context.scope(body).await,
            None => body.await,
        }
    }

    /// As [`run`](Self::run), blocking the thread.
    ///
    /// # Errors
    ///
    /// The body's own.
    pub fn run_blocking(&self, body: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        match self.inside() {
            Some(context) => context.scope_blocking(body),
            None => body(),
        }
    }

    /// Writes an `Ok` to the transaction that [`look_up`](StepSession::look_up) was asked with. It counts when that
    /// transaction is committed.
    ///
    /// # Errors
    ///
    /// The outcome's own; or a [`Rejected::Checkpoint`](crate::Rejected::Checkpoint), after which the transaction has to
    /// be rolled back.
    pub async fn record<X: Transaction>(self, tx: &X, outcome: Result<T, E>) -> Result<T, E> {
        let value = outcome?;
        let Some(recording) = &self.recording else { return Ok(value) };
        let (value, row) = self.seal(recording, value)?;
        let inserted = tx.insert(&recording.at(), &row).await;
        self.inserted(recording, inserted, value)
    }

    /// As [`record`](Self::record), blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`record`](Self::record).
    pub fn record_blocking<X: BlockingTransaction>(self, tx: &X, outcome: Result<T, E>) -> Result<T, E> {
        let value = outcome?;
        let Some(recording) = &self.recording else { return Ok(value) };
        let (value, row) = self.seal(recording, value)?;
        let inserted = tx.insert_blocking(&recording.at(), &row);
        self.inserted(recording, inserted, value)
    }

    fn inside(&self) -> Option<Context> {
        let recording = self.recording.as_ref()?;
        let called_in = self.session.context.clone();
        let inside = called_in.with_around(|around| around.step = Some(Arc::clone(&recording.inside)));
        Some(inside.under_current_deadline())
    }

    /// From here on the value is the one that was read back, as a record answers it.
    fn seal(&self, recording: &Recording, value: T) -> Result<(T, Row), E> {
        let StepSession { policy, seal, read, reject, .. } = self.session;
        let (schema, sealing) = (policy.version, recording.run.store.sealing());
        let (run, place) = (recording.run.id(), recording.place());
        let about = |error: EnvelopeError| error.about(run, recording.what(), schema);
        let sealed = || -> Result<(T, Row), CheckpointError> {
            let sealed = seal(&value, schema, &place, sealing).map_err(about)?;
            let value = Envelope::open(&sealed, &place, sealing)
                .and_then(|envelope| read(&envelope, &policy))
                .map_err(|error| error.not_round_trip(run, &recording.name()))?;
            Ok((value, Row { schema, input: recording.input.as_bytes().to_vec(), value: sealed }))
        };
        sealed().map_err(|error| reject(error.into()))
    }

    fn inserted(&self, recording: &Recording, inserted: Result<(), TxError>, value: T) -> Result<T, E> {
        if let Err(error) = inserted {
            let error = recording.explain(error, "writing the record");
            return Err((self.session.reject)(error.into()));
        }
        let (run, step) = (recording.run.id(), &*recording.name());
        observe::emit(self.session.site, POLICY, What::Recorded { run, step });
        Ok(value)
    }
}

impl<T, E> fmt::Debug for TxSession<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TxSession").field("recording", &self.recording).finish_non_exhaustive()
    }
}

enum Opened<T, E> {
    Plain,
    Answered(Result<T, E>),
    Repeat(Taken, super::Ticket<Vec<super::Appended>>),
    Look(Recording),
}

/// Where a step stands in the caller's database, held for one call.
#[derive(Debug)]
struct Recording {
    run: Arc<Run>,
    key: String,
    input: InputHash,
    inside: Arc<Inside>,
    /// Given back, and not used up: if its transaction is rolled back, the step is called again.
    _held: Held,
}

#[derive(Debug)]
enum Held {
    Step { _taken: Taken },
    Nested { _nested: Nested },
}

impl Recording {
    fn of_step(taken: Taken) -> Result<Self, CheckpointError> {
        let (run, key) = (Arc::clone(&taken.run), taken.key.to_string());
        if taken.is_counted() {
            return Err(CheckpointError::TxKeyNeeded { run: run.id().into(), step: key });
        }
        Ok(Self { inside: Inside::new(&key), run, key, input: taken.input, _held: Held::Step { _taken: taken } })
    }

    fn of_nested(run: Arc<Run>, nested: Nested) -> Result<Self, CheckpointError> {
        let key = nested.path();
        if nested.is_counted() {
            return Err(CheckpointError::TxKeyNeeded { run: run.id().into(), step: readable(&key) });
        }
        let (inside, input) = (nested.inside(), nested.input());
        Ok(Self { inside, run, key, input, _held: Held::Nested { _nested: nested } })
    }

    fn at(&self) -> At<'_> {
        At { run: self.run.id(), incarnation: self.run.incarnation, started_at: self.run.started_at, key: &self.key }
    }

    fn place(&self) -> Place<'_> {
        self.run.place_of(&self.key, self.input)
    }

    fn name(&self) -> String {
        readable(&self.key)
    }

    fn what(&self) -> String {
        format!("the record in a transaction of step `{}`", self.name())
    }

    fn explain(&self, error: TxError, doing: &'static str) -> CheckpointError {
        let (run, step) = (self.run.id().into(), self.name());
        match error {
            TxError::Conflict => CheckpointError::TxConflict { run, step },
            TxError::NoTable => CheckpointError::TxTableMissing { run, step },
            TxError::Ended => CheckpointError::TxEnded { run, step },
            TxError::Failed { reason, transient } => CheckpointError::TxFailed { run, step, doing, reason, transient },
        }
    }
}

/// A key as messages show it.
fn readable(key: &str) -> String {
    key.replace('\u{1f}', " > ")
}
