//! Reads: on connections of their own, so that they keep no commit waiting.
//!
//! A read sees every write that this process enqueued before it, so it waits for those, and for no other.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::queue::Queue;
use super::retry::Retry;
use super::session::{Dial, Purpose, Session, Trouble, within};
use crate::checkpoint::error::StoreError;
use crate::checkpoint::ticket::{Reply, Ticket, ticket};

/// Connections that read, at most.
pub(super) const READERS: usize = 2;

type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A read in the queue, whatever it asks for.
pub(super) trait Read: Send {
    fn is_deserted(&self) -> bool;

    /// Reads; the answer is kept until it is given.
    fn execute<'a>(&'a mut self, db: &'a Session) -> Pending<'a, Result<(), Trouble>>;

    /// Gives the answer.
    fn acknowledge(self: Box<Self>);

    /// Answers with an error.
    fn fail(self: Box<Self>, error: &StoreError);
}

/// A question that leaves the database as it is.
pub(super) trait Look: Send + 'static {
    /// What it is answered with.
    type Answer: Send + 'static;

    /// Reads the answer.
    fn look(&self, db: &Session) -> impl Future<Output = Result<Self::Answer, Trouble>> + Send;
}

/// A question and the one who waits for the answer.
struct Asked<L: Look> {
    look: L,
    reply: Reply<L::Answer>,
    answer: Option<L::Answer>,
}

impl<L: Look + Sync> Read for Asked<L>
where
    L::Answer: Sync,
{
    fn is_deserted(&self) -> bool {
        self.reply.is_deserted()
    }

    fn execute<'a>(&'a mut self, db: &'a Session) -> Pending<'a, Result<(), Trouble>> {
        let Self { look, answer, .. } = self;
        Box::pin(async move {
            *answer = Some(look.look(db).await?);
            Ok(())
        })
    }

    fn acknowledge(self: Box<Self>) {
        if let Some(answer) = self.answer {
            self.reply.send(Ok(answer));
        }
    }

    fn fail(self: Box<Self>, error: &StoreError) {
        self.reply.send(Err(error.clone()));
    }
}

/// Enqueues a question behind the writes that are enqueued by now.
pub(super) fn ask<L: Look + Sync>(queue: &Queue, look: L) -> Ticket<L::Answer>
where
    L::Answer: Sync,
{
    let (reply, ticket) = ticket();
    queue.push_read(Box::new(Asked { look, reply, answer: None }));
    ticket
}

/// Works until the queue is closed and empty.
pub(super) async fn run(queue: Arc<Queue>, dial: Dial, mut session: Option<Session>, purpose: Purpose) {
    while let Some(mut read) = queue.take_read().await {
        match answer(&mut *read, &mut session, &dial, purpose).await {
            Ok(()) => read.acknowledge(),
            Err(trouble) => read.fail(&dial.explain(trouble, "reading")),
        }
    }
}

/// Reads, for as long as a server that is away is waited for.
async fn answer(
    read: &mut dyn Read,
    session: &mut Option<Session>,
    dial: &Dial,
    purpose: Purpose,
) -> Result<(), Trouble> {
    let mut retry = Retry::new(dial.address.store_timeout);
    loop {
        let attempt = async {
            let session = match session {
                Some(session) => session,
                None => session.insert(dial.connect(purpose).await?),
            };
            read.execute(session).await
        };
        match within(retry.left(), attempt).await {
            Err(trouble @ (Trouble::Gone(_) | Trouble::Conflict(_))) => {
                *session = None;
                if !retry.wait().await {
                    return Err(trouble);
                }
            }
            done => return done,
        }
    }
}
