//! One execution, and those who wait for it.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

use super::{Coalesce, CoalesceCalls, Flights, POLICY};
use crate::observe::{self, What};
use crate::rejected::{FromRejected, Rejected};
use crate::sync::{Mutex, lock};

/// A [`Flight`] whose outcome is known by its place in [`Flights`].
pub(super) type AnyFlight = Arc<dyn Any + Send + Sync>;

/// One key in flight. Locked inside of the lock of all flights, never the other way round.
pub(super) struct Flight<T, E> {
    state: Mutex<State>,
    /// Of its own, so that nobody but those who wait for it waits while it is cloned.
    outcome: Mutex<Option<Result<T, E>>>,
}

struct State {
    stage: Stage,
    /// By ticket, so in the order of arrival.
    waiters: BTreeMap<u64, Option<Waker>>,
    tickets: u64,
}

#[derive(Clone, Copy)]
enum Stage {
    Running,
    /// The one that ran is gone, and this waiter is asked to take over.
    Offered(u64),
    Done,
    Panicked,
}

/// The part that a call has in a flight.
enum Seat<T, E> {
    /// Not polled yet.
    New,
    /// There are too many keys in flight.
    Alone,
    Leads(Arc<Flight<T, E>>),
    Waits(Arc<Flight<T, E>>, u64),
    /// It has its outcome.
    Over,
}

pin_project! {
    /// A call that may share its execution; see [`CoalesceCalls::run`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Coalesced<P, T, E, F>
    where
        P: Deref<Target = Coalesce>,
    {
        calls: CoalesceCalls<P, T, E>,
        seat: Seat<T, E>,
        #[pin]
        call: Option<F>,
    }

    impl<P, T, E, F> PinnedDrop for Coalesced<P, T, E, F>
    where
        P: Deref<Target = Coalesce>,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // Also when dropping the work panics, or those who wait would wait for ever.
            let _leaves = Leaves { seat: this.seat, calls: this.calls };
            // Before somebody else begins: it is one at a time.
            this.call.set(None);
        }
    }
}

impl<P, T, E, F> Coalesced<P, T, E, F>
where
    P: Deref<Target = Coalesce>,
{
    pub(super) fn new(calls: CoalesceCalls<P, T, E>, call: F) -> Self {
        Self { calls, seat: Seat::New, call: Some(call) }
    }
}

impl<P, T, E, F> fmt::Debug for Coalesced<P, T, E, F>
where
    P: Deref<Target = Coalesce>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coalesced").field("key", &self.calls.key).finish_non_exhaustive()
    }
}

impl<P, T, E, F> Future for Coalesced<P, T, E, F>
where
    P: Deref<Target = Coalesce>,
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            // Gone only when the outcome was returned.
            let Some(call) = this.call.as_mut().as_pin_mut() else { return Poll::Pending };
            let outcome = match this.seat {
                Seat::New => {
                    *this.seat = join(this.calls);
                    continue;
                }
                Seat::Alone => std::task::ready!(call.poll(cx)),
                Seat::Leads(flight) => {
                    let panicked = Panicked { calls: this.calls, flight };
                    let polled = call.poll(cx);
                    if let Poll::Ready(outcome) = &polled {
                        flight.land(this.calls, outcome);
                    }
                    std::mem::forget(panicked);
                    std::task::ready!(polled)
                }
                Seat::Waits(flight, ticket) => match std::task::ready!(flight.poll(*ticket, cx)) {
                    Landed::With => flight.copy(this.calls),
                    Landed::Panicked => Err((this.calls.shares.refuse)(Rejected::LeaderPanicked)),
                    Landed::NotYet => {
                        *this.seat = Seat::Leads(Arc::clone(flight));
                        observe::emit(this.calls.site, POLICY, What::TookOver { key: &this.calls.key });
                        continue;
                    }
                },
                Seat::Over => return Poll::Pending,
            };
            *this.seat = Seat::Over;
            this.call.set(None);
            return Poll::Ready(outcome);
        }
    }
}

