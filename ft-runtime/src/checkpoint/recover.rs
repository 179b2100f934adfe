//! Going on with runs that nobody executes any more.

mod driver;
mod registry;
mod report;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::error::{CheckpointError, StoreError};
use super::inputs::Inputs;
use super::record::RunRecord;
use super::store::Store;
use crate::sync::lock;

pub use self::registry::{Recoverable, Start, recoverable};
pub use self::report::{LeftRun, Recovered, WhyLeft};

/// Starts again what was being executed when a process died or was shut down: [`Recovery::start`] with the defaults, on
/// the store that a run started here would use.
///
/// Call it once at the start of a program, when the things that its runs need are there.
///
/// ```
/// use ft_runtime::{Error, checkpoint};
///
/// #[checkpoint(run = format!("order-{id}"), recover)]
/// async fn place_order(id: u32) -> Result<u32, Error<String>> {
///     Ok(id)
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), ft_runtime::StoreError> {
/// # ft_runtime::Store::open("memory:")?.install();
/// let recovered = checkpoint::recover().await?;
/// println!("{recovered}");
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// As [`Recovery::start`].
///
/// # Panics
///
/// As [`Recovery::start`].
pub async fn recover() -> Result<Recovered, StoreError> {
    Recovery::new().start().await
}

/// How runs that nobody executes any more are started again.
///
/// Those are runs whose process died, those whose execution was dropped, and those that a process gave back when it was
/// [shutting down](crate::shutdown()). A run whose body returned an error is none of them: it waits for its caller, or for the
/// `#[retry]` above it.
///
/// A run is started by calling its function with the arguments that were recorded, so the function has to say `recover`:
/// `#[checkpoint(run = .., recover)]`, with arguments that are owned or `&T` and serialise. All others have a factory. The
/// function is called as everybody else calls it, so what stands above its `#[checkpoint]` counts too; it executes the run
/// that was left, whatever id its `run = ..` would make now.
///
/// Each is started once by whoever claims it first, however many processes recover on one store. One of another
/// `version` is left to the processes that have that version, or a newer one with a
/// [`migrate`](crate::Checkpoint::migrate); one that dies again and again without recording anything is parked after
/// `max_recoveries`.
///
/// # Defaults
///
/// | setting | default |
/// |---|---|
/// | [`at_once`](Self::at_once) | 8 |
/// | [`per_second`](Self::per_second) | 10 |
/// | [`keep_watching`](Self::keep_watching) | no |
/// | [`every`](Self::every) | 30 s, give or take a fifth |
/// | [`store`](Self::store) | the one that a run started here would use |
///
/// ```
/// use ft_runtime::checkpoint::{Checkpoint, CheckpointError, Recovery, Store};
/// use ft_runtime::Error;
///
/// struct Importer;
///
/// impl Importer {
///     async fn import(&self, file: &str) -> Result<u32, Error<String>> {
///         Checkpoint::new().run(format!("import-{file}")).named("import").calls::<Result<u32, Error<String>>>()
///             .run(async { Ok(7) }).await
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), ft_runtime::StoreError> {
/// # let store = Store::open("memory:")?;
/// let importer = std::sync::Arc::new(Importer);
/// let recovered = Recovery::new()
///     .store(&store)
///     .at_once(2)
///     .factory("import", move |run| {
///         let importer = importer.clone();
///         async move {
///             // The id says what it was about; arguments that were recorded are in `run.inputs()`.
///             let file = run.id().trim_start_matches("import-").to_owned();
///             importer.import(&file).await
///         }
///     })
///     .start()
///     .await?;
/// assert!(recovered.started.is_empty());
/// # Ok(()) }
/// ```
#[must_use = "nothing is recovered before `start`"]
pub struct Recovery {
    at_once: usize,
    per_second: u32,
    factories: HashMap<String, Factory>,
    store: Option<Store>,
    watches: bool,
    every: Duration,
}

type Factory = Arc<dyn Fn(LeftToGo) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

impl Recovery {
    /// With the defaults.
    pub fn new() -> Self {
        Self {
            at_once: 8,
            per_second: 10,
            factories: HashMap::new(),
            store: None,
            watches: false,
            every: Duration::from_secs(30),
        }
    }

    /// How many of the runs that it has started are executed at a time.
    ///
    /// # Panics
    ///
    /// On 0.
    #[track_caller]
    pub fn at_once(self, runs: usize) -> Self {
        assert!(runs > 0, "at_once must be at least 1");
        Self { at_once: runs.min(tokio::sync::Semaphore::MAX_PERMITS), ..self }
    }

    /// How many it starts in a second, so that what killed a process does not meet them all at once again.
    ///
    /// # Panics
    ///
    /// On 0.
    #[track_caller]
    pub fn per_second(self, runs: u32) -> Self {
        assert!(runs > 0, "per_second must be at least 1");
        Self { per_second: runs, ..self }
    }

    /// How runs of `function` are started: for methods, and for functions with arguments that are not recorded, such as
    /// connections. It goes before a function of that name which is registered. What the future answers is nobody's.
    ///
    /// The future has to call the function that the run belongs to. It executes the run that was left, whatever its id.
    pub fn factory<F, Fut>(mut self, function: impl Into<String>, start: F) -> Self
    where
        F: Fn(LeftToGo) -> Fut + Send + Sync + 'static,
        Fut: Future + Send + 'static,
    {
        let start = Arc::new(start);
        let start: Factory = Arc::new(move |run| {
            let start = Arc::clone(&start);
            // Made where it is executed, so that whatever it calls finds the run.
            Box::pin(async move {
                start(run).await;
            })
        });
        self.factories.insert(function.into(), start);
        self
    }

    /// The store to look into.
    pub fn store(self, store: &Store) -> Self {
        Self { store: Some(store.clone()), ..self }
    }

    /// Goes on looking: for runs that other processes leave, as often as [`every`](Self::every) says, and when the store
    /// gives a hint. It ends when the process is [shutting down](crate::shutdown()), or when every other handle of the store
    /// is gone.
    pub fn keep_watching(self) -> Self {
        Self { watches: true, ..self }
    }

    /// How long it waits between two looks; drawn anew each time, a fifth less or more, so that processes do not look all at
    /// once.
    ///
    /// # Panics
    ///
    /// On zero.
    #[track_caller]
    pub fn every(self, every: Duration) -> Self {
        assert!(!every.is_zero(), "every must be longer than zero");
        Self { every, ..self }
    }

    /// Looks for runs that nobody executes and starts those that it can, on tasks of their own; answers with what it
    /// starts and what it leaves, and why, before they have ended.
    ///
    /// One look starts at most about 10,000 and tells of as many that it leaves. To find them it reads at most about 100,000
    /// runs of functions that are registered or have a factory; while it [watches](Self::keep_watching), the next look goes
    /// on behind them. Runs of other functions never stand in the way.
    ///
    /// # Errors
    ///
    /// The store's, of the first look. Later ones are events, and the next look follows.
    ///
    /// # Panics
    ///
    /// When it is awaited outside a tokio runtime with time enabled.
    pub async fn start(self) -> Result<Recovered, StoreError> {
        driver::start(self).await
    }
}

impl Default for Recovery {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let factories: Vec<_> = self.factories.keys().collect();
        f.debug_struct("Recovery")
            .field("at_once", &self.at_once)
            .field("per_second", &self.per_second)
            .field("factories", &factories)
            .field("store", &self.store)
            .field("watches", &self.watches)
            .field("every", &self.every)
            .finish()
    }
}

