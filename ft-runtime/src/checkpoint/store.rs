//! The store handle: which backend runs use.

use std::env;
use std::fmt;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::around::Around;
use super::backend::Backend;
#[cfg(feature = "zstd")]
use super::compression::Compression;
use super::envelope::{Envelope, EnvelopeError, Place};
use super::error::StoreError;
#[cfg(feature = "encryption")]
use super::keys::Keys;
use super::memory::Memory;
#[cfg(feature = "postgres")]
use super::postgres::{self, Postgres};
use super::record::{
    Collected, Filter, Finding, Fork, Gc, Holder, Import, RunCopy, RunRecord, StateRecord, StepRecord, unix_now,
};
use super::sealing::Sealing;
use super::sqlite::{ReadOnly, Sqlite};
use super::ticket::Ticket;
use super::url::without_password;
use super::value::check_name;
use crate::context::{Context, Scoped};
use crate::sync::lock;

/// The store of a program that says nothing else.
const DEFAULT_URL: &str = "sqlite:.ft/ft.db";

/// The store that runs use where no other is in scope.
static INSTALLED: Mutex<Option<Store>> = Mutex::new(None);

/// A place where runs, steps and saved states are kept: a cheap handle, to be cloned.
///
/// A program that does nothing uses `sqlite:.ft/ft.db` under its working directory, or what the environment variable
/// `FT_STORE` names. A working directory differs with how a program is started: name a place for a service.
///
/// | URL | store |
/// |---|---|
/// | `sqlite:PATH` | an SQLite database; several processes may open it; survives `kill -9` and power cuts |
/// | `postgres://USER:PASSWORD@HOST/DATABASE` | a Postgres database, for many hosts (feature `postgres`); see below |
/// | `memory:` | gone with the last handle; for tests |
///
/// On Postgres the tables are made in a schema of their own at the first opening, and a process keeps its runs by a lease
/// that it renews: one that is not heard of for `ft_lease` may be taken over, and one that cannot renew stops its own runs
/// before. What a URL may say beyond what every Postgres client knows (`sslmode`, `sslrootcert`, ..):
///
/// | parameter | default | |
/// |---|---|---|
/// | `ft_lease` | `30s` | how long a process that died keeps its runs; a shorter one suffers more from a slow network |
/// | `ft_store_timeout` | `60s` | how long a call waits for a server that is away |
/// | `ft_schema` | `ft` | where the tables are; a store for each schema |
///
/// A process uses up to four connections, which have to be sessions of the server itself: a pooler that hands them round
/// between transactions will not do. `fsync` and `synchronous_commit` must be on.
///
/// ```
/// use ft_runtime::checkpoint::{Filter, Store};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Store::open("memory:")?;
/// let runs = store.runs(Filter::default()).await?;
/// assert!(runs.is_empty());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
    sealing: Arc<Sealing>,
}

