//! Ending a process so that its runs go on in another one.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, LazyLock, Mutex, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::POLICY;
use super::active::Run;
use super::around::Around;
use super::counted::counted;
use super::either::either;
use super::error::CheckpointError;
use super::record::Left;
use super::ticket::Ticket;
use crate::context::{Context, Scoped};
use crate::observe::{self, What};
use crate::sync::lock;
use crate::time;

/// That of the process, where no other is in scope.
static PROCESS: LazyLock<Shutdown> = LazyLock::new(Shutdown::new);

/// Shuts the runs of this process down, within this time at most: what a program does when it is told to end (SIGTERM),
/// before it does end. See [`Shutdown::within`].
///
/// It begins when the process is told to end, and not when the server has ended, which waits for the runs in its requests.
/// The server takes [`Shutdown::begun`] for its own signal:
///
/// ```no_run
/// use ft_runtime::Shutdown;
/// use std::time::Duration;
///
/// # async fn told_to_end() {}
/// # async fn serve_until(_: impl Future<Output = ()>) {}
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let ending = tokio::spawn(async {
///     told_to_end().await; // SIGTERM
///     ft_runtime::shutdown(Duration::from_secs(20)).await
/// });
/// serve_until(async { Shutdown::current().begun().await }).await;
/// println!("{}", ending.await.unwrap());
/// # }
/// ```
///
/// A run that is dropped, as by a `select!` around the server, is not handed over at its next durable point: it is left where
/// it was, as after a crash.
pub async fn shutdown(within: Duration) -> ShutdownReport {
    Shutdown::current().within(within).await
}

/// Whether this process takes new work: what it answers to an orchestrator that asks.
///
/// ```
/// use ft_runtime::readiness;
/// let (code, text) = if readiness().is_ready() { (200, "ready".to_owned()) } else { (503, readiness().to_string()) };
/// # assert_eq!((code, &*text), (200, "ready"));
/// ```
#[must_use]
pub fn readiness() -> Readiness {
    Shutdown::current().readiness()
}

/// The end of a process, or of a part of it that a test calls one: what knows the runs under way, and stops them.
///
/// A program needs the functions [`shutdown`] and [`readiness`] only, which mean that of the process. Another one is for
/// runs in its [scope](Self::scope).
///
/// ```
/// use ft_runtime::checkpoint::{Checkpoint, CheckpointError, Shutdown, Store};
/// use ft_runtime::{Error, Rejected};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let (store, end) = (Store::open("memory:").unwrap(), Shutdown::new());
/// assert!(end.within(Duration::from_secs(1)).await.left.is_empty());
///
/// let run = Checkpoint::new().run("order-42").named("order").calls::<Result<(), Error<String>>>();
/// let refused = end.scope(async { store.scope(run.run(async { Ok(()) })).await }).await.unwrap_err();
/// assert!(matches!(refused, Error::Rejected(Rejected::Checkpoint(error)) if matches!(*error, CheckpointError::ShuttingDown { .. })));
/// # }
/// ```
#[derive(Clone)]
pub struct Shutdown {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    phase: Phase,
    /// Runs that are claimed or executed.
    under_way: HashMap<u64, UnderWay>,
    next: u64,
    /// Claims that were given back meanwhile, until the store has answered.
    given_back: Vec<GivenBack>,
    ended: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
enum Phase {
    #[default]
    Open,
    /// Nothing begins any more; what is under way goes on.
    Draining,
    /// What is under way stops at its next durable point.
    Stopping,
}

struct UnderWay {
    id: String,
    run: Weak<Run>,
}

struct GivenBack {
    run: String,
    left: Left,
    answer: Ticket<()>,
}

impl Shutdown {
    /// One that has not begun.
    #[must_use]
    pub fn new() -> Self {
        Self { shared: Arc::default() }
    }

    /// The one in scope, or that of the process.
    #[must_use]
    pub fn current() -> Self {
        Around::with(|around| around.shutdown.clone()).unwrap_or_else(|| PROCESS.clone())
    }

    /// Runs `future` with this one for every run in it.
    pub fn scope<F: Future>(&self, future: F) -> Scoped<F> {
        self.context().scope(future)
    }

    /// As [`scope`](Self::scope), for blocking code.
    pub fn scope_blocking<R>(&self, call: impl FnOnce() -> R) -> R {
        self.context().scope_blocking(call)
    }

    /// Whether it has begun.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        lock(&self.shared.state).phase != Phase::Open
    }

    /// Waits until it begins: what a server's graceful shutdown waits for.
    ///
    /// # Cancel safety
    ///
    /// It can be dropped and made again.
    pub async fn begun(&self) {
        self.until(|state| state.phase != Phase::Open).await;
    }

    /// Whether new work is taken.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let state = lock(&self.shared.state);
        match state.phase {
            Phase::Open => Readiness::Ready,
            Phase::Draining | Phase::Stopping => Readiness::ShuttingDown { runs: state.under_way.len() },
        }
    }

    /// Ends what is under way, within this time at most; there is no way back.
    ///
    /// - From the first moment, no run begins: calls are refused with [`CheckpointError::ShuttingDown`], and
    ///   [recoveries](super::Recovery) start none.
    /// - During the first half of the time, runs under way go on, and may end by themselves. A run that one of them calls
    ///   still begins.
    /// - In the second half, each of them stops at its next durable point: where it calls a step, marks or commits its
    ///   state, which is saved first, in a durable [`sleep`](super::sleep()), or where a retry waits for its next attempt.
    ///   A step that is being executed is not cut off. The execution of an async run is dropped there, as if the process had
    ///   died, and its call answers [`CheckpointError::ShuttingDown`]; in a blocking one, the step or the mark answers so,
    ///   and whatever the function makes of it, nothing more is recorded. The claim is given back, so that
    ///   [`recover`](super::recover()) in another process goes on with it at once.
    ///
    /// What is no run is not ended by it: a call that waits outside of a run, in the queue of a bulkhead or a rate limiter or
    /// for its next attempt, waits on, as does one inside a run that waits in such a queue (the wait for a next attempt in a
    /// run is left). They are bounded by their own limits and by the deadline of their caller, so give the requests of a
    /// server one that is shorter than this time, and stop taking requests when it [begins](Self::begun).
    ///
    /// It returns when all of them have ended and the store has confirmed it, or when the time is over. What has not
    /// ended then is in the report; when the process ends, it is recovered as after a crash. Called a second time, it
    /// waits for the same runs.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing begins any more, and what was told to stop does.
    pub async fn within(&self, within: Duration) -> ShutdownReport {
        let started = time::now();
        let runs = self.enter(Phase::Draining);
        observe::emit(None, POLICY, What::ShuttingDown { runs: runs.len() as u64, within });
        let mut waiting = Vec::new();
        let mut report = ShutdownReport::default();
        self.idle(within / 2, &mut waiting, &mut report).await;
        let stopping = self.enter(Phase::Stopping);
        if !stopping.is_empty() || !waiting.is_empty() {
            stopping.iter().for_each(|run| run.stop());
            drop(stopping);
            self.idle(within - within / 2, &mut waiting, &mut report).await;
        }
        let mut state = lock(&self.shared.state);
        report.ended += std::mem::take(&mut state.ended);
        waiting.append(&mut state.given_back);
        let under_way = state.under_way.values().map(|under_way| {
            let steps = under_way.run.upgrade().map_or(0, |run| run.executing());
            StillRunning { run: under_way.id.clone(), steps }
        });
        report.left.extend(under_way);
        drop(state);
        report.left.extend(waiting.into_iter().map(|back| StillRunning { run: back.run, steps: 0 }));
        report.left.sort_by(|a, b| a.run.cmp(&b.run));
        report.took = time::now().saturating_duration_since(started);
        observe::emit(
            None,
            POLICY,
            What::ShutDown {
                ended: report.ended as u64,
                handed_over: report.handed_over.len() as u64,
                left: report.left.len() as u64,
            },
        );
        report
    }

    /// Waits until nothing is under way and the store has answered; at most so long.
    async fn idle(&self, limit: Duration, waiting: &mut Vec<GivenBack>, report: &mut ShutdownReport) {
        let idle = async {
            loop {
                self.until(|state| {
                    waiting.append(&mut state.given_back);
                    !waiting.is_empty() || state.under_way.is_empty()
                })
                .await;
                let Some(back) = waiting.last_mut() else { return };
                let answer = (&mut back.answer).await;
                let Some(GivenBack { run, left, .. }) = waiting.pop() else { return };
                match (answer, left) {
                    (Ok(()), Left::Interrupted) => {
                        observe::emit(None, POLICY, What::HandedOver { run: &run });
                        report.handed_over.push(run);
                    }
                    (Ok(()), _) => report.ended += 1,
                    // Nobody executes it, and it is recovered as after a crash.
                    (Err(_), _) => report.left.push(StillRunning { run, steps: 0 }),
                }
            }
        };
        // Whichever it was: what is left is in the state.
        let _ = either(idle, time::sleep(limit)).await;
    }

    /// Goes into a phase, and no way back; answers what is under way.
    fn enter(&self, phase: Phase) -> Vec<Arc<Run>> {
        let mut state = lock(&self.shared.state);
        if state.phase < phase {
            state.phase = phase;
        }
        let runs = state.under_way.values().filter_map(|under_way| under_way.run.upgrade()).collect();
        drop(state);
        self.shared.changed.notify_waiters();
        runs
    }

    async fn until(&self, mut met: impl FnMut(&mut State) -> bool) {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // Before the look, so that no change is missed after it.
            changed.as_mut().enable();
            if met(&mut lock(&self.shared.state)) {
                return;
            }
            changed.await;
        }
    }

    /// A run is about to be claimed. One that is called by another one may be, as long as that goes on.
    pub(super) fn admit(&self, id: &str, inside: bool) -> Result<Admitted, CheckpointError> {
        let mut state = lock(&self.shared.state);
        if state.phase == Phase::Stopping || state.phase == Phase::Draining && !inside {
            return Err(CheckpointError::ShuttingDown { run: id.to_owned() });
        }
        let number = state.next;
        state.next += 1;
        state.under_way.insert(number, UnderWay { id: id.to_owned(), run: Weak::new() });
        Ok(Admitted { shutdown: self.clone(), number })
    }

    fn context(&self) -> Context {
        Context::current().with_around(|around| around.shutdown = Some(self.clone()))
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shutdown").field(&self.readiness()).finish()
    }
}

