//! The embedded store: SQLite in WAL mode with `synchronous=FULL`, one writer thread, group commit.
//!
//! Every write goes through the writer thread, which takes all that is queued, executes it in one transaction and
//! answers after the commit returned: one sync for one producer's step, and one for the steps of 64 producers. Several
//! processes may open the same file; each has a writer of its own, and SQLite's lock takes turns between them. Reads have a
//! thread and a connection of their own, which cannot write.

pub(super) mod callers;
mod mark;
mod mounts;
mod queue;
mod read_only;
mod reader;
mod requests;
mod schema;
mod values;
mod writer;

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};

use self::mark::Mark;
use self::queue::Queue;
pub(crate) use self::read_only::ReadOnly;
use self::reader::Reads;
use self::requests::{Ask, Job, Look};
use self::values::{Files, Values};
use self::writer::{Writer, poison};
use rusqlite::Connection;

use super::backend::Backend;
use super::error::StoreError;
use super::owner::Owner;
use super::record::{
    Abandoned, Appended, Claim, Claimed, Collected, Filter, Finding, Finish, Fork, Gc, Holder, Import, Lease, Left,
    Renewed, RunCopy, RunRecord, SaveState, StateRecord, Step, StepRecord, UnixMillis,
};
use super::ticket::{Ticket, ticket};

/// This process's handle to an SQLite store.
pub(crate) struct Sqlite {
    url: String,
    path: PathBuf,
    owner: String,
    /// Values above this many bytes get a file of their own.
    beside: Arc<AtomicU64>,
    queue: Arc<Queue>,
    reads: Arc<Reads>,
    reader: Option<JoinHandle<()>>,
    writer: Option<JoinHandle<()>>,
}

impl Sqlite {
    /// Opens a store, or joins the handle that this process has open already: one writer and one owner for each file.
    pub(crate) fn open(path: &Path) -> Result<Arc<Self>, StoreError> {
        Self::join(&prepare(path)?, Self::open_as_new_owner)
    }

    /// As [`open`](Self::open), a store that is there and stays as it is.
    pub(crate) fn open_existing(path: &Path) -> Result<Arc<Self>, StoreError> {
        Self::join(&existing(path)?, |path| Self::enter(path, schema::connect_existing(path)?))
    }

    /// The handle that this process has open already, or a new one.
    fn join(path: &Path, open_new: impl FnOnce(&Path) -> Result<Self, StoreError>) -> Result<Arc<Self>, StoreError> {
        static OPEN: Mutex<Option<HashMap<PathBuf, Weak<Sqlite>>>> = Mutex::new(None);

        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let open = open.get_or_insert_default();
        if let Some(store) = open.get(path).and_then(Weak::upgrade) {
            return Ok(store);
        }
        open.retain(|_, store| store.strong_count() > 0);
        let store = Arc::new(open_new(path)?);
        open.insert(path.to_owned(), Arc::downgrade(&store));
        Ok(store)
    }

    /// Opens a store as another process would.
    pub(crate) fn open_as_new_owner(path: &Path) -> Result<Self, StoreError> {
        let path = prepare(path)?;
        mark::refuse_emptied(&beside(&path, ".mark"), &path)?;
        let connection = schema::connect(&path, &beside(&path, ".owners"))?;
        Self::enter(&path, connection)
    }

