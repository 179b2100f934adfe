//! What happens inside the policies, told to whoever listens.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use crate::fault::{Fault as _, FaultKind};
use crate::faults::Seen;
use crate::rejected::Rejected;
use crate::site::Site;
use crate::sync::{Mutex, lock};

/// Something a policy did. Calls that succeed at once make no events.
///
/// Every event also goes to [`tracing`](https://docs.rs/tracing) under the target `ft`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event<'a> {
    /// The path of the site, or the empty string where the call has none.
    pub site: &'a str,
    /// The policy: `"retry"`, `"failover"`, `"checkpoint"`, ..
    pub policy: &'static str,
    /// What it did.
    pub what: What<'a>,
}

/// What a policy did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum What<'a> {
    /// An attempt failed and another one follows.
    Retrying {
        /// The attempt that failed, counted from 1.
        attempt: u32,
        /// The wait before the next one.
        delay: Duration,
        /// The failure.
        fault: Failure<'a>,
    },
    /// A call succeeded after at least one failed attempt.
    Recovered {
        /// The attempt that succeeded, counted from 1.
        attempt: u32,
    },
    /// The caller gets the error.
    GaveUp {
        /// How many attempts were made.
        attempts: u32,
        /// Why there is no further one.
        reason: GaveUp,
        /// The last failure.
        fault: Failure<'a>,
    },
    /// A target failed and another one is asked.
    FailedOver {
        /// The target that failed.
        from: &'a str,
        /// The target that is asked next.
        to: &'a str,
        /// The failure.
        fault: Failure<'a>,
    },
    /// A target changed its health.
    Health {
        /// The target.
        target: &'a str,
        /// Its health before.
        from: &'static str,
        /// Its health now.
        to: &'static str,
    },
    /// A policy refused a call, or cut it off.
    Refused {
        /// Which of the policies behind one site: its key, or the empty string where there is one only.
        key: &'a str,
        /// The reason, as [`Rejected::reason`](crate::Rejected::reason) names it.
        reason: &'static str,
        /// When the call may come back, where that is known.
        retry_after: Option<Duration>,
    },
    /// A circuit breaker changed its state.
    Circuit {
        /// Which of the breakers behind one policy: its key, or the empty string where there is one only.
        key: &'a str,
        /// Its state before.
        from: &'static str,
        /// Its state now.
        to: &'static str,
        /// Why: `"failure_rate"`, `"forced"`, ..
        why: &'static str,
    },
    /// A bulkhead changed its limit by itself.
    Limit {
        /// Which of the bulkheads behind one policy: its key, or the empty string where there is one only.
        key: &'a str,
        /// The limit before.
        from: u32,
        /// The limit now.
        to: u32,
    },
    /// A failure was answered by the fallback.
    Substituted {
        /// The failure.
        fault: Failure<'a>,
    },
    /// An extra attempt was started beside those that are running.
    Hedged {
        /// The extra attempt, counted from 2.
        attempt: u32,
    },
    /// An extra attempt answered first.
    HedgeWon {
        /// The attempt that answered, counted from 1.
        attempt: u32,
    },
    /// Another call took over the work that several calls wait for, because the one that did it was dropped.
    TookOver {
        /// The key of the calls.
        key: &'a str,
    },
    /// A fault was injected.
    Injected {
        /// `"error"`, `"latency"` or `"panic"`.
        what: &'static str,
    },
    /// A run was opened that had been started before: its recorded steps are replayed.
    Resumed {
        /// The name of the run.
        run: &'a str,
        /// How often the run was claimed, this time included.
        attempt: u64,
        /// How many steps are on record.
        steps: u64,
    },
    /// A step was answered from its record.
    Replayed {
        /// The name of the run.
        run: &'a str,
        /// The key of the step.
        step: &'a str,
    },
    /// A step was executed and is on record.
    Recorded {
        /// The name of the run.
        run: &'a str,
        /// The key of the step.
        step: &'a str,
    },
    /// The newest saved state could not be read; the one before is used.
    FellBack {
        /// The name of the run.
        run: &'a str,
        /// The name of the state.
        state: &'a str,
        /// What was wrong with the newest one.
        why: &'a str,
    },
    /// A run kept dying without getting any further: it waits for an operator.
    Parked {
        /// The name of the run.
        run: &'a str,
        /// How often it was recovered in vain.
        recoveries: u32,
    },
    /// A run has its result, and steps that an earlier execution recorded were not called on the way: the code has changed
    /// since, or it is not deterministic. What those steps did is done, and their records are not used.
    LeftoverSteps {
        /// The name of the run.
        run: &'a str,
        /// How many steps.
        steps: u64,
        /// The first of them, in the order in which they were recorded.
        first: &'a str,
    },
    /// A run that nobody executed any more is started again.
    TakenUp {
        /// The name of the run.
        run: &'a str,
        /// The function that it belongs to.
        function: &'a str,
    },
    /// A run that nobody executes any more is left as it is.
    LeftBehind {
        /// The name of the run.
        run: &'a str,
        /// The function that it belongs to.
        function: &'a str,
        /// The stable name of the reason: `"no_factory"`, `"other_version"`, `"refused"`, ..
        reason: &'static str,
        /// What it says.
        why: &'a str,
    },
    /// The store could not be asked for runs that nobody executes; it is asked again.
    LookFailed {
        /// What it said.
        why: &'a str,
    },
    /// The process takes no new work, and ends what is under way.
    ShuttingDown {
        /// How many runs are under way.
        runs: u64,
        /// How long they have.
        within: Duration,
    },
    /// A run was stopped and given back, so that another process goes on with it.
    HandedOver {
        /// The name of the run.
        run: &'a str,
    },
    /// The shutdown has come to its end.
    ShutDown {
        /// How many runs have ended by themselves.
        ended: u64,
        /// How many were handed over.
        handed_over: u64,
        /// How many had not ended when the time was over.
        left: u64,
    },
    /// The store has deleted a run by itself.
    Forgotten {
        /// The name of the run.
        run: &'a str,
        /// Where it stood: `"finished"`, `"cancelled"`; `"running"` if it had failed or its process had
        /// died, `"parked"`.
        status: &'static str,
        /// `"age"` or `"number"`.
        why: &'static str,
    },
}

