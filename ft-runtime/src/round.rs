//! One call that asks several members of a roster: what the sessions of a failover and the tower service share.
//!
//! Free of the types of the call, so one copy serves every call on one kind of roster.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use crate::budget::Charge;
use crate::deadline::{self, Deadline, Under};
use crate::failover::{Failover, Prefer};
use crate::fault::FaultKind;
use crate::faults::Seen;
use crate::health::Pass;
use crate::judge::{Judgement, Verdict};
use crate::observe::{self, Failure, GaveUp, What};
use crate::roster::{self, Asked, Pick, Roster};
use crate::site::Site;
use crate::time;

const POLICY: &str = "failover";

/// The state of one call.
#[derive(Debug)]
pub struct Round<S: Roster> {
    policy: Failover,
    roster: S,
    site: Option<&'static Site>,
    /// The member that is asked now, or was asked last.
    current: usize,
    /// The leave to ask it, until its result is counted.
    pass: Option<Pass>,
    /// Its attempt has started and not ended.
    running: bool,
    asked: Asked,
    attempt: u32,
    /// Its own; the one around is asked for only where it matters.
    deadline: Option<Deadline>,
    /// For the next attempt.
    charge: Option<Charge<'static>>,
    /// The last failure, until it is told.
    failure: Option<Failed>,
}

/// A failed attempt, stripped of its types.
#[derive(Debug)]
struct Failed {
    kind: FaultKind,
    what: String,
}

/// What came of the search for the next member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    /// There is a next one.
    Moved,
    /// There may be one later: those that are left are not ready.
    NotReady,
    /// There is none.
    Ended,
}

impl Advance {
    /// Is there a next one?
    pub fn is_moved(self) -> bool {
        self == Self::Moved
    }
}

impl<S: Roster> Round<S> {
    /// A call that has picked nobody yet.
    #[inline]
    pub fn new(policy: Failover, roster: S, site: Option<&'static Site>) -> Self {
        Self {
            policy,
            roster,
            site,
            current: 0,
            pass: None,
            running: false,
            asked: Asked::default(),
            attempt: 0,
            deadline: None,
            charge: None,
            failure: None,
        }
    }

    /// The call begins: its deadline runs.
    #[inline]
    pub fn arm(&mut self) {
        if let Some(budget) = self.policy.budget {
            budget.deposit();
        }
        self.deadline = self.policy.deadline.map(Deadline::after);
    }

    /// The nearer of its own deadline and the one around.
    fn ends(&self) -> Option<Deadline> {
        [self.deadline, Deadline::current()].into_iter().flatten().min()
    }

    /// Begins with the first member: `false` when there is nobody.
    #[inline]
    pub fn begin(&mut self) -> bool {
        self.arm();
        self.begin_with_the_head() || self.begin_with_another()
    }

    #[cold]
    #[inline(never)]
    fn begin_with_another(&mut self) -> bool {
        self.advance(|_| true).is_moved()
    }

    /// The usual case, in line: the one at the head is up, and needs no lock and no clock to be picked.
    #[inline]
    fn begin_with_the_head(&mut self) -> bool {
        let head = if self.policy.prefer == Prefer::Sticky { self.roster.common().favourite() } else { 0 };
        let pass = if head < self.roster.len() { self.roster.monitor(head).admit_at_once() } else { None };
        if let Some(pass) = pass {
            self.picked(head, pass);
        }
        pass.is_some()
    }

    #[inline]
    fn picked(&mut self, index: usize, pass: Pass) {
        self.current = index;
        self.pass = Some(pass);
        self.asked.insert(index);
        self.attempt += 1;
    }

    /// As [`begin`](Self::begin), but picks the first in order where nobody can be asked.
    #[inline]
    pub fn begin_at_all_costs(&mut self) {
        if !self.begin() {
            self.asked.insert(0);
            self.attempt = 1;
        }
    }

    /// Was anybody picked?
    #[inline]
    pub fn has_begun(&self) -> bool {
        self.attempt > 0
    }

