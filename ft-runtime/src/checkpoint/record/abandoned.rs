//! Giving a run back, and finding those that nobody executes.

use super::{RunRecord, RunStatus, UnixMillis, unix_now};

/// Why a claim is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Left {
    /// The body has ended without a result: the run waits for its caller.
    Failed,
    /// Its execution was dropped, or stopped because the process is shutting down: the run waits for somebody to go on
    /// with it, by itself.
    Interrupted,
}

/// Asks for the runs that were being executed and that nobody executes any more: their owner has died, or they were
/// [interrupted](Left::Interrupted). Not those that are finished, cancelled or parked, nor those that failed.
///
/// ```
/// use ft_runtime::checkpoint::Abandoned;
///
/// let orders = Abandoned::new().functions(["place_order"]).limit(10);
/// # assert_eq!((orders.functions, orders.limit), (Some(vec!["place_order".to_owned()]), 10));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Abandoned {
    /// Only runs of these functions; `None` for all.
    pub functions: Option<Vec<String>>,
    /// Only those that come after this one: when it was touched, and its id.
    pub after: Option<(UnixMillis, String)>,
    /// At most so many (default 100).
    pub limit: u32,
    /// The time of day. A store with a clock of its own uses that.
    pub at: UnixMillis,
}

impl Abandoned {
    /// Those of all functions, now.
    #[must_use]
    pub fn new() -> Self {
        Self { functions: None, after: None, limit: 100, at: unix_now() }
    }

    /// Only runs of these functions.
    #[must_use]
    pub fn functions<S: Into<String>>(self, functions: impl IntoIterator<Item = S>) -> Self {
        Self { functions: Some(functions.into_iter().map(Into::into).collect()), ..self }
    }

    /// The page after this run, the last one of the page before.
    #[must_use]
    pub fn after(self, last: &RunRecord) -> Self {
        Self { after: Some((last.updated_at, last.run.clone())), ..self }
    }

    /// At most so many.
    #[must_use]
    pub fn limit(self, limit: u32) -> Self {
        Self { limit, ..self }
    }

    /// Whether a run may be one of them, if nobody executes it.
    pub(crate) fn asks_for(&self, run: &RunRecord) -> bool {
        run.status == RunStatus::Running
            && (run.interrupted || run.owner.is_some())
            && self.functions.as_ref().is_none_or(|functions| functions.contains(&run.function))
            && self.after.as_ref().is_none_or(|(at, after)| (run.updated_at, &run.run) > (*at, after))
    }
}

impl Default for Abandoned {
    fn default() -> Self {
        Self::new()
    }
}