impl What<'_> {
    /// The stable lower-case name of the event.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Retrying { .. } => "retrying",
            Self::Recovered { .. } => "recovered",
            Self::GaveUp { .. } => "gave_up",
            Self::FailedOver { .. } => "failed_over",
            Self::Health { .. } => "health",
            Self::Refused { .. } => "refused",
            Self::Circuit { .. } => "circuit",
            Self::Limit { .. } => "limit",
            Self::Substituted { .. } => "substituted",
            Self::Hedged { .. } => "hedged",
            Self::HedgeWon { .. } => "hedge_won",
            Self::TookOver { .. } => "took_over",
            Self::Injected { .. } => "injected",
            Self::Resumed { .. } => "resumed",
            Self::Replayed { .. } => "replayed",
            Self::Recorded { .. } => "recorded",
            Self::FellBack { .. } => "fell_back",
            Self::Parked { .. } => "parked",
            Self::LeftoverSteps { .. } => "leftover_steps",
            Self::TakenUp { .. } => "taken_up",
            Self::LeftBehind { .. } => "left_behind",
            Self::LookFailed { .. } => "look_failed",
            Self::ShuttingDown { .. } => "shutting_down",
            Self::HandedOver { .. } => "handed_over",
            Self::ShutDown { .. } => "shut_down",
            Self::Forgotten { .. } => "forgotten",
        }
    }
}

/// A failure as events show it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Failure<'a> {
    /// What kind of failure it is.
    pub kind: FaultKind,
    /// What the error says of itself ([`Fault::describe`](crate::Fault::describe)).
    pub what: &'a str,
}

