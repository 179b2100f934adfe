//! The receipt for a request that is already on its way to the store.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use super::error::StoreError;

/// A pending answer of the store: `.await` it, or [`wait`](Ticket::wait) for it on a thread without a runtime.
///
/// The request was enqueued before the ticket was handed out. Dropping the ticket gives up the answer, never the
/// write.
///
/// # Cancel safety
/// Dropping it at any point loses nothing but the answer.
#[must_use = "the request is under way; await the ticket or `wait` for it to learn what became of it"]
pub struct Ticket<T> {
    slot: Arc<Mutex<Slot<T>>>,
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
    (Reply { slot: Some(Arc::clone(&slot)) }, Ticket { slot })
}

impl<T> Ticket<T> {
    /// A ticket whose answer is known already.
    pub fn ready(answer: Result<T, StoreError>) -> Self {
        Self { slot: Arc::new(Mutex::new(Slot::Answered(answer))) }
    }

    /// Blocks this thread until the answer is there.
    ///
    /// # Errors
    /// The store's answer.
    pub fn wait(mut self) -> Result<T, StoreError> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut cx = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(answer) = Pin::new(&mut self).poll(&mut cx) {
                return answer;
            }
            thread::park();
        }
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

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = lock(&self.slot);
        if let Slot::Waiting(waker) = &mut *slot {
            match waker {
                Some(waker) => waker.clone_from(cx.waker()),
                None => *waker = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        // Polled again after its answer, it stays pending like any finished channel: never a second answer.
        take(&mut slot).map_or(Poll::Pending, Poll::Ready)
    }
}

impl<T> Reply<T> {
    /// Answers the ticket.
    pub fn send(mut self, answer: Result<T, StoreError>) {
        self.answer(answer);
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

    #[test]
    fn a_reply_that_is_dropped_still_answers() {
        let (reply, ticket) = ticket::<()>();
        drop(reply);
        assert!(matches!(ticket.wait(), Err(StoreError::Closed { .. })));
    }
}
