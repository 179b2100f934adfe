//! Stopping a run that is being executed, at a point where nothing is lost.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{self, Poll, Waker};

use pin_project_lite::pin_project;
use tokio::sync::Notify;

use super::active::Run;
use super::around::Around;
use super::error::CheckpointError;
use crate::sync::{self, Mutex, Thread, lock};

/// What a run knows of its stopping.
///
/// A branch of its body that comes to a durable point, or waits at one, is at rest. When the run is told to stop, and some
/// branch is at rest, and no step is being executed but those that are themselves at rest, its execution can be dropped:
/// nothing that it has done so far would be done again, except what is between two records.
#[derive(Default)]
pub(super) struct Stop {
    requested: AtomicBool,
    /// Something of a blocking body was refused: whatever it answers, it has not come to its end.
    refused: AtomicBool,
    rests: Mutex<Rests>,
    /// The execution has ended.
    over: Notify,
}

#[derive(Default)]
struct Rests {
    branches: usize,
    in_steps: usize,
    /// Who polls the body.
    session: Option<Waker>,
    /// Blocked threads at rest.
    threads: Vec<Thread>,
    over: bool,
}

impl Stop {
    pub(super) fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Acquire)
    }

    /// Something that the body asked for was refused.
    pub(super) fn refuse(&self) {
        self.refused.store(true, Ordering::Release);
    }

    pub(super) fn has_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }

    pub(super) fn request(&self) {
        self.requested.store(true, Ordering::Release);
        let mut rests = lock(&self.rests);
        let threads = std::mem::take(&mut rests.threads);
        drop(rests);
        threads.iter().for_each(Thread::unpark);
        self.wake();
    }

    /// Lets the session look again whether it may stop, if it is to.
    pub(super) fn wake(&self) {
        if self.is_requested() {
            let session = lock(&self.rests).session.clone();
            if let Some(session) = session {
                session.wake();
            }
        }
    }

    /// Whether the execution may be dropped, while so many steps are being executed.
    fn may(&self, executing: usize) -> bool {
        if !self.is_requested() {
            return false;
        }
        let rests = lock(&self.rests);
        rests.branches > 0 && executing <= rests.in_steps
    }

    /// The execution has ended: whoever rests in it on another task is let go.
    pub(super) fn over(&self) {
        let mut rests = lock(&self.rests);
        rests.over = true;
        rests.session = None;
        drop(rests);
        self.over.notify_waiters();
    }

    async fn until_over(&self) {
        let over = self.over.notified();
        tokio::pin!(over);
        // Before the look, so that it is not missed after it.
        over.as_mut().enable();
        if !lock(&self.rests).over {
            over.await;
        }
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").field("requested", &self.is_requested()).finish_non_exhaustive()
    }
}

/// While it lives, a branch of a run is at rest.
#[derive(Debug)]
pub(crate) struct Rest {
    run: Arc<Run>,
    in_step: bool,
}

impl Rest {
    /// The code running now begins to wait where its run may be stopped; `None` outside of a run.
    pub(crate) fn here() -> Option<Self> {
        Around::with(|around| {
            let run = around.run.as_ref()?;
            Some(Self::new(run, around.step.is_some()))
        })
    }

    /// As [`here`](Self::here), for a thread that is parked: it is unparked when the run is to stop.
    pub(super) fn of_thread(run: &Arc<Run>) -> Self {
        lock(&run.stop.rests).threads.push(sync::current());
        Self::new(run, false)
    }

    fn new(run: &Arc<Run>, in_step: bool) -> Self {
        let mut rests = lock(&run.stop.rests);
        rests.branches += 1;
        rests.in_steps += usize::from(in_step);
        drop(rests);
        run.stop.wake();
        Self { run: Arc::clone(run), in_step }
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        let mut rests = lock(&self.run.stop.rests);
        rests.branches -= 1;
        rests.in_steps -= usize::from(self.in_step);
        if rests.branches == 0 {
            rests.threads.clear();
        }
    }
}

impl Run {
    /// Rests until the execution has ended, which is why this is being polled at all; only on another task it returns.
    pub(super) async fn rest(self: &Arc<Self>) -> CheckpointError {
        let _rest = Rest::new(self, false);
        self.stop.until_over().await;
        self.shutting_down()
    }

    /// What a blocking body is told instead of resting.
    pub(super) fn refuse(&self) -> CheckpointError {
        self.stop.refuse();
        self.shutting_down()
    }

    pub(super) fn shutting_down(&self) -> CheckpointError {
        CheckpointError::ShuttingDown { run: self.id().to_owned() }
    }
}

pin_project! {
    /// The body of a run, which ends without an outcome where it is stopped.
    pub(super) struct Stoppable<'r, F> {
        run: &'r Run,
        #[pin]
        body: F,
    }
}

impl<'r, F> Stoppable<'r, F> {
    pub(super) fn new(run: &'r Run, body: F) -> Self {
        Self { run, body }
    }
}

impl<F: Future> Future for Stoppable<'_, F> {
    /// `None`: it was stopped, and is to be dropped.
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut rests = lock(&this.run.stop.rests);
        if rests.session.as_ref().is_none_or(|session| !session.will_wake(cx.waker())) {
            rests.session = Some(cx.waker().clone());
        }
        drop(rests);
        match this.body.poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending if this.run.stop.may(this.run.executing()) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}