/// Takes part in the flight of this key, or begins one.
fn join<P, T, E>(calls: &CoalesceCalls<P, T, E>) -> Seat<T, E>
where
    P: Deref<Target = Coalesce>,
{
    let mut flights = lock(&calls.policy.flights);
    let Flights { count, by_type } = &mut *flights;
    let by_key = by_type.entry((calls.shares.ty)()).or_default();
    if let Some(flight) = by_key.get(&*calls.key) {
        return match (calls.shares.find)(Arc::clone(flight)) {
            Some(flight) => {
                let ticket = flight.queue();
                Seat::Waits(flight, ticket)
            }
            // Cannot happen: flights are filed by the type of their outcome.
            None => Seat::Alone,
        };
    }
    if *count >= calls.policy.max_keys {
        return Seat::Alone;
    }
    *count += 1;
    let state = State { stage: Stage::Running, waiters: BTreeMap::new(), tickets: 0 };
    let flight = Arc::new(Flight { state: Mutex::new(state), outcome: Mutex::new(None) });
    by_key.insert(calls.key.as_str().into(), (calls.shares.file)(Arc::clone(&flight)));
    Seat::Leads(flight)
}

/// What sharing asks of an outcome, as functions: known once, where `calls::<R>()` has its bounds.
pub struct Shares<T, E> {
    ty: fn() -> TypeId,
    clone: fn(&Result<T, E>) -> Result<T, E>,
    file: fn(Arc<Flight<T, E>>) -> AnyFlight,
    find: Find<T, E>,
    refuse: fn(Rejected) -> E,
}

type Find<T, E> = fn(AnyFlight) -> Option<Arc<Flight<T, E>>>;

impl<T, E> Shares<T, E>
where
    T: Clone + Send + 'static,
    E: FromRejected + Clone + Send + 'static,
{
    pub(super) const NEW: Self = Self {
        ty: TypeId::of::<Result<T, E>>,
        clone: Clone::clone,
        file: |flight| flight,
        find: |flight| flight.downcast().ok(),
        refuse: E::from_rejected,
    };
}

impl<T, E> fmt::Debug for Shares<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shares").finish_non_exhaustive()
    }
}

/// What a waiter finds.
enum Landed {
    /// With an outcome.
    With,
    Panicked,
    /// It has to run itself.
    NotYet,
}

impl<T, E> Flight<T, E> {
    /// A place behind all others.
    fn queue(&self) -> u64 {
        let mut state = lock(&self.state);
        let ticket = state.tickets;
        state.tickets += 1;
        state.waiters.insert(ticket, None);
        ticket
    }

    /// What a waiter is to do. Wakers are dropped with no lock held: with the last one its task may go, and what that holds.
    fn poll(&self, ticket: u64, cx: &mut Context<'_>) -> Poll<Landed> {
        let mut state = lock(&self.state);
        let (landed, _waker) = match state.stage {
            Stage::Offered(to) if to == ticket => {
                state.stage = Stage::Running;
                (Poll::Ready(Landed::NotYet), state.waiters.remove(&ticket).flatten())
            }
            Stage::Running | Stage::Offered(_) => {
                (Poll::Pending, state.waiters.insert(ticket, Some(cx.waker().clone())).flatten())
            }
            Stage::Panicked => (Poll::Ready(Landed::Panicked), state.waiters.remove(&ticket).flatten()),
            Stage::Done => (Poll::Ready(Landed::With), state.waiters.remove(&ticket).flatten()),
        };
        drop(state);
        landed
    }

    /// The outcome is there. Who comes from now on runs anew.
    fn land<P: Deref<Target = Coalesce>>(&self, calls: &CoalesceCalls<P, T, E>, outcome: &Result<T, E>) {
        self.forget(calls);
        if lock(&self.state).waiters.is_empty() {
            return;
        }
        // With no lock held: it is the user's code.
        let outcome = (calls.shares.clone)(outcome);
        *lock(&self.outcome) = Some(outcome);
        self.wake(Stage::Done);
    }

