//! The reader thread: what is only looked at keeps no commit waiting.
//!
//! A read sees every write that this process enqueued before it, so it waits for those, and for no other.

use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::queue::Queue;
use super::requests::{self, Look};
use super::schema;
use super::values::Files;
use crate::checkpoint::error::StoreError;
use crate::checkpoint::ticket::Reply;

/// Below this many waiting reads, nobody looks for those whose callers have left.
const FEW: usize = 64;

/// What waits for the reader.
pub(super) struct Reads {
    writes: Arc<Queue>,
    url: String,
    waiting: Mutex<Waiting>,
    filled: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// With the number of writes that come first.
    reads: VecDeque<(u64, Box<dyn Read>)>,
    /// Those whose callers have left are looked for when there are more than this.
    looked: usize,
    closed: bool,
}

impl Reads {
    pub(super) fn new(url: String, writes: Arc<Queue>) -> Self {
        Self { writes, url, waiting: Mutex::default(), filled: Condvar::new() }
    }

    /// Enqueues a read.
    pub(super) fn push<L: Look>(&self, look: L, reply: Reply<L::Answer>) {
        let pushed = self.writes.pushed();
        let mut waiting = self.lock();
        if waiting.closed {
            drop(waiting);
            reply.send(Err(StoreError::Closed { store: self.url.clone() }));
            return;
        }
        if waiting.reads.len() >= waiting.looked.max(FEW) {
            waiting.reads.retain(|(_, read)| !read.is_deserted());
            waiting.looked = 2 * waiting.reads.len();
        }
        waiting.reads.push_back((pushed, Box::new(Job { look, reply })));
        drop(waiting);
        self.filled.notify_one();
    }

    /// No read is taken any more; those that are queued are still answered.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    fn take(&self) -> Option<(u64, Box<dyn Read>)> {
        let waiting = self.filled.wait_while(self.lock(), |waiting| waiting.reads.is_empty() && !waiting.closed);
        waiting.unwrap_or_else(PoisonError::into_inner).reads.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it is held.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works until it is closed and empty.
    pub(super) fn run(&self, path: &Path, files: &Files) {
        let mut connection = None;
        while let Some((writes_before, read)) = self.take() {
            if read.is_deserted() {
                continue;
            }
            self.writes.wait_for(writes_before);
            let opened = match connection.take() {
                Some(connection) => Ok(connection),
                None => schema::connect_to_read(path),
            };
            // A waker that panics, which the panic hook reports, takes no other answer with it.
            let answered = panic::catch_unwind(AssertUnwindSafe(|| read.execute(opened.as_ref(), path, files)));
            // After a failure it is opened anew.
            connection = opened.ok().filter(|_| answered.is_ok_and(|sound| sound));
        }
    }
}

/// A read in the queue, whatever it asks for.
trait Read: Send {
    fn is_deserted(&self) -> bool;

    /// Answers. `false` if the connection failed.
    fn execute(self: Box<Self>, db: Result<&Connection, &StoreError>, path: &Path, files: &Files) -> bool;
}

/// A question and the one who waits for the answer.
struct Job<L: Look> {
    look: L,
    reply: Reply<L::Answer>,
}

impl<L: Look> Read for Job<L> {
    fn is_deserted(&self) -> bool {
        self.reply.is_deserted()
    }

    fn execute(self: Box<Self>, db: Result<&Connection, &StoreError>, path: &Path, files: &Files) -> bool {
        let Job { look, reply } = *self;
        let (answer, sound) = match db.map(|db| look_again(&look, db, files)) {
            Ok(Ok(answer)) => (Ok(answer), true),
            Ok(Err(error)) if requests::is_senseless(&error) => {
                (Err(StoreError::Damaged { path: path.to_owned(), reason: requests::reason(&error) }), true)
            }
            Ok(Err(error)) => (Err(schema::explain(error, path, "reading")), false),
            Err(error) => (Err(error.clone()), false),
        };
        reply.send(answer);
        sound
    }
}

/// Looks, and once more while files are missing: their rows may have been deleted since they were read.
fn look_again<L: Look>(look: &L, db: &Connection, files: &Files) -> rusqlite::Result<L::Answer> {
    const TRIES: u32 = 3;
    let _ = files.missed();
    let mut answer = look.look(db, files)?;
    for _ in 1..TRIES {
        if !files.missed() {
            break;
        }
        answer = look.look(db, files)?;
    }
    Ok(answer)
}