impl Store {
    /// Opens a store, creating it and the directories above it where they are missing.
    ///
    /// Opening one SQLite file twice in a process gives two handles to the same store. It reads and may create files,
    /// so it can block for some milliseconds.
    ///
    /// # Errors
    ///
    /// An unknown kind of URL; a path that cannot be written; a file that is no database, or another program's, or a
    /// newer ft's; a file system on which the database would not survive a power cut. What was there stays as it was.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        match Kind::of(url)? {
            Kind::Memory => Ok(Self::from_backend(Arc::new(Memory::new()))),
            Kind::Sqlite(path) => Ok(Self::from_backend(Sqlite::open(path)?)),
            #[cfg(feature = "postgres")]
            Kind::Postgres(url) => Ok(Self::from_backend(Postgres::open(url)?)),
        }
    }

    /// Opens a store that is there, as it is: what a tool wants. Nothing is created, and the tables of an earlier ft
    /// are not brought up to date, since the program that uses them could then read them no more.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoStore`], [`StoreError::OlderSchema`], and those of [`open`](Self::open).
    pub fn open_existing(url: &str) -> Result<Self, StoreError> {
        match Kind::of(url)? {
            Kind::Memory => Err(StoreError::NoStore { url: url.to_owned() }),
            Kind::Sqlite(path) => Ok(Self::from_backend(Sqlite::open_existing(path)?)),
            #[cfg(feature = "postgres")]
            Kind::Postgres(url) => Ok(Self::from_backend(Postgres::open_existing(url)?)),
        }
    }

    /// As [`open_existing`](Self::open_existing), to look at it only: whatever would change something answers
    /// [`StoreError::ReadOnly`]. It opens stores that have lost commits, too, which [`open`](Self::open) refuses. On
    /// Postgres it uses one session, in which the server takes no write, on a standby if need be; the right to read the
    /// tables and the sequence is enough.
    ///
    /// ```
    /// use ft_runtime::checkpoint::{Store, StoreError};
    ///
    /// let nowhere = Store::open_read_only("sqlite:/nowhere/ft.db");
    /// assert!(matches!(nowhere, Err(StoreError::NoStore { .. })));
    /// ```
    ///
    /// # Errors
    ///
    /// As [`open_existing`](Self::open_existing).
    pub fn open_read_only(url: &str) -> Result<Self, StoreError> {
        match Kind::of(url)? {
            Kind::Memory => Err(StoreError::NoStore { url: url.to_owned() }),
            Kind::Sqlite(path) => Ok(Self::from_backend(Arc::new(ReadOnly::open(path)?))),
            #[cfg(feature = "postgres")]
            Kind::Postgres(url) => Ok(Self::from_backend(Arc::new(postgres::ReadOnly::open(url)?))),
        }
    }

    /// The URL of the store that [`current`](Self::current) opens where none is in scope or installed.
    #[must_use]
    pub fn default_url() -> String {
        env::var("FT_STORE").ok().filter(|url| !url.is_empty()).unwrap_or_else(|| DEFAULT_URL.into())
    }

    /// A store of your own making.
    pub fn from_backend(backend: Arc<dyn Backend>) -> Self {
        Self { backend, sealing: Arc::default() }
    }

    /// Compresses what is recorded through this handle, where that makes it smaller. Any handle reads it, in a build with the
    /// feature `zstd`.
    ///
    /// Together with [`encrypt`](Self::encrypt), the length of a value tells how well it compressed. Where somebody who
    /// sees the store can also choose a part of the values, that gives away something about the rest; leave one of
    /// them out there.
    #[cfg(feature = "zstd")]
    #[must_use]
    pub fn compress(self, compression: Compression) -> Self {
        let mut sealing = (*self.sealing).clone();
        sealing.compression = Some(compression);
        Self { sealing: Arc::new(sealing), ..self }
    }

    /// Encrypts what is recorded through this handle, and reads what was encrypted with any of the keys: see [`Keys`]. A
    /// value that is not encrypted is refused then, unless the keys say otherwise.
    #[cfg(feature = "encryption")]
    #[must_use]
    pub fn encrypt(self, keys: Keys) -> Self {
        let mut sealing = (*self.sealing).clone();
        sealing.keys = Some(keys);
        Self { sealing: Arc::new(sealing), ..self }
    }

    /// Keeps values above so many bytes, as they are stored, in files beside the database: in `PATH.values`, 262,144 bytes by
    /// default, `u64::MAX` for never. It goes for all handles of the store in this process, and for what is recorded from
    /// now on; a store that has no files does nothing.
    ///
    /// In a database, large values make every commit write twice what they are long, and its log grow. A file costs two more
    /// syncs. The directory belongs to the database: it is copied with it, after it, and `delete` and `gc` remove what is in
    /// it.
    #[must_use]
    pub fn files_above(self, bytes: u64) -> Self {
        self.backend.files_above(bytes);
        self
    }

    /// Opens a value as it was recorded, with the keys of this handle: what [`output`](Self::output), [`steps`](Self::steps)
    /// and [`states`](Self::states) return.
    ///
    /// ```
    /// use ft_runtime::checkpoint::{Checkpoint, Store, envelope::Place};
    /// use ft_runtime::Error;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = Store::open("memory:")?;
    /// let run = Checkpoint::new().run("order-42").named("order").calls::<Result<u32, Error<std::fmt::Error>>>();
    /// store.scope(run.run(async { Ok(7) })).await?;
    ///
    /// let sealed = store.output("order-42").await?.expect("it is finished");
    /// let output = store.unseal(&sealed, &Place::Output { run: "order-42" }).expect("it is whole");
    /// assert_eq!(output.decode(0), Ok(7));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// That it is damaged, or not of this place; that a key or a feature of this build is missing.
    pub fn unseal<'a>(&self, sealed: &'a [u8], place: &Place<'_>) -> Result<Envelope<'a>, EnvelopeError> {
        Envelope::open(sealed, place, &self.sealing)
    }

    pub(super) fn sealing(&self) -> &Arc<Sealing> {
        &self.sealing
    }

    /// Makes this the store of every run in the process that has no other in [scope](Self::scope).
    pub fn install(self) {
        let before = lock(&INSTALLED).replace(self);
        // Closing a store waits for its writer; not under the lock.
        drop(before);
    }

    /// The store that a run started here would use: the one in scope, the installed one, or the one that `FT_STORE`
    /// names (default `sqlite:.ft/ft.db`), which is opened and installed then. With `FT_STORE_KEY`, values in that one are
    /// [encrypted](Self::encrypt): `id:` and 64 hexadecimal digits, older keys behind commas.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), where it has to be opened.
    pub fn current() -> Result<Self, StoreError> {
        if let Some(store) = Around::with(|around| around.store.clone()) {
            return Ok(store);
        }
        let mut installed = lock(&INSTALLED);
        if let Some(store) = &*installed {
            return Ok(store.clone());
        }
        // Opened under the lock: a second caller waits for this one instead of opening it too.
        let store = Self::open(&Self::default_url())?.with_keys(env::var("FT_STORE_KEY").ok())?;
        *installed = Some(store.clone());
        Ok(store)
    }

    /// Runs `future` with this store for every run in it: what tests use.
    ///
    /// ```
    /// use ft_runtime::checkpoint::Store;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let store = Store::open("memory:").unwrap();
    /// store.scope(async { assert_eq!(Store::current().unwrap().url(), "memory:") }).await;
    /// # }
    /// ```
    pub fn scope<F: Future>(&self, future: F) -> Scoped<F> {
        self.context().scope(future)
    }

    /// As [`scope`](Self::scope), for blocking code.
    pub fn scope_blocking<R>(&self, call: impl FnOnce() -> R) -> R {
        self.context().scope_blocking(call)
    }

    /// The URL that opens this store again.
    pub fn url(&self) -> &str {
        self.backend.url()
    }

    /// The name of this process start in the store.
    pub fn owner(&self) -> &str {
        self.backend.owner()
    }

    /// Runs, in the order of their ids. Their outputs are left where they are: see [`output`](Self::output).
    pub fn runs(&self, filter: Filter) -> Ticket<Vec<RunRecord>> {
        self.backend.list(filter)
    }

    /// The recorded arguments of a run: a MessagePack map by their names, which [`unseal`](Self::unseal) opens. `None` if there is no such run, or none were recorded,
    /// as of functions without `recover`.
    pub fn input(&self, run: &str) -> Ticket<Option<Arc<[u8]>>> {
        self.backend.input(run)
    }

    /// The output of a finished run, as it was recorded: [`unseal`](Self::unseal) opens it.
    /// `None` if there is no such run, or it is not finished.
    pub fn output(&self, run: &str) -> Ticket<Option<Arc<[u8]>>> {
        self.backend.output(run)
    }

    /// The recorded steps of a run, in the order in which they were recorded.
    pub fn steps(&self, run: &str) -> Ticket<Vec<StepRecord>> {
        self.backend.steps(run)
    }

    /// The stored versions of a saved state, newest first.
    pub fn states(&self, run: &str, name: &str) -> Ticket<Vec<StateRecord>> {
        self.backend.states(run, name)
    }

    /// Deletes a run and all that is recorded of it; its name is free again. `false` if there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError::RunBusy`] while a living process executes it.
    pub fn delete(&self, run: &str) -> Ticket<bool> {
        self.backend.delete(run)
    }

    /// Ends a run for good: whoever asks for it is told [`Cancelled`](super::CheckpointError::Cancelled), and so is an
    /// execution that is under way, at its next step, save or end. What it is doing by then is not undone. `false` if
    /// there is no such run, or it has ended already.
    ///
    /// It stays for `keep_unfinished`, and then its name is free again.
    ///
    /// # Errors
    ///
    /// The store's errors.
    pub fn cancel(&self, run: &str) -> Ticket<bool> {
        self.backend.cancel(run, unix_now())
    }

    /// Lets a parked run go on at the next call of its function, or by itself where its function is recovered. `false` if
    /// it is not parked.
    ///
    /// # Errors
    ///
    /// The store's errors.
    pub fn resume(&self, run: &str) -> Ticket<bool> {
        self.backend.resume(run, unix_now())
    }

    /// Starts a new run, `into`, with the steps that `run` had recorded before its step `from`: to do the rest of it again,
    /// with code that was mended. The next call of the function with the new id executes it. `run` stays as it is.
    ///
    /// Saved states are not copied. The steps that are executed again have other idempotency keys.
    ///
    /// ```
    /// use ft_runtime::checkpoint::{Checkpoint, Store};
    /// use ft_runtime::{Error, site};
    ///
    /// # type Out = Result<u32, Error<std::fmt::Error>>;
    /// async fn step(name: &'static str, value: u32) -> Out {
    ///     Checkpoint::new().step(name).at(site!().enter()).calls::<Out>().run(async { Ok(value) }).await
    /// }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = Store::open("memory:")?;
    /// let order = |id: &str| Checkpoint::new().run(id).named("order").calls::<Out>();
    /// let wrong = order("order-1").run(async { Ok(step("price", 5).await? * step("tax", 100).await?) });
    /// assert_eq!(store.scope(wrong).await?, 500);
    ///
    /// store.fork("order-1", "tax#1", "order-1-again").await?;
    /// let mended = order("order-1-again").run(async { Ok(step("price", 9).await? * step("tax", 2).await?) });
    /// assert_eq!(store.scope(mended).await?, 10);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSuchStep`], [`StoreError::RunExists`] for `into`, [`StoreError::Unreadable`] for a step among those
    /// to be copied that is damaged or needs another key, and the store's errors.
    pub fn fork(&self, run: &str, from: &str, into: &str) -> Ticket<RunRecord> {
        match checked(into) {
            Ok(()) => self.backend.fork(Fork::new(run, from, into).sealed(&self.sealing)),
            Err(error) => Ticket::ready(Err(error)),
        }
    }

    /// Those of the named runs that a living owner executes. A run that is neither finished nor among them waits for
    /// somebody: its process is gone, or nobody has called it again.
    ///
    /// # Errors
    ///
    /// The store's errors; also where it cannot be told.
    pub fn holders(&self, runs: Vec<String>) -> Ticket<Vec<Holder>> {
        self.backend.holders(runs)
    }

    /// The stored versions of every saved state of a run: by name, and for each name the newest first.
    pub fn saved(&self, run: &str) -> Ticket<Vec<StateRecord>> {
        self.backend.saved(run)
    }

    /// All that is recorded of a run, read at one moment; `None` if there is no such run.
    pub fn export(&self, run: &str) -> Ticket<Option<RunCopy>> {
        self.backend.export(run)
    }

    /// Puts a copy of a run into this store, for the next call of its function to go on with: under the id that it had,
    /// or under another one.
    ///
    /// Under its own id it is the same run, and its steps make the same idempotency keys: do not let it go on in both
    /// stores. Under another id they make others.
    ///
    /// # Errors
    ///
    /// [`StoreError::RunExists`]: nothing is written over. [`StoreError::NotImported`] for a copy that is damaged, and
    /// the store's errors.
    pub fn import(&self, copy: RunCopy, into: Option<&str>) -> Ticket<RunRecord> {
        let mut import = Import::new(copy).sealed(&self.sealing);
        if let Some(into) = into {
            import.into = into.to_owned();
        }
        match checked(&import.into) {
            Ok(()) => self.backend.import(import),
            Err(error) => Ticket::ready(Err(error)),
        }
    }

    /// Checks the store below its runs: its own structure, what is there without a run, rows that make no sense. It goes
    /// on beside running processes, and takes the time of reading all of it. [`RunCopy::findings`] checks a run.
    ///
    /// # Errors
    ///
    /// The store's errors, where it cannot be read at all.
    pub fn verify(&self) -> Ticket<Vec<Finding>> {
        self.backend.verify()
    }

    /// Deletes runs by age and number, and says which.
    ///
    /// A store does this by itself for what is past its time, a few runs at each start of another one: results after
    /// `keep`, runs that are not finished after `keep_unfinished`, and the oldest beyond 100,000 of each kind. An event
    /// names each of them.
    ///
    /// # Errors
    ///
    /// The store's errors.
    pub fn gc(&self, gc: Gc) -> Ticket<Collected> {
        self.backend.gc(gc)
    }

    /// The backend behind the handle.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    #[cfg(feature = "encryption")]
    pub(super) fn with_keys(self, keys: Option<String>) -> Result<Self, StoreError> {
        match keys.filter(|keys| !keys.is_empty()).map(|keys| keys.parse::<Keys>()) {
            None => Ok(self),
            Some(Ok(keys)) => Ok(self.encrypt(keys)),
            Some(Err(reason)) => Err(StoreError::BadKeys { from: "FT_STORE_KEY", reason }),
        }
    }

    /// Whoever gives a key must not get a store that is not encrypted.
    #[cfg(not(feature = "encryption"))]
    pub(super) fn with_keys(self, keys: Option<String>) -> Result<Self, StoreError> {
        match keys.filter(|keys| !keys.is_empty()) {
            None => Ok(self),
            Some(_) => Err(StoreError::BadKeys {
                from: "FT_STORE_KEY",
                reason: "build ft-runtime with the feature `encryption`".into(),
            }),
        }
    }

    fn context(&self) -> Context {
        Context::current().with_around(|around| around.store = Some(self.clone()))
    }
}

/// What a URL names.
enum Kind<'a> {
    Memory,
    Sqlite(&'a Path),
    #[cfg(feature = "postgres")]
    Postgres(&'a str),
}

impl<'a> Kind<'a> {
    fn of(url: &'a str) -> Result<Self, StoreError> {
        if url == "memory:" {
            return Ok(Self::Memory);
        }
        #[cfg(feature = "postgres")]
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(url));
        }
        match url.strip_prefix("sqlite:") {
            Some(path) => Ok(Self::Sqlite(Path::new(path.strip_prefix("//").unwrap_or(path)))),
            None => Err(StoreError::UnknownScheme { url: without_password(url) }),
        }
    }
}

/// Whether a run can be called that.
fn checked(run: &str) -> Result<(), StoreError> {
    check_name("run", run)
        .map_err(|error| StoreError::BadName { name: run.chars().take(40).collect(), reason: error.to_string() })
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.url()).finish()
    }
}
