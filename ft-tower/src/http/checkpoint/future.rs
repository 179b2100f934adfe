//! The future of a request.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::body::CheckpointBody;
use crate::oneshot::Oneshot;

/// What a request comes to.
pub(super) type Answer<R, E> = Result<Response<CheckpointBody<R>>, E>;

pin_project! {
    /// The answer of a [`CheckpointService`](super::CheckpointService).
    ///
    /// # Cancel safety
    ///
    /// Dropped, the request is left open: the next one with its key goes on behind the steps that were recorded.
    #[must_use = "futures do nothing unless polled"]
    pub struct CheckpointFuture<S, B, R>
    where
        S: Service<Request<CheckpointBody<B>>>,
        B: Body,
        R: Body,
    {
        #[pin]
        pub(super) stage: Stage<S, B, R, S::Error>,
    }
}

pin_project! {
    #[project = StageProj]
    pub(super) enum Stage<S, B, R, E>
    where
        S: Service<Request<CheckpointBody<B>>>,
        B: Body,
        R: Body,
    {
        Once { answer: Pin<Box<dyn Future<Output = Answer<R, E>> + Send>> },
        Passes { #[pin] answer: Oneshot<S, Request<CheckpointBody<B>>> },
        Refused { answer: Option<Response<CheckpointBody<R>>> },
    }
}

impl<S, B, R> Future for CheckpointFuture<S, B, R>
where
    S: Service<Request<CheckpointBody<B>>, Response = Response<R>>,
    B: Body,
    R: Body,
{
    type Output = Answer<R, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().stage.project() {
            StageProj::Once { answer } => answer.as_mut().poll(cx),
            StageProj::Passes { answer } => answer.poll(cx).map_ok(|response| response.map(CheckpointBody::untouched)),
            // A future that has answered is not polled again.
            StageProj::Refused { answer } => answer.take().map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer))),
        }
    }
}

impl<S, B, R> fmt::Debug for CheckpointFuture<S, B, R>
where
    S: Service<Request<CheckpointBody<B>>>,
    B: Body,
    R: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointFuture").finish_non_exhaustive()
    }
}
