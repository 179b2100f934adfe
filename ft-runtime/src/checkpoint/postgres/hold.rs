//! What this process holds, and for how long it may believe so.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::checkpoint::error::StoreError;
use crate::checkpoint::record::Lease;
use crate::checkpoint::ticket::{Reply, Ticket, ticket};
use crate::sync::{Mutex, lock};
use crate::time;

/// The part of a lease that is left, as a fraction, when its runs are stopped: so much may clocks differ in pace, and so
/// long may it take to stop.
const MARGIN: u32 = 5;

/// How often a lease is renewed in its time.
const RENEWALS: u32 = 3;

/// The runs of this process. The lease is the process's, and all of them end with it.
pub(super) struct Hold {
    owner: String,
    shown: String,
    lease: Duration,
    holding: Mutex<Holding>,
}

struct Holding {
    /// Until then nobody else can have taken a run over, by the steady clock of this process. `None` before the first
    /// renewal: the clock is read on the store's own thread alone, since others may have one of their own (in tests).
    until: Option<Instant>,
    /// Runs whose grant was acknowledged.
    held: HashMap<Arc<str>, Held>,
    /// Runs granted in the transaction that is being executed: held too, unless it fails.
    granted: HashSet<Arc<str>>,
    /// Claims that were lost and are not given back yet: something may still be executed under them.
    lost: HashMap<Arc<str>, Vec<u64>>,
    /// Claims that are given back in the transaction that is being executed.
    returned: HashSet<(Arc<str>, u64)>,
    /// Something could not be written that would have given a run back: rows may say that we hold what we do not.
    leftovers: bool,
}

struct Held {
    token: u64,
    /// Those who execute the run, to be told when it is lost.
    watchers: Vec<Reply<()>>,
}

impl Hold {
    /// Nothing yet; the lease begins with the first [`renewed`](Self::renewed).
    pub(super) fn new(owner: String, shown: String, lease: Duration) -> Self {
        let holding = Holding {
            until: None,
            held: HashMap::new(),
            granted: HashSet::new(),
            lost: HashMap::new(),
            returned: HashSet::new(),
            leftovers: false,
        };
        Self { owner, shown, lease, holding: Mutex::new(holding) }
    }

    pub(super) fn owner(&self) -> &str {
        &self.owner
    }

    /// How long the lease lasts from each renewal on.
    pub(super) fn lease(&self) -> Duration {
        self.lease
    }

    /// How long after a renewal the next one is due.
    pub(super) fn next_renewal(&self) -> Duration {
        self.lease / RENEWALS
    }

    /// The lease was renewed by a request that was sent at `sent`: no earlier can its time have begun.
    pub(super) fn renewed(&self, sent: Instant) {
        let mut holding = lock(&self.holding);
        holding.until = holding.until.max(Some(sent + (self.lease - self.lease / MARGIN)));
    }

    /// When the runs of this process have to be stopped, unless the lease is renewed before.
    pub(super) fn until(&self) -> Option<Instant> {
        lock(&self.holding).until
    }

    pub(super) fn is_valid(&self) -> bool {
        self.until().is_some_and(|until| time::now() < until)
    }

    /// The runs and tokens that are held.
    pub(super) fn all(&self) -> (Vec<String>, Vec<i64>) {
        let holding = lock(&self.holding);
        holding.held.iter().map(|(run, held)| (run.to_string(), held.token as i64)).unzip()
    }

    /// Whether a run is in the hands of this process, whatever its row says.
    pub(super) fn holds(&self, run: &str) -> bool {
        let holding = lock(&self.holding);
        holding.held.contains_key(run) || holding.granted.contains(run)
    }

    /// Whether something may be executed here under an earlier claim of this incarnation of a run, whoever holds it by now.
    pub(super) fn executes(&self, run: &str, incarnation: u64) -> bool {
        let holding = lock(&self.holding);
        let held = holding.held.get_key_value(run).map(|(run, held)| (run, std::slice::from_ref(&held.token)));
        let lost = holding.lost.get_key_value(run).map(|(run, tokens)| (run, tokens.as_slice()));
        held.into_iter().chain(lost).any(|(run, tokens)| {
            let here = |token: &&u64| !holding.returned.contains(&(Arc::clone(run), **token));
            tokens.iter().filter(here).any(|token| *token >= incarnation)
        })
    }

    /// The runs of which something may be executed here, held or lost.
    pub(super) fn executing(&self) -> Vec<String> {
        let holding = lock(&self.holding);
        holding.held.keys().chain(holding.lost.keys()).map(|run| run.to_string()).collect()
    }

    /// Nobody knows what the row of a run says that is not in our hands.
    pub(super) fn left_over(&self) {
        lock(&self.holding).leftovers = true;
    }

    pub(super) fn has_leftovers(&self) -> bool {
        lock(&self.holding).leftovers
    }

    pub(super) fn tidied(&self) {
        lock(&self.holding).leftovers = false;
    }

    /// A grant that is not committed yet.
    pub(super) fn grant(&self, run: &Arc<str>) {
        lock(&self.holding).granted.insert(Arc::clone(run));
    }

    /// A claim that is given back, and whose transaction is not committed yet.
    pub(super) fn give_back(&self, lease: &Lease) {
        lock(&self.holding).returned.insert((Arc::clone(&lease.run), lease.token));
    }

    /// The transaction has ended, one way or the other.
    pub(super) fn settle(&self) {
        let mut holding = lock(&self.holding);
        holding.granted.clear();
        holding.returned.clear();
    }

    /// A grant that is committed.
    pub(super) fn hold(&self, run: &Arc<str>, token: u64) {
        let mut holding = lock(&self.holding);
        holding.held.insert(Arc::clone(run), Held { token, watchers: Vec::new() });
        drop(holding);
        if !self.is_valid() {
            self.expire();
        }
    }