    /// The members.
    pub fn roster(&self) -> &S {
        &self.roster
    }

    /// The member that is asked now.
    #[inline]
    pub fn index(&self) -> usize {
        self.current
    }

    /// Is the member that was picked still one to ask?
    pub fn stands(&self) -> bool {
        self.pass.is_some_and(|pass| self.roster.monitor(self.current).is_current(pass))
    }

    /// The current attempt starts.
    #[inline]
    fn start(&mut self) {
        if let Some(charge) = self.charge.take() {
            charge.spend();
        }
        self.running = true;
    }

    /// Asks the current member.
    #[inline]
    pub fn run<F: Future>(&mut self, attempt: F) -> Under<F> {
        self.start();
        deadline::under(self.deadline, attempt)
    }

    /// As [`run`](Self::run), for an attempt whose making may look at the deadline already.
    #[inline]
    pub fn run_with<F: Future>(&mut self, attempt: impl FnOnce() -> F) -> Under<F> {
        self.start();
        deadline::under(self.deadline, deadline::under_blocking(self.deadline, attempt))
    }

    /// The time there is for a wait: `longest`, or what is left until the deadline.
    pub fn within(&self, longest: Duration) -> Duration {
        self.ends().map_or(longest, |deadline| deadline.remaining().min(longest))
    }

    /// As [`run`](Self::run), for a blocking attempt.
    #[inline]
    pub fn run_blocking<R>(&mut self, attempt: impl FnOnce() -> R) -> R {
        self.start();
        deadline::under_blocking(self.deadline, attempt)
    }