/// Why there is no further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GaveUp {
    /// The error is not one to try again.
    NotRetryable,
    /// All attempts were made.
    Exhausted,
    /// The next wait would end past the deadline.
    Deadline,
    /// The retry budget is spent.
    Budget,
    /// The other side, or a policy of our own inside, asked for more patience than `max_delay` allows.
    HintTooLong,
    /// The call may have run, and is not one that may be repeated: a request that is not idempotent.
    NotRepeatable,
    /// The body of the request was longer than what is kept of it for another attempt.
    BodyTooLong,
    /// The other side asked not to be called again.
    ToldNotTo,
}

impl GaveUp {
    /// The stable lower-case name of the reason.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotRetryable => "not_retryable",
            Self::Exhausted => "exhausted",
            Self::Deadline => "deadline",
            Self::Budget => "budget",
            Self::HintTooLong => "hint_too_long",
            Self::NotRepeatable => "not_repeatable",
            Self::BodyTooLong => "body_too_long",
            Self::ToldNotTo => "told_not_to",
        }
    }
}

/// Calls `listener` for every event until the answer is dropped.
///
/// The listener runs on the thread of the call that made the event, with no lock of ours held: it may take its time
/// (the call waits), call back into policies, or panic (the panic is caught, and the listener goes on with the next event).
///
/// ```
/// use ft_runtime::observe::{self, What};
/// let retries = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
/// let count = retries.clone();
/// let listening = observe::subscribe(move |event| {
///     if let What::Retrying { .. } = event.what {
///         count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///     }
/// });
/// # drop(listening);
/// ```
pub fn subscribe(listener: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Subscription {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut listeners = lock(&LISTENERS);
    listeners.push((id, Arc::new(listener)));
    LISTENING.store(listeners.len(), Ordering::Relaxed);
    drop(listeners);
    Subscription { id }
}

/// Ends the listening when it is dropped.
#[derive(Debug)]
#[must_use = "listening ends when this is dropped"]
pub struct Subscription {
    id: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut listeners = lock(&LISTENERS);
        listeners.retain(|(id, _)| *id != self.id);
        LISTENING.store(listeners.len(), Ordering::Relaxed);
    }
}