    pub(super) fn let_go(&self, lease: &Lease) {
        let mut holding = lock(&self.holding);
        if let Entry::Occupied(mut lost) = holding.lost.entry(Arc::clone(&lease.run)) {
            lost.get_mut().retain(|token| *token != lease.token);
            if lost.get().is_empty() {
                lost.remove();
            }
        }
        if holding.held.get(&lease.run).is_some_and(|held| held.token == lease.token) {
            let held = holding.held.remove(&lease.run);
            drop(holding);
            drop(held);
        }
    }

    /// Answered when the claim is lost; never if that does not happen before it is given back.
    pub(super) fn watch(&self, lease: &Lease) -> Ticket<()> {
        let mut holding = lock(&self.holding);
        match holding.held.get_mut(&lease.run) {
            Some(held) if held.token == lease.token => {
                let (reply, ticket) = ticket();
                held.watchers.retain(|watcher| !watcher.is_deserted());
                held.watchers.push(reply);
                ticket
            }
            _ => Ticket::ready(Err(self.lost(&lease.run))),
        }
    }

    /// Why nothing may be written under a claim any more, if it is lost.
    pub(super) fn refusal(&self, lease: &Lease) -> Option<StoreError> {
        let holding = lock(&self.holding);
        let lost = holding.lost.get(&lease.run).is_some_and(|tokens| tokens.contains(&lease.token));
        drop(holding);
        lost.then(|| self.lost(&lease.run))
    }

    /// Why nothing may begin under a claim any more: as [`refusal`](Self::refusal), or because its time is over and that was
    /// not noticed yet, as in a process that was stopped for a while.
    pub(super) fn barred(&self, lease: &Lease) -> Option<StoreError> {
        // Its caller may be in a test with a clock of its own, and the lease is not.
        let over = || self.until().is_none_or(|until| time::of_the_machine() >= until);
        self.refusal(lease).or_else(|| over().then(|| self.lost(&lease.run)))
    }

    /// The lease has run out: nothing is held any more.
    pub(super) fn expire(&self) {
        let mut holding = lock(&self.holding);
        let held = std::mem::take(&mut holding.held);
        for (run, held) in &held {
            holding.lost.entry(Arc::clone(run)).or_default().push(held.token);
        }
        drop(holding);
        for (run, held) in held {
            held.watchers.into_iter().for_each(|watcher| watcher.send(Err(self.lost(&run))));
        }
    }

    /// A run was taken over by another process. `false` if it was not held under this token any more.
    pub(super) fn lose(&self, run: &str, token: u64) -> bool {
        let mut holding = lock(&self.holding);
        if holding.held.get(run).is_none_or(|held| held.token != token) {
            return false;
        }
        let Some((run, held)) = holding.held.remove_entry(run) else { return false };
        holding.lost.entry(Arc::clone(&run)).or_default().push(token);
        drop(holding);
        let taken = || StoreError::Fenced { run: run.to_string(), owner: None };
        held.watchers.into_iter().for_each(|watcher| watcher.send(Err(taken())));
        true
    }

    fn lost(&self, run: &str) -> StoreError {
        StoreError::LeaseLost { run: run.to_owned(), store: self.shown.clone(), lease: self.lease }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("owner", &self.owner).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(30);

    fn hold() -> Hold {
        let hold = Hold::new("me".into(), "postgres://h/db".into(), LEASE);
        hold.renewed(time::now());
        hold
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_believed_for_less_than_it_lasts_and_from_when_it_was_asked_for() {
        let hold = Hold::new("me".into(), "postgres://h/db".into(), LEASE);
        assert!(!hold.is_valid(), "nothing was renewed yet");
        let sent = time::now();
        tokio::time::advance(Duration::from_secs(5)).await;
        hold.renewed(sent);
        assert_eq!(hold.until().unwrap() - sent, Duration::from_secs(24));
        // An answer that comes late does not take back what a later one has given.
        hold.renewed(time::now());
        hold.renewed(sent);
        assert_eq!(hold.until().unwrap() - sent, Duration::from_secs(29));
        assert_eq!(hold.next_renewal(), Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_runs_out_tells_those_who_execute_and_refuses_what_they_write() {
        let hold = hold();
        hold.hold(&"r".into(), 7);
        let lease = Lease::new("r", 7);
        let watching = hold.watch(&lease);
        assert_eq!(hold.refusal(&lease), None);
        hold.expire();
        let told = watching.await.unwrap_err();
        assert!(matches!(&told, StoreError::LeaseLost { run, .. } if run == "r"), "{told}");
        assert_eq!(hold.refusal(&lease), Some(told.clone()));
        assert_eq!(hold.watch(&lease).await, Err(told));
        assert!(!hold.holds("r"));
        assert!(hold.executes("r", 7) && !hold.executes("r", 8), "it is still in our hands, and no later incarnation");
        hold.let_go(&lease);
        assert_eq!(hold.refusal(&lease), None, "nothing is remembered of a claim that was given back");
        assert!(!hold.executes("r", 7) && hold.executing().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_grant_that_is_acknowledged_after_the_lease_ran_out_is_lost_at_once() {
        let hold = hold();
        tokio::time::advance(LEASE).await;
        hold.hold(&"r".into(), 7);
        assert!(hold.watch(&Lease::new("r", 7)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_was_taken_over_is_lost_and_a_newer_claim_of_it_is_not() {
        let hold = hold();
        hold.hold(&"r".into(), 8);
        assert!(!hold.lose("r", 7));
        assert!(hold.holds("r"));
        let watching = hold.watch(&Lease::new("r", 8));
        assert!(hold.lose("r", 8));
        assert!(matches!(watching.await, Err(StoreError::Fenced { .. })));
    }
}
