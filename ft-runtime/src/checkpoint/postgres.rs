//! The store on Postgres: the same runs on many hosts.
//!
//! A thread of its own drives one writing connection, which commits all that is queued at once, a few that read, and one
//! that renews the lease and listens. What keeps two processes from writing to one run is the lock on the run's row, under
//! which each write looks at its token. The lease says when a process that is not heard of may be taken over, by the
//! database's clock; its own runs stop earlier, by its own.

mod address;
mod bell;
mod hold;
mod keeper;
mod looks;
mod queue;
mod read_only;
mod reader;
mod requests;
mod retry;
mod schema;
mod session;
mod tls;
mod writer;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::thread::{self, JoinHandle};

use futures_util::future::{join, join_all};

use self::address::Address;
use self::bell::Bell;
use self::hold::Hold;
use self::looks::{Export, Holders, Input, Nobodys, Output, Saved, States, Steps, Verify};
use self::queue::Queue;
pub(crate) use self::read_only::ReadOnly;
use self::reader::{Look, READERS};
use self::requests::{Job, OfRun, Release, Request, Save};
use self::session::{Dial, Purpose, Session, Trouble};
use self::writer::Writer;
use super::backend::Backend;
use super::error::StoreError;
use super::owner::fresh_id;
use super::record::{
    Abandoned, Appended, Claim, Claimed, Collected, Filter, Finding, Finish, Fork, Gc, Holder, Import, Lease, Left,
    Renewed, RunCopy, RunRecord, SaveState, StateRecord, Step, StepRecord, UnixMillis,
};
use super::ticket::{Ticket, ticket};

/// This process's handle to a store on Postgres.
pub(crate) struct Postgres {
    url: String,
    hold: Arc<Hold>,
    queue: Arc<Queue>,
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

impl Postgres {
    /// Opens a store, or joins the handle that this process has open already: one owner for each URL.
    pub(crate) fn open(url: &str) -> Result<Arc<Self>, StoreError> {
        Self::join(url, Self::open_as_new_owner)
    }

    /// As [`open`](Self::open), a store that is there and stays as it is.
    pub(crate) fn open_existing(url: &str) -> Result<Arc<Self>, StoreError> {
        Self::join(url, |url| Self::enter(url, Tables::There))
    }

    /// The handle that this process has open already, or a new one.
    fn join(url: &str, open_new: impl FnOnce(&str) -> Result<Self, StoreError>) -> Result<Arc<Self>, StoreError> {
        static OPEN: Mutex<Option<HashMap<String, Weak<Postgres>>>> = Mutex::new(None);

        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let open = open.get_or_insert_default();
        if let Some(store) = open.get(url).and_then(Weak::upgrade) {
            return Ok(store);
        }
        open.retain(|_, store| store.strong_count() > 0);
        let store = Arc::new(open_new(url)?);
        open.insert(url.to_owned(), Arc::downgrade(&store));
        Ok(store)
    }

    /// Opens a store as another process would.
    pub(crate) fn open_as_new_owner(url: &str) -> Result<Self, StoreError> {
        Self::enter(url, Tables::Made)
    }

    fn enter(url: &str, tables: Tables) -> Result<Self, StoreError> {
        let (dial, bell) = dial(url)?;
        let url = dial.address.shown.clone();
        let hold = Arc::new(Hold::new(format!("pg-{}", fresh_id()), url.clone(), dial.address.lease));
        let queue = Queue::new(url.clone());
        let works = (Arc::clone(&hold), Arc::clone(&queue));
        let thread = start(dial, move |dial, opened| work(dial, tables, works.0, works.1, opened))?;
        Ok(Self { url, hold, queue, bell, thread: Some(thread) })
    }

    fn ask<Q, A>(&self, ask: Q, kind: impl FnOnce(Job<Q, A>) -> Request) -> Ticket<A> {
        let (reply, ticket) = ticket();
        self.queue.push(kind(Job::new(ask, reply)));
        ticket
    }

    /// As [`ask`](Self::ask), for what is written under a claim: once that is lost, nothing is sent any more.
    fn write<Q, A>(&self, lease: &Lease, ask: Q, kind: impl FnOnce(Job<Q, A>) -> Request) -> Ticket<A> {
        match self.hold.refusal(lease) {
            Some(lost) => Ticket::ready(Err(lost)),
            None => self.ask(ask, kind),
        }
    }

