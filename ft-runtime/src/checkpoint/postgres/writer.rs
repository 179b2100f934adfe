//! The writer: takes all that is queued, commits it at once, answers afterwards.
//!
//! A batch whose connection breaks is executed again on another one, for as long as a server that is away is waited for.
//! Where nobody knows whether the commit arrived, only that is executed again whose answer stays the same.

use std::future::pending;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use super::hold::Hold;
use super::queue::Queue;
use super::requests::{self, Request};
use super::retry::Retry;
use super::session::{Dial, Purpose, Session, Trouble, within};
use crate::checkpoint::either::either;
use crate::checkpoint::error::StoreError;

/// The task's own state.
pub(super) struct Writer {
    /// `None` after a failure.
    session: Option<Session>,
    hold: Arc<Hold>,
    queue: Arc<Queue>,
    dial: Dial,
}

/// How far an attempt has come when it failed.
struct Failed {
    trouble: Trouble,
    /// The commit was sent.
    committing: bool,
}

impl Writer {
    pub(super) fn new(session: Session, hold: Arc<Hold>, queue: Arc<Queue>, dial: Dial) -> Self {
        Self { session: Some(session), hold, queue, dial }
    }

    /// Works until the queue is closed and empty, and ends this owner.
    pub(super) async fn run(mut self) {
        let queue = Arc::clone(&self.queue);
        let _closes = CloseOnExit(&queue);
        let mut batch = Vec::new();
        while self.take(&mut batch).await {
            let number = batch.len();
            self.commit(std::mem::take(&mut batch)).await;
            queue.settle(number);
        }
        if let Some(session) = &self.session {
            // Whoever does not hear of it waits for the end of the lease.
            let _ = within(self.hold.lease(), requests::leave(session, &self.hold)).await;
        }
    }

    /// The next batch. While there is none, what could not be given back is.
    async fn take(&mut self, batch: &mut Vec<Request>) -> bool {
        let queue = Arc::clone(&self.queue);
        loop {
            let due = self.hold.has_leftovers().then(|| tokio::time::sleep(self.hold.next_renewal()));
            let due = async {
                match due {
                    Some(due) => due.await,
                    None => pending().await,
                }
            };
            if let Ok(taken) = either(queue.take(batch), due).await {
                return taken;
            }
            let (limit, mut committing) = (self.hold.next_renewal(), false);
            if within(limit, self.execute(&mut [], false, &mut committing)).await.is_err() {
                self.session = None;
            }
        }
    }

    /// Commits and answers a batch. One request that the server refuses does not take the others with it.
    async fn commit(&mut self, batch: Vec<Request>) {
        let mut waiting = vec![batch];
        // Of a batch of which nobody knows whether it was committed, that goes for each request.
        let mut repeated = false;
        while let Some(mut batch) = waiting.pop() {
            match self.attempt(&mut batch, &mut repeated).await {
                Ok(()) => batch.into_iter().for_each(|request| {
                    guarded(|| request.acknowledge(&self.hold));
                }),
                Err(Trouble::Refused(_) | Trouble::Senseless(_)) if batch.len() > 1 => {
                    // The last one first onto the stack: they are executed in their order.
                    waiting.extend(batch.into_iter().rev().map(|request| vec![request]));
                }
                Err(trouble) => {
                    let error = self.dial.explain(trouble, "writing");
                    batch.into_iter().for_each(|request| {
                        guarded(|| request.settle_failed(&error, &self.hold));
                    });
                }
            }
        }
    }

    /// Executes a batch until it is committed, refused, or the time is over. Requests that cannot be executed again are
    /// answered here and leave it.
    async fn attempt(&mut self, batch: &mut Vec<Request>, repeated: &mut bool) -> Result<(), Trouble> {
        let mut retry = Retry::new(self.dial.address.store_timeout);
        loop {
            let (mut committing, left) = (false, retry.left());
            let done = within(left, self.execute(batch, *repeated, &mut committing)).await;
            self.hold.settle();
            let Failed { trouble, committing } = match done {
                Ok(()) => return Ok(()),
                Err(trouble) => Failed { trouble, committing },
            };
            match &trouble {
                Trouble::Gone(_) => self.session = None,
                _ => self.roll_back().await,
            }
            if committing && matches!(trouble, Trouble::Gone(_)) {
                *repeated = true;
                self.answer_unrepeatable(batch, &trouble);
            }
            if !matches!(trouble, Trouble::Gone(_) | Trouble::Conflict(_)) || !retry.wait().await {
                return Err(trouble);
            }
        }
    }

    /// Of a batch without requests, what has to be done before any.
    async fn execute(&mut self, batch: &mut [Request], repeated: bool, committing: &mut bool) -> Result<(), Trouble> {
        let session = match &mut self.session {
            Some(session) => session,
            none => none.insert(self.dial.connect(Purpose::Write).await?),
        };
        // A grant under a lease that has run out would be nobody's.
        if !self.hold.is_valid() {
            let (sent, _) = requests::renew(session, &self.hold).await?;
            self.hold.renewed(sent);
        }
        if self.hold.has_leftovers() {
            requests::tidy(session, &self.hold).await?;
        }
        if requests::is_one_statement(batch) {
            *committing = true;
            return requests::execute(batch, session, &self.hold, repeated).await;
        }
        session.batch("BEGIN").await?;
        requests::execute(batch, session, &self.hold, repeated).await?;
        *committing = true;
        session.batch("COMMIT").await
    }

    /// Ends a transaction that failed; a connection on which that fails too is given up.
    async fn roll_back(&mut self) {
        if let Some(session) = &self.session
            && within(self.hold.lease(), session.batch("ROLLBACK")).await.is_err()
        {
            self.session = None;
        }
    }

    fn answer_unrepeatable(&self, batch: &mut Vec<Request>, trouble: &Trouble) {
        let error = StoreError::Failed {
            store: self.dial.address.shown.clone(),
            doing: "committing",
            reason: format!("{trouble}; it may have been done"),
        };
        let (again, lost) = std::mem::take(batch).into_iter().partition(Request::is_repeatable);
        *batch = again;
        let lost: Vec<Request> = lost;
        lost.into_iter().for_each(|request| {
            guarded(|| request.settle_failed(&error, &self.hold));
        });
    }
}

/// A waker or an heir that panics, which the panic hook reports, takes no other answer with it.
fn guarded(answer: impl FnOnce()) {
    let _ = panic::catch_unwind(AssertUnwindSafe(answer));
}

/// Whatever ends the writer, a panic included, nobody waits for it afterwards.
struct CloseOnExit<'q>(&'q Queue);

impl Drop for CloseOnExit<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
