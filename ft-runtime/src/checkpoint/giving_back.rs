//! Giving a claim back, and knowing that it was.

use std::sync::Arc;

use super::error::StoreError;
use super::record::Left;
use super::shutdown::Admitted;
use super::ticket::Ticket;

/// A claim on its way back to the store. Dropped before the answer, it is given back all the same; then a shutdown that is
/// under way waits for it, and nobody else does.
#[derive(Debug)]
#[must_use = "wait for it where a process may end next"]
pub(super) struct GivingBack {
    run: Arc<str>,
    left: Left,
    pending: Option<(Ticket<()>, Option<Admitted>)>,
}

impl GivingBack {
    pub(super) fn new(run: Arc<str>, left: Left, answer: Ticket<()>, admitted: Option<Admitted>) -> Self {
        Self { run, left, pending: Some((answer, admitted)) }
    }

    /// Waits until the store has confirmed it, or has said why it cannot, or the deadline of the caller has passed.
    pub(super) async fn confirmed(mut self) {
        let Some((ticket, _)) = &mut self.pending else { return };
        let answer = ticket.await;
        self.answered(answer);
    }

    /// As [`confirmed`](Self::confirmed), blocking the thread.
    pub(super) fn confirmed_blocking(mut self) {
        let Some((ticket, _)) = &mut self.pending else { return };
        let answer = ticket.wait_mut();
        self.answered(answer);
    }

    fn answered(&mut self, answer: Result<(), StoreError>) {
        match answer {
            // It has ended.
            Ok(()) => drop(self.pending.take()),
            // The answer is still to come.
            Err(StoreError::DeadlinePassed) => {}
            // A shutdown reports it.
            Err(error) => {
                if let Some((ticket, _)) = &mut self.pending {
                    *ticket = Ticket::ready(Err(error));
                }
            }
        }
    }
}

impl Drop for GivingBack {
    fn drop(&mut self) {
        if let Some((answer, Some(admitted))) = self.pending.take() {
            admitted.given_back(&self.run, self.left, answer);
        }
    }
}
