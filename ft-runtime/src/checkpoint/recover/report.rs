//! What a recovery found.

use std::fmt;

use crate::checkpoint::counted::counted;
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::record::RunRecord;

/// What a [recovery](super::Recovery) has found and done at its first look. It prints as a few lines.
#[derive(Debug)]
#[non_exhaustive]
pub struct Recovered {
    /// The runs that are started, in the order in which they are: not all of them at once.
    pub started: Vec<String>,
    /// The runs that are left as they are, and why.
    pub left: Vec<LeftRun>,
    /// There are more than it has looked at: recover again, or keep watching.
    pub more: bool,
    pub(super) driver: tokio::task::JoinHandle<()>,
}

impl Recovered {
    /// Waits until the runs that were started have ended, in whatever way. While it [watches](super::Recovery::keep_watching),
    /// that is when the process shuts down.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the runs go on.
    pub async fn ended(&mut self) {
        // A panic is in the task of its run; the driver has none of its own.
        let _ = (&mut self.driver).await;
    }
}

/// A run that nobody executes, and that was not started.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftRun {
    /// The run.
    pub run: String,
    /// The function that it belongs to.
    pub function: String,
    /// Why it was not started.
    pub why: WhyLeft,
}

impl LeftRun {
    pub(super) fn new(record: &RunRecord, why: WhyLeft) -> Self {
        Self { run: record.run.clone(), function: record.function.clone(), why }
    }
}

/// Why a run was not started.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhyLeft {
    /// No function of this name is registered in this program, and there is no factory for it.
    NoFactory,
    /// It is an HTTP request: its client sends it again, and no program needs to start it.
    HttpRequest,
    /// Several functions of this name and version are registered in this program.
    Ambiguous {
        /// The modules that they stand in.
        modules: Vec<&'static str>,
    },
    /// Another version of the code started it, and no newer one in this program has a
    /// [`migrate`](crate::Checkpoint::migrate).
    OtherVersion {
        /// That version.
        recorded: u32,
        /// Those of this program.
        now: Vec<u32>,
    },
    /// Nothing was recorded to start it with: it was started by code that did not say `recover` yet.
    NoInputs,
    /// What was recorded to start it with cannot be read.
    BadInputs(CheckpointError),
    /// It died too often without getting any further.
    Parked {
        /// How often it was recovered in vain.
        recoveries: u32,
    },
}

impl WhyLeft {
    /// The stable lower-case name of the reason, as events print it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NoFactory => "no_factory",
            Self::HttpRequest => "http_request",
            Self::Ambiguous { .. } => "ambiguous",
            Self::OtherVersion { .. } => "other_version",
            Self::NoInputs => "no_inputs",
            Self::BadInputs(_) => "bad_inputs",
            Self::Parked { .. } => "parked",
        }
    }
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let started = counted(self.started.len(), "run goes on", "runs go on");
        write!(f, "{started}, {}", counted(self.left.len(), "is left", "are left"))?;
        if self.more {
            f.write_str(", and there are more")?;
        }
        // What needs nobody's attention does not hide what does.
        let (requests, others): (Vec<_>, Vec<_>) = self.left.iter().partition(|left| left.why == WhyLeft::HttpRequest);
        others.iter().try_for_each(|left| write!(f, "\n  {left}"))?;
        match requests.len() {
            0 => Ok(()),
            1 => write!(f, "\n  1 HTTP request: it goes on when its client sends it again with its key"),
            many => write!(f, "\n  {many} HTTP requests: each goes on when its client sends it again with its key"),
        }
    }
}

impl fmt::Display for LeftRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run `{}` of `{}`: {}", self.run, self.function, self.why)
    }
}

impl fmt::Display for WhyLeft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFactory => f.write_str(
                "nothing in this program starts it; write `recover` at its function, give a factory, or call it",
            ),
            Self::HttpRequest => f.write_str("an HTTP request: it goes on when its client sends it again with its key"),
            Self::Ambiguous { modules } => write!(
                f,
                "several functions have its name (in {}); give each a name of its own (`name = \"..\"`)",
                modules.join(", ")
            ),
            Self::OtherVersion { recorded, now } => {
                let newest = now.iter().max().filter(|newest| *newest > recorded);
                let now: Vec<_> = now.iter().map(u32::to_string).collect();
                write!(
                    f,
                    "version {recorded} of its code started it, and this program has version {}; a process with version {recorded} goes on with it",
                    now.join(", ")
                )?;
                // None takes over what a newer one has begun.
                newest.map_or(Ok(()), |newest| {
                    write!(f, ", or say `migrate = function` at version {newest} to take it over")
                })
            }
            Self::NoInputs => {
                f.write_str("its arguments were not recorded when it was started; call it, or give a factory")
            }
            Self::BadInputs(error) => error.fmt(f),
            Self::Parked { recoveries } => write!(
                f,
                "parked after {} in vain; find out what ends its process, then let it go on with Store::resume, or cancel it",
                counted(*recoveries, "recovery", "recoveries")
            ),
        }
    }
}