    /// Counts the outcome of the current attempt: `true` when another member may be asked, if there is one.
    #[inline]
    pub fn judged<T, E, J: Judgement<T, E>>(&mut self, judge: &J, outcome: &Result<T, E>) -> bool {
        self.running = false;
        match judge.judge(outcome) {
            Verdict::Settled => {
                self.settled();
                false
            }
            Verdict::Failed { again, kind, refused, named, barred, .. } => {
                let what = observe::Describe(|f: &mut fmt::Formatter<'_>| judge.describe(outcome, f));
                self.failed(Verdict::Failed { again, kind, refused, named, barred, retry_after: None }, &what)
            }
        }
    }

    #[inline]
    fn settled(&mut self) {
        self.answered();
        if self.policy.prefer == Prefer::Sticky {
            self.roster.common().set_favourite(self.current);
        }
        if self.attempt > 1 {
            self.recovered();
        }
    }

    #[cold]
    #[inline(never)]
    fn recovered(&self) {
        observe::emit(self.site, POLICY, What::Recovered { attempt: self.attempt });
    }

    #[inline]
    fn answered(&mut self) {
        if let Some(pass) = self.pass.take()
            && !self.roster.monitor(self.current).is_spotless(pass)
        {
            self.answered_at_last(pass);
        }
    }

    #[cold]
    #[inline(never)]
    fn answered_at_last(&mut self, pass: Pass) {
        let change = self.roster.monitor(self.current).answered(pass, self.policy.rules);
        roster::tell(self.site, self.roster.name(self.current), change);
    }

    fn count_failure(&mut self) {
        if let Some(pass) = self.pass.take() {
            roster::count_failure(&self.roster, self.current, pass, self.policy.rules, self.site);
        }
    }

    /// Gives the leave back, with nothing learned.
    fn give_back(&mut self) {
        if let Some(pass) = self.pass.take() {
            self.roster.monitor(self.current).returned(pass);
        }
    }

    #[cold]
    fn failed(&mut self, verdict: Verdict, what: &dyn fmt::Display) -> bool {
        let Verdict::Failed { again, kind, refused, named, barred, .. } = verdict else { return false };
        match kind {
            _ if refused => self.give_back(),
            FaultKind::Throttled { .. } => self.give_back(),
            _ if again => self.count_failure(),
            _ => self.answered(),
        }
        self.failure = Some(Failed { kind, what: observe::text(what) });
        let safe = self.policy.idempotent || named || kind == FaultKind::Unsent;
        let stop = if !again || !safe {
            Some(GaveUp::NotRetryable)
        } else if barred.is_some() {
            barred
        } else if self.attempt >= self.policy.max_targets {
            Some(GaveUp::Exhausted)
        } else if self.ends().is_some_and(Deadline::has_passed) {
            Some(GaveUp::Deadline)
        } else {
            // Nothing of a call that was refused before it started reached the other side: asking the next one adds no load.
            let free = refused && kind == FaultKind::Unsent;
            match self.policy.budget {
                Some(budget) if !free => {
                    self.charge = budget.withdraw();
                    self.charge.is_none().then_some(GaveUp::Budget)
                }
                _ => None,
            }
        };
        if let Some(reason) = stop {
            self.give_up(reason);
        }
        stop.is_none()
    }

    /// The caller left: the target is free again, and nothing is counted, unless it was a deadline that passed.
    #[cold]
    #[inline(never)]
    fn abandoned(&mut self) {
        let late = || deadline::is_cutting_off() || self.deadline.is_some_and(Deadline::has_passed);
        if self.running && late() {
            self.count_failure();
        } else {
            self.give_back();
        }
    }

    /// Picks the next member; `ready` is asked first. Tells of the failure that led here once that is decided.
    pub fn advance(&mut self, ready: impl FnMut(usize) -> bool) -> Advance {
        let first = (self.policy.prefer == Prefer::Sticky).then(|| self.roster.common().favourite());
        match roster::pick(&self.roster, &self.asked, first, self.policy.rules, self.site, ready) {
            Pick::Member(index, pass) => {
                if self.failure.is_some() {
                    self.moved(index);
                }
                self.picked(index, pass);
                Advance::Moved
            }
            Pick::NotReady => Advance::NotReady,
            Pick::Nobody => {
                self.charge = None;
                self.give_up(GaveUp::Exhausted);
                Advance::Ended
            }
        }
    }

    /// Stops waiting for those that are not ready.
    pub fn stop(&mut self) {
        self.charge = None;
        self.give_up(GaveUp::Exhausted);
    }

    /// A member that was not picked yet cannot be asked: that is a failure too. Not looked at again in this call.
    #[cold]
    pub fn broken(&mut self, index: usize, what: &dyn fmt::Display) {
        self.asked.insert(index);
        let monitor = self.roster.monitor(index);
        let (pass, change) = monitor.admit(self.policy.rules, time::now());
        roster::tell(self.site, self.roster.name(index), change);
        if let Some(pass) = pass.or_else(|| monitor.force()) {
            roster::count_failure(&self.roster, index, pass, self.policy.rules, self.site);
        }
        self.record(&Failed { kind: FaultKind::Unsent, what: observe::text(what) }, false);
    }

    #[cold]
    fn moved(&mut self, to: usize) {
        let Some(failed) = self.failure.take() else { return };
        self.record(&failed, false);
        let (from, to) = (self.roster.name(self.current), self.roster.name(to));
        let fault = Failure { kind: failed.kind, what: &failed.what };
        observe::emit(self.site, POLICY, What::FailedOver { from, to, fault });
    }

    #[cold]
    fn give_up(&mut self, reason: GaveUp) {
        let Some(failed) = self.failure.take() else { return };
        self.record(&failed, true);
        let fault = Failure { kind: failed.kind, what: &failed.what };
        observe::emit(self.site, POLICY, What::GaveUp { attempts: self.attempt, reason, fault });
    }

    fn record(&self, failed: &Failed, given_up: bool) {
        let seen = Seen { policy: POLICY, kind: failed.kind, what: &failed.what, attempt: self.attempt, given_up };
        observe::record(self.site, &seen);
    }
}

impl<S: Roster> Drop for Round<S> {
    #[inline]
    fn drop(&mut self) {
        if self.pass.is_some() {
            self.abandoned();
        }
    }
}
