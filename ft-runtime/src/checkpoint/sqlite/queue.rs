//! What waits for the writer, and who waits for room in it.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::callers::Callers;
use super::requests::Request;
use crate::checkpoint::error::StoreError;
use crate::checkpoint::ticket::Ticket;

/// Requests that may wait; beyond it callers wait before they begin something.
const MAX_QUEUED: usize = if cfg!(test) { 64 } else { 4096 };

/// Bytes of values that may wait: four of the largest.
const MAX_QUEUED_BYTES: usize = 256 << 20;

/// Requests that go into one transaction.
const MAX_BATCH: usize = 1024;

/// Bytes after which a transaction takes no further request.
const MAX_BATCH_BYTES: usize = 16 << 20;

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
    /// How many requests the writer waits for; `None` while it works, and once it was woken.
    wanted: Option<usize>,
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
        // Waking costs a system call, for nothing where nobody waits.
        let wakes = waiting.wanted.is_some_and(|wanted| waiting.requests.len() >= wanted);
        if wakes {
            waiting.wanted = None;
        }
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
    pub(super) fn settle(&self, requests: usize) {
        let mut waiting = self.lock();
        waiting.settled = waiting.settled.saturating_add(requests as u64);
        drop(waiting);
        self.settled.notify_all();
    }

    /// Nobody works any more: those that wait are told that the store is closed.
    pub(super) fn abandon(&self) {
        self.close();
        let requests = std::mem::take(&mut self.lock().requests);
        self.settle(usize::MAX);
        requests.into_iter().for_each(|request| request.refuse(StoreError::Closed { store: self.url.clone() }));
    }

    /// Moves the next batch into `batch`, waiting for one. `false` when closed and empty.
    ///
    /// The callers that were just answered are about to ask again. Taking the first one alone would make the others
    /// wait for a sync of its own, so up to `patience` is spent on letting `expected` requests come together.
    pub(super) fn take(&self, batch: &mut Vec<Request>, expected: usize, patience: Duration) -> bool {
        let mut waiting = self.lock();
        while waiting.is_idle() {
            if waiting.closed {
                return false;
            }
            waiting.wanted = Some(1);
            waiting = self.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.wanted = None;
        if waiting.requests.len() < expected && !waiting.closed {
            waiting.wanted = Some(expected);
            let gathering = |waiting: &mut Waiting| waiting.requests.len() < expected && !waiting.closed;
            let gathered = self.filled.wait_timeout_while(waiting, patience, gathering);
            waiting = gathered.unwrap_or_else(PoisonError::into_inner).0;
            waiting.wanted = None;
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

    pub(super) fn count_commit(&self) {
        self.lock().commits += 1;
    }

    pub(super) fn injected_failure(&self) -> rusqlite::Result<()> {
        if std::mem::take(&mut self.lock().fail_next_commit) {
            let io = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
            return Err(rusqlite::Error::SqliteFailure(io, None));
        }
        Ok(())
    }
}
