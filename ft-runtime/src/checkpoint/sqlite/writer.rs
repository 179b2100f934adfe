//! The writer thread: takes all that is queued, commits it at once, answers afterwards.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::mark::{self, Mark};
use super::queue::Queue;
use super::requests::{self, Apart, Outcome, Request};
use super::schema;
use super::values::Values;
use crate::checkpoint::error::StoreError;
use crate::checkpoint::failpoint;
use crate::checkpoint::owner::{self, Owner};
use crate::time;

/// The part of a commit's time that is spent on gathering the next batch.
const GATHERING_SHARE: u32 = 8;

/// And never more than this, however long the last commit was stuck.
const MAX_GATHERING: Duration = Duration::from_millis(1);

/// The thread's own state.
pub(super) struct Writer {
    /// `None` after a failure, until the database has been opened and read again.
    connection: Option<Connection>,
    mark: Mark,
    hands: Hands,
    queue: Arc<Queue>,
}

/// What this owner holds.
pub(super) struct Hands {
    owner: Owner,
    path: PathBuf,
    owners: PathBuf,
    /// Values in files of their own.
    pub(super) values: Values,
    /// Runs and tokens whose grant was acknowledged.
    held: HashMap<Arc<str>, u64>,
    /// Runs granted in the batch that is being executed: held too, unless the commit fails.
    granted: HashSet<Arc<str>>,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        mark: Mark,
        path: PathBuf,
        owners: PathBuf,
        owner: Owner,
        values: Values,
        queue: Arc<Queue>,
    ) -> Self {
        let hands = Hands { owner, path, owners, values, held: HashMap::new(), granted: HashSet::new() };
        Self { connection: Some(connection), mark, hands, queue }
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let queue = Arc::clone(&self.queue);
        let _closes = CloseOnExit(&queue);
        self.sweep();
        let mut batch = Vec::new();
        let (mut expected, mut patience) = (1, Duration::ZERO);
        while queue.take(&mut batch, expected, patience) {
            let began = time::now();
            let committed = self.commit(&mut batch);
            expected = batch.len();
            patience = ((time::now() - began) / GATHERING_SHARE).min(MAX_GATHERING);
            for request in batch.drain(..) {
                // A waker or an heir that panics, which the panic hook reports, takes no other answer with it.
                let _ = panic::catch_unwind(AssertUnwindSafe(|| match &committed {
                    // Only now, with the commit behind them, may callers learn of their writes.
                    Ok(()) => request.acknowledge(&mut self.hands),
                    Err(error) => request.fail(error, &mut self.hands),
                }));
            }
            self.hands.granted.clear();
            queue.settle(expected);
        }
    }

    /// Executes a batch in one transaction: one sync for all of it.
    fn commit(&mut self, batch: &mut [Request]) -> Result<(), StoreError> {
        // Files first, outside of the transaction: nobody else waits for them.
        batch.iter_mut().for_each(|request| request.prepare(&self.hands.values));
        self.hands.values.sync()?;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.reopen()?,
        };
        let committed = self.execute(&mut connection, batch);
        match &committed {
            Ok(()) => self.hands.values.committed(),
            Err(_) => self.hands.values.undo(0),
        }
        match &committed {
            // Waiting in vain for another process is no failure of ours.
            Ok(()) | Err(StoreError::Locked { .. }) => self.connection = Some(connection),
            Err(_) => poison(connection),
        }
        if self.hands.values.is_to_sweep() {
            self.sweep();
        }
        committed
    }

    /// Removes files that a killed process has left behind. What cannot be removed is another time.
    fn sweep(&mut self) {
        if let Some(connection) = &mut self.connection {
            let _ = self.hands.values.sweep(connection);
        }
    }

    fn execute(&mut self, connection: &mut Connection, batch: &mut [Request]) -> Result<(), StoreError> {
        let path = self.hands.path.clone();
        let failed = |doing| {
            let path = &path;
            move |error| schema::explain(error, path, doing)
        };
        failpoint::pass("batch: taken")?;
        let mut transaction = schema::begin(connection, &path)?;
        if self.attempt(&transaction, batch, Apart::Untrusted).map_err(failed("executing a request"))?
            == Outcome::Spoilt
        {
            transaction.rollback().map_err(failed("rolling a batch back"))?;
            self.hands.forget_attempt();
            transaction = schema::begin(connection, &path)?;
            // With savepoints no request spoils the others.
            let _ = self.attempt(&transaction, batch, Apart::All).map_err(failed("executing a request"))?;
        }
        failpoint::pass("batch: executed")?;
        #[cfg(test)]
        self.queue.injected_failure().map_err(failed("committing"))?;
        let commits = mark::count(&transaction).map_err(failed("counting its commits"))?;
        transaction.commit().map_err(failed("committing"))?;
        failpoint::pass("batch: committed")?;
        self.mark.note(commits);
        failpoint::pass("batch: noted")?;
        #[cfg(test)]
        self.queue.count_commit();
        Ok(())
    }

    /// Executes the requests in a transaction, until one of them spoils it.
    fn attempt(&mut self, db: &Connection, batch: &mut [Request], apart: Apart) -> rusqlite::Result<Outcome> {
        for request in batch {
            if request.execute(db, &mut self.hands, apart)? == Outcome::Spoilt {
                return Ok(Outcome::Spoilt);
            }
        }
        Ok(Outcome::Answered)
    }

    /// Opens and reads the database again, and starts a new log: nothing may be appended behind frames of which
    /// nobody knows whether they reached the disk.
    fn reopen(&mut self) -> Result<Connection, StoreError> {
        let path = self.hands.path.clone();
        let failed = |error| schema::explain(error, &path, "reading it again after a failure");
        let connection = schema::connect(&self.hands.path, &self.hands.owners)?;
        self.mark.check(&self.hands.path, &connection)?;
        let busy: i64 =
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(failed)?;
        if busy != 0 {
            return Err(StoreError::Locked { path: self.hands.path.clone(), waited: schema::BUSY_TIMEOUT });
        }
        Ok(connection)
    }
}

