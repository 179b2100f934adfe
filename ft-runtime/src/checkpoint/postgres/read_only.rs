//! A store that is only looked at: its sessions cannot write, and there is no owner with a lease.

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::looks::{Export, Holders, Input, Output, Saved, States, Steps, Verify};
use super::queue::Queue;
use super::reader::{self, Look};
use super::session::{Dial, Purpose, Session, Trouble};
use super::{Opened, dial, join_thread, schema, start, tell};
use crate::checkpoint::backend::Backend;
use crate::checkpoint::error::StoreError;
use crate::checkpoint::record::{
    Abandoned, Appended, Claim, Claimed, Collected, Filter, Finding, Finish, Fork, Gc, Holder, Import, Lease, Left,
    Renewed, RunCopy, RunRecord, SaveState, StateRecord, Step, StepRecord, UnixMillis,
};
use crate::checkpoint::ticket::Ticket;

/// A handle that reads.
pub(crate) struct ReadOnly {
    url: String,
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl ReadOnly {
    pub(crate) fn open(url: &str) -> Result<Self, StoreError> {
        let (dial, _) = dial(url)?;
        let url = dial.address.shown.clone();
        let queue = Queue::new(url.clone());
        let reads = Arc::clone(&queue);
        let thread = start(dial, move |dial, opened| work(dial, reads, opened))?;
        Ok(Self { url, queue, thread: Some(thread) })
    }

    fn look<L: Look + Sync>(&self, look: L) -> Ticket<L::Answer>
    where
        L::Answer: Sync,
    {
        reader::ask(&self.queue, look)
    }

    fn refuse<T>(&self) -> Ticket<T> {
        Ticket::ready(Err(StoreError::ReadOnly { store: self.url.clone() }))
    }
}

/// What the store's thread does, until the queue is closed and empty.
async fn work(dial: Dial, queue: Arc<Queue>, opened: Opened) {
    let Some(session) = tell(look(&dial).await, &dial, &opened) else { return };
    reader::run(queue, dial, Some(session), Purpose::Look).await;
}

async fn look(dial: &Dial) -> Result<Session, Trouble> {
    let session = dial.connect(Purpose::Look).await?;
    schema::require(&session, dial).await?;
    Ok(session)
}

impl Backend for ReadOnly {
    fn url(&self) -> &str {
        &self.url
    }

    fn owner(&self) -> &str {
        "nobody"
    }

    fn claim(&self, _: Claim) -> Ticket<Claimed> {
        self.refuse()
    }

    fn append(&self, _: Vec<Step>) -> Ticket<Vec<Appended>> {
        self.refuse()
    }

    fn put_state(&self, _: SaveState) -> Ticket<()> {
        self.refuse()
    }

    fn states(&self, run: &str, name: &str) -> Ticket<Vec<StateRecord>> {
        self.look(States { run: run.to_owned(), name: name.to_owned() })
    }

    fn finish(&self, _: Finish) -> Ticket<()> {
        self.refuse()
    }

    fn release(&self, _: Lease, _: UnixMillis, _: Left) -> Ticket<()> {
        self.refuse()
    }

    fn abandoned(&self, _: Abandoned) -> Ticket<Vec<RunRecord>> {
        // Somebody is about to execute them, which needs more than to look.
        self.refuse()
    }

    fn renew(&self) -> Ticket<Renewed> {
        Ticket::ready(Ok(Renewed::default()))
    }

    fn list(&self, filter: Filter) -> Ticket<Vec<RunRecord>> {
        self.look(filter)
    }

    fn input(&self, run: &str) -> Ticket<Option<Arc<[u8]>>> {
        self.look(Input(run.to_owned()))
    }

    fn output(&self, run: &str) -> Ticket<Option<Arc<[u8]>>> {
        self.look(Output(run.to_owned()))
    }

    fn steps(&self, run: &str) -> Ticket<Vec<StepRecord>> {
        self.look(Steps(run.to_owned()))
    }

    fn delete(&self, _: &str) -> Ticket<bool> {
        self.refuse()
    }

    fn cancel(&self, _: &str, _: UnixMillis) -> Ticket<bool> {
        self.refuse()
    }

    fn resume(&self, _: &str, _: UnixMillis) -> Ticket<bool> {
        self.refuse()
    }

    fn fork(&self, _: Fork) -> Ticket<RunRecord> {
        self.refuse()
    }

    fn gc(&self, _: Gc) -> Ticket<Collected> {
        self.refuse()
    }

    fn holders(&self, runs: Vec<String>) -> Ticket<Vec<Holder>> {
        self.look(Holders(runs))
    }

    fn saved(&self, run: &str) -> Ticket<Vec<StateRecord>> {
        self.look(Saved(run.to_owned()))
    }

    fn export(&self, run: &str) -> Ticket<Option<RunCopy>> {
        self.look(Export(run.to_owned()))
    }

    fn import(&self, _: Import) -> Ticket<RunRecord> {
        self.refuse()
    }

    fn verify(&self) -> Ticket<Vec<Finding>> {
        self.look(Verify)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        self.queue.close();
        join_thread(self.thread.take());
    }
}

impl fmt::Debug for ReadOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadOnly").field("url", &self.url).finish_non_exhaustive()
    }
}
