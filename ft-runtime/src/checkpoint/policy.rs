//! The checkpoint value.

use std::time::Duration;

use super::record::{KEEP_UNFINISHED, MAX_RECOVERIES};
use super::run::RunCall;
use super::self_describing::Migrate;
use super::step::StepCall;

/// Records what a function does, so that it goes on after a crash where it stopped.
///
/// With `run`, the function opens or resumes a run; without, it is a step, recorded once in the run around it.
///
/// # When not to use it
///
/// Each recorded step costs one sync of the disk: around calls that are cheaper to make again than to record, it only
/// slows down. And a step records what it *returned*: what it does must be safe to do again if the process dies between
/// the effect and the record. Give the other side the [`idempotency_key`](super::idempotency_key).
///
/// # Defaults
///
/// | setting | default |
/// |---|---|
/// | [`version`](Self::version) | 0 |
/// | [`migrate`](Self::migrate) | none |
/// | [`keep`](Self::keep) | 7 days |
/// | [`keep_unfinished`](Self::keep_unfinished) | 90 days |
/// | [`max_recoveries`](Self::max_recoveries) | 10 |
/// | [`again`](Self::again) | [`Again::AfterKeep`] |
/// | [`require_run`](Self::require_run) | `false` |
/// | [`every`](Self::every) | [`Every::Auto`] |
///
/// # Examples
///
/// ```
/// use ft_runtime::checkpoint::{Checkpoint, Store};
/// use ft_runtime::Error;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error<String>> {
/// let store = Store::open("memory:").unwrap();
/// let run = || Checkpoint::new().run("order-42").named("place_order").calls::<Result<u32, Error<String>>>();
///
/// let first = store.scope(run().run(async { Ok(7) })).await?;
/// let again = store.scope(run().run(async { unreachable!("answered from the record") })).await?;
/// assert_eq!(first, again);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub(super) version: u16,
    pub(super) migrate: Option<Migration>,
    pub(super) keep: Duration,
    pub(super) keep_unfinished: Duration,
    pub(super) max_recoveries: u32,
    pub(super) again: Again,
    pub(super) require_run: bool,
    pub(super) every: Every,
}

/// A migration; the same one is at the same address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Migration(pub(super) Migrate);

impl PartialEq for Migration {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::fn_addr_eq(self.0, other.0)
    }
}

impl Eq for Migration {}

/// When a finished run may be executed again under its id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Again {
    /// When its result has been kept for its time; until then it answers with the result.
    #[default]
    AfterKeep,
    /// At the next call: for periodic jobs, where the record only bridges crashes.
    Always,
}

/// How often [`mark`](super::Saved::mark) saves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Every {
    /// By itself: so often that the least time is lost to saving and to doing again what was not saved (Daly's interval),
    /// from what a save costs and how often the run has failed. Between a second and 15 minutes, or longer where saving
    /// would take more than 3.5 % of the time.
    #[default]
    Auto,
    /// At every so many marks.
    Marks(u64),
    /// When so much time has passed since the last save.
    Elapsed(Duration),
}