/// Gives up the connection after a failed write or sync.
///
/// The sync is never tried again: the kernel may have marked the pages clean that it could not write, and a second sync
/// would succeed without them.
pub(super) fn poison(connection: Connection) {
    // Closing must not fold the log into the database: that is the reopened connection's decision.
    let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
}

impl Hands {
    pub(super) fn owner(&self) -> &str {
        self.owner.id()
    }

    /// The owner of a run, if it is alive and may not be taken over.
    pub(super) fn living(&self, run: &str, owner: Option<String>) -> Result<Option<String>, StoreError> {
        let Some(owner) = owner else { return Ok(None) };
        let alive = if owner == self.owner.id() {
            // Ours, unless it is a release that could not be written.
            self.holds(run)
        } else {
            // Where it cannot be told, nothing is taken over.
            owner::is_alive(&self.owners, &owner).map_err(|error| StoreError::Failed {
                store: format!("sqlite:{}", self.path.display()),
                doing: "asking whether the owner of a run is alive",
                reason: error.to_string(),
            })?
        };
        Ok(alive.then_some(owner))
    }

    /// Whether a run of ours is being executed.
    pub(super) fn holds(&self, run: &str) -> bool {
        self.held.contains_key(run) || self.granted.contains(run)
    }

    /// A row that makes no sense.
    pub(super) fn damaged(&self, error: &rusqlite::Error) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), reason: requests::reason(error) }
    }

    /// A request that ran into a defect.
    pub(super) fn panicked(&self, panic: &(dyn Any + Send)) -> StoreError {
        let message = panic.downcast_ref::<&str>().copied();
        let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        StoreError::Failed {
            store: format!("sqlite:{}", self.path.display()),
            doing: "executing a request",
            reason: format!("it panicked: {}", message.unwrap_or("with no message")),
        }
    }

    /// A grant that is not committed yet.
    pub(super) fn grant(&mut self, run: &Arc<str>) {
        self.granted.insert(Arc::clone(run));
    }

    /// What was granted and deleted in a transaction that was rolled back was not.
    fn forget_attempt(&mut self) {
        self.granted.clear();
        self.values.undo(0);
    }

    pub(super) fn hold(&mut self, run: &Arc<str>, token: u64) {
        self.held.insert(Arc::clone(run), token);
    }

    pub(super) fn let_go(&mut self, run: &str, token: u64) {
        if self.held.get(run) == Some(&token) {
            self.held.remove(run);
        }
    }
}

/// Whatever ends the writer, a panic included, nobody waits for it afterwards.
struct CloseOnExit<'q>(&'q Queue);

impl Drop for CloseOnExit<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
