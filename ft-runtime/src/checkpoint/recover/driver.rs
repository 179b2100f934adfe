//! The loop that looks for runs and starts them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::{Future, pending};
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::registry::{Recoverable, Start, Starting, recoverable};
use super::report::{LeftRun, Recovered, WhyLeft};
use super::{Fate, LeftToGo, Recovery, Resuming};
use crate::checkpoint::POLICY;
use crate::checkpoint::backend::Backend;
use crate::checkpoint::either::either;
use crate::checkpoint::error::{CheckpointError, StoreError};
use crate::checkpoint::inputs::Inputs;
use crate::checkpoint::record::{Abandoned, Filter, RunRecord, RunStatus, UnixMillis};
use crate::checkpoint::shutdown::Shutdown;
use crate::checkpoint::store::Store;
use crate::context::Context;
use crate::observe::{self, What};
use crate::{random, time};

/// Runs that one look starts at most, those with arguments that turn out not to be readable among them.
const STARTED: usize = if cfg!(test) { 20 } else { 10_000 };

/// Runs that one look reads at most to find them. The next one goes on behind them.
const READ: usize = if cfg!(test) { 60 } else { 100_000 };

/// Runs that cannot be started and that one look tells of at most, and those that it reads to find them.
const LEFT: usize = if cfg!(test) { 20 } else { 10_000 };

/// Runs that are read at once.
const PAGE: u32 = if cfg!(test) { 3 } else { 500 };

/// How long a run that came back unfinished is left alone, after the first time; twice as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// And no longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

pub(super) async fn start(mut recovery: Recovery) -> Result<Recovered, StoreError> {
    let store = match recovery.store.take() {
        Some(store) => store,
        None => Store::current()?,
    };
    let slots = Arc::new(Semaphore::new(recovery.at_once));
    let mut driver = Driver {
        spacing: Duration::from_secs(1) / recovery.per_second,
        functions: recovery
            .factories
            .keys()
            .cloned()
            .chain(recoverable().map(|known| known.function().to_owned()))
            .collect(),
        recovery,
        slots,
        shutdown: Shutdown::current(),
        executing: JoinSet::new(),
        under_way: HashSet::new(),
        came_back: HashMap::new(),
        told: HashSet::new(),
        behind: None,
        next: None,
    };
    if driver.shutdown.has_begun() {
        let nothing = tokio::spawn(async {});
        return Ok(Recovered { started: Vec::new(), left: Vec::new(), more: false, driver: nothing });
    }
    let Look { found, left, more, .. } = driver.look(&store).await?;
    let mut left: Vec<_> = left.into_iter().map(|(_, left)| left).collect();
    left.extend(parked(&store).await?);
    let started = found.iter().map(|run| run.run.clone()).collect();
    // From here on it holds the store only while it uses it.
    let driver = tokio::spawn(driver.drive(store, found));
    Ok(Recovered { started, left, more, driver })
}

/// Runs that wait for an operator: to be reported at the start.
async fn parked(store: &Store) -> Result<Vec<LeftRun>, StoreError> {
    let parked = store.runs(Filter::default().status(RunStatus::Parked)).await?;
    let left = parked.iter().map(|run| LeftRun::new(run, WhyLeft::Parked { recoveries: run.recoveries }));
    let left: Vec<_> = left.collect();
    left.iter().for_each(tell);
    Ok(left)
}

fn tell(left: &LeftRun) {
    let why = left.why.to_string();
    observe::emit(
        None,
        POLICY,
        What::LeftBehind { run: &left.run, function: &left.function, reason: left.why.as_str(), why: &why },
    );
}

/// What one look has found.
#[derive(Default)]
struct Look {
    found: VecDeque<RunRecord>,
    /// With when they were touched.
    left: Vec<(UnixMillis, LeftRun)>,
    /// There are more than it has read, or than it tells of.
    more: bool,
    /// All that it has read.
    seen: HashSet<String>,
}