impl Checkpoint {
    /// A checkpoint with the defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            version: 0,
            migrate: None,
            keep: Duration::from_secs(7 * 24 * 60 * 60),
            keep_unfinished: KEEP_UNFINISHED,
            max_recoveries: MAX_RECOVERIES,
            again: Again::AfterKeep,
            require_run: false,
            every: Every::Auto,
        }
    }

    /// The version of the code. A run that another version started is refused, so that a deploy with runs in flight is
    /// a decision ([`migrate`](Self::migrate) is another one); a step's or a state's value of a newer version is refused,
    /// one of an older version is read as far as its type allows.
    ///
    /// # Panics
    ///
    /// Above 65535.
    #[must_use]
    #[track_caller]
    pub const fn version(self, version: u32) -> Self {
        assert!(version <= u16::MAX as u32, "version must be at most 65535");
        Self { version: version as u16, ..self }
    }

    /// How a value that an older [`version`](Self::version) recorded becomes one of this: it gets the version that
    /// recorded it, and goes for what steps and runs return and for saved states, not for errors that were recorded. Without,
    /// an older value is read as far as its type allows.
    ///
    /// A run with a migration takes over runs that an older version has started and not finished, saved states included;
    /// without, it refuses them. What is migrated is not written back: a migration reads every version that has values
    /// in the store.
    ///
    /// ```
    /// use ft_runtime::checkpoint::{Checkpoint, Value, ValueError};
    ///
    /// /// Amounts were euros in version 0, and are cents.
    /// fn to_cents(_: u16, euros: Value) -> Result<Value, ValueError> {
    ///     Value::encode(&(euros.decode::<u64>()? * 100))
    /// }
    /// static PRICE: Checkpoint = Checkpoint::new().version(1).migrate(to_cents);
    /// ```
    #[must_use]
    pub const fn migrate(self, migrate: Migrate) -> Self {
        Self { migrate: Some(Migration(migrate)), ..self }
    }

    /// How long the result of a finished run is kept and answered again.
    #[must_use]
    pub const fn keep(self, keep: Duration) -> Self {
        Self { keep, ..self }
    }

    /// How long a run that failed, or whose process died, waits to be resumed before it is forgotten. Counted from when it
    /// was last touched: started, resumed, recorded in, given back. An event names each run that is forgotten.
    #[must_use]
    pub const fn keep_unfinished(self, keep: Duration) -> Self {
        Self { keep_unfinished: keep, ..self }
    }

    /// How often in a row a run is taken over from a process that died, while it records nothing new, before it is parked:
    /// what kills its process would go on doing so. A parked run is refused until somebody lets it
    /// [`resume`](super::Store::resume); an event reports it. `u32::MAX` for never.
    #[must_use]
    pub const fn max_recoveries(self, recoveries: u32) -> Self {
        Self { max_recoveries: recoveries, ..self }
    }

    /// Whether a finished run starts again at the next call.
    #[must_use]
    pub const fn again(self, again: Again) -> Self {
        Self { again, ..self }
    }

    /// Whether a step outside of a run is an error. By default it is a plain call, which keeps functions testable.
    #[must_use]
    pub const fn require_run(self, require_run: bool) -> Self {
        Self { require_run, ..self }
    }

    /// How often [`mark`](super::Saved::mark) saves: a number of marks, or a duration.
    ///
    /// # Panics
    ///
    /// On zero.
    #[must_use]
    #[track_caller]
    pub fn every(self, every: impl Into<Every>) -> Self {
        let every = every.into();
        match every {
            Every::Marks(marks) => assert!(marks > 0, "every must be at least 1 mark"),
            Every::Elapsed(time) => assert!(!time.is_zero(), "every must be longer than zero"),
            Every::Auto => {}
        }
        Self { every, ..self }
    }

    /// The version as it is recorded.
    #[must_use]
    pub const fn recorded_version(&self) -> u32 {
        self.version as u32
    }

    /// Whether runs of older versions go on, as there is a [`migrate`](Self::migrate).
    #[must_use]
    pub const fn recorded_upgrades(&self) -> bool {
        self.migrate.is_some()
    }

    /// A run with this id. Ids are at most 255 bytes.
    pub fn run(&self, id: impl Into<String>) -> RunCall {
        RunCall::new(*self, id.into())
    }

    /// A step of this name in the run around it.
    pub fn step(&self, name: &'static str) -> StepCall {
        StepCall::new(*self, name)
    }
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Duration> for Every {
    fn from(time: Duration) -> Self {
        Self::Elapsed(time)
    }
}

impl From<u64> for Every {
    fn from(marks: u64) -> Self {
        Self::Marks(marks)
    }
}

impl From<u32> for Every {
    fn from(marks: u32) -> Self {
        Self::Marks(marks.into())
    }
}

impl From<usize> for Every {
    fn from(marks: usize) -> Self {
        Self::Marks(marks as u64)
    }
}

/// What an integer literal is; below zero it is refused like zero.
impl From<i32> for Every {
    fn from(marks: i32) -> Self {
        Self::Marks(marks.try_into().unwrap_or(0))
    }
}
