//! The race of one call with its extras.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use super::Hedge;
use super::call::{Failed, HedgeCalls, POLICY};
use crate::budget::RetryBudget;
use crate::deadline::Deadline;
use crate::faults::Seen;
use crate::judge::Judgement;
use crate::observe::{self, What};
use crate::time;

/// Makes the extra calls.
#[doc(hidden)]
pub trait Extra {
    /// An extra call.
    type Call;
    /// Makes one.
    fn start(&mut self) -> Self::Call;
}

/// Extra calls that are made as the first one was.
#[derive(Clone, Copy, Debug)]
pub struct Again<F>(pub(super) F);

impl<F: Fn() -> Fut, Fut> Extra for Again<F> {
    type Call = Fut;

    fn start(&mut self) -> Fut {
        (self.0)()
    }
}

pin_project! {
    /// A hedged call; see [`HedgeCalls::run`].
    #[must_use = "futures do nothing unless polled"]
    // The type of the extra calls is a parameter, and not found through `Extra`: where a value borrows, rustc could not
    // see that the future is `Send`.
    pub struct Hedging<P, T, E, J, F, X, C>
    where
        P: Deref<Target = Hedge>,
    {
        calls: HedgeCalls<P, T, E, J>,
        extra: X,
        // Gone when it has failed.
        #[pin]
        first: Option<F>,
        // What came of the first call, while others are running.
        failed: Option<Result<T, E>>,
        #[pin]
        timer: time::Timer,
        // When the timer goes off, while there is one.
        due: Option<Instant>,
        // Whether it was polled before, and since when it is suspended, where that is measured.
        suspended: bool,
        clock: Option<Instant>,
        delay: Option<Duration>,
        started: u32,
        // Somebody asked for patience: no further call starts.
        patient: bool,
        extras: Vec<Running<C>>,
    }

    impl<P, T, E, J, F, X, C> PinnedDrop for Hedging<P, T, E, J, F, X, C>
    where
        P: Deref<Target = Hedge>,
    {
        // The caller left, or a limit cut the call off: it was at least this slow.
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let (Some(began), true) = (this.clock.take(), this.first.is_some()) {
                this.calls.record_dropped(began, *this.delay);
            }
        }
    }
}

impl<P: Deref<Target = Hedge>, T, E, J, F, X, C> fmt::Debug for Hedging<P, T, E, J, F, X, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedging").field("started", &self.started).finish_non_exhaustive()
    }
}

/// An extra call.
struct Running<C> {
    call: Pin<Box<C>>,
    /// Counted from 2.
    attempt: u32,
    /// Unless latency is not measured.
    began: Option<Instant>,
}

impl<P, T, E, J, F, X, C> Future for Hedging<P, T, E, J, F, X, C>
where
    P: Deref<Target = Hedge>,
    J: Judgement<T, E>,
    F: Future<Output = Result<T, E>>,
    X: Extra<Call = C>,
    C: Future<Output = Result<T, E>>,
{
    type Output = Result<T, E>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.as_mut().project();
        if *this.suspended {
            return self.poll_race(0, cx);
        }
        *this.suspended = true;
        // Cannot be `None`: nothing has happened yet.
        let Some(first) = this.first.as_mut().as_pin_mut() else { return Poll::Pending };
        match first.poll(cx) {
            Poll::Ready(outcome) => {
                this.first.set(None);
                this.calls.record_at_once();
                if this.calls.judge.settles(&outcome) { Poll::Ready(outcome) } else { self.failed_at_once(outcome, cx) }
            }
            Poll::Pending => {
                self.as_mut().wind_up();
                self.poll_race(1, cx)
            }
        }
    }
}

impl<P: Deref<Target = Hedge>, T, E, J, F, X, C> Hedging<P, T, E, J, F, X, C> {
    pub(super) fn new(calls: HedgeCalls<P, T, E, J>, first: F, extra: X) -> Self {
        Self {
            calls,
            extra,
            first: Some(first),
            failed: None,
            timer: time::Timer::new(),
            due: None,
            suspended: false,
            clock: None,
            delay: None,
            started: 0,
            patient: false,
            extras: Vec::new(),
        }
    }
}

