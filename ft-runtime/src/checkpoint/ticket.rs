//! The receipt for a request that is already on its way to the store.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use super::error::StoreError;
use crate::deadline::Deadline;
use crate::time::{self, Sleep};

/// A pending answer of the store: `.await` it, or [`wait`](Ticket::wait) for it on a thread without a runtime.
///
/// The request was enqueued before the ticket was handed out. Dropping the ticket gives up the answer, never the
/// write. So does the [`Deadline`] of the caller: when it passes, the ticket answers
/// [`StoreError::DeadlinePassed`], and the write happens all the same.
///
/// # Cancel safety
/// Dropping it at any point loses nothing but the answer.
///
/// # Panics
/// When it is polled under a deadline outside a tokio runtime with time enabled, as every tokio timer does.
#[must_use = "the request is under way; await the ticket or `wait` for it to learn what became of it"]
pub struct Ticket<T> {
    slot: Arc<Mutex<Slot<T>>>,
    /// Wakes the one who waits when this deadline passes.
    timer: Option<(Deadline, Sleep)>,
}

/// The store's end of a [`Ticket`]. Dropped without an answer, it answers [`StoreError::Closed`].
pub struct Reply<T> {
    slot: Option<Arc<Mutex<Slot<T>>>>,
}

enum Slot<T> {
    Waiting(Option<Waker>),
    Answered(Result<T, StoreError>),
    Abandoned(Box<dyn FnOnce(Result<T, StoreError>) + Send>),
    Taken,
}

/// A ticket and the reply that answers it.
pub fn ticket<T>() -> (Reply<T>, Ticket<T>) {
    let slot = Arc::new(Mutex::new(Slot::Waiting(None)));
    (Reply { slot: Some(Arc::clone(&slot)) }, Ticket { slot, timer: None })
}

impl<T> Ticket<T> {
    /// A ticket whose answer is known already.
    pub fn ready(answer: Result<T, StoreError>) -> Self {
        Self { slot: Arc::new(Mutex::new(Slot::Answered(answer))), timer: None }
    }

    /// Blocks this thread until the answer is there, or the deadline of the caller has passed.
    ///
    /// # Errors
    /// The store's answer, or [`StoreError::DeadlinePassed`].
    pub fn wait(mut self) -> Result<T, StoreError> {
        self.wait_mut()
    }

    /// As [`wait`](Self::wait). After [`StoreError::DeadlinePassed`] the answer can still be asked for.
    pub(crate) fn wait_mut(&mut self) -> Result<T, StoreError> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            if let Some(answer) = self.answer(&waker) {
                return answer;
            }
            match Deadline::current() {
                None => thread::park(),
                Some(deadline) if deadline.has_passed() => return Err(StoreError::DeadlinePassed),
                Some(deadline) => thread::park_timeout(deadline.remaining()),
            }
        }
    }

    /// The answer, if it is there; otherwise `waker` is woken when it is.
    fn answer(&mut self, waker: &Waker) -> Option<Result<T, StoreError>> {
        let mut slot = lock(&self.slot);
        if let Slot::Waiting(waiting) = &mut *slot {
            match waiting {
                Some(waiting) => waiting.clone_from(waker),
                None => *waiting = Some(waker.clone()),
            }
            return None;
        }
        take(&mut slot)
    }

    /// Gives the ticket up, leaving someone to deal with its answer: at once if it is there, otherwise on the store's
    /// thread.
    pub(crate) fn abandon(self, heir: impl FnOnce(Result<T, StoreError>) + Send + 'static) {
        let mut slot = lock(&self.slot);
        if let Slot::Waiting(_) = &*slot {
            *slot = Slot::Abandoned(Box::new(heir));
            return;
        }
        let answer = take(&mut slot);
        drop(slot);
        if let Some(answer) = answer {
            heir(answer);
        }
    }
}

impl<T> Future for Ticket<T> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Polled again after its answer, it stays pending like any finished channel: never a second answer.
        if let Some(answer) = self.answer(cx.waker()) {
            return Poll::Ready(answer);
        }
        let Some(deadline) = Deadline::current() else { return Poll::Pending };
        let timer = match &mut self.timer {
            Some((known, timer)) if *known == deadline => timer,
            timer => &mut timer.insert((deadline, time::sleep(deadline.remaining()))).1,
        };
        Pin::new(timer).poll(cx).map(|()| Err(StoreError::DeadlinePassed))
    }
}