type Listener = Arc<dyn Fn(&Event<'_>) + Send + Sync>;

static LISTENERS: Mutex<Vec<(u64, Listener)>> = Mutex::new(Vec::new());

/// How many listeners there are, for those who ask before they lock.
static LISTENING: AtomicUsize = AtomicUsize::new(0);

/// Would anybody hear an event? What refuses under overload must cost next to nothing while nobody does.
#[inline]
pub(crate) fn is_heard() -> bool {
    LISTENING.load(Ordering::Relaxed) != 0
        || tracing::level_filters::LevelFilter::current() != tracing::level_filters::LevelFilter::OFF
}

/// Tells everybody that a policy refused a call, if anybody listens.
#[inline]
pub fn refused(site: Option<&Site>, policy: &'static str, key: Option<&str>, rejected: &Rejected) {
    if is_heard() {
        tell_refused(site, policy, key.unwrap_or_default(), rejected);
    }
}

#[cold]
#[inline(never)]
fn tell_refused(site: Option<&Site>, policy: &'static str, key: &str, rejected: &Rejected) {
    emit(site, policy, What::Refused { key, reason: rejected.reason(), retry_after: rejected.retry_after() });
}

/// Tells everybody. Only ever called off the success path.
pub(crate) fn emit(site: Option<&Site>, policy: &'static str, what: What<'_>) {
    if !is_heard() {
        return;
    }
    let event = Event { site: site.map_or("", Site::path), policy, what };
    trace(&event);
    // Under overload every call is told, and where only `tracing` hears them they need not queue for this lock.
    if LISTENING.load(Ordering::Relaxed) == 0 {
        return;
    }
    let listeners: Vec<Listener> = lock(&LISTENERS).iter().map(|(_, listener)| Arc::clone(listener)).collect();
    for listener in listeners {
        // What a listener does must not change what happens to the call it listens to.
        let _ = catch_unwind(AssertUnwindSafe(|| listener(&event)));
    }
}

/// Files a failed attempt under its site.
pub(crate) fn record(site: Option<&Site>, seen: &Seen<'_>) {
    if let Some(site) = site {
        lock(site.fault_log()).record(seen, SystemTime::now());
    }
}

/// How many bytes of what an error says of itself are kept.
pub(crate) const DESCRIBED: usize = 256;

/// Formats a description, as far as it is kept.
pub(crate) fn text(what: &dyn fmt::Display) -> String {
    struct Bounded(String);
    impl fmt::Write for Bounded {
        fn write_str(&mut self, more: &str) -> fmt::Result {
            let room = DESCRIBED - self.0.len();
            let end = (0..=room.min(more.len())).rev().find(|end| more.is_char_boundary(*end)).unwrap_or_default();
            self.0.push_str(&more[..end]);
            if end == more.len() { Ok(()) } else { Err(fmt::Error) }
        }
    }
    let mut bounded = Bounded(String::new());
    // An error only says that the rest was cut.
    let _ = fmt::write(&mut bounded, format_args!("{what}"));
    bounded.0
}

/// Whether events and fault logs show the `Display` text of errors that ft does not know, where they are inside an
/// `anyhow::Error`, a `Box<dyn Error>` or an `io::Error`: `false` by default, since such a text may hold arguments,
/// payloads or secrets. An error of your own says what may be shown with `#[fault(display)]`, whatever stands here.
pub fn show_unknown_errors(show: bool) {
    SHOW_UNKNOWN.store(show, Ordering::Relaxed);
}

pub(crate) fn shows_unknown_errors() -> bool {
    SHOW_UNKNOWN.load(Ordering::Relaxed)
}

static SHOW_UNKNOWN: AtomicBool = AtomicBool::new(false);

/// A description that is only formatted when somebody needs it.
pub(crate) struct Describe<F>(pub(crate) F);

impl<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result> fmt::Display for Describe<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)(f)
    }
}