impl Look {
    fn leave(&mut self, run: &RunRecord, why: WhyLeft) {
        if self.left.len() < LEFT {
            self.left.push((run.updated_at, LeftRun::new(run, why)));
        } else {
            self.more = true;
        }
    }
}

struct Driver {
    recovery: Recovery,
    /// Those that have a factory or are registered: of no others can a run be started.
    functions: HashSet<String>,
    slots: Arc<Semaphore>,
    shutdown: Shutdown,
    spacing: Duration,
    /// When the next run may be started.
    next: Option<Instant>,
    executing: JoinSet<Arc<Resuming>>,
    /// Runs that were started here and have not been settled: one that was given back is for [`settle`](Self::settle) first.
    under_way: HashSet<String>,
    /// Runs that were started here and are not finished, however that came: how often, and until when they are left alone.
    came_back: HashMap<String, (u32, Instant)>,
    /// Runs that are left and of which that was told.
    told: HashSet<String>,
    /// The last run that the look before has read, if it did not come to the end.
    behind: Option<RunRecord>,
}

impl Driver {
    async fn drive(mut self, mut store: Store, mut found: VecDeque<RunRecord>) {
        loop {
            for run in found {
                let Some(permit) = self.turn().await else { return self.executed().await };
                self.execute(&store, run, permit).await;
            }
            // Waiting, it must not keep the store open.
            let weak = Arc::downgrade(store.backend());
            drop(store);
            if !self.recovery.watches || !self.wait(&weak).await {
                return self.executed().await;
            }
            let Some(backend) = weak.upgrade() else { return self.executed().await };
            store = Store::from_backend(backend);
            while let Some(ended) = self.executing.try_join_next() {
                self.settle(ended.ok());
            }
            found = match self.look(&store).await {
                Ok(look) => look.found,
                Err(error) => {
                    observe::emit(None, POLICY, What::LookFailed { why: &error.to_string() });
                    VecDeque::new()
                }
            };
        }
    }

    /// Waits until the next run may be started; `None` when none is started any more.
    async fn turn(&mut self) -> Option<OwnedSemaphorePermit> {
        let slots = Arc::clone(&self.slots);
        // It is never closed.
        let permit = self.until_shutdown(slots.acquire_owned()).await?.ok()?;
        let now = time::now();
        let next = self.next.map_or(now, |next| next.max(now));
        self.until_shutdown(time::sleep(next - now)).await?;
        self.next = Some(next + self.spacing);
        (!self.shutdown.has_begun()).then_some(permit)
    }

    async fn until_shutdown<F: Future>(&self, future: F) -> Option<F::Output> {
        either(self.shutdown.begun(), future).await.err()
    }

    /// Waits until it is time to look again; `false` when it is over.
    async fn wait(&mut self, store: &Weak<dyn Backend>) -> bool {
        let Some(hint) = store.upgrade().map(|store| store.wake()) else { return false };
        let hint = async {
            let Some(hint) = hint else { return pending().await };
            // That it was closed is no hint: the store is gone, or somebody else waits for it.
            if hint.await.is_err() {
                pending::<()>().await;
            }
        };
        let share = random::with(|rng| 0.8 + 0.4 * rng.f64());
        let mut due = pin!(either(hint, time::sleep(self.recovery.every.mul_f64(share))));
        let shutdown = self.shutdown.clone();
        loop {
            let ended = async {
                match self.executing.join_next().await {
                    Some(ended) => ended,
                    None => pending().await,
                }
            };
            match either(shutdown.begun(), either(ended, due.as_mut())).await {
                Ok(()) => return false,
                Err(Ok(ended)) => self.settle(ended.ok()),
                Err(Err(_)) => return true,
            }
        }
    }

    /// Waits for those that were started.
    async fn executed(mut self) {
        while let Some(ended) = self.executing.join_next().await {
            self.settle(ended.ok());
        }
    }