/// A run that is to go on, as a [factory](Recovery::factory) sees it.
#[derive(Clone, Debug)]
pub struct LeftToGo {
    record: RunRecord,
    inputs: Option<Inputs>,
}

impl LeftToGo {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.record.run
    }

    /// What the store knows of it.
    #[must_use]
    pub fn record(&self) -> &RunRecord {
        &self.record
    }

    /// The arguments that were recorded with it, if any were: see [`RunCall::recover`](super::RunCall::recover).
    #[must_use]
    pub fn inputs(&self) -> Option<&Inputs> {
        self.inputs.as_ref()
    }
}

/// That the code running now was called to go on with a run, until the run has been opened.
#[derive(Debug)]
pub(crate) struct Resuming {
    pub(super) run: String,
    pub(super) function: String,
    fate: Mutex<Fate>,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Fate {
    /// Its function was not asked for it, or is still at it.
    #[default]
    Unknown,
    /// It was not opened.
    Refused(CheckpointError),
    /// It was opened, and is not finished.
    Left,
    /// It has its result.
    Finished,
}

impl Resuming {
    fn new(record: &RunRecord) -> Self {
        Self { run: record.run.clone(), function: record.function.clone(), fate: Mutex::default() }
    }

    pub(super) fn note(&self, fate: Fate) {
        *lock(&self.fate) = fate;
    }

    pub(super) fn has_finished(&self) -> bool {
        *lock(&self.fate) == Fate::Finished
    }

    fn fate(&self) -> Fate {
        lock(&self.fate).clone()
    }
}
