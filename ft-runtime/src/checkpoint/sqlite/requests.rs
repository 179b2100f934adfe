//! What each request does inside the transaction.

use std::sync::Arc;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::writer::Hands;
use crate::checkpoint::error::StoreError;
use crate::checkpoint::fingerprint::InputHash;
use crate::checkpoint::record::{
    Appended, Claim, Claimed, Filter, Finish, Granted, Lease, RunRecord, RunStatus, SaveState, StateRecord, Step,
    StepRecord, UnixMillis,
};
use crate::checkpoint::ticket::Reply;
use crate::checkpoint::{KEPT_RUNS, PRUNED_AT_ONCE};

/// A request in the queue, whatever it asks for.
pub(super) type Request = Box<dyn Work>;

/// A question to the database and what it is answered with.
pub(super) trait Ask: Send + 'static {
    /// What it is answered with, once the transaction is committed.
    type Answer: Send + 'static;

    /// Whether it leaves the database as it is.
    const READ: bool = false;

    /// Bytes of values it carries.
    fn size(&self) -> usize {
        0
    }

    /// Does the work. An `Err` outside means that the database failed and takes the whole batch with it; one inside
    /// is this request's own answer, and nothing was changed for it.
    fn execute(&self, db: &Connection, hands: &Hands) -> Executed<Self::Answer>;

    /// What changes in this process once the answer is known.
    fn settle(&self, _: Result<&Self::Answer, &StoreError>, _: &mut Hands) {}
}

type Executed<T> = rusqlite::Result<Result<T, StoreError>>;

/// A question, the one who waits for the answer, and the answer until it may be given.
pub(super) struct Job<A: Ask> {
    ask: A,
    reply: Reply<A::Answer>,
    answer: Option<Result<A::Answer, StoreError>>,
}

impl<A: Ask> Job<A> {
    pub(super) fn new(ask: A, reply: Reply<A::Answer>) -> Self {
        Self { ask, reply, answer: None }
    }
}

/// A [`Job`] of any kind.
pub(super) trait Work: Send {
    fn is_read(&self) -> bool;
    fn size(&self) -> usize;
    fn execute(&mut self, db: &Connection, hands: &Hands) -> rusqlite::Result<()>;
    fn acknowledge(self: Box<Self>, hands: &mut Hands);
    fn fail(self: Box<Self>, error: &StoreError, hands: &mut Hands);
}

impl<A: Ask> Work for Job<A> {
    fn is_read(&self) -> bool {
        A::READ
    }

    fn size(&self) -> usize {
        self.ask.size()
    }

    fn execute(&mut self, db: &Connection, hands: &Hands) -> rusqlite::Result<()> {
        self.answer = Some(match self.ask.execute(db, hands) {
            // Rows are read before anything is written, so this request has changed nothing; the others go on.
            Err(error) if is_senseless(&error) => Err(hands.damaged(&error)),
            executed => executed?,
        });
        Ok(())
    }

    fn acknowledge(self: Box<Self>, hands: &mut Hands) {
        let Job { ask, reply, answer } = *self;
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
}

/// The fence. Every statement that writes for a run contains it: `?1` run, `?2` token, `?3` owner.
macro_rules! fence {
    () => {
        "EXISTS (SELECT 1 FROM ft_run WHERE run = ?1 AND token = ?2 AND owner = ?3 AND status = 'running')"
    };
}

/// Why the fence held a write off.
fn fenced(db: &Connection, run: &str) -> rusqlite::Result<StoreError> {
    let owner = db
        .prepare_cached("SELECT owner FROM ft_run WHERE run = ?1")?
        .query_row([run], |row| row.get(0))
        .optional()?
        .flatten();
    Ok(StoreError::Fenced { run: run.to_owned(), owner })
}

// ===== Claim =====

impl Ask for Claim {
    type Answer = Claimed;