    /// Enters a store that is open as a new owner.
    fn enter(path: &Path, mut connection: Connection) -> Result<Self, StoreError> {
        let (path, owners) = (path.to_owned(), beside(path, ".owners"));
        // A log that has lost something stays as it is.
        let mark = match Mark::open(beside(&path, ".mark"), &path, &connection) {
            Ok(mark) => mark,
            Err(error) => {
                poison(connection);
                return Err(error);
            }
        };
        let owner = enter_owners(&mut connection, &path, &owners)?;
        // The names of the database and its log must survive a power cut as well as what is in them.
        sync_directory(&path)?;

        let id = owner.id().to_owned();
        let url = format!("sqlite:{}", path.display());
        let queue = Arc::new(Queue::new(url.clone()));
        let reads = Arc::new(Reads::new(url.clone(), Arc::clone(&queue)));
        let beside_above = Arc::new(AtomicU64::new(values::ABOVE));
        let directory = beside(&path, ".values");
        let values = Values::new(directory.clone(), Arc::clone(&beside_above), &id);
        let writer = Writer::new(connection, mark, path.clone(), owners, owner, values, Arc::clone(&queue));
        let (beside, at) = (beside_above, path.clone());
        let mut store = Self { url, path, owner: id, beside, queue, reads, reader: None, writer: None };
        store.writer = Some(start(&store.url, "ft-store", move || writer.run())?);
        let reads = Arc::clone(&store.reads);
        store.reader = Some(start(&store.url, "ft-store-read", move || reads.run(&at, &Files::new(directory)))?);
        Ok(store)
    }

    /// Makes the next commit of this handle fail, as a full or broken disk would.
    #[cfg(test)]
    pub(crate) fn fail_next_commit(&self) {
        self.queue.fail_next_commit();
    }

    /// How many commits this handle has made.
    #[cfg(test)]
    pub(crate) fn commits(&self) -> u64 {
        self.queue.commits()
    }

    /// Keeps the writer from taking what is queued while `work` runs.
    #[cfg(test)]
    pub(crate) fn while_stalled<R>(&self, work: impl FnOnce() -> R) -> R {
        self.queue.while_stalled(work)
    }

    /// Keeps the writer from taking what is queued, until it is told otherwise.
    #[cfg(test)]
    pub(crate) fn stall(&self, stalled: bool) {
        self.queue.stall(stalled);
    }

    /// A request that changes something and panics.
    #[cfg(test)]
    pub(crate) fn panic(&self, is_trusted: bool) -> Ticket<()> {
        self.ask(requests::Panic { is_trusted })
    }

    fn ask<A: Ask>(&self, ask: A) -> Ticket<A::Answer> {
        let (reply, ticket) = ticket();
        self.queue.push(Box::new(Job::new(ask, reply)));
        ticket
    }

    fn look<L: Look>(&self, look: L) -> Ticket<L::Answer> {
        let (reply, ticket) = ticket();
        self.reads.push(look, reply);
        ticket
    }
}

impl Backend for Sqlite {
    fn url(&self) -> &str {
        &self.url
    }

    fn owner(&self) -> &str {
        &self.owner
    }

    fn full(&self) -> Option<Ticket<()>> {
        self.queue.full()
    }

    fn files_above(&self, bytes: u64) {
        self.beside.store(bytes, Ordering::Relaxed);
    }

    fn claim(&self, claim: Claim) -> Ticket<Claimed> {
        self.ask(claim)
    }

    fn append(&self, steps: Vec<Step>) -> Ticket<Vec<Appended>> {
        self.ask(requests::Append(steps))
    }

    fn put_state(&self, state: SaveState) -> Ticket<()> {
        self.ask(requests::Save::new(state))
    }

    fn states(&self, run: &str, name: &str) -> Ticket<Vec<StateRecord>> {
        self.look(requests::States { run: run.to_owned(), name: name.to_owned() })
    }

    fn finish(&self, finish: Finish) -> Ticket<()> {
        self.ask(finish)
    }

    fn release(&self, lease: Lease, at: UnixMillis, left: Left) -> Ticket<()> {
        self.ask(requests::Release { lease, at, left })
    }

    fn abandoned(&self, abandoned: Abandoned) -> Ticket<Vec<RunRecord>> {
        // By the writer, though it only reads: whether an owner lives is asked under the write lock.
        self.ask(abandoned)
    }

