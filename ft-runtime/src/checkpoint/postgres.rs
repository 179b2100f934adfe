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
mod queue;
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
use self::queue::Queue;
use self::reader::{Asked, Look, READERS};
use self::requests::{Job, OfRun, Release, Request, Save};
use self::session::{Dial, Purpose, Session, Trouble};
use self::writer::Writer;
use super::backend::Backend;
use super::error::StoreError;
use super::owner::fresh_id;
use super::record::{
    Abandoned, Appended, Claim, Claimed, Collected, Filter, Finish, Fork, Gc, Lease, Left, Renewed, RunRecord,
    SaveState, StateRecord, Step, StepRecord, UnixMillis,
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
        static OPEN: Mutex<Option<HashMap<String, Weak<Postgres>>>> = Mutex::new(None);

        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let open = open.get_or_insert_default();
        if let Some(store) = open.get(url).and_then(Weak::upgrade) {
            return Ok(store);
        }
        open.retain(|_, store| store.strong_count() > 0);
        let store = Arc::new(Self::open_as_new_owner(url)?);
        open.insert(url.to_owned(), Arc::downgrade(&store));
        Ok(store)
    }

    /// Opens a store as another process would.
    pub(crate) fn open_as_new_owner(url: &str) -> Result<Self, StoreError> {
        let address = Arc::new(Address::parse(url)?);
        let url = address.shown.clone();
        let bell = Arc::<Bell>::default();
        let dial = Dial { tls: tls::connector(&address)?, bell: Arc::clone(&bell), address };
        let hold = Arc::new(Hold::new(format!("pg-{}", fresh_id()), url.clone(), dial.address.lease));
        let queue = Queue::new(url.clone());
        let (opened, is_open) = mpsc::channel();
        let works = (Arc::clone(&hold), Arc::clone(&queue));
        let failed = |reason: String| StoreError::Failed { store: url.clone(), doing: "starting its thread", reason };
        let thread = thread::Builder::new().name("ft-store-pg".into()).spawn(move || {
            // Built where it is dropped: not in a task of somebody else's runtime.
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(work(dial, works.0, works.1, opened)),
                Err(error) => drop(opened.send(Err(dial.explain(Trouble::Refused(error.to_string()), "starting")))),
            }
        });
        let thread = thread.map_err(|error| failed(error.to_string()))?;
        is_open.recv().map_err(|_| failed("it panicked".into()))??;
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
        let (reply, ticket) = ticket();
        self.queue.push_read(Box::new(Asked::new(look, reply)));
        ticket
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

/// What the store's thread does, until the queue is closed and empty.
async fn work(dial: Dial, hold: Arc<Hold>, queue: Arc<Queue>, opened: mpsc::Sender<Result<(), StoreError>>) {
    let (writes, keeps) = match open(&dial, &hold).await {
        Ok(sessions) => sessions,
        Err(trouble) => {
            // Nobody asks for an answer any more only if the opening thread is gone.
            let _ = opened.send(Err(dial.explain(trouble, "opening it")));
            return;
        }
    };
    let _ = opened.send(Ok(()));
    let keeping = [
        tokio::spawn(keeper::keep(Some(keeps), Arc::clone(&hold), dial.clone())),
        tokio::spawn(keeper::watch(Arc::clone(&hold))),
    ];
    let readers: Vec<_> = (0..READERS).map(|_| reader::run(Arc::clone(&queue), dial.clone())).collect();
    let writer = Writer::new(writes, hold, queue, dial.clone());
    join(writer.run(), join_all(readers)).await;
    keeping.into_iter().for_each(|task| task.abort());
}

/// The connections that a store needs from the beginning, with its tables in place and its lease begun.
async fn open(dial: &Dial, hold: &Hold) -> Result<(Session, Session), Trouble> {
    let writes = dial.connect(Purpose::Write).await?;
    schema::prepare(&writes, dial).await?;
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
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // What is enqueued is answered: wait for it. Waking a task can drop the last handle on the store's own thread,
        // which then ends by itself.
        self.queue.close();
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != thread::current().id()) {
            // A panic has been reported by the panic hook, and every ticket answered `Closed`.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("url", &self.url).field("owner", &self.owner()).finish_non_exhaustive()
    }
}

struct States {
    run: String,
    name: String,
}

impl Look for States {
    type Answer = Vec<StateRecord>;

    fn look(&self, db: &Session) -> impl Future<Output = Result<Self::Answer, Trouble>> + Send {
        requests::states_of(&self.run, &self.name, db)
    }
}

impl Look for Filter {
    type Answer = Vec<RunRecord>;

    fn look(&self, db: &Session) -> impl Future<Output = Result<Self::Answer, Trouble>> + Send {
        requests::runs_of(self, db)
    }
}

/// The runs that nobody executes.
struct Nobodys(Abandoned, Arc<Hold>);

impl Look for Nobodys {
    type Answer = Vec<RunRecord>;

    fn look(&self, db: &Session) -> impl Future<Output = Result<Self::Answer, Trouble>> + Send {
        requests::abandoned(&self.0, db, &self.1)
    }
}

struct Input(String);

impl Look for Input {
    type Answer = Option<Arc<[u8]>>;

    fn look(&self, db: &Session) -> impl Future<Output = Result<Self::Answer, Trouble>> + Send {
        requests::input_of(&self.0, db)
    }
}

struct Output(String);

impl Look for Output {
    type Answer = Option<Arc<[u8]>>;

    fn look(&self, db: &Session) -> impl Future<Output = Result<Self::Answer, Trouble>> + Send {
        requests::output_of(&self.0, db)
    }
}

struct Steps(String);

impl Look for Steps {
    type Answer = Vec<StepRecord>;

    fn look(&self, db: &Session) -> impl Future<Output = Result<Self::Answer, Trouble>> + Send {
        requests::steps_of(&self.0, db)
    }
}
