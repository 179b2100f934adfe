//! A store in memory, for tests: the same behaviour as the durable ones, until the process ends.

mod retention;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::backend::Backend;
use super::error::StoreError;
use super::record::{
    Abandoned, Appended, Claim, Claimed, Collected, Filter, Finding, Finish, Fork, Gc, Granted, Holder, Import, Lease,
    Left, Renewed, RunCopy, RunRecord, RunStatus, SaveState, StateRecord, Step, StepRecord, UnixMillis, millis,
};
use super::ticket::{Reply, Ticket, ticket};

/// One owner's handle to a store in memory.
#[derive(Debug)]
pub(crate) struct Memory {
    owner: String,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    runs: BTreeMap<String, Run>,
    living: HashSet<String>,
    /// Owners that want to hear of runs that are left.
    waiting: HashMap<String, Reply<()>>,
    owners: u64,
    /// The last token that was granted, whatever became of its run.
    token: u64,
}

#[derive(Debug)]
struct Run {
    record: RunRecord,
    input: Option<Arc<[u8]>>,
    output: Option<Arc<[u8]>>,
    steps: Vec<StepRecord>,
    /// Where in `steps` a key stands.
    places: HashMap<Arc<str>, usize>,
    states: Vec<StateRecord>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self::join(Arc::default())
    }

    /// A second owner of the same data, as another process would be.
    #[cfg(test)]
    pub(crate) fn second(&self) -> Self {
        Self::join(Arc::clone(&self.shared))
    }

    fn join(shared: Arc<Mutex<Shared>>) -> Self {
        let mut data = shared.lock().unwrap_or_else(PoisonError::into_inner);
        data.owners += 1;
        let owner = format!("memory-{}", data.owners);
        data.living.insert(owner.clone());
        drop(data);
        Self { owner, shared }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Each call checks first and changes afterwards, so a panic in between leaves whole records.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let owner = std::mem::take(&mut self.owner);
        let mut shared = self.lock();
        shared.living.remove(&owner);
        shared.waiting.remove(&owner);
        let waiting = std::mem::take(&mut shared.waiting);
        drop(shared);
        wake(waiting);
    }
}

/// Tells them that a run may have been left. Not under the lock: a waker may ask the store something.
fn wake(waiting: HashMap<String, Reply<()>>) {
    waiting.into_values().for_each(|reply| reply.send(Ok(())));
}

impl Backend for Memory {
    fn url(&self) -> &str {
        "memory:"
    }

    fn owner(&self) -> &str {
        &self.owner
    }

    fn claim(&self, claim: Claim) -> Ticket<Claimed> {
        let mut shared = self.lock();
        let mut claimed = shared.claim(&claim, &self.owner);
        if let Claimed::Granted(granted) = &mut claimed {
            granted.forgotten = shared.prune(claim.at, &claim.run);
        }
        Ticket::ready(Ok(claimed))
    }

    fn append(&self, steps: Vec<Step>) -> Ticket<Vec<Appended>> {
        let mut shared = self.lock();
        let appended = steps.into_iter().map(|step| shared.append(step, &self.owner));
        Ticket::ready(Ok(appended.collect()))
    }

    fn put_state(&self, state: SaveState) -> Ticket<()> {
        Ticket::ready(self.lock().put_state(state, &self.owner))
    }

    fn states(&self, run: &str, name: &str) -> Ticket<Vec<StateRecord>> {
        let shared = self.lock();
        let states = shared.runs.get(run).map(|run| {
            let versions = run.states.iter().filter(|state| &*state.name == name);
            versions.rev().cloned().collect()
        });
        Ticket::ready(Ok(states.unwrap_or_default()))
    }

    fn finish(&self, finish: Finish) -> Ticket<()> {
        let mut shared = self.lock();
        Ticket::ready(shared.held(&finish.lease, &self.owner).map(|run| {
            run.record.status = RunStatus::Finished;
            run.record.owner = None;
            run.record.output_len = Some(finish.output.len() as u64);
            run.output = Some(finish.output);
            run.record.updated_at = finish.at;
            run.record.finished_at = Some(finish.at);
            run.record.expires_at = finish.expires_at;
            run.states.clear();
        }))
    }

    fn release(&self, lease: Lease, at: UnixMillis, left: Left) -> Ticket<()> {
        let mut shared = self.lock();
        if let Ok(run) = shared.held(&lease, &self.owner) {
            run.record.owner = None;
            run.record.interrupted = left == Left::Interrupted;
            if left == Left::Failed {
                run.record.recoveries = 0;
            }
            run.record.updated_at = run.record.updated_at.max(at);
        }
        let waiting = if left == Left::Interrupted { std::mem::take(&mut shared.waiting) } else { HashMap::new() };
        drop(shared);
        wake(waiting);
        Ticket::ready(Ok(()))
    }

