//! The permit of one call.

use std::fmt;
use std::mem;
use std::ops::Deref;
use std::time::Duration;

use super::machine::{Admission, Change, Ticket};
use super::rules::Nanos;
use super::window::Mark;
use super::{Abandoned, CircuitBreaker, POLICY};
use crate::judge::{Judgement, Verdict};
use crate::rejected::Rejected;
use crate::site::Site;
use crate::{deadline, observe, time};

/// One call that a [`CircuitBreaker`] let through, see [`CircuitBreaker::acquire`].
///
/// Say how the call went with [`succeeded`](Self::succeeded) or [`failed`](Self::failed). Dropped without a word it is an abandoned
/// call: nothing, or a failure, as [`CircuitBreaker::abandoned`] says; a failure in any case where a deadline of ours cut
/// it off, or where it was dropped by a panic.
#[must_use = "dropped at once, the call counts as abandoned"]
pub struct Permit<P: Deref<Target = CircuitBreaker>> {
    breaker: P,
    site: Option<&'static Site>,
    ticket: Ticket,
    /// When the call began, where it matters.
    began: Nanos,
    /// The call is running on this thread: whoever drops the permit now is a panic.
    running: bool,
}

impl<P: Deref<Target = CircuitBreaker>> Permit<P> {
    /// A permit that holds nothing yet.
    #[inline]
    pub(super) fn new(breaker: P, site: Option<&'static Site>) -> Self {
        Self { breaker, site, ticket: Ticket::UNCOUNTED, began: 0, running: false }
    }

    /// The call went well.
    pub fn succeeded(mut self) {
        self.succeed();
    }

    /// The call failed.
    pub fn failed(mut self) {
        self.fail();
    }

    /// Asks the breaker.
    ///
    /// # Errors
    ///
    /// How long to wait before asking again.
    #[inline]
    pub(super) fn start(&mut self) -> Result<(), Duration> {
        match self.breaker.shell.admit_at_once() {
            Some(ticket) if self.breaker.rules.slow.is_none() => {
                self.ticket = ticket;
                Ok(())
            }
            _ => self.ask(),
        }
    }

    #[inline(never)]
    fn ask(&mut self) -> Result<(), Duration> {
        let (rules, now) = (&self.breaker.rules, time::nanos());
        let (admission, change) = self.breaker.shell.admit(rules, now);
        self.began = now;
        if let Some(change) = change {
            self.breaker.tell(self.site, change);
        }
        match admission {
            Admission::Admitted(ticket) => {
                self.ticket = ticket;
                Ok(())
            }
            Admission::Refused { .. } if rules.shadow => Ok(()),
            Admission::Refused { retry_after } => Err(Duration::from_nanos(retry_after)),
        }
    }

    /// The refusal that a call gets, told to those who listen.
    #[inline(never)]
    pub(super) fn refuse(&self, retry_after: Duration) -> Rejected {
        let rejected = Rejected::CircuitOpen { retry_after };
        observe::refused(self.site, POLICY, &rejected);
        rejected
    }

    /// The call runs on this thread from here on; see [`pause`](Self::pause).
    #[inline]
    pub(super) fn resume(&mut self) {
        self.running = true;
    }

    /// The call no longer runs on this thread.
    #[inline]
    pub(super) fn pause(&mut self) {
        self.running = false;
    }

    /// Counts the outcome as the judgement says.
    #[inline]
    pub(super) fn settle<T, E>(&mut self, judge: &impl Judgement<T, E>, outcome: &Result<T, E>) {
        if judge.settles(outcome) {
            self.succeed();
        } else {
            self.settle_failure(judge, outcome);
        }
    }

    #[cold]
    #[inline(never)]
    fn settle_failure<T, E>(&mut self, judge: &impl Judgement<T, E>, outcome: &Result<T, E>) {
        match judge.judge(outcome) {
            // One of our own policies stepped in: that says nothing of the other side.
            Verdict::Failed { refused: true, .. } => self.give_back(),
            Verdict::Failed { again: true, .. } => self.fail(),
            // What will not go away by itself is an answer.
            _ => self.succeed(),
        }
    }

    #[inline]
    fn succeed(&mut self) {
        let ticket = mem::replace(&mut self.ticket, Ticket::UNCOUNTED);
        if ticket == Ticket::UNCOUNTED {
            return;
        }
        if self.breaker.rules.reads_clock_at_end() || !self.breaker.shell.count(ticket) {
            self.succeed_slowly(ticket);
        }
    }

    #[inline(never)]
    fn succeed_slowly(&self, ticket: Ticket) {
        let now = time::nanos();
        let slow = self.is_slow(now);
        if slow || !self.breaker.shell.count_at(ticket, now) {
            self.record(ticket, Mark { failed: false, slow }, now);
        }
    }

    fn fail(&mut self) {
        let ticket = mem::replace(&mut self.ticket, Ticket::UNCOUNTED);
        if ticket != Ticket::UNCOUNTED {
            let now = time::nanos();
            self.record(ticket, Mark { failed: true, slow: self.is_slow(now) }, now);
        }
    }

    fn is_slow(&self, now: Nanos) -> bool {
        self.breaker.rules.slow.is_some_and(|limit| now.saturating_sub(self.began) > limit)
    }

    #[inline(never)]
    fn record(&self, ticket: Ticket, mark: Mark, now: Nanos) {
        let change: Option<Change> = self.breaker.shell.record(&self.breaker.rules, ticket, mark, now);
        if let Some(change) = change {
            self.breaker.tell(self.site, change);
        }
    }

    fn give_back(&mut self) {
        let ticket = mem::replace(&mut self.ticket, Ticket::UNCOUNTED);
        if ticket != Ticket::UNCOUNTED {
            self.breaker.shell.give_back(&self.breaker.rules, ticket);
        }
    }

    #[cold]
    #[inline(never)]
    fn abandon(&mut self) {
        let counts = self.running || deadline::is_cutting_off() || self.breaker.rules.abandoned == Abandoned::Failure;
        if counts { self.fail() } else { self.give_back() }
    }
}

impl<P: Deref<Target = CircuitBreaker>> Drop for Permit<P> {
    #[inline]
    fn drop(&mut self) {
        if self.ticket != Ticket::UNCOUNTED {
            self.abandon();
        }
    }
}

impl<P: Deref<Target = CircuitBreaker>> fmt::Debug for Permit<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("counts", &(self.ticket != Ticket::UNCOUNTED)).finish_non_exhaustive()
    }
}
