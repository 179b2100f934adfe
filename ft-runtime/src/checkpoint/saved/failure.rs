//! Saves that failed while nobody waited for them.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{self, Poll, ready};

use crate::checkpoint::error::{CheckpointError, StoreError};
use crate::checkpoint::ticket::Ticket;
use crate::sync::lock;

/// A save that failed, until somebody has been told; or a run that is to stop. It does not hold the store: a write that is under way must not keep
/// it open.
#[derive(Debug, Default)]
pub(in crate::checkpoint) struct Failure {
    untold: AtomicBool,
    error: Mutex<Option<StoreError>>,
}

impl Failure {
    /// Whether there is one; what each mark looks at.
    #[inline]
    pub(super) fn is_untold(&self) -> bool {
        self.untold.load(Ordering::Relaxed)
    }

    pub(super) fn note(&self, answer: Result<(), StoreError>) {
        if let Err(error) = answer {
            *lock(&self.error) = Some(error);
            self.untold.store(true, Ordering::Release);
        }
    }

    /// Lets the next mark look up.
    pub(in crate::checkpoint) fn alarm(&self) {
        self.untold.store(true, Ordering::Release);
    }

    /// The failure that nobody has been told of.
    pub(super) fn tell(&self) -> Result<(), CheckpointError> {
        if !self.untold.swap(false, Ordering::Acquire) {
            return Ok(());
        }
        // There may be none: the alarm says only that there is something to look at.
        lock(&self.error).take().map_or(Ok(()), |error| Err(error.into()))
    }
}

/// A commit that somebody waits for. Dropped before the answer, a failure is told at the next mark or commit.
pub(super) struct Committing {
    ticket: Option<Ticket<()>>,
    failure: Arc<Failure>,
}

impl Committing {
    pub(super) fn new(ticket: Ticket<()>, failure: &Arc<Failure>) -> Self {
        Self { ticket: Some(ticket), failure: Arc::clone(failure) }
    }

    pub(super) fn wait(mut self) -> Result<(), StoreError> {
        let answer = self.ticket.as_mut().map_or(Ok(()), Ticket::wait_mut);
        self.answered(answer)
    }

    /// Too late for the caller, the save may still fail.
    fn answered(&mut self, answer: Result<(), StoreError>) -> Result<(), StoreError> {
        if answer != Err(StoreError::DeadlinePassed) {
            self.ticket = None;
        }
        answer
    }
}

impl Future for Committing {
    type Output = Result<(), StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let Some(ticket) = &mut self.ticket else { return Poll::Pending };
        let answer = ready!(Pin::new(ticket).poll(cx));
        Poll::Ready(self.answered(answer))
    }
}

impl Drop for Committing {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let failure = Arc::clone(&self.failure);
            ticket.abandon(move |answer| failure.note(answer));
        }
    }
}