    fn renew(&self) -> Ticket<Renewed> {
        // The kernel holds the owner's lock for as long as the process lives.
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

    fn delete(&self, run: &str) -> Ticket<bool> {
        self.ask(requests::Delete(run.to_owned()))
    }

    fn cancel(&self, run: &str, at: UnixMillis) -> Ticket<bool> {
        self.ask(requests::Cancel { run: run.to_owned(), at })
    }

    fn resume(&self, run: &str, at: UnixMillis) -> Ticket<bool> {
        self.ask(requests::Resume { run: run.to_owned(), at })
    }

    fn fork(&self, fork: Fork) -> Ticket<RunRecord> {
        self.ask(fork)
    }

    fn gc(&self, gc: Gc) -> Ticket<Collected> {
        self.ask(gc)
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

    fn import(&self, import: Import) -> Ticket<RunRecord> {
        self.ask(import)
    }

    fn verify(&self) -> Ticket<Vec<Finding>> {
        self.look(requests::Verify { path: self.path.clone(), mark: beside(&self.path, ".mark") })
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        // What is enqueued is answered: wait for it, first for the reads, so that the writer is the last one to leave and
        // folds the log into the database.
        self.reads.close();
        join(self.reader.take());
        self.queue.close();
        join(self.writer.take());
    }
}

fn start(store: &str, name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    thread::Builder::new().name(name.into()).spawn(work).map_err(|error| StoreError::Failed {
        store: store.to_owned(),
        doing: "starting its threads",
        reason: error.to_string(),
    })
}

/// Waits for a thread of the store. Waking a task can drop the last handle on such a thread, which then ends by itself.
fn join(thread: Option<JoinHandle<()>>) {
    if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id()) {
        // A panic has been reported by the panic hook, and every ticket answered `Closed`.
        let _ = thread.join();
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").field("url", &self.url).field("owner", &self.owner).finish_non_exhaustive()
    }
}

/// Makes the directories above the database, durably, and returns its one absolute path.
fn prepare(path: &Path) -> Result<PathBuf, StoreError> {
    let not_writable =
        |at: &Path, error: io::Error| StoreError::NotWritable { path: at.to_owned(), reason: error.to_string() };
    let Some(file) = path.file_name() else {
        return Err(StoreError::NotWritable { path: path.to_owned(), reason: "the path names no file".into() });
    };
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_directories(parent).map_err(|error| not_writable(parent, error))?;
    // A link to the database is the database.
    let parent = parent.canonicalize().map_err(|error| not_writable(parent, error))?;
    mounts::refuse_network(&parent)?;
    let path = parent.join(file);
    match path.canonicalize() {
        Ok(path) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path),
        Err(error) => Err(not_writable(&path, error)),
    }
}

/// The one absolute path of a database that is there.
fn existing(path: &Path) -> Result<PathBuf, StoreError> {
    let path = path.canonicalize().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => StoreError::NoStore { url: format!("sqlite:{}", path.display()) },
        _ => StoreError::NotWritable { path: path.to_owned(), reason: error.to_string() },
    })?;
    mounts::refuse_network(&path)?;
    Ok(path)
}

/// Creates what is missing and syncs each directory that got a new entry.
fn create_directories(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        create_directories(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => fsync(parent),
        _ => fsync(Path::new(".")),
    }
}

fn sync_directory(path: &Path) -> Result<(), StoreError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fsync(directory).map_err(|error| StoreError::Failed {
        store: format!("sqlite:{}", path.display()),
        doing: "syncing its directory",
        reason: error.to_string(),
    })
}

/// Makes the entries of a directory durable.
fn fsync(directory: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(directory)?.sync_all()
    } else {
        // Elsewhere a directory cannot be opened as a file, and the file system journals its entries.
        Ok(())
    }
}

fn enter_owners(connection: &mut Connection, path: &Path, owners: &Path) -> Result<Owner, StoreError> {
    let transaction = schema::begin_known(connection, path)?;
    let owner = Owner::enter(owners).and_then(|owner| {
        super::owner::sweep(owners)?;
        Ok(owner)
    });
    let owner =
        owner.map_err(|error| StoreError::NotWritable { path: owners.to_owned(), reason: error.to_string() })?;
    drop(transaction);
    Ok(owner)
}

/// A path beside the database: its name with a suffix.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