fn trace(event: &Event<'_>) {
    let Event { site, policy, what } = event;
    let name = what.name();
    match what {
        What::Retrying { attempt, delay, fault } => {
            tracing::warn!(target: "ft", site, policy, attempt, ?delay, kind = fault.kind.as_str(), fault = fault.what, "{name}");
        }
        What::Recovered { attempt } => tracing::info!(target: "ft", site, policy, attempt, "{name}"),
        // An answer that nobody would ask for again, such as "not found", is no news to the operator.
        What::GaveUp { attempts, reason: reason @ GaveUp::NotRetryable, fault } => {
            tracing::info!(target: "ft", site, policy, attempts, reason = reason.as_str(), kind = fault.kind.as_str(), fault = fault.what, "{name}");
        }
        What::GaveUp { attempts, reason, fault } => {
            tracing::error!(target: "ft", site, policy, attempts, reason = reason.as_str(), kind = fault.kind.as_str(), fault = fault.what, "{name}");
        }
        What::FailedOver { from, to, fault } => {
            tracing::warn!(target: "ft", site, policy, from, to, kind = fault.kind.as_str(), fault = fault.what, "{name}");
        }
        What::Health { target, from, to } => tracing::warn!(target: "ft", site, policy, target, from, to, "{name}"),
        What::Refused { key, reason, retry_after } => {
            tracing::warn!(target: "ft", site, policy, key, reason, ?retry_after, "{name}");
        }
        What::Circuit { key, from, to, why } => {
            tracing::warn!(target: "ft", site, policy, key, from, to, why, "{name}");
        }
        What::Limit { key, from, to } => tracing::info!(target: "ft", site, policy, key, from, to, "{name}"),
        What::Substituted { fault } => {
            tracing::warn!(target: "ft", site, policy, kind = fault.kind.as_str(), fault = fault.what, "{name}");
        }
        What::Hedged { attempt } | What::HedgeWon { attempt } => {
            tracing::info!(target: "ft", site, policy, attempt, "{name}");
        }
        What::TookOver { key } => tracing::info!(target: "ft", site, policy, key, "{name}"),
        What::Injected { what } => tracing::warn!(target: "ft", site, policy, what, "{name}"),
        What::Resumed { run, attempt, steps } => {
            tracing::info!(target: "ft", site, policy, run, attempt, steps, "{name}");
        }
        What::Replayed { run, step } | What::Recorded { run, step } => {
            tracing::debug!(target: "ft", site, policy, run, step, "{name}");
        }
        What::FellBack { run, state, why } => tracing::warn!(target: "ft", site, policy, run, state, why, "{name}"),
        What::Parked { run, recoveries } => tracing::error!(target: "ft", site, policy, run, recoveries, "{name}"),
        What::LeftoverSteps { run, steps, first } => {
            tracing::warn!(target: "ft", site, policy, run, steps, first, "{name}");
        }
        What::TakenUp { run, function } => tracing::info!(target: "ft", site, policy, run, function, "{name}"),
        // Nothing is amiss: its client sends it again.
        What::LeftBehind { run, function, reason: reason @ "http_request", why } => {
            tracing::info!(target: "ft", site, policy, run, function, reason, why, "{name}");
        }
        What::LeftBehind { run, function, reason, why } => {
            tracing::warn!(target: "ft", site, policy, run, function, reason, why, "{name}");
        }
        What::LookFailed { why } => tracing::warn!(target: "ft", site, policy, why, "{name}"),
        What::ShuttingDown { runs, within } => tracing::info!(target: "ft", site, policy, runs, ?within, "{name}"),
        What::HandedOver { run } => tracing::info!(target: "ft", site, policy, run, "{name}"),
        What::ShutDown { ended, handed_over, left: left @ 0 } => {
            tracing::info!(target: "ft", site, policy, ended, handed_over, left, "{name}");
        }
        What::ShutDown { ended, handed_over, left } => {
            tracing::warn!(target: "ft", site, policy, ended, handed_over, left, "{name}");
        }
        What::Forgotten { run, status: status @ ("running" | "parked"), why } => {
            tracing::warn!(target: "ft", site, policy, run, status, why, "{name}");
        }
        What::Forgotten { run, status, why } => {
            tracing::debug!(target: "ft", site, policy, run, status, why, "{name}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hears everything, and keeps nothing.
    struct Hears;

    impl tracing::Subscriber for Hears {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, _: &tracing::Event<'_>) {}
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }

    #[test]
    fn refusals_that_only_tracing_hears_of_do_not_queue_for_the_lock_of_the_listeners() {
        // Held by somebody else, at a moment without listeners: other tests have theirs.
        let held = loop {
            let held = lock(&LISTENERS);
            if held.is_empty() {
                break held;
            }
            drop(held);
            std::thread::yield_now();
        };
        let (told, hears) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            tracing::subscriber::with_default(Hears, || {
                assert!(is_heard());
                refused(None, "test", None, &Rejected::BulkheadFull);
            });
            told.send(()).unwrap();
        });
        let heard = hears.recv_timeout(Duration::from_secs(5));
        drop(held);
        heard.unwrap();
    }

    #[test]
    fn a_long_description_is_cut_on_a_character_while_it_is_written() {
        assert_eq!(text(&"short"), "short");
        assert_eq!(text(&"ü".repeat(DESCRIBED)).len(), DESCRIBED);
        assert_eq!(text(&format_args!("x{}{}", "ü".repeat(DESCRIBED), "never reached")).len(), DESCRIBED - 1);
    }
}