    fn look<L: Look + Sync>(&self, look: L) -> Ticket<L::Answer>
    where
        L::Answer: Sync,
    {
        reader::ask(&self.queue, look)
    }

    /// Keeps the writer from taking what is queued while `work` runs.
    #[cfg(test)]
    pub(crate) fn while_stalled<R>(&self, work: impl FnOnce() -> R) -> R {
        self.queue.stall(true);
        let result = work();
        self.queue.stall(false);
        result
    }
}

/// What becomes of tables that are missing or an earlier ft's.
#[derive(Clone, Copy, Debug)]
enum Tables {
    /// They are made.
    Made,
    /// They stay as they are, and the store is refused.
    There,
}

/// Where whoever opens a store is told that it is open.
type Opened = mpsc::Sender<Result<(), StoreError>>;

/// How to reach the server that a URL names.
fn dial(url: &str) -> Result<(Dial, Arc<Bell>), StoreError> {
    let address = Arc::new(Address::parse(url)?);
    let bell = Arc::<Bell>::default();
    Ok((Dial { tls: tls::connector(&address)?, bell: Arc::clone(&bell), address }, bell))
}

/// Starts the store's thread, and waits until the store is open.
fn start<W: Future<Output = ()>>(
    dial: Dial,
    work: impl FnOnce(Dial, Opened) -> W + Send + 'static,
) -> Result<JoinHandle<()>, StoreError> {
    let store = dial.address.shown.clone();
    let failed = |reason: String| StoreError::Failed { store, doing: "starting its thread", reason };
    let (opened, is_open) = mpsc::channel();
    let thread = thread::Builder::new().name("ft-store-pg".into()).spawn(move || {
        // Built where it is dropped: not in a task of somebody else's runtime.
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(work(dial, opened)),
            Err(error) => drop(opened.send(Err(dial.explain(Trouble::Refused(error.to_string()), "starting")))),
        }
    });
    let thread = match thread {
        Ok(thread) => thread,
        Err(error) => return Err(failed(error.to_string())),
    };
    is_open.recv().map_err(|_| failed("it panicked".into()))??;
    Ok(thread)
}

/// Waits for the store's thread. Waking a task can drop the last handle on that thread, which then ends by itself.
fn join_thread(thread: Option<JoinHandle<()>>) {
    if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id()) {
        // A panic has been reported by the panic hook, and every ticket answered `Closed`.
        let _ = thread.join();
    }
}

/// Hands over what was opened, or tells why it was not.
fn tell<T>(done: Result<T, Trouble>, dial: &Dial, opened: &Opened) -> Option<T> {
    let (done, told) = match done {
        Ok(done) => (Some(done), Ok(())),
        Err(trouble) => (None, Err(advised(dial.explain(trouble, "opening it")))),
    };
    // Nobody asks for an answer any more only if the opening thread is gone.
    let _ = opened.send(told);
    done
}

/// What the store's thread does, until the queue is closed and empty.
async fn work(dial: Dial, tables: Tables, hold: Arc<Hold>, queue: Arc<Queue>, opened: Opened) {
    let Some((writes, keeps)) = tell(open(&dial, tables, &hold).await, &dial, &opened) else { return };
    let keeping = [
        tokio::spawn(keeper::keep(Some(keeps), Arc::clone(&hold), dial.clone())),
        tokio::spawn(keeper::watch(Arc::clone(&hold))),
    ];
    let readers: Vec<_> =
        (0..READERS).map(|_| reader::run(Arc::clone(&queue), dial.clone(), None, Purpose::Read)).collect();
    let writer = Writer::new(writes, hold, queue, dial.clone());
    join(writer.run(), join_all(readers)).await;
    keeping.into_iter().for_each(|task| task.abort());
}

/// The connections that a store needs from the beginning, with its tables in place and its lease begun.
async fn open(dial: &Dial, tables: Tables, hold: &Hold) -> Result<(Session, Session), Trouble> {
    let writes = dial.connect(Purpose::Write).await?;
    match tables {
        Tables::Made => schema::prepare(&writes, dial).await?,
        Tables::There => schema::require(&writes, dial).await?,
    }
    let keeps = dial.connect(Purpose::Keep).await?;
    let (sent, _) = requests::renew(&keeps, hold).await?;
    hold.renewed(sent);
    Ok((writes, keeps))
}