impl<P, T, E, J, F, X, C> Hedging<P, T, E, J, F, X, C>
where
    P: Deref<Target = Hedge>,
    J: Judgement<T, E>,
    F: Future<Output = Result<T, E>>,
    X: Extra<Call = C>,
    C: Future<Output = Result<T, E>>,
{
    /// The first call was ready at once, but not with a success.
    #[cold]
    #[inline(never)]
    fn failed_at_once(mut self: Pin<&mut Self>, outcome: Result<T, E>, cx: &mut Context<'_>) -> Poll<Result<T, E>> {
        match self.calls.failure(&outcome, 1) {
            None => Poll::Ready(outcome),
            Some(failure) => {
                *self.as_mut().project().failed = Some(outcome);
                self.as_mut().after(failure);
                self.poll_race(1, cx)
            }
        }
    }

    /// At the first suspension: when does the next call start?
    #[inline(never)]
    fn wind_up(mut self: Pin<&mut Self>) {
        let this = self.as_mut().project();
        if this.calls.policy.measures() {
            *this.clock = Some(time::now());
        }
        self.arm();
    }

    /// Polls the calls from this one on: 0 is the first, behind it come the extras.
    #[inline(never)]
    fn poll_race(mut self: Pin<&mut Self>, mut from: usize, cx: &mut Context<'_>) -> Poll<Result<T, E>> {
        loop {
            while let Poll::Ready((attempt, outcome)) = self.as_mut().poll_calls(&mut from, cx) {
                match self.calls.failure(&outcome, attempt) {
                    None => return Poll::Ready(self.win(attempt, outcome)),
                    Some(failure) => {
                        if attempt == 1 {
                            *self.as_mut().project().failed = Some(outcome);
                        }
                        self.as_mut().after(failure);
                    }
                }
            }
            let mut this = self.as_mut().project();
            if this.first.is_none() && this.extras.is_empty() {
                // The first call has failed, and this is where it ends; `None` only when it is polled after that.
                return this.failed.take().map_or(Poll::Pending, Poll::Ready);
            }
            // No delay is no delay: the timer would wait for the end of the millisecond.
            let at_once = *this.delay == Some(Duration::ZERO);
            let over = this.due.is_some_and(|due| {
                at_once
                    || match this.timer.end() {
                        Some(_) => this.timer.as_mut().poll(cx),
                        None => this.timer.as_mut().set(due, cx),
                    }
                    .is_ready()
            });
            if !over {
                return Poll::Pending;
            }
            *this.due = None;
            if !self.as_mut().start() {
                return Poll::Pending;
            }
        }
    }

    /// The next call that is done, with its number. It is gone from those that are running.
    fn poll_calls(self: Pin<&mut Self>, from: &mut usize, cx: &mut Context<'_>) -> Poll<(u32, Result<T, E>)> {
        let mut this = self.project();
        if *from == 0 {
            *from = 1;
            if let Some(first) = this.first.as_mut().as_pin_mut()
                && let Poll::Ready(outcome) = first.poll(cx)
            {
                this.first.set(None);
                if let Some(began) = this.clock.take() {
                    this.calls.record(began);
                }
                return Poll::Ready((1, outcome));
            }
        }
        while let Some(running) = this.extras.get_mut(*from - 1) {
            if let Poll::Ready(outcome) = running.call.as_mut().poll(cx) {
                // The last one takes its place, and was not polled yet.
                let done = this.extras.swap_remove(*from - 1);
                if let Some(began) = done.began {
                    this.calls.record(began);
                }
                return Poll::Ready((done.attempt, outcome));
            }
            *from += 1;
        }
        Poll::Pending
    }

    /// Sets the timer, unless what it starts would come too late or one too many.
    fn arm(self: Pin<&mut Self>) {
        let mut this = self.project();
        Pin::set(&mut this.timer, time::Timer::new());
        *this.due = None;
        *this.delay = this.delay.or_else(|| this.calls.policy.delay());
        let Some(delay) = *this.delay else { return };
        if *this.started >= this.calls.policy.max_extra {
            return;
        }
        let due = time::later(time::now(), delay);
        if Deadline::current().is_none_or(|deadline| due < deadline.instant()) {
            *this.due = Some(due);
        }
    }

    /// A call has failed: the next one starts at once.
    fn after(mut self: Pin<&mut Self>, failure: Failed) {
        if !failure.repeat {
            let this = self.as_mut().project();
            (*this.patient, *this.due) = (true, None);
        }
        let follows = self.as_mut().start();
        let this = self.project();
        let alone = this.first.is_none() && this.extras.is_empty();
        let Failed { kind, what, attempt, .. } = failure;
        let policy = POLICY;
        let seen = Seen { policy, kind, what: &what, attempt, given_up: alone && !follows };
        observe::record(this.calls.site, &seen);
    }

    /// Starts an extra call, if there is one left and it fits.
    fn start(mut self: Pin<&mut Self>) -> bool {
        let this = self.as_mut().project();
        let policy = &*this.calls.policy;
        if *this.patient || *this.started >= policy.max_extra || Deadline::current().is_some_and(Deadline::has_passed) {
            return false;
        }
        let charge = match policy.budget.map(RetryBudget::withdraw) {
            Some(None) => return false,
            Some(charge) => charge,
            None => None,
        };
        // Making the call may panic, and then the charge comes back.
        let call = Box::pin(this.extra.start());
        *this.started += 1;
        let attempt = *this.started + 1;
        let began = policy.measures().then(time::now);
        this.extras.push(Running { call, attempt, began });
        if let Some(charge) = charge {
            charge.spend();
        }
        observe::emit(this.calls.site, POLICY, What::Hedged { attempt });
        self.arm();
        true
    }

    /// Drops all others, and only then answers.
    fn win(self: Pin<&mut Self>, attempt: u32, outcome: Result<T, E>) -> Result<T, E> {
        let mut this = self.project();
        if let (Some(began), true) = (this.clock.take(), this.first.is_some()) {
            this.calls.record_dropped(began, *this.delay);
        }
        for loser in this.extras.iter() {
            if let Some(began) = loser.began {
                this.calls.record_dropped(began, *this.delay);
            }
        }
        this.first.set(None);
        this.extras.clear();
        *this.failed = None;
        if attempt > 1 {
            observe::emit(this.calls.site, POLICY, What::HedgeWon { attempt });
        }
        outcome
    }
}