/// A run that was let in, until it has ended.
#[derive(Debug)]
pub(super) struct Admitted {
    shutdown: Shutdown,
    number: u64,
}

impl Admitted {
    /// This is the run; it may have to stop at once.
    pub(super) fn opened(&self, run: &Arc<Run>) {
        let mut state = lock(&self.shutdown.shared.state);
        if let Some(under_way) = state.under_way.get_mut(&self.number) {
            under_way.run = Arc::downgrade(run);
        }
        let stops = state.phase == Phase::Stopping;
        drop(state);
        if stops {
            run.stop();
        }
    }

    /// Its claim is given back: it has ended when the store has answered.
    pub(super) fn given_back(self, run: &str, left: Left, answer: Ticket<()>) {
        let mut state = lock(&self.shutdown.shared.state);
        if state.phase != Phase::Open {
            state.given_back.push(GivenBack { run: run.to_owned(), left, answer });
        }
        // Now it is dropped, and is not counted twice.
        if state.under_way.remove(&self.number).is_some() && state.phase == Phase::Open {
            return;
        }
        drop(state);
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut state = lock(&self.shutdown.shared.state);
        if state.under_way.remove(&self.number).is_some() && state.phase != Phase::Open {
            state.ended += 1;
        }
        let heard = state.phase != Phase::Open;
        drop(state);
        if heard {
            self.shutdown.shared.changed.notify_waiters();
        }
    }
}

