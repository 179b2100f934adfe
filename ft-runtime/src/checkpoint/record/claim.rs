//! Asking for a run, and what is answered.

use std::sync::Arc;
use std::time::Duration;

use super::{Forgotten, StepRecord, UnixMillis, unix_now};
use crate::checkpoint::arguments::Arguments;

/// How long a run that is not finished is kept by default: 90 days.
pub(crate) const KEEP_UNFINISHED: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// How often a run is recovered by default without getting any further.
pub(crate) const MAX_RECOVERIES: u32 = 10;

/// Asks to execute a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claim {
    /// The run.
    pub run: Arc<str>,
    /// The function that executes it: the run belongs to the first one that claims it.
    pub function: Arc<str>,
    /// Version of the code that claims it.
    pub version: u32,
    /// A run that an older version of the code started, and did not finish, is taken over. Otherwise it is refused, as one of
    /// a newer version is in any case.
    pub upgrades: bool,
    /// What it is called with. A run that was started with something else is refused, unless it goes `again`.
    pub arguments: Arguments,
    /// The sealed arguments, of a function that goes on by itself: stored when the run starts, or where none are stored.
    pub input: Option<Arc<[u8]>>,
    /// A finished run starts again instead of answering.
    pub again: bool,
    /// How often in a row the run is taken over from a process that died, without having recorded anything since, before
    /// it is parked.
    pub max_recoveries: u32,
    /// How long the run is kept without being touched while it is not finished.
    pub keep_unfinished: Duration,
    /// The time of day, for expiry. A store with a clock of its own uses that.
    pub at: UnixMillis,
}

impl Claim {
    /// Asks for `run` now, by version 0 of `function`, not again if it is finished, to be kept for 90 days
    /// until it is, and parked after 10 recoveries.
    pub fn new(run: impl Into<Arc<str>>, function: impl Into<Arc<str>>) -> Self {
        let keep_unfinished = KEEP_UNFINISHED;
        let (run, function, arguments) = (run.into(), function.into(), Arguments::default());
        let (max_recoveries, at) = (MAX_RECOVERIES, unix_now());
        let upgrades = false;
        Self { run, function, version: 0, upgrades, arguments, input: None, again: false, max_recoveries, keep_unfinished, at }
    }
}

impl Claim {
    /// Whether it may go on with a run that was started, or taken over, by this version of the code.
    pub(crate) fn continues(&self, version: u32) -> bool {
        version == self.version || (self.upgrades && version < self.version)
    }

    /// The arguments that keep it from a run that was started with `recorded`.
    pub(crate) fn differing(&self, recorded: &Arguments) -> Option<Claimed> {
        let differ: Vec<String> = recorded.differing(&self.arguments).into_iter().map(String::from).collect();
        (!self.again && !differ.is_empty()).then_some(Claimed::OtherArguments { differ })
    }
}

/// The answer to a [`Claim`]. Nothing was changed unless it is `Granted`, or the run is parked now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Claimed {
    /// The run is the claimer's, until it is finished or released.
    Granted(Granted),
    /// The run is finished, and this is its sealed output.
    Finished(Arc<[u8]>),
    /// The run was cancelled.
    Cancelled,
    /// The run is parked.
    Parked {
        /// How often it was recovered in vain.
        recoveries: u32,
        /// It is this claim that has parked it.
        now: bool,
    },
    /// A living owner executes the run.
    Busy {
        /// That owner.
        owner: String,
    },
    /// The run belongs to another function.
    OtherFunction {
        /// That function.
        recorded: String,
    },
    /// The run was started with other arguments.
    OtherArguments {
        /// The names of those that differ.
        differ: Vec<String>,
    },
    /// Another version of the code started the run.
    OtherVersion {
        /// That version.
        recorded: u32,
    },
}

/// A run that was claimed, with all that is recorded of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Granted {
    /// What to write with from now on.
    pub token: u64,
    /// How often the run was claimed since it was started, this time included.
    pub attempts: u32,
    /// Which start of the run this is: the token of the claim that started it, which no other start in the store has.
    pub incarnation: u64,
    /// How many steps were recorded. Counted apart from them, so that none can be lost unseen.
    pub recorded: u64,
    /// Its recorded steps, in the order in which they were recorded.
    pub steps: Vec<StepRecord>,
    /// When it was started.
    pub created_at: UnixMillis,
    /// Other runs that the store has forgotten on the way.
    pub forgotten: Vec<Forgotten>,
}

impl Granted {
    /// A grant of a run that was started now and has recorded `steps`, as many as were `recorded`.
    #[must_use]
    pub fn new(token: u64, attempts: u32, incarnation: u64, recorded: u64, steps: Vec<StepRecord>) -> Self {
        let created_at = unix_now();
        Self { token, attempts, incarnation, recorded, steps, created_at, forgotten: Vec::new() }
    }
}