    fn execute(&self, db: &Connection, hands: &Hands) -> Executed<Claimed> {
        let claimed = claim(self, db, hands)?;
        if let Ok(Claimed::Granted(_)) = claimed {
            match prune(db, self.at, &self.run) {
                // Rows of other runs; they stay until they are deleted by hand.
                Err(error) if is_senseless(&error) => {}
                pruned => pruned?,
            }
        }
        Ok(claimed)
    }

    fn settle(&self, answer: Result<&Claimed, &StoreError>, hands: &mut Hands) {
        if let Ok(Claimed::Granted(granted)) = answer {
            hands.hold(&self.run, granted.token);
        }
    }
}

fn claim(claim: &Claim, db: &Connection, hands: &Hands) -> Executed<Claimed> {
    let known = db
        .prepare_cached(concat!(
            "SELECT run, function, version, status, owner, token, attempts, incarnation, output, created_at, ",
            "updated_at, finished_at, expires_at FROM ft_run WHERE run = ?1"
        ))?
        .query_row([&*claim.run], run_record)
        .optional()?;
    let Some(known) = known else {
        db.prepare_cached(concat!(
            "INSERT INTO ft_run (run, function, version, status, owner, token, attempts, incarnation, created_at, ",
            "updated_at) VALUES (?1, ?2, ?3, 'running', ?4, 1, 1, 0, ?5, ?5)"
        ))?
        .execute(params![&*claim.run, &*claim.function, claim.version, hands.owner(), claim.at])?;
        return Ok(Ok(Claimed::Granted(Granted { token: 1, attempts: 1, incarnation: 0, steps: Vec::new() })));
    };
    let expired = known.expires_at.is_some_and(|at| at <= claim.at);
    if known.function != *claim.function && !expired {
        return Ok(Ok(Claimed::OtherFunction { recorded: known.function }));
    }
    let mut granted = Granted {
        token: known.token + 1,
        attempts: known.attempts + 1,
        incarnation: known.incarnation,
        steps: Vec::new(),
    };
    let mut created_at = known.created_at;
    match known.status {
        RunStatus::Cancelled => return Ok(Ok(Claimed::Cancelled)),
        RunStatus::Finished => {
            if !claim.again && !expired {
                return Ok(Ok(Claimed::Finished(known.output.unwrap_or_default())));
            }
            granted.attempts = 1;
            granted.incarnation += 1;
            created_at = claim.at;
            forget(db, &claim.run)?;
        }
        RunStatus::Running => {
            match hands.living(&claim.run, known.owner) {
                Ok(None) => {}
                Ok(Some(owner)) => return Ok(Ok(Claimed::Busy { owner })),
                Err(error) => return Ok(Err(error)),
            }
            if known.version != claim.version {
                return Ok(Ok(Claimed::OtherVersion { recorded: known.version }));
            }
            granted.steps = steps_of(db, &claim.run)?;
        }
    }
    db.prepare_cached(concat!(
        "UPDATE ft_run SET function = ?2, version = ?3, status = 'running', owner = ?4, token = ?5, attempts = ?6, ",
        "incarnation = ?7, output = NULL, created_at = ?8, updated_at = ?9, finished_at = NULL, expires_at = NULL ",
        "WHERE run = ?1"
    ))?
    .execute(params![
        &*claim.run,
        &*claim.function,
        claim.version,
        hands.owner(),
        granted.token as i64,
        granted.attempts,
        granted.incarnation,
        created_at,
        claim.at
    ])?;
    Ok(Ok(Claimed::Granted(granted)))
}

/// Deletes the steps and states of a run.
fn forget(db: &Connection, run: &str) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM ft_step WHERE run = ?1")?.execute([run])?;
    db.prepare_cached("DELETE FROM ft_state WHERE run = ?1")?.execute([run])?;
    Ok(())
}

fn delete(db: &Connection, run: &str) -> rusqlite::Result<bool> {
    forget(db, run)?;
    let deleted = db.prepare_cached("DELETE FROM ft_run WHERE run = ?1")?.execute([run])?;
    Ok(deleted > 0)
}