    fn abandoned(&self, abandoned: Abandoned) -> Ticket<Vec<RunRecord>> {
        let shared = self.lock();
        let runs = shared.runs.values().map(|run| &run.record);
        let mut left: Vec<RunRecord> =
            runs.filter(|run| abandoned.asks_for(run) && shared.living_owner(&run.run).is_none()).cloned().collect();
        left.sort_by(|a, b| (a.updated_at, &a.run).cmp(&(b.updated_at, &b.run)));
        left.truncate(abandoned.limit as usize);
        Ticket::ready(Ok(left))
    }

    fn wake(&self) -> Option<Ticket<()>> {
        let (reply, ticket) = ticket();
        let before = self.lock().waiting.insert(self.owner.clone(), reply);
        drop(before);
        Some(ticket)
    }

    fn renew(&self) -> Ticket<Renewed> {
        Ticket::ready(Ok(Renewed::default()))
    }

    fn list(&self, filter: Filter) -> Ticket<Vec<RunRecord>> {
        let shared = self.lock();
        let runs = shared.runs.values().map(|run| &run.record);
        let runs = runs
            .filter(|run| run.run.starts_with(&filter.prefix))
            .filter(|run| filter.status.is_none_or(|status| run.status == status))
            .filter(|run| filter.after.as_ref().is_none_or(|after| run.run > *after));
        Ticket::ready(Ok(runs.take(filter.limit as usize).cloned().collect()))
    }

    fn input(&self, run: &str) -> Ticket<Option<Arc<[u8]>>> {
        let shared = self.lock();
        Ticket::ready(Ok(shared.runs.get(run).and_then(|run| run.input.clone())))
    }

    fn output(&self, run: &str) -> Ticket<Option<Arc<[u8]>>> {
        let shared = self.lock();
        Ticket::ready(Ok(shared.runs.get(run).and_then(|run| run.output.clone())))
    }

    fn steps(&self, run: &str) -> Ticket<Vec<StepRecord>> {
        let shared = self.lock();
        let steps = shared.runs.get(run).map(|run| run.steps.clone());
        Ticket::ready(Ok(steps.unwrap_or_default()))
    }

    fn delete(&self, run: &str) -> Ticket<bool> {
        let mut shared = self.lock();
        if let Some(owner) = shared.living_owner(run) {
            return Ticket::ready(Err(StoreError::RunBusy { run: run.to_owned(), owner }));
        }
        Ticket::ready(Ok(shared.runs.remove(run).is_some()))
    }

    fn cancel(&self, run: &str, at: UnixMillis) -> Ticket<bool> {
        let mut shared = self.lock();
        let Some(run) = shared.runs.get_mut(run).filter(|run| run.record.finished_at.is_none()) else {
            return Ticket::ready(Ok(false));
        };
        run.record.status = RunStatus::Cancelled;
        run.record.owner = None;
        run.record.interrupted = false;
        run.record.updated_at = run.record.updated_at.max(at);
        run.record.finished_at = Some(at);
        run.record.expires_at = Some(at.saturating_add(millis(run.record.keep_unfinished)));
        run.states.clear();
        Ticket::ready(Ok(true))
    }

    fn resume(&self, run: &str, at: UnixMillis) -> Ticket<bool> {
        let mut shared = self.lock();
        let Some(run) = shared.runs.get_mut(run).filter(|run| run.record.status == RunStatus::Parked) else {
            return Ticket::ready(Ok(false));
        };
        run.record.status = RunStatus::Running;
        run.record.interrupted = true;
        run.record.recoveries = 0;
        run.record.updated_at = run.record.updated_at.max(at);
        let waiting = std::mem::take(&mut shared.waiting);
        drop(shared);
        wake(waiting);
        Ticket::ready(Ok(true))
    }

    fn fork(&self, fork: Fork) -> Ticket<RunRecord> {
        Ticket::ready(self.lock().fork(&fork))
    }

    fn gc(&self, gc: Gc) -> Ticket<Collected> {
        Ticket::ready(Ok(self.lock().gc(&gc)))
    }

    fn holders(&self, runs: Vec<String>) -> Ticket<Vec<Holder>> {
        let shared = self.lock();
        let held = runs.into_iter().filter_map(|run| Some(Holder::new(&*run, shared.living_owner(&run)?)));
        Ticket::ready(Ok(held.collect()))
    }

