//! One request through a service that has yet to be made ready.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

pin_project! {
    /// Makes a service ready, then calls it with one request.
    ///
    /// What the layers run whose policy decides first and asks the service then (bulkhead, rate limiter, coalesce, the extra
    /// requests of a hedge): a request that waits for its turn holds no readiness of what is inside.
    #[must_use = "futures do nothing unless polled"]
    pub struct Oneshot<S, Req>
    where
        S: Service<Req>,
    {
        #[pin]
        stage: Stage<S, Req, S::Future>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<S, Req, F> {
        Unready { service: S, request: Option<Req> },
        Called { #[pin] answer: F },
    }
}

impl<S: Service<Req>, Req> Oneshot<S, Req> {
    pub(crate) fn new(service: S, request: Req) -> Self {
        Self { stage: Stage::Unready { service, request: Some(request) } }
    }
}

impl<S: Service<Req>, Req> Future for Oneshot<S, Req> {
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.project().stage;
        if let StageProj::Unready { service, request } = stage.as_mut().project() {
            ready!(service.poll_ready(cx))?;
            // Taken once: the stage changes with it. A future that has answered an error is not polled again.
            let Some(request) = request.take() else { return Poll::Pending };
            let answer = service.call(request);
            stage.set(Stage::Called { answer });
        }
        match stage.project() {
            StageProj::Called { answer } => answer.poll(cx),
            StageProj::Unready { .. } => Poll::Pending,
        }
    }
}

impl<S: Service<Req>, Req> fmt::Debug for Oneshot<S, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oneshot").finish_non_exhaustive()
    }
}
