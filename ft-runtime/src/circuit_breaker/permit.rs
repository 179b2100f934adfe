//! The permit of one call.

use std::fmt;
use std::mem;
use std::ops::Deref;
use std::time::Duration;

use super::machine::{Admission, Ticket};
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
/// it off.
#[must_use = "dropped at once, the call counts as abandoned"]
pub struct Permit<P: Deref<Target = CircuitBreaker>> {
    breaker: P,
    site: Option<&'static Site>,
    pass: Pass,
}

/// What a call keeps of its admission; small enough for two registers.
#[derive(Clone, Copy)]
pub(super) struct Pass {
    ticket: Ticket,
    /// When the call began, where that matters. Of a refusal: how long to wait.
    nanos: Nanos,
}

impl Pass {
    /// Of nothing: the call has been settled, or does not count.
    pub(super) const NONE: Self = Self { ticket: Ticket::UNCOUNTED, nanos: 0 };
    /// Of a call that has not asked yet.
    pub(super) const NEW: Self = Self { ticket: Ticket(u64::MAX - 1), nanos: 0 };
    const REFUSED: Ticket = Ticket(u64::MAX);

    #[inline]
    pub(super) fn is_new(self) -> bool {
        self.ticket == Self::NEW.ticket
    }

    /// How long to wait, of a refusal.
    #[inline]
    pub(super) fn refused(self) -> Option<Duration> {
        if self.ticket == Self::REFUSED { Some(Duration::from_nanos(self.nanos)) } else { None }
    }

    /// Is there something to settle?
    #[inline]
    fn holds(self) -> bool {
        // One comparison for all three that hold nothing.
        self.ticket.0.wrapping_sub(1) < u64::MAX - 2
    }
}

impl<P: Deref<Target = CircuitBreaker>> Permit<P> {
    #[inline]
    pub(super) fn new(breaker: P, site: Option<&'static Site>, pass: Pass) -> Self {
        Self { breaker, site, pass }
    }

    #[inline]
    pub(super) fn pass(&self) -> Pass {
        self.pass
    }

    /// Asks the breaker, and answers how long to wait where it refuses.
    #[inline]
    pub(super) fn enter(&mut self) -> Option<Duration> {
        let pass = self.breaker.enter(self.site);
        let refused = pass.refused();
        if refused.is_none() {
            self.pass = pass;
        }
        refused
    }

    #[inline]
    pub(super) fn settle<T, E>(&mut self, judge: &impl Judgement<T, E>, outcome: &Result<T, E>) {
        let pass = self.take();
        self.breaker.settle(self.site, pass, judge, outcome);
    }

    #[cold]
    pub(super) fn refuse(&self, retry_after: Duration) -> Rejected {
        self.breaker.refuse(self.site, retry_after)
    }

    /// Takes the pass out, for whoever settles it.
    #[inline]
    fn take(&mut self) -> Pass {
        mem::replace(&mut self.pass, Pass::NONE)
    }

    /// The call went well.
    pub fn succeeded(mut self) {
        let pass = self.take();
        self.breaker.succeed(self.site, pass);
    }

    /// The call failed.
    pub fn failed(mut self) {
        let pass = self.take();
        self.breaker.fail(self.site, pass);
    }
}

impl<P: Deref<Target = CircuitBreaker>> Drop for Permit<P> {
    #[inline]
    fn drop(&mut self) {
        if self.pass.holds() {
            self.breaker.abandon(self.site, self.pass);
        }
    }
}

impl<P: Deref<Target = CircuitBreaker>> fmt::Debug for Permit<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("counts", &self.pass.holds()).finish_non_exhaustive()
    }
}

/// While it lives, a call is running on this thread: dropped, its panic passes by.
pub(super) struct Running<'a> {
    breaker: &'a CircuitBreaker,
    site: Option<&'static Site>,
    pass: Pass,
}

impl<'a> Running<'a> {
    #[inline]
    pub(super) fn new(breaker: &'a CircuitBreaker, site: Option<&'static Site>, pass: Pass) -> Self {
        Self { breaker, site, pass }
    }

    /// The call has come back.
    #[inline]
    pub(super) fn over(self) {
        mem::forget(self);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.breaker.fail(self.site, self.pass);
    }
}

/// The same for a call that is polled, whose permit lives elsewhere.
pub(super) struct Polling<'a, P: Deref<Target = CircuitBreaker>>(&'a mut Permit<P>);

impl<'a, P: Deref<Target = CircuitBreaker>> Polling<'a, P> {
    #[inline]
    pub(super) fn new(permit: &'a mut Permit<P>) -> Self {
        Self(permit)
    }

    /// The call has come back.
    #[inline]
    pub(super) fn over(self) {
        mem::forget(self);
    }
}

