//! One request on its way: readiness first, then the call.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ft_runtime::door::Work;
use pin_project_lite::pin_project;
use tower_service::Service;

pin_project! {
    /// Makes the request once the service is ready.
    pub(crate) struct Asking<S, Req>
    where
        S: Service<Req>,
    {
        #[pin]
        stage: Stage<S, Req>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<S, Req>
    where
        S: Service<Req>,
    {
        // Not called yet.
        Before { service: S, request: Option<Req>, readied: bool },
        Called { #[pin] answer: S::Future },
    }
}

impl<S: Service<Req>, Req> Asking<S, Req> {
    /// With a service that was made ready already.
    pub(crate) fn readied(service: S, request: Req) -> Self {
        Self { stage: Stage::Before { service, request: Some(request), readied: true } }
    }

    /// With a service that was not.
    pub(crate) fn unready(service: S, request: Req) -> Self {
        Self { stage: Stage::Before { service, request: Some(request), readied: false } }
    }
}

impl<S: Service<Req>, Req> Future for Asking<S, Req> {
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.project().stage;
        loop {
            let answer = match stage.as_mut().project() {
                StageProj::Called { answer } => return answer.poll(cx),
                StageProj::Before { service, request, readied } => {
                    if !*readied {
                        ready!(service.poll_ready(cx))?;
                        *readied = true;
                    }
                    // Gone only together with this stage.
                    let Some(request) = request.take() else { return Poll::Pending };
                    service.call(request)
                }
            };
            stage.set(Stage::Called { answer });
        }
    }
}

impl<S: Service<Req> + Clone, Req> Work for Asking<S, Req> {
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Future::poll(self, cx)
    }

    /// Readiness that is not used may be what others wait for: a clone has none.
    fn set_aside(self: Pin<&mut Self>) {
        if let StageProj::Before { service, readied, .. } = self.project().stage.project() {
            let clone = service.clone();
            drop(mem::replace(service, clone));
            *readied = false;
        }
    }
}