impl<T> Reply<T> {
    /// Answers the ticket.
    pub fn send(mut self, answer: Result<T, StoreError>) {
        self.answer(answer);
    }

    /// Whether nobody waits for the answer any more.
    pub(crate) fn is_deserted(&self) -> bool {
        self.slot.as_ref().is_none_or(|slot| Arc::strong_count(slot) == 1 && matches!(*lock(slot), Slot::Waiting(_)))
    }

    fn answer(&mut self, answer: Result<T, StoreError>) {
        let Some(slot) = self.slot.take() else { return };
        let mut locked = lock(&slot);
        match std::mem::replace(&mut *locked, Slot::Taken) {
            Slot::Abandoned(heir) => {
                drop(locked);
                heir(answer);
            }
            Slot::Waiting(waker) => {
                *locked = Slot::Answered(answer);
                // Woken outside of the lock, which the woken thread takes at once.
                drop(locked);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            Slot::Answered(_) | Slot::Taken => {}
        }
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        self.answer(Err(StoreError::Closed { store: "checkpoint".into() }));
    }
}

impl<T> fmt::Debug for Ticket<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn lock<T>(slot: &Mutex<Slot<T>>) -> MutexGuard<'_, Slot<T>> {
    // Only moves happen under the lock, so a poisoned one holds a whole value.
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take<T>(slot: &mut Slot<T>) -> Option<Result<T, StoreError>> {
    match std::mem::replace(slot, Slot::Taken) {
        Slot::Answered(answer) => Some(answer),
        Slot::Waiting(_) | Slot::Abandoned(_) | Slot::Taken => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_blocked_thread_gets_the_answer_of_another_one() {
        let (reply, ticket) = ticket();
        let answering = thread::spawn(move || reply.send(Ok(7)));
        assert_eq!(ticket.wait(), Ok(7));
        answering.join().unwrap();
    }

    #[tokio::test]
    async fn a_waiting_task_gets_the_answer_of_a_thread() {
        let (reply, ticket) = ticket();
        let task = tokio::spawn(ticket);
        tokio::task::yield_now().await;
        thread::spawn(move || reply.send(Ok("done"))).join().unwrap();
        assert_eq!(task.await.unwrap(), Ok("done"));
    }

    #[test]
    fn an_abandoned_answer_reaches_its_heir_early_or_late() {
        for early in [true, false] {
            let heard = Arc::new(Mutex::new(None));
            let (reply, ticket) = ticket();
            let heir = Arc::clone(&heard);
            let abandon = move || ticket.abandon(move |answer| *heir.lock().unwrap() = Some(answer));
            if early {
                abandon();
                reply.send(Ok(7));
            } else {
                reply.send(Ok(7));
                abandon();
            }
            assert_eq!(*heard.lock().unwrap(), Some(Ok(7)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_of_the_caller_ends_the_wait_and_leaves_the_answer() {
        let (reply, mut ticket) = ticket();
        let limit = Duration::from_secs(5);
        let began = tokio::time::Instant::now();
        let passed = Deadline::after(limit).scope(&mut ticket).await;
        assert_eq!((passed, began.elapsed()), (Err(StoreError::DeadlinePassed), limit));
        // What is there already is answered, however late it is.
        reply.send(Ok(7));
        assert_eq!(Deadline::after(Duration::ZERO).scope(ticket).await, Ok(7));
    }

    #[test]
    fn the_deadline_of_a_blocked_caller_ends_the_wait_and_leaves_the_answer() {
        let (reply, mut ticket) = ticket();
        let passed = Deadline::after(Duration::from_millis(1)).scope_blocking(|| ticket.wait_mut());
        assert_eq!(passed, Err(StoreError::DeadlinePassed));
        reply.send(Ok(7));
        assert_eq!(ticket.wait(), Ok(7));
    }

    #[test]
    fn a_reply_that_nobody_waits_for_is_deserted_unless_it_has_an_heir() {
        let (reply, waiting) = ticket::<()>();
        assert!(!reply.is_deserted());
        drop(waiting);
        assert!(reply.is_deserted());
        let (reply, waiting) = ticket::<()>();
        waiting.abandon(drop);
        assert!(!reply.is_deserted());
    }

    #[test]
    fn a_reply_that_is_dropped_still_answers() {
        let (reply, ticket) = ticket::<()>();
        drop(reply);
        assert!(matches!(ticket.wait(), Err(StoreError::Closed { .. })));
    }
}