impl<P: Deref<Target = CircuitBreaker>> Drop for Polling<'_, P> {
    fn drop(&mut self) {
        let pass = self.0.take();
        self.0.breaker.fail(self.0.site, pass);
    }
}

/// What the doors do with a pass.
impl CircuitBreaker {
    /// Asks for a pass, which may be a refusal.
    #[inline]
    pub(super) fn enter(&self, site: Option<&'static Site>) -> Pass {
        match self.shell.admit_at_once() {
            Some(ticket) => Pass { ticket, nanos: 0 },
            None => self.ask(site),
        }
    }

    #[inline(never)]
    fn ask(&self, site: Option<&'static Site>) -> Pass {
        if self.rules.slow.is_none()
            && let Some(ticket) = self.shell.closed()
        {
            return Pass { ticket, nanos: 0 };
        }
        // What is refused under overload must cost little: the usual refusal is a look and, where it has an end, the clock.
        if !self.rules.shadow
            && let Some(nanos) = self.shell.refuses_for(&self.rules, time::nanos)
        {
            self.shell.count_refusal();
            return Pass { ticket: Pass::REFUSED, nanos };
        }
        self.ask_the_machine(site)
    }

    #[cold]
    #[inline(never)]
    fn ask_the_machine(&self, site: Option<&'static Site>) -> Pass {
        let now = time::nanos();
        let (admission, change) = self.shell.admit(&self.rules, now);
        if let Some(change) = change {
            self.tell(site, change);
        }
        match admission {
            Admission::Admitted(ticket) => Pass { ticket, nanos: now },
            Admission::Refused { .. } if self.rules.shadow => Pass::NONE,
            Admission::Refused { retry_after } => Pass { ticket: Pass::REFUSED, nanos: retry_after },
        }
    }

    /// The refusal that a call gets, told to those who listen.
    #[inline(never)]
    pub(super) fn refuse(&self, site: Option<&'static Site>, retry_after: Duration) -> Rejected {
        let rejected = Rejected::CircuitOpen { retry_after };
        observe::refused(site, POLICY, self.key.as_deref(), &rejected);
        rejected
    }

    /// Counts the outcome as the judgement says.
    #[inline]
    pub(super) fn settle<T, E>(
        &self,
        site: Option<&'static Site>,
        pass: Pass,
        judge: &impl Judgement<T, E>,
        outcome: &Result<T, E>,
    ) {
        if judge.settles(outcome) {
            self.succeed(site, pass);
        } else {
            self.settle_failure(site, pass, judge, outcome);
        }
    }

    #[cold]
    #[inline(never)]
    fn settle_failure<T, E>(
        &self,
        site: Option<&'static Site>,
        pass: Pass,
        judge: &impl Judgement<T, E>,
        outcome: &Result<T, E>,
    ) {
        match judge.judge(outcome) {
            // One of our own policies stepped in: that says nothing of the other side.
            Verdict::Failed { refused: true, .. } => self.give_back(pass),
            Verdict::Failed { again: true, .. } => self.fail(site, pass),
            // What will not go away by itself is an answer.
            _ => self.succeed(site, pass),
        }
    }

    #[inline]
    fn succeed(&self, site: Option<&'static Site>, pass: Pass) {
        if !self.shell.count(pass.ticket) {
            self.succeed_slowly(site, pass);
        }
    }

    #[inline(never)]
    fn succeed_slowly(&self, site: Option<&'static Site>, pass: Pass) {
        if !pass.holds() {
            return;
        }
        let now = time::nanos();
        let slow = self.is_slow(pass, now);
        if slow || !self.shell.count_at(pass.ticket, now) {
            self.record(site, pass, Mark { failed: false, slow }, now);
        }
    }

    #[inline(never)]
    fn fail(&self, site: Option<&'static Site>, pass: Pass) {
        if pass.holds() {
            let now = time::nanos();
            self.record(site, pass, Mark { failed: true, slow: self.is_slow(pass, now) }, now);
        }
    }

    fn is_slow(&self, pass: Pass, now: Nanos) -> bool {
        self.rules.slow.is_some_and(|limit| now.saturating_sub(pass.nanos) > limit)
    }

    fn record(&self, site: Option<&'static Site>, pass: Pass, mark: Mark, now: Nanos) {
        if let Some(change) = self.shell.record(&self.rules, pass.ticket, mark, now) {
            self.tell(site, change);
        }
    }

    fn give_back(&self, pass: Pass) {
        if pass.holds() {
            self.shell.give_back(&self.rules, pass.ticket);
        }
    }

    #[cold]
    #[inline(never)]
    fn abandon(&self, site: Option<&'static Site>, pass: Pass) {
        if deadline::is_cutting_off() || self.rules.abandoned == Abandoned::Failure {
            self.fail(site, pass);
        } else {
            self.give_back(pass);
        }
    }
}
