//! The writer thread: takes all that is queued, commits it at once, answers afterwards.

use std::any::Any;
use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, TransactionBehavior};

use super::callers::Callers;
use super::mark::{self, Mark};
use super::requests::{self, Request};
use super::schema;
use crate::checkpoint::error::StoreError;
use crate::checkpoint::owner::{self, Owner};
use crate::checkpoint::ticket::Ticket;
use crate::time;

/// Requests that may wait; beyond it callers wait before they begin something.
const MAX_QUEUED: usize = if cfg!(test) { 64 } else { 4096 };

/// Bytes of values that may wait: four of the largest.
const MAX_QUEUED_BYTES: usize = 256 << 20;

/// Requests that go into one transaction.
const MAX_BATCH: usize = 1024;

/// Bytes after which a transaction takes no further request.
const MAX_BATCH_BYTES: usize = 16 << 20;

/// The part of a commit's time that is spent on gathering the next batch.
const GATHERING_SHARE: u32 = 8;

/// And never more than this, however long the last commit was stuck.
const MAX_GATHERING: Duration = Duration::from_millis(1);

/// What waits for the writer.
pub(super) struct Queue {
    url: String,
    waiting: Mutex<Waiting>,
    filled: Condvar,
    settled: Condvar,
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<Request>,
    bytes: usize,
    /// Those who wait for room before they begin something.
    callers: Callers,
    /// Requests that were ever enqueued, and how many of them are answered.
    pushed: u64,
    settled: u64,
    /// How many requests the writer wants to be woken for.
    wanted: usize,
    closed: bool,
    #[cfg(test)]
    stalled: bool,
    #[cfg(test)]
    fail_next_commit: bool,
    #[cfg(test)]
    commits: u64,
}

impl Queue {
    pub(super) fn new(url: String) -> Self {
        Self { url, waiting: Mutex::default(), filled: Condvar::new(), settled: Condvar::new() }
    }

    /// What a caller waits for before it begins something, while the queue is full. It is a bound on what is begun: what
    /// is under way by then may still be enqueued.
    pub(super) fn full(&self) -> Option<Ticket<()>> {
        let mut waiting = self.lock();
        (waiting.is_full() && !waiting.closed).then(|| waiting.callers.join())
    }

    /// Enqueues, whatever is there already.
    pub(super) fn push(&self, request: Request) {
        let size = request.size();
        let mut waiting = self.lock();
        if waiting.closed {
            drop(waiting);
            request.refuse(StoreError::Closed { store: self.url.clone() });
            return;
        }
        waiting.bytes += size;
        waiting.pushed += 1;
        waiting.requests.push_back(request);
        let wakes = waiting.requests.len() >= waiting.wanted;
        drop(waiting);
        if wakes {
            self.filled.notify_one();
        }
    }

    /// No request is taken any more; those that are queued are still written.
    pub(super) fn close(&self) {
        let callers = {
            let mut waiting = self.lock();
            waiting.closed = true;
            waiting.callers.all()
        };
        self.filled.notify_all();
        // They learn from their request that the store is closed.
        callers.into_iter().for_each(|caller| caller.send(Ok(())));
    }

    /// How many requests were enqueued so far.
    pub(super) fn pushed(&self) -> u64 {
        self.lock().pushed
    }

    /// Blocks until so many of the requests that were ever enqueued are answered.
    pub(super) fn wait_for(&self, pushed: u64) {
        let waiting = self.settled.wait_while(self.lock(), |waiting| waiting.settled < pushed);
        drop(waiting.unwrap_or_else(PoisonError::into_inner));
    }

    /// So many more requests are answered.
    fn settle(&self, requests: usize) {
        let mut waiting = self.lock();
        waiting.settled = waiting.settled.saturating_add(requests as u64);
        drop(waiting);
        self.settled.notify_all();
    }