    fn saved(&self, run: &str) -> Ticket<Vec<StateRecord>> {
        let shared = self.lock();
        Ticket::ready(Ok(shared.runs.get(run).map(Run::saved).unwrap_or_default()))
    }

    fn export(&self, run: &str) -> Ticket<Option<RunCopy>> {
        let shared = self.lock();
        Ticket::ready(Ok(shared.runs.get(run).map(|run| RunCopy {
            run: run.record.clone(),
            steps: run.steps.clone(),
            states: run.saved(),
            input: run.input.clone(),
            output: run.output.clone(),
        })))
    }

    fn import(&self, import: Import) -> Ticket<RunRecord> {
        Ticket::ready(self.lock().import(&import))
    }

    fn verify(&self) -> Ticket<Vec<Finding>> {
        // There is nothing below the runs.
        Ticket::ready(Ok(Vec::new()))
    }
}

impl Shared {
    fn claim(&mut self, claim: &Claim, owner: &str) -> Claimed {
        let living = self.living_owner(&claim.run);
        let token = self.token + 1;
        let Some(run) = self.runs.get_mut(&*claim.run) else {
            self.token = token;
            self.runs.insert(claim.run.to_string(), Run::new(claim, owner, token));
            let started = Granted { created_at: claim.at, ..Granted::new(token, 1, token, 0, Vec::new()) };
            return Claimed::Granted(started);
        };
        let record = &mut run.record;
        let expired = record.expires_at.is_some_and(|at| at <= claim.at);
        if record.function != *claim.function && !expired {
            return Claimed::OtherFunction { recorded: record.function.clone() };
        }
        match record.status {
            RunStatus::Cancelled if !expired => return Claimed::Cancelled,
            RunStatus::Parked => return Claimed::Parked { recoveries: record.recoveries, now: false },
            RunStatus::Finished | RunStatus::Cancelled => {
                if !claim.again && !expired {
                    if let Some(refused) = claim.differing(&record.arguments) {
                        return refused;
                    }
                    return Claimed::Finished(run.output.clone().unwrap_or_default());
                }
                record.status = RunStatus::Running;
                record.function = claim.function.to_string();
                record.version = claim.version;
                record.arguments = claim.arguments.clone();
                record.incarnation = token;
                record.attempts = 0;
                record.steps = 0;
                record.recoveries = 0;
                record.input_len = None;
                run.input = None;
                record.output_len = None;
                run.output = None;
                record.created_at = claim.at;
                record.finished_at = None;
                record.expires_at = None;
                run.steps.clear();
                run.places.clear();
                run.states.clear();
            }
            RunStatus::Running => {
                if let Some(owner) = living {
                    return Claimed::Busy { owner };
                }
                if !claim.continues(record.version) {
                    return Claimed::OtherVersion { recorded: record.version };
                }
                if let Some(refused) = claim.differing(&record.arguments) {
                    return refused;
                }
                if record.owner.as_ref().is_some_and(|dead| dead != owner) {
                    if record.recoveries >= claim.max_recoveries {
                        record.status = RunStatus::Parked;
                        record.owner = None;
                        return Claimed::Parked { recoveries: record.recoveries, now: true };
                    }
                    record.recoveries += 1;
                }
                if record.arguments.is_empty() {
                    record.arguments = claim.arguments.clone();
                }
            }
        }
        record.version = claim.version;
        if run.input.is_none() {
            run.input.clone_from(&claim.input);
            record.input_len = claim.input.as_ref().map(|input| input.len() as u64);
        }
        record.owner = Some(owner.to_owned());
        record.interrupted = false;
        record.keep_unfinished = claim.kept();
        record.token = token;
        self.token = token;
        record.attempts += 1;
        record.updated_at = claim.at;
        let granted = Granted::new(token, record.attempts, record.incarnation, record.steps, run.steps.clone());
        Claimed::Granted(Granted { created_at: record.created_at, ..granted })
    }

    fn append(&mut self, step: Step, owner: &str) -> Appended {
        let run = match self.held(&step.lease, owner) {
            Ok(run) => run,
            Err(StoreError::RunCancelled { .. }) => return Appended::Cancelled,
            Err(StoreError::Fenced { owner, .. }) => return Appended::Fenced { owner },
            Err(_) => return Appended::Fenced { owner: None },
        };
        if let Some(&place) = run.places.get(&step.key) {
            return Appended::Already(run.steps[place].clone());
        }
        run.places.insert(Arc::clone(&step.key), run.steps.len());
        let seq = run.steps.len() as u64 + 1;
        run.touch(step.at);
        run.steps.push(StepRecord::new(seq, step));
        run.record.steps = seq;
        Appended::Recorded { seq }
    }

