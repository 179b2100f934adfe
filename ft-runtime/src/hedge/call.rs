//! The session of one hedged call.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::time::{Duration, Instant};

use super::Hedge;
use super::race::{Again, Extra, Hedging, Running};
use crate::fault::FaultKind;
use crate::judge::{Accept, Judge, Judgement, Verdict, judgement_setters};
use crate::observe;
use crate::site::{Entered, Site};
use crate::time;

/// One hedged call: see [`Hedge::calls`].
#[derive(Debug)]
#[must_use = "nothing runs before `run`"]
pub struct HedgeCalls<P, T, E, J = Judge> {
    pub(super) policy: P,
    pub(super) site: Option<&'static Site>,
    pub(super) judge: J,
    outcome: PhantomData<fn(&T, &E)>,
}

impl<P: Deref<Target = Hedge>, T, E> HedgeCalls<P, T, E> {
    #[inline]
    pub(super) fn begin(policy: P) -> Self {
        if let Some(budget) = policy.budget {
            budget.deposit();
        }
        Self { policy, site: None, judge: Judge::by_fault(), outcome: PhantomData }
    }
}

impl<P: Deref<Target = Hedge>, T, E, J> HedgeCalls<P, T, E, J> {
    /// Files the call under its site: `calls.at(site!().enter())`.
    #[inline]
    pub fn at(self, site: Entered) -> Self {
        Self { site: Some(site.site), ..self }
    }

    /// Takes a judgement that was put together elsewhere: by a layer for each of its calls.
    #[inline]
    pub fn by<K>(self, judge: K) -> HedgeCalls<P, T, E, K> {
        self.judged(|_| judge)
    }

    /// Makes the call, and once more for each extra one.
    #[inline]
    pub fn run<F, Fut>(self, call: F) -> Hedging<P, T, E, J, Fut, Again<F>, Fut>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let first = call();
        self.race(first, Again(call))
    }

    /// Races `first` with the calls that `extra` makes.
    #[doc(hidden)]
    #[inline]
    pub fn race<F, X: Extra<Call = C>, C>(self, first: F, extra: X) -> Hedging<P, T, E, J, F, X, C> {
        Hedging::new(self, first, extra)
    }
}

impl<P: Deref<Target = Hedge>, T, E, A: Accept, V, U, H> HedgeCalls<P, T, E, Judge<A, V, U, H>> {
    judgement_setters!(hedge_calls_with);
}

impl<P, T, E, J> HedgeCalls<P, T, E, J> {
    #[inline]
    fn judged<K>(self, change: impl FnOnce(J) -> K) -> HedgeCalls<P, T, E, K> {
        HedgeCalls { policy: self.policy, site: self.site, judge: change(self.judge), outcome: PhantomData }
    }
}

macro_rules! hedge_calls_with {
    ($($part:ty),*) => { HedgeCalls<P, T, E, Judge<$($part),*>> };
}
use hedge_calls_with;

impl<P: Deref<Target = Hedge>, T, E, J> HedgeCalls<P, T, E, J> {
    /// What is known of a failure; `None` of an answer.
    pub(super) fn failure(&self, outcome: &Result<T, E>, attempt: u32) -> Option<Failed>
    where
        J: Judgement<T, E>,
    {
        if self.judge.settles(outcome) {
            return None;
        }
        match self.judge.judge(outcome) {
            Verdict::Failed { again: true, kind, retry_after, refused, barred, .. } => {
                let patience = retry_after.is_some() || matches!(kind, FaultKind::Throttled { .. });
                let what = observe::Describe(|f: &mut fmt::Formatter<'_>| self.judge.describe(outcome, f));
                let repeat = !refused && !patience && barred.is_none();
                Some(Failed { repeat, kind, what: observe::text(&what), attempt })
            }
            _ => None,
        }
    }

    #[inline]
    pub(super) fn record_at_once(&self) {
        if self.policy.measures() {
            self.policy.sketch.record_at_once(self.policy.wanted);
        }
    }

    pub(super) fn record(&self, began: Instant) {
        if self.policy.measures() {
            self.policy.sketch.record(time::now().saturating_duration_since(began), self.policy.wanted);
        }
    }

    /// The first call, if it is running, and the extra ones are dropped.
    pub(super) fn record_all_dropped<C>(&self, first: Option<Instant>, extras: &[Running<C>], delay: Option<Duration>) {
        for began in first.into_iter().chain(extras.iter().filter_map(|extra| extra.began)) {
            self.record_dropped(began, delay);
        }
    }

    /// A call that was dropped took at least this long. Where that is longer than the delay it is one of the slow ones, and
    /// belongs in the latency; where it is shorter it says nothing, and would only make calls look fast.
    fn record_dropped(&self, began: Instant, delay: Option<Duration>) {
        if self.policy.measures() {
            let took = time::now().saturating_duration_since(began);
            if delay.is_some_and(|delay| took >= delay) {
                self.policy.sketch.record(took, self.policy.wanted);
            }
        }
    }
}

impl Hedge {
    /// Whether the delay follows the latency.
    #[inline]
    pub(super) fn measures(&self) -> bool {
        self.after.is_none()
    }
}

pub(super) const POLICY: &str = "hedge";

/// A failed call, stripped of its types.
pub(super) struct Failed {
    /// May the next call start at once?
    pub(super) repeat: bool,
    pub(super) kind: FaultKind,
    pub(super) what: String,
    pub(super) attempt: u32,
}