    /// Moves the next batch into `batch`, waiting for one. `false` when closed and empty.
    ///
    /// The callers that were just answered are about to ask again. Taking the first one alone would make the others
    /// wait for a sync of its own, so up to `patience` is spent on letting `expected` requests come together.
    fn take(&self, batch: &mut Vec<Request>, expected: usize, patience: Duration) -> bool {
        let mut waiting = self.lock();
        while waiting.is_idle() {
            if waiting.closed {
                return false;
            }
            waiting = self.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.requests.len() < expected && !waiting.closed {
            waiting.wanted = expected;
            let gathering = |waiting: &mut Waiting| waiting.requests.len() < expected && !waiting.closed;
            let gathered = self.filled.wait_timeout_while(waiting, patience, gathering);
            waiting = gathered.unwrap_or_else(PoisonError::into_inner).0;
            waiting.wanted = 0;
        }
        let mut bytes = 0;
        while batch.len() < MAX_BATCH && bytes < MAX_BATCH_BYTES {
            let Some(request) = waiting.requests.pop_front() else {
                break;
            };
            bytes += request.size();
            batch.push(request);
        }
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
        let room = if waiting.is_full() { 0 } else { MAX_QUEUED - waiting.requests.len() };
        let callers = waiting.callers.next(room);
        drop(waiting);
        callers.into_iter().for_each(|caller| caller.send(Ok(())));
        true
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it is held.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_full(&self) -> bool {
        self.requests.len() >= MAX_QUEUED || self.bytes >= MAX_QUEUED_BYTES
    }

    fn is_idle(&self) -> bool {
        #[cfg(test)]
        if self.stalled {
            return true;
        }
        self.requests.is_empty()
    }
}

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
        queue: Arc<Queue>,
    ) -> Self {
        let hands = Hands { owner, path, owners, held: HashMap::new(), granted: HashSet::new() };
        Self { connection: Some(connection), mark, hands, queue }
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let queue = Arc::clone(&self.queue);
        let _closes = CloseOnExit(&queue);
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
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.reopen()?,
        };
        let committed = self.execute(&mut connection, batch);
        match &committed {
            // Waiting in vain for another process is no failure of ours.
            Ok(()) | Err(StoreError::Locked { .. }) => self.connection = Some(connection),
            Err(_) => poison(connection),
        }
        committed
    }

    fn execute(&mut self, connection: &mut Connection, batch: &mut [Request]) -> Result<(), StoreError> {
        let path = self.hands.path.clone();
        let failed = |doing| {
            let path = &path;
            move |error| schema::explain(error, path, doing)
        };
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed("beginning a transaction"))?;
        for request in batch {
            request.execute(&transaction, &mut self.hands).map_err(failed("executing a request"))?;
        }
        #[cfg(test)]
        self.queue.injected_failure().map_err(failed("committing"))?;
        let commits = mark::count(&transaction).map_err(failed("counting its commits"))?;
        transaction.commit().map_err(failed("committing"))?;
        self.mark.note(commits);
        #[cfg(test)]
        self.queue.count_commit();
        Ok(())
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
            self.held.contains_key(run) || self.granted.contains(run)
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
        self.0.close();
        let requests = std::mem::take(&mut self.0.lock().requests);
        self.0.settle(usize::MAX);
        requests.into_iter().for_each(|request| request.refuse(StoreError::Closed { store: self.0.url.clone() }));
    }
}

#[cfg(test)]
impl Queue {
    pub(super) fn fail_next_commit(&self) {
        self.lock().fail_next_commit = true;
    }

    pub(super) fn commits(&self) -> u64 {
        self.lock().commits
    }

    pub(super) fn while_stalled<R>(&self, work: impl FnOnce() -> R) -> R {
        self.stall(true);
        let result = work();
        self.stall(false);
        result
    }

    pub(super) fn stall(&self, stalled: bool) {
        self.lock().stalled = stalled;
        self.filled.notify_all();
    }

    fn count_commit(&self) {
        self.lock().commits += 1;
    }

    fn injected_failure(&self) -> rusqlite::Result<()> {
        if std::mem::take(&mut self.lock().fail_next_commit) {
            let io = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
            return Err(rusqlite::Error::SqliteFailure(io, None));
        }
        Ok(())
    }
}
