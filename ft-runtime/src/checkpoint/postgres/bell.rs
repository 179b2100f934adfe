//! Who waits until another process may have left a run.

use std::fmt;

use crate::checkpoint::ticket::{Reply, Ticket, ticket};
use crate::sync::{Mutex, lock};

/// Rung when a notification comes, or a run may be free for another reason.
#[derive(Default)]
pub(super) struct Bell(Mutex<Option<Reply<()>>>);

impl Bell {
    /// Answered at the next ring. It takes the place of the one before, which is told that nobody answers it.
    pub(super) fn listen(&self) -> Ticket<()> {
        let (reply, ticket) = ticket();
        let before = lock(&self.0).replace(reply);
        drop(before);
        ticket
    }

    pub(super) fn ring(&self) {
        let waiting = lock(&self.0).take();
        if let Some(waiting) = waiting {
            waiting.send(Ok(()));
        }
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bell").finish_non_exhaustive()
    }
}