    /// A clone of the outcome.
    fn copy<P: Deref<Target = Coalesce>>(&self, calls: &CoalesceCalls<P, T, E>) -> Result<T, E> {
        match &*lock(&self.outcome) {
            Some(outcome) => (calls.shares.clone)(outcome),
            // Cannot happen: it was there before the stage was `Done`.
            None => Err((calls.shares.refuse)(Rejected::LeaderPanicked)),
        }
    }

    /// Ends the flight, and wakes everybody.
    fn wake(&self, stage: Stage) {
        let wakers: Vec<Waker> = {
            let mut state = lock(&self.state);
            state.stage = stage;
            state.waiters.values_mut().filter_map(Option::take).collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The one who ran is gone without an outcome, or the one who was to take over is: the next one is asked.
    fn hand_on<P: Deref<Target = Coalesce>>(&self, calls: &CoalesceCalls<P, T, E>, leaves: Option<u64>) {
        // Dropped with no lock held, see `poll`.
        let _left;
        let next = {
            // Together, or somebody could queue for a flight that nobody will take over.
            let mut flights = lock(&calls.policy.flights);
            let mut state = lock(&self.state);
            let leads = match (state.stage, leaves) {
                (Stage::Running, None) => true,
                (Stage::Offered(to), Some(ticket)) => to == ticket,
                _ => false,
            };
            _left = leaves.and_then(|ticket| state.waiters.remove(&ticket));
            if !leads {
                return;
            }
            match state.waiters.iter_mut().next() {
                Some((ticket, waker)) => {
                    let (ticket, waker) = (*ticket, waker.take());
                    state.stage = Stage::Offered(ticket);
                    waker
                }
                None => {
                    flights.remove((calls.shares.ty)(), &calls.key, self);
                    None
                }
            }
        };
        if let Some(waker) = next {
            waker.wake();
        }
    }

    /// The key is free again.
    fn forget<P: Deref<Target = Coalesce>>(&self, calls: &CoalesceCalls<P, T, E>) {
        lock(&calls.policy.flights).remove((calls.shares.ty)(), &calls.key, self);
    }
}

impl Flights {
    /// Removes this flight, unless it is gone already: another one may have its key by now.
    fn remove<T, E>(&mut self, ty: TypeId, key: &str, flight: &Flight<T, E>) {
        let flight = std::ptr::from_ref(flight).cast::<()>();
        let Some(by_key) = self.by_type.get_mut(&ty) else { return };
        if by_key.get(key).is_some_and(|filed| Arc::as_ptr(filed).cast::<()>() == flight) {
            by_key.remove(key);
            self.count -= 1;
        }
    }
}

impl<T, E> Seat<T, E> {
    fn leave<P: Deref<Target = Coalesce>>(&mut self, calls: &CoalesceCalls<P, T, E>) {
        match std::mem::replace(self, Self::Over) {
            Self::New | Self::Alone | Self::Over => {}
            Self::Leads(flight) => flight.hand_on(calls, None),
            Self::Waits(flight, ticket) => flight.hand_on(calls, Some(ticket)),
        }
    }
}

/// Gives the seat up when it is dropped.
struct Leaves<'a, P: Deref<Target = Coalesce>, T, E> {
    seat: &'a mut Seat<T, E>,
    calls: &'a CoalesceCalls<P, T, E>,
}

impl<P, T, E> Drop for Leaves<'_, P, T, E>
where
    P: Deref<Target = Coalesce>,
{
    fn drop(&mut self) {
        self.seat.leave(self.calls);
    }
}

/// Dropped only when the call that runs panics.
struct Panicked<'a, P: Deref<Target = Coalesce>, T, E> {
    calls: &'a CoalesceCalls<P, T, E>,
    flight: &'a Flight<T, E>,
}

impl<P, T, E> Drop for Panicked<'_, P, T, E>
where
    P: Deref<Target = Coalesce>,
{
    fn drop(&mut self) {
        self.flight.forget(self.calls);
        self.flight.wake(Stage::Panicked);
    }
}