    /// What nobody executes, one page after the other: first that which may be started, so that nothing else stands before
    /// it, then the rest, to tell of it.
    async fn look(&mut self, store: &Store) -> Result<Look, StoreError> {
        let mut look = Look::default();
        let all = self.search(store, &mut look).await?;
        self.read_others(store, &mut look).await?;
        look.more |= !all;
        look.left.sort_by(|(at, a), (than, b)| (at, &a.run).cmp(&(than, &b.run)));
        self.came_back.retain(|run, _| !all || look.seen.contains(run));
        self.told.retain(|run| look.more || look.seen.contains(run));
        for (_, left) in &look.left {
            if self.told.len() < READ && self.told.insert(left.run.clone()) {
                tell(left);
            }
        }
        Ok(look)
    }

    /// Looks through the runs of functions that this program has, from where the look before stopped, round to there;
    /// answers whether it came round. Those of other versions may be as many as they like: the next look goes on.
    async fn search(&mut self, store: &Store, look: &mut Look) -> Result<bool, StoreError> {
        let position = |run: &RunRecord| (run.updated_at, run.run.clone());
        let begun_behind = self.behind.as_ref().map(position);
        let mut at_the_front = begun_behind.is_none();
        let mut behind = self.behind.clone();
        let (mut read, mut opened) = (0, 0);
        loop {
            let asked = Abandoned::new().functions(&self.functions).limit(PAGE);
            let asked = behind.iter().fold(asked, Abandoned::after);
            let page = store.backend().abandoned(asked).await?;
            let last = page.last().filter(|_| page.len() == PAGE as usize).cloned();
            read += page.len();
            for run in page {
                if !look.seen.insert(run.run.clone()) || self.is_left_alone(&run.run) {
                    continue;
                }
                match self.prepare(store, &run).await? {
                    Ok(_) => {
                        opened += 1;
                        look.found.push_back(run);
                    }
                    Err(why) => {
                        opened += usize::from(matches!(why, WhyLeft::BadInputs(_)));
                        look.leave(&run, why);
                    }
                }
            }
            let round =
                last.as_ref().is_none_or(|last| begun_behind.as_ref().is_some_and(|begun| position(last) >= *begun));
            if at_the_front && round {
                self.behind = None;
                return Ok(true);
            }
            at_the_front |= last.is_none();
            behind = last;
            if read >= READ || opened >= STARTED {
                self.behind = behind;
                return Ok(false);
            }
        }
    }

    /// Reads those of functions that this program does not have.
    async fn read_others(&self, store: &Store, look: &mut Look) -> Result<(), StoreError> {
        let mut asked = Abandoned::new().limit(PAGE);
        let mut read = 0;
        loop {
            let page = store.backend().abandoned(asked).await?;
            let last = page.last().filter(|_| page.len() == PAGE as usize).cloned();
            read += page.len();
            for run in page.iter().filter(|run| !self.functions.contains(&run.function)) {
                look.seen.insert(run.run.clone());
                let why = if run.is_http_request() { WhyLeft::HttpRequest } else { WhyLeft::NoFactory };
                look.leave(run, why);
            }
            let Some(last) = last else { return Ok(()) };
            if read >= LEFT {
                look.more = true;
                return Ok(());
            }
            asked = Abandoned::new().limit(PAGE).after(&last);
        }
    }

    /// Whether a run was started here, and it is not time yet to do that again.
    fn is_left_alone(&self, run: &str) -> bool {
        self.under_way.contains(run) || self.came_back.get(run).is_some_and(|(_, until)| *until > time::now())
    }

    /// How a run is started, or why it is not.
    async fn prepare(&self, store: &Store, run: &RunRecord) -> Result<Result<Start, WhyLeft>, StoreError> {
        let factory = self.recovery.factories.get(&run.function);
        // What is recorded is read only of those that can be started: there may be many others.
        let known = match factory {
            Some(_) => None,
            None => match registered(run) {
                Ok(known) => Some(known),
                Err(why) => return Ok(Err(why)),
            },
        };
        let inputs = match run.input_len {
            None => None,
            Some(_) => store.input(&run.run).await?.map(|sealed| Inputs::open(&sealed, &run.run, store.sealing())),
        };
        let inputs = match inputs.transpose() {
            Ok(inputs) => inputs,
            Err(error) => return Ok(Err(WhyLeft::BadInputs(error))),
        };
        Ok(match (factory, known, inputs) {
            (Some(factory), _, inputs) => Ok(Start(Starting::Async(factory(LeftToGo { record: run.clone(), inputs })))),
            (None, Some(known), Some(inputs)) => known.start(&inputs).map_err(WhyLeft::BadInputs),
            (None, _, _) => Err(WhyLeft::NoInputs),
        })
    }

