//! First come, first served: who waits for a permit.
//!
//! Only the order lives here, under the lock of whoever owns it. Tasks and blocking threads wait in one queue: a thread
//! waits as a task does, with a waker that unparks it. Nobody is woken while the lock is held, since a waker may run
//! anything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use crate::sync::{self, Thread};
use crate::time;

/// A place in the queue. It is given up with [`Turns::leave`], or ends when the turn comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// The queue.
#[derive(Debug)]
pub(crate) struct Turns {
    next: u64,
    /// By ticket, so by arrival; the waker of those who were polled already.
    waiting: BTreeMap<u64, Option<Waker>>,
}

impl Turns {
    pub(crate) const fn new() -> Self {
        Self { next: 0, waiting: BTreeMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes the last place.
    pub(crate) fn join(&mut self) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.waiting.insert(ticket.0, None);
        ticket
    }

    /// Still in the queue?
    pub(crate) fn holds(&self, ticket: Ticket) -> bool {
        self.waiting.contains_key(&ticket.0)
    }

    /// Nobody is before this one?
    pub(crate) fn is_first(&self, ticket: Ticket) -> bool {
        self.waiting.first_key_value().is_some_and(|(first, _)| *first == ticket.0)
    }

    /// Whom to wake when something changes for this ticket. The waker before it is for the caller to drop, outside the
    /// lock.
    pub(crate) fn listen(&mut self, ticket: Ticket, waker: &Waker) -> Option<Waker> {
        match self.waiting.get_mut(&ticket.0) {
            Some(Some(known)) if known.will_wake(waker) => None,
            Some(place) => place.replace(waker.clone()),
            None => None,
        }
    }

    /// Gives the place up: `false` when the turn had come already. The waker is for the caller to drop, outside the lock.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> (bool, Option<Waker>) {
        match self.waiting.remove(&ticket.0) {
            Some(waker) => (true, waker),
            None => (false, None),
        }
    }

    /// It is the turn of the first one, who leaves the queue with it: the waker to wake, outside the lock.
    pub(crate) fn call(&mut self) -> Option<Waker> {
        self.waiting.pop_first().and_then(|(_, waker)| waker)
    }

    /// Who is first now and should look again: the waker to wake, outside the lock.
    pub(crate) fn first(&mut self) -> Option<Waker> {
        self.waiting.first_entry().and_then(|mut first| first.get_mut().take())
    }
}

/// A blocking thread that waits its turn.
pub(crate) struct Parked {
    waker: Waker,
}

impl Parked {
    /// This thread.
    pub(crate) fn here() -> Self {
        Self { waker: Waker::from(Arc::new(Unpark(sync::current()))) }
    }

    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Blocks until woken or until the time is over; may return early.
    pub(crate) fn park(&self, limit: Option<Duration>) {
        time::park(limit);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_come_in_the_order_of_arrival_whoever_leaves() {
        let mut turns = Turns::new();
        let [first, second, third] = [turns.join(), turns.join(), turns.join()];
        assert!(turns.is_first(first) && !turns.is_first(second));
        assert!(turns.leave(second).0);
        assert!(!turns.leave(second).0, "a place is given up once");
        turns.call();
        assert!(!turns.holds(first) && turns.is_first(third));
        turns.call();
        assert!(turns.is_empty());
    }

    #[test]
    fn the_newest_waker_of_a_place_is_the_one_that_is_woken() {
        let mut turns = Turns::new();
        let ticket = turns.join();
        let (before, here) = (Parked::here(), Parked::here());
        assert!(turns.listen(ticket, before.waker()).is_none());
        assert!(turns.listen(ticket, here.waker()).is_some_and(|replaced| replaced.will_wake(before.waker())));
        assert!(turns.listen(ticket, here.waker()).is_none());
        assert!(turns.call().is_some_and(|waker| waker.will_wake(here.waker())));
        assert!(turns.listen(ticket, here.waker()).is_none(), "nobody listens without a place");
    }
}
