//! The loop that looks for runs and starts them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::{Future, pending};
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::registry::{Start, Starting, recoverable};
use super::report::{LeftRun, Recovered, WhyLeft};
use super::{Fate, LeftToGo, Recovery, Resuming};
use crate::checkpoint::POLICY;
use crate::checkpoint::backend::Backend;
use crate::checkpoint::either::either;
use crate::checkpoint::error::{CheckpointError, StoreError};
use crate::checkpoint::inputs::Inputs;
use crate::checkpoint::record::{Abandoned, Filter, RunRecord, RunStatus};
use crate::checkpoint::shutdown::Shutdown;
use crate::checkpoint::store::Store;
use crate::context::Context;
use crate::observe::{self, What};
use crate::{random, time};

/// Runs that one look takes in at most.
const LOOKED_AT: usize = if cfg!(test) { 20 } else { 10_000 };

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
        recovery,
        slots,
        shutdown: Shutdown::current(),
        executing: JoinSet::new(),
        under_way: HashSet::new(),
        came_back: HashMap::new(),
        told: HashSet::new(),
        next: None,
    };
    if driver.shutdown.has_begun() {
        let nothing = tokio::spawn(async {});
        return Ok(Recovered { started: Vec::new(), left: Vec::new(), more: false, driver: nothing });
    }
    let Look { found, mut left, more } = driver.look(&store).await?;
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
struct Look {
    found: VecDeque<RunRecord>,
    left: Vec<LeftRun>,
    more: bool,
}

struct Driver {
    recovery: Recovery,
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

    /// What nobody executes, one page after the other.
    async fn look(&mut self, store: &Store) -> Result<Look, StoreError> {
        let mut look = Look { found: VecDeque::new(), left: Vec::new(), more: false };
        let mut asked = Abandoned::new().limit(PAGE);
        let mut seen = HashSet::new();
        loop {
            let page = store.backend().abandoned(asked.clone()).await?;
            let (last, full) = (page.last().cloned(), page.len() == PAGE as usize);
            for run in page {
                seen.insert(run.run.clone());
                if self.under_way.contains(&run.run)
                    || self.came_back.get(&run.run).is_some_and(|(_, until)| *until > time::now())
                {
                    continue;
                }
                match self.prepare(store, &run).await? {
                    Ok(_) => look.found.push_back(run),
                    Err(why) => look.left.push(LeftRun::new(&run, why)),
                }
            }
            let Some(last) = last.filter(|_| full) else { break };
            if seen.len() >= LOOKED_AT {
                look.more = true;
                break;
            }
            asked = Abandoned::new().limit(PAGE).after(&last);
        }
        self.came_back.retain(|run, _| look.more || seen.contains(run));
        self.told.retain(|run| seen.contains(run));
        for left in &look.left {
            if self.told.insert(left.run.clone()) {
                tell(left);
            }
        }
        Ok(look)
    }

    /// How a run is started, or why it is not.
    async fn prepare(&self, store: &Store, run: &RunRecord) -> Result<Result<Start, WhyLeft>, StoreError> {
        let inputs = match run.input_len {
            None => None,
            Some(_) => store.input(&run.run).await?.map(|sealed| Inputs::open(&sealed, &run.run, store.sealing())),
        };
        Ok(match self.recovery.factories.get(&run.function) {
            Some(factory) => match inputs.transpose() {
                Ok(inputs) => Ok(Start(Starting::Async(factory(LeftToGo { record: run.clone(), inputs })))),
                Err(error) => Err(WhyLeft::BadInputs(error)),
            },
            None => registered(run, inputs),
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

/// The call of a function that is registered.
fn registered(run: &RunRecord, inputs: Option<Result<Inputs, CheckpointError>>) -> Result<Start, WhyLeft> {
    let named: Vec<_> = recoverable().filter(|known| known.function() == run.function).collect();
    // That of its own version; if there is none, the newest one that takes its place.
    let own = named.iter().any(|known| known.version() == run.version).then_some(run.version);
    let newest = || named.iter().filter(|known| known.continues(run.version)).map(|known| known.version()).max();
    let taking = own.or_else(newest);
    let taking: Vec<_> = named.iter().filter(|known| Some(known.version()) == taking).collect();
    let known = match taking.as_slice() {
        [known] => known,
        [] if named.is_empty() && run.is_http_request() => return Err(WhyLeft::HttpRequest),
        [] if named.is_empty() => return Err(WhyLeft::NoFactory),
        [] => {
            let mut now: Vec<u32> = named.iter().map(|known| known.version()).collect();
            now.sort_unstable();
            now.dedup();
            return Err(WhyLeft::OtherVersion { recorded: run.version, now });
        }
        several => {
            return Err(WhyLeft::Ambiguous { modules: several.iter().map(|known| known.module()).collect() });
        }
    };
    let inputs = inputs.ok_or(WhyLeft::NoInputs)?.map_err(WhyLeft::BadInputs)?;
    known.start(&inputs).map_err(WhyLeft::BadInputs)
}