    fn put_state(&mut self, state: SaveState, owner: &str) -> Result<(), StoreError> {
        let Some((generation, value)) = state.value.take() else {
            return Ok(());
        };
        let run = self.held(&state.lease, owner)?;
        let older = run
            .states
            .iter()
            .filter(|old| old.name == state.name && old.generation < generation && Some(old.generation) != state.bad);
        let kept = older.map(|old| old.generation).max();
        run.states.retain(|old| old.name != state.name || Some(old.generation) == kept);
        let steps = run.steps.len() as u64;
        run.touch(state.at);
        run.states.push(StateRecord::new(state, (generation, value), steps));
        Ok(())
    }

    /// The fence: the run, if this owner may write to it with this token.
    fn held(&mut self, lease: &Lease, owner: &str) -> Result<&mut Run, StoreError> {
        let fenced = |owner| StoreError::Fenced { run: lease.run.to_string(), owner };
        let run = self.runs.get_mut(&*lease.run).ok_or(fenced(None))?;
        let holds = run.record.token == lease.token
            && run.record.owner.as_deref() == Some(owner)
            && run.record.status == RunStatus::Running;
        if run.record.status == RunStatus::Cancelled {
            return Err(StoreError::RunCancelled { run: lease.run.to_string() });
        }
        if holds { Ok(run) } else { Err(fenced(run.record.owner.clone())) }
    }

    fn living_owner(&self, run: &str) -> Option<String> {
        let owner = self.runs.get(run)?.record.owner.as_ref()?;
        self.living.contains(owner).then(|| owner.clone())
    }

    fn fork(&mut self, fork: &Fork) -> Result<RunRecord, StoreError> {
        if self.runs.contains_key(&fork.into) {
            return Err(StoreError::RunExists { run: fork.into.clone() });
        }
        let found = self.runs.get(&fork.run).and_then(|run| Some((run, *run.places.get(&*fork.from)?)));
        let Some((origin, before)) = found else {
            return Err(StoreError::NoSuchStep { run: fork.run.clone(), step: fork.from.clone() });
        };
        let token = self.token + 1;
        let mut run = Run {
            record: fork.record(&origin.record, token, before as u64),
            input: None,
            output: None,
            steps: origin.steps[..before].to_vec(),
            places: HashMap::new(),
            states: Vec::new(),
        };
        if let Some(input) = &origin.input {
            run.input = Some(fork.relocate_input(input)?.into());
        }
        for (place, step) in run.steps.iter_mut().enumerate() {
            step.value = fork.relocate(step, origin.record.incarnation, token)?.into();
            step.token = token;
            run.places.insert(Arc::clone(&step.key), place);
        }
        let record = run.record.clone();
        self.token = token;
        self.runs.insert(fork.into.clone(), run);
        Ok(record)
    }

    fn import(&mut self, import: &Import) -> Result<RunRecord, StoreError> {
        import.check()?;
        if self.runs.contains_key(&import.into) {
            return Err(StoreError::RunExists { run: import.into.clone() });
        }
        let token = self.token.max(import.last_token()) + 1;
        let RunCopy { run: record, steps, mut states, input, output } = import.settled(token)?;
        // Kept oldest first.
        states.reverse();
        let places = steps.iter().enumerate().map(|(place, step)| (Arc::clone(&step.key), place)).collect();
        self.token = token;
        self.runs.insert(import.into.clone(), Run { record: record.clone(), input, output, steps, places, states });
        Ok(record)
    }
}

impl Run {
    fn new(claim: &Claim, owner: &str, token: u64) -> Self {
        Self {
            record: RunRecord::started(claim, owner, token),
            input: claim.input.clone(),
            output: None,
            steps: Vec::new(),
            places: HashMap::new(),
            states: Vec::new(),
        }
    }

    fn saved(&self) -> Vec<StateRecord> {
        let mut states: Vec<StateRecord> = self.states.iter().rev().cloned().collect();
        states.sort_by(|a, b| a.name.cmp(&b.name));
        states
    }

    /// Says that the run was recorded in; within the hour it is left at that.
    fn touch(&mut self, at: UnixMillis) {
        self.record.recoveries = 0;
        const HOUR: i64 = 60 * 60 * 1000;
        if self.record.updated_at < at - HOUR {
            self.record.updated_at = at;
        }
    }
}
