//! What waits for the writer and for the readers, and who waits for room.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{Notify, watch};

use super::reader::Read;
use super::requests::Request;
use crate::checkpoint::error::StoreError;
use crate::checkpoint::sqlite::callers::Callers;
use crate::checkpoint::ticket::{Reply, Ticket};
use crate::sync::{Mutex, lock};

/// Requests that may wait; beyond it callers wait before they begin something.
const MAX_QUEUED: usize = if cfg!(test) { 64 } else { 4096 };

/// Bytes of values that may wait: four of the largest.
const MAX_QUEUED_BYTES: usize = 256 << 20;

/// Requests that go into one transaction.
const MAX_BATCH: usize = 1024;

/// Bytes after which a transaction takes no further request.
const MAX_BATCH_BYTES: usize = 16 << 20;

/// What waits.
pub(super) struct Queue {
    shown: String,
    waiting: Mutex<Waiting>,
    filled: Notify,
    read: Notify,
    /// How many of the writes that were ever enqueued are answered.
    settled: watch::Sender<u64>,
}

#[derive(Default)]
struct Waiting {
    writes: VecDeque<Request>,
    bytes: usize,
    /// With the number of writes that come first.
    reads: VecDeque<(u64, Box<dyn Read>)>,
    /// Those who wait for room before they begin something.
    callers: Callers,
    /// Writes that were ever enqueued.
    pushed: u64,
    closed: bool,
    #[cfg(test)]
    stalled: bool,
}

impl Queue {
    pub(super) fn new(shown: String) -> Arc<Self> {
        let settled = watch::Sender::new(0);
        let (waiting, filled, read) = (Mutex::default(), Notify::new(), Notify::new());
        Arc::new(Self { shown, waiting, filled, read, settled })
    }

    /// What a caller waits for before it begins something, while the queue is full. It is a bound on what is begun: what
    /// is under way by then may still be enqueued.
    pub(super) fn full(&self) -> Option<Ticket<()>> {
        let mut waiting = lock(&self.waiting);
        (waiting.is_full() && !waiting.closed).then(|| waiting.callers.join())
    }

    /// Enqueues a write, whatever is there already.
    pub(super) fn push(&self, request: Request) {
        let size = request.size();
        let mut waiting = lock(&self.waiting);
        if waiting.closed {
            drop(waiting);
            request.fail(&self.closed());
            return;
        }
        waiting.bytes += size;
        waiting.pushed += 1;
        waiting.writes.push_back(request);
        drop(waiting);
        self.filled.notify_one();
    }

    /// Enqueues a read behind the writes that are enqueued by now.
    pub(super) fn push_read(&self, read: Box<dyn Read>) {
        let mut waiting = lock(&self.waiting);
        if waiting.closed {
            drop(waiting);
            read.fail(&self.closed());
            return;
        }
        if waiting.reads.len() >= MAX_QUEUED {
            waiting.reads.retain(|(_, read)| !read.is_deserted());
        }
        let pushed = waiting.pushed;
        waiting.reads.push_back((pushed, read));
        drop(waiting);
        self.read.notify_one();
    }

    /// Nothing is taken any more; what is queued is still done.
    pub(super) fn close(&self) {
        let mut waiting = lock(&self.waiting);
        waiting.closed = true;
        let callers = waiting.callers.all();
        drop(waiting);
        self.filled.notify_one();
        self.read.notify_waiters();
        self.read.notify_one();
        // They learn from their request that the store is closed.
        callers.into_iter().for_each(|caller| caller.send(Ok(())));
    }

    /// Nobody works any more: those that wait are told that the store is closed.
    pub(super) fn abandon(&self) {
        self.close();
        let mut waiting = lock(&self.waiting);
        let (writes, reads) = (std::mem::take(&mut waiting.writes), std::mem::take(&mut waiting.reads));
        drop(waiting);
        self.settled.send_replace(u64::MAX);
        writes.into_iter().for_each(|request| request.fail(&self.closed()));
        reads.into_iter().for_each(|(_, read)| read.fail(&self.closed()));
    }

    /// Moves the next batch into `batch`, waiting for one. `false` when closed and empty.
    pub(super) async fn take(&self, batch: &mut Vec<Request>) -> bool {
        loop {
            let filled = self.filled.notified();
            {
                let mut waiting = lock(&self.waiting);
                if !waiting.is_idle() {
                    let callers = waiting.take(batch);
                    drop(waiting);
                    callers.into_iter().for_each(|caller| caller.send(Ok(())));
                    return true;
                }
                if waiting.closed {
                    return false;
                }
            }
            filled.await;
        }
    }

    /// So many more writes are answered.
    pub(super) fn settle(&self, writes: usize) {
        self.settled.send_modify(|settled| *settled = settled.saturating_add(writes as u64));
    }

    /// The next read, once the writes before it are answered. `None` when closed and empty.
    pub(super) async fn take_read(&self) -> Option<Box<dyn Read>> {
        loop {
            let filled = self.read.notified();
            let (next, closed) = {
                let mut waiting = lock(&self.waiting);
                (waiting.reads.pop_front(), waiting.closed)
            };
            match next {
                Some((_, read)) if read.is_deserted() => {}
                Some((before, read)) => {
                    // One notification may stand for several reads.
                    self.read.notify_one();
                    // The sender lives as long as we do.
                    let _ = self.settled.subscribe().wait_for(|settled| *settled >= before).await;
                    return Some(read);
                }
                None if closed => {
                    self.read.notify_one();
                    return None;
                }
                None => filled.await,
            }
        }
    }

    fn closed(&self) -> StoreError {
        StoreError::Closed { store: self.shown.clone() }
    }

    /// Keeps the writer from taking what is queued, until it is told otherwise.
    #[cfg(test)]
    pub(super) fn stall(&self, stalled: bool) {
        lock(&self.waiting).stalled = stalled;
        self.filled.notify_one();
    }
}

impl Waiting {
    fn is_full(&self) -> bool {
        self.writes.len() >= MAX_QUEUED || self.bytes >= MAX_QUEUED_BYTES
    }

    fn is_idle(&self) -> bool {
        #[cfg(test)]
        if self.stalled {
            return true;
        }
        self.writes.is_empty()
    }

    /// Moves a batch over, and gives those for whom there is room now.
    fn take(&mut self, batch: &mut Vec<Request>) -> Vec<Reply<()>> {
        let mut bytes = 0;
        while batch.len() < MAX_BATCH && bytes < MAX_BATCH_BYTES {
            let Some(request) = self.writes.pop_front() else { break };
            bytes += request.size();
            batch.push(request);
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        let room = if self.is_full() { 0 } else { MAX_QUEUED - self.writes.len() };
        self.callers.next(room)
    }
}