    async fn execute(&mut self, store: &Store, run: RunRecord, permit: OwnedSemaphorePermit) {
        // Read again: what all of them are started with need not be in memory while they wait for their turn.
        let start = match self.prepare(store, &run).await {
            Ok(Ok(start)) => start,
            Ok(Err(why)) => return tell(&LeftRun::new(&run, why)),
            Err(error) => return observe::emit(None, POLICY, What::LookFailed { why: &error.to_string() }),
        };
        observe::emit(None, POLICY, What::TakenUp { run: &run.run, function: &run.function });
        let resuming = Arc::new(Resuming::new(&run));
        self.under_way.insert(run.run);
        let context = Context::default().with_around(|around| {
            around.store = Some(store.clone());
            around.resuming = Some(Arc::clone(&resuming));
            around.shutdown = Some(self.shutdown.clone());
        });
        self.executing.spawn(async move {
            let ended = match start.0 {
                Starting::Async(call) => tokio::spawn(context.scope(call)).await,
                Starting::Blocking(call) => tokio::task::spawn_blocking(|| context.scope_blocking(call)).await,
            };
            // The panic hook has reported it, and the run waits for its caller.
            drop(ended);
            drop(permit);
            resuming
        });
    }

    /// One that was started has ended.
    fn settle(&mut self, ended: Option<Arc<Resuming>>) {
        let Some(resuming) = ended else { return };
        self.under_way.remove(&resuming.run);
        let why = match resuming.fate() {
            Fate::Finished => {
                self.came_back.remove(&resuming.run);
                return;
            }
            // Somebody else was faster, or it ends here.
            Fate::Refused(CheckpointError::RunBusy { .. } | CheckpointError::ShuttingDown { .. }) => return,
            Fate::Refused(error) => Some(error.to_string()),
            Fate::Unknown => Some("what was called to start it did not ask for it".to_owned()),
            // Its own site has told what there is to tell.
            Fate::Left => None,
        };
        if let Some(why) = why {
            let (run, function) = (&*resuming.run, &*resuming.function);
            observe::emit(None, POLICY, What::LeftBehind { run, function, reason: "refused", why: &why });
        }
        let (times, _) = self.came_back.get(&resuming.run).copied().unwrap_or((0, time::now()));
        let pause = FIRST_PAUSE.saturating_mul(1 << times.min(10)).min(LONGEST_PAUSE);
        self.came_back.insert(resuming.run.clone(), (times.saturating_add(1), time::later(time::now(), pause)));
    }
}

/// The function that is registered and goes on with this run.
fn registered(run: &RunRecord) -> Result<&'static Recoverable, WhyLeft> {
    let named: Vec<_> = recoverable().filter(|known| known.function() == run.function).collect();
    // That of its own version; if there is none, the newest one that takes its place.
    let own = named.iter().any(|known| known.version() == run.version).then_some(run.version);
    let newest = || named.iter().filter(|known| known.continues(run.version)).map(|known| known.version()).max();
    let taking = own.or_else(newest);
    let taking: Vec<_> = named.iter().filter(|known| Some(known.version()) == taking).collect();
    match taking.as_slice() {
        [known] => Ok(**known),
        [] if named.is_empty() => Err(WhyLeft::NoFactory),
        [] => {
            let mut now: Vec<u32> = named.iter().map(|known| known.version()).collect();
            now.sort_unstable();
            now.dedup();
            Err(WhyLeft::OtherVersion { recorded: run.version, now })
        }
        several => Err(WhyLeft::Ambiguous { modules: several.iter().map(|known| known.module()).collect() }),
    }
}
