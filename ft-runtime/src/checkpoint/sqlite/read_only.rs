//! A store that is only looked at: no writer, no owner, no mark, and nothing of it changes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use super::queue::Queue;
use super::reader::Reads;
use super::requests::{self, Look};
use super::values::Files;
use super::{beside, existing, join, schema, start};
use crate::checkpoint::backend::Backend;
use crate::checkpoint::error::StoreError;
use crate::checkpoint::record::{
    Abandoned, Appended, Claim, Claimed, Collected, Filter, Finding, Finish, Fork, Gc, Holder, Import, Lease, Left,
    Renewed, RunCopy, RunRecord, SaveState, StateRecord, Step, StepRecord, UnixMillis,
};
use crate::checkpoint::ticket::{Ticket, ticket};

/// A handle that reads.
pub(crate) struct ReadOnly {
    url: String,
    path: PathBuf,
    reads: Arc<Reads>,
    reader: Option<JoinHandle<()>>,
}

impl ReadOnly {
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let path = existing(path)?;
        drop(schema::connect_to_look(&path)?);
        let url = format!("sqlite:{}", path.display());
        // No write comes before any of its reads.
        let reads = Arc::new(Reads::new(url.clone(), Arc::new(Queue::new(url.clone()))));
        let mut store = Self { url, path: path.clone(), reads, reader: None };
        let (reads, files) = (Arc::clone(&store.reads), Files::new(beside(&path, ".values")));
        store.reader = Some(start(&store.url, "ft-store-read", move || reads.run(&path, &files))?);
        Ok(store)
    }

    fn look<L: Look>(&self, look: L) -> Ticket<L::Answer> {
        let (reply, ticket) = ticket();
        self.reads.push(look, reply);
        ticket
    }

    fn refuse<T>(&self) -> Ticket<T> {
        Ticket::ready(Err(StoreError::ReadOnly { store: self.url.clone() }))
    }
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
        self.look(requests::States { run: run.to_owned(), name: name.to_owned() })
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
        self.look(requests::Input(run.to_owned()))
    }

    fn output(&self, run: &str) -> Ticket<Option<Arc<[u8]>>> {
        self.look(requests::Output(run.to_owned()))
    }

    fn steps(&self, run: &str) -> Ticket<Vec<StepRecord>> {
        self.look(requests::Steps(run.to_owned()))
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
        self.look(requests::Holders { runs, path: self.path.clone(), owners: beside(&self.path, ".owners") })
    }

    fn saved(&self, run: &str) -> Ticket<Vec<StateRecord>> {
        self.look(requests::Saved(run.to_owned()))
    }

    fn export(&self, run: &str) -> Ticket<Option<RunCopy>> {
        self.look(requests::Export(run.to_owned()))
    }

    fn import(&self, _: Import) -> Ticket<RunRecord> {
        self.refuse()
    }

    fn verify(&self) -> Ticket<Vec<Finding>> {
        self.look(requests::Verify { path: self.path.clone(), mark: beside(&self.path, ".mark") })
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        self.reads.close();
        join(self.reader.take());
    }
}

impl fmt::Debug for ReadOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadOnly").field("url", &self.url).finish_non_exhaustive()
    }
}