/// Whether a process takes new work. It prints as a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Readiness {
    /// It does.
    Ready,
    /// It is shutting down, and takes none.
    ShuttingDown {
        /// The runs that have not ended.
        runs: usize,
    },
}

impl Readiness {
    /// Whether new work is taken.
    #[must_use]
    pub const fn is_ready(self) -> bool {
        matches!(self, Self::Ready)
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::ShuttingDown { runs } => {
                write!(f, "shutting down: {}", counted(*runs, "run has not ended", "runs have not ended"))
            }
        }
    }
}

/// What a shutdown has ended, and what it has not. It prints as a few lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "it says what has not ended"]
pub struct ShutdownReport {
    /// How many runs have ended by themselves since it began, whether well or not.
    pub ended: usize,
    /// The runs that were stopped and given back: another process goes on with them.
    pub handed_over: Vec<String>,
    /// The runs that had not ended when the time was over. They are recovered as after a crash.
    pub left: Vec<StillRunning>,
    /// How long it took.
    pub took: Duration,
}

/// A run that had not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StillRunning {
    /// The run.
    pub run: String,
    /// How many of its steps are being executed. If none is, it is between two steps, or waits for the store.
    pub steps: usize,
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "shut down in {:?}: {}, {}, {} had not ended",
            self.took,
            counted(self.ended, "run ended", "runs ended"),
            counted(self.handed_over.len(), "is handed over", "are handed over"),
            self.left.len()
        )?;
        self.handed_over.iter().try_for_each(|run| write!(f, "\n  run `{run}` is handed over"))?;
        self.left.iter().try_for_each(|left| match left.steps {
            0 => write!(f, "\n  run `{}` had not ended", left.run),
            steps => {
                let executed = counted(steps, "step is being executed", "steps are being executed");
                write!(f, "\n  run `{}` had not ended: {executed}", left.run)
            }
        })
    }
}