impl Backend for Postgres {
    fn url(&self) -> &str {
        &self.url
    }

    fn owner(&self) -> &str {
        self.hold.owner()
    }

    fn full(&self) -> Option<Ticket<()>> {
        self.queue.full()
    }

    fn claim(&self, claim: Claim) -> Ticket<Claimed> {
        self.ask(claim, Request::Claim)
    }

    fn append(&self, steps: Vec<Step>) -> Ticket<Vec<Appended>> {
        match steps.iter().find_map(|step| self.hold.refusal(&step.lease)) {
            Some(lost) => Ticket::ready(Err(lost)),
            None => self.ask(steps, Request::Append),
        }
    }

    fn put_state(&self, state: SaveState) -> Ticket<()> {
        self.write(&state.lease.clone(), Save(state, None), Request::Save)
    }

    fn states(&self, run: &str, name: &str) -> Ticket<Vec<StateRecord>> {
        self.look(States { run: run.to_owned(), name: name.to_owned() })
    }

    fn finish(&self, finish: Finish) -> Ticket<()> {
        self.write(&finish.lease.clone(), finish, Request::Finish)
    }

    fn release(&self, lease: Lease, at: UnixMillis, left: Left) -> Ticket<()> {
        self.ask(Release { lease, at, left }, Request::Release)
    }

    fn lost(&self, lease: &Lease) -> Option<Ticket<()>> {
        Some(self.hold.watch(lease))
    }

    fn barred(&self, lease: &Lease) -> Option<StoreError> {
        self.hold.barred(lease)
    }

    fn abandoned(&self, abandoned: Abandoned) -> Ticket<Vec<RunRecord>> {
        self.look(Nobodys(abandoned, Arc::clone(&self.hold)))
    }

    fn wake(&self) -> Option<Ticket<()>> {
        Some(self.bell.listen())
    }

    fn renew(&self) -> Ticket<Renewed> {
        self.ask(None, Request::Renew)
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

    fn delete(&self, run: &str) -> Ticket<bool> {
        self.ask(run.to_owned(), Request::Delete)
    }

    fn cancel(&self, run: &str, at: UnixMillis) -> Ticket<bool> {
        self.ask(OfRun { run: run.to_owned(), at }, Request::Cancel)
    }

    fn resume(&self, run: &str, at: UnixMillis) -> Ticket<bool> {
        self.ask(OfRun { run: run.to_owned(), at }, Request::Resume)
    }

    fn fork(&self, fork: Fork) -> Ticket<RunRecord> {
        self.ask(fork, Request::Fork)
    }

    fn gc(&self, gc: Gc) -> Ticket<Collected> {
        self.ask(gc, Request::Gc)
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

    fn import(&self, import: Import) -> Ticket<RunRecord> {
        // Looked through by whoever asks for it: others wait for the store's own thread.
        match import.check() {
            Ok(()) => self.ask(Box::new(import), Request::Import),
            Err(refused) => Ticket::ready(Err(refused)),
        }
    }

    fn verify(&self) -> Ticket<Vec<Finding>> {
        self.look(Verify)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // What is enqueued is answered: wait for it.
        self.queue.close();
        join_thread(self.thread.take());
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("url", &self.url).field("owner", &self.owner()).finish_non_exhaustive()
    }
}

/// Says what to do about a server that does not let us in, where its answer tells.
fn advised(error: StoreError) -> StoreError {
    let StoreError::Failed { store, doing, reason } = error else { return error };
    let advice = if reason.contains("(28P01)") || reason.contains("password missing") {
        "; write the password into the URL: postgres://USER:PASSWORD@HOST/DATABASE"
    } else if reason.contains("(28000)") {
        "; see whether pg_hba.conf lets this role in from here"
    } else if reason.contains("(3D000)") {
        "; make it with `createdb`, or name one that is there"
    } else if reason.contains("onnection refused") {
        "; start the server, or look at host and port in the URL"
    } else {
        ""
    };
    StoreError::Failed { store, doing, reason: format!("{reason}{advice}") }
}