/// Forgets runs whose time is over, and the oldest ones beyond the bound; a few at a time, on the way of a claim.
fn prune(db: &Connection, now: UnixMillis, claimed: &str) -> rusqlite::Result<()> {
    let mut doomed: Vec<String> = db
        .prepare_cached("SELECT run FROM ft_run WHERE expires_at <= ?1 AND run <> ?2 LIMIT ?3")?
        .query_map(params![now, claimed, PRUNED_AT_ONCE as i64], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    // Counting takes time in proportion to what is kept, so it is done for one new run in so many.
    if db.last_insert_rowid() % PRUNED_AT_ONCE as i64 == 0 {
        let finished: i64 = db
            .prepare_cached("SELECT count(*) FROM ft_run WHERE finished_at IS NOT NULL")?
            .query_row([], |row| row.get(0))?;
        let excess = (finished - KEPT_RUNS as i64).max(0);
        let oldest = db
            .prepare_cached(
                "SELECT run FROM ft_run WHERE finished_at IS NOT NULL AND run <> ?1 ORDER BY finished_at LIMIT ?2",
            )?
            .query_map(params![claimed, excess], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<String>>>()?;
        doomed.extend(oldest);
    }
    doomed.iter().try_for_each(|run| delete(db, run).map(drop))
}

// ===== Steps =====

/// Records steps.
pub(super) struct Append(pub(super) Vec<Step>);

impl Ask for Append {
    type Answer = Vec<Appended>;

    fn size(&self) -> usize {
        self.0.iter().map(|step| step.value.len()).sum()
    }

    fn execute(&self, db: &Connection, hands: &Hands) -> Executed<Vec<Appended>> {
        let appended = self.0.iter().map(|step| append(step, db, hands));
        appended.collect::<rusqlite::Result<_>>().map(Ok)
    }
}

fn append(step: &Step, db: &Connection, hands: &Hands) -> rusqlite::Result<Appended> {
    let run = &*step.lease.run;
    let seq: Option<i64> = db
        .prepare_cached(concat!(
            "INSERT INTO ft_step (run, token, seq, key, schema, input, value, version, recorded_at) ",
            "SELECT ?1, ?2, (SELECT coalesce(max(seq), 0) + 1 FROM ft_step WHERE run = ?1), ?4, ?5, ?6, ?7, ?8, ?9 ",
            "WHERE ",
            fence!(),
            " ON CONFLICT (run, key) DO NOTHING RETURNING seq"
        ))?
        .query_row(
            params![
                run,
                step.lease.token as i64,
                hands.owner(),
                &*step.key,
                step.schema,
                step.input.as_bytes().as_slice(),
                &*step.value,
                step.version,
                step.at
            ],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(seq) = seq {
        return Ok(Appended::Recorded { seq: seq as u64 });
    }
    let held: bool = db
        .prepare_cached(concat!("SELECT ", fence!()))?
        .query_row(params![run, step.lease.token as i64, hands.owner()], |row| row.get(0))?;
    let recorded = db
        .prepare_cached(concat!(
            "SELECT key, seq, schema, input, value, token, version, recorded_at FROM ft_step ",
            "WHERE run = ?1 AND key = ?2"
        ))?
        .query_row(params![run, &*step.key], step_record)
        .optional()?;
    match recorded {
        Some(recorded) if held => Ok(Appended::Already(recorded)),
        _ => match fenced(db, run)? {
            StoreError::Fenced { owner, .. } => Ok(Appended::Fenced { owner }),
            _ => Ok(Appended::Fenced { owner: None }),
        },
    }
}

/// Reads the steps of a run.
pub(super) struct Steps(pub(super) String);

impl Ask for Steps {
    type Answer = Vec<StepRecord>;
    const READ: bool = true;

    fn execute(&self, db: &Connection, _: &Hands) -> Executed<Vec<StepRecord>> {
        steps_of(db, &self.0).map(Ok)
    }
}

fn steps_of(db: &Connection, run: &str) -> rusqlite::Result<Vec<StepRecord>> {
    db.prepare_cached(concat!(
        "SELECT key, seq, schema, input, value, token, version, recorded_at FROM ft_step ",
        "WHERE run = ?1 ORDER BY seq"
    ))?
    .query_map([run], step_record)?
    .collect()
}

fn step_record(row: &Row<'_>) -> rusqlite::Result<StepRecord> {
    let input = row.get_ref(3)?.as_blob()?;
    let input = input
        .try_into()
        .map_err(|_| rusqlite::Error::FromSqlConversionFailure(3, Type::Blob, "not 16 bytes".into()))?;
    Ok(StepRecord {
        key: row.get_ref(0)?.as_str()?.into(),
        seq: row.get::<_, i64>(1)? as u64,
        schema: row.get(2)?,
        input: InputHash::from_bytes(input),
        value: blob(row, 4)?,
        token: row.get::<_, i64>(5)? as u64,
        version: row.get(6)?,
        recorded_at: row.get(7)?,
    })
}

// ===== States =====

impl Ask for SaveState {
    type Answer = ();

    fn execute(&self, db: &Connection, hands: &Hands) -> Executed<()> {
        // The newest value at the time of writing. If the batch fails it is gone, and the error says so at the next
        // mark, which saves a newer one.
        let Some(value) = self.value.take() else {
            return Ok(Ok(()));
        };
        let run = &*self.lease.run;
        let inserted = db
            .prepare_cached(concat!(
                "INSERT INTO ft_state (run, token, name, generation, type_name, value, steps, version, recorded_at) ",
                "SELECT ?1, ?2, ?4, ?5, ?6, ?7, (SELECT coalesce(max(seq), 0) FROM ft_step WHERE run = ?1), ?8, ?9 ",
                "WHERE ",
                fence!()
            ))?
            .execute(params![
                run,
                self.lease.token as i64,
                hands.owner(),
                &*self.name,
                self.generation as i64,
                self.type_name,
                &*value,
                self.version,
                self.at
            ])?;
        if inserted == 0 {
            return fenced(db, run).map(Err);
        }
        db.prepare_cached(concat!(
            "DELETE FROM ft_state WHERE run = ?1 AND name = ?2 AND generation <> ?3 AND generation <> ",
            "(SELECT coalesce(max(generation), -1) FROM ft_state WHERE run = ?1 AND name = ?2 AND generation < ?3 ",
            "AND generation <> ?4)"
        ))?
        .execute(params![
            run,
            &*self.name,
            self.generation as i64,
            self.bad.map_or(-1, |generation| generation as i64)
        ])?;
        Ok(Ok(()))
    }
}

/// Reads the versions of a state.
pub(super) struct States {
    pub(super) run: String,
    pub(super) name: String,
}

impl Ask for States {
    type Answer = Vec<StateRecord>;
    const READ: bool = true;

    fn execute(&self, db: &Connection, _: &Hands) -> Executed<Vec<StateRecord>> {
        db.prepare_cached(concat!(
            "SELECT name, generation, type_name, value, steps, token, version, recorded_at FROM ft_state ",
            "WHERE run = ?1 AND name = ?2 ORDER BY generation DESC"
        ))?
        .query_map([&self.run, &self.name], |row| {
            Ok(StateRecord {
                name: row.get_ref(0)?.as_str()?.into(),
                generation: row.get::<_, i64>(1)? as u64,
                type_name: row.get(2)?,
                value: blob(row, 3)?,
                steps: row.get::<_, i64>(4)? as u64,
                token: row.get::<_, i64>(5)? as u64,
                version: row.get(6)?,
                recorded_at: row.get(7)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()
        .map(Ok)
    }
}

// ===== Finish, release, delete =====

impl Ask for Finish {
    type Answer = ();

    fn size(&self) -> usize {
        self.output.len()
    }

    fn execute(&self, db: &Connection, hands: &Hands) -> Executed<()> {
        let run = &*self.lease.run;
        let finished = db
            .prepare_cached(concat!(
                "UPDATE ft_run SET status = 'finished', owner = NULL, output = ?4, updated_at = ?5, finished_at = ?5, ",
                "expires_at = ?6 WHERE run = ?1 AND ",
                fence!()
            ))?
            .execute(params![run, self.lease.token as i64, hands.owner(), &*self.output, self.at, self.expires_at])?;
        if finished == 0 {
            return fenced(db, run).map(Err);
        }
        db.prepare_cached("DELETE FROM ft_state WHERE run = ?1")?.execute([run])?;
        Ok(Ok(()))
    }

    fn settle(&self, _: Result<&(), &StoreError>, hands: &mut Hands) {
        hands.let_go(&self.lease.run, self.lease.token);
    }
}

/// Gives a claim back.
pub(super) struct Release(pub(super) Lease);

impl Ask for Release {
    type Answer = ();

    fn execute(&self, db: &Connection, hands: &Hands) -> Executed<()> {
        db.prepare_cached(concat!("UPDATE ft_run SET owner = NULL WHERE run = ?1 AND ", fence!()))?
            .execute(params![&*self.0.run, self.0.token as i64, hands.owner()])?;
        Ok(Ok(()))
    }

    /// Given back even if that could not be written: the run is not in our hands, whatever the row says.
    fn settle(&self, _: Result<&(), &StoreError>, hands: &mut Hands) {
        hands.let_go(&self.0.run, self.0.token);
    }
}

/// Deletes a run.
pub(super) struct Delete(pub(super) String);

impl Ask for Delete {
    type Answer = bool;

    fn execute(&self, db: &Connection, hands: &Hands) -> Executed<bool> {
        let owner = db
            .prepare_cached("SELECT owner FROM ft_run WHERE run = ?1")?
            .query_row([&self.0], |row| row.get::<_, Option<String>>(0))
            .optional()?
            .flatten();
        match hands.living(&self.0, owner) {
            Ok(None) => delete(db, &self.0).map(Ok),
            Ok(Some(owner)) => Ok(Err(StoreError::RunBusy { run: self.0.clone(), owner })),
            Err(error) => Ok(Err(error)),
        }
    }
}

// ===== Runs =====

impl Ask for Filter {
    type Answer = Vec<RunRecord>;
    const READ: bool = true;

    fn execute(&self, db: &Connection, _: &Hands) -> Executed<Vec<RunRecord>> {
        // `substr` instead of LIKE, in which a user's `%` and `_` would mean something.
        db.prepare_cached(concat!(
            "SELECT run, function, version, status, owner, token, attempts, incarnation, output, created_at, ",
            "updated_at, finished_at, expires_at FROM ft_run WHERE run >= ?1 AND substr(run, 1, length(?1)) = ?1 ",
            "AND (?2 IS NULL OR status = ?2) AND (?3 IS NULL OR run > ?3) ORDER BY run LIMIT ?4"
        ))?
        .query_map(params![self.prefix, self.status.map(RunStatus::as_str), self.after, self.limit], run_record)?
        .collect::<rusqlite::Result<_>>()
        .map(Ok)
    }
}

fn run_record(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    let status = row.get_ref(3)?.as_str()?;
    let status = RunStatus::from_name(status).ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(3, Type::Text, format!("unknown status `{status}`").into())
    })?;
    Ok(RunRecord {
        run: row.get(0)?,
        function: row.get(1)?,
        version: row.get(2)?,
        status,
        owner: row.get(4)?,
        token: row.get::<_, i64>(5)? as u64,
        attempts: row.get(6)?,
        incarnation: row.get(7)?,
        output: row.get_ref(8)?.as_bytes_or_null()?.map(Arc::from),
        created_at: row.get(9)?,
        updated_at: row.get(10)?,
        finished_at: row.get(11)?,
        expires_at: row.get(12)?,
    })
}

/// The bytes of a value, whatever type a tampered row gives them: their envelope tells whether they are whole.
fn blob(row: &Row<'_>, column: usize) -> rusqlite::Result<Arc<[u8]>> {
    Ok(row.get_ref(column)?.as_bytes_or_null()?.unwrap_or_default().into())
}

/// Whether a row did not make sense, as opposed to the database failing.
fn is_senseless(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
    matches!(error, FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..))
}
