//! Refusals as answers.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::http::header::{CONTENT_TYPE, RETRY_AFTER};
use ::http::{HeaderValue, Request, Response, StatusCode};
use ft_runtime::{Error, Fault, Rejected};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::grpc::{self, Code};

/// Puts layers that can refuse around a service that cannot fail, such as a router: what they refuse is answered with a
/// status.
///
/// Inside, the layers see the error of the service as [`ft_runtime::Error`], which can hold a
/// [`Rejected`]; outside, the error is again that of the service. Give it all layers that can refuse together.
///
/// | refusal | HTTP | gRPC |
/// |---|---|---|
/// | over the rate | 429, `Retry-After` | `RESOURCE_EXHAUSTED`, pushback |
/// | bulkhead full | 503 | `RESOURCE_EXHAUSTED` |
/// | circuit open | 503, `Retry-After` | `UNAVAILABLE`, pushback |
/// | no target, shutting down | 503 | `UNAVAILABLE` |
/// | timed out, no time left | 504 | `DEADLINE_EXCEEDED` |
/// | a value that makes no sense, such as a deadline header | 400 | `INVALID_ARGUMENT` |
/// | everything else | 500 | `INTERNAL` |
///
/// Whole seconds are rounded up, so that nobody comes back too early. Whether a call is gRPC is known by the content type
/// of its request. The body is empty: what the refusal says of the inside of a server is for its events.
///
/// ```
/// use ft_runtime::Retry;
/// use ft_tower::{RetryLayer, http::AnswerRefusalsLayer};
/// use http::{Request, Response};
/// use std::convert::Infallible;
/// use tower::{Layer, ServiceBuilder};
///
/// let router = tower::service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(String::new())) });
/// let layers = ServiceBuilder::new().layer(RetryLayer::new(Retry::new())); // and all that can refuse
/// let service = AnswerRefusalsLayer::new(layers).layer(router);
/// # fn check(_: impl tower::Service<Request<()>, Error = Infallible>) {}
/// # check(service);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AnswerRefusalsLayer<L> {
    layers: L,
}

impl<L> AnswerRefusalsLayer<L> {
    /// The layers, the outermost first where it is a `ServiceBuilder`.
    pub const fn new(layers: L) -> Self {
        Self { layers }
    }
}

impl<S, L: Layer<Fallible<S>>> Layer<S> for AnswerRefusalsLayer<L> {
    type Service = AnswerRefusals<L::Service>;

    fn layer(&self, inner: S) -> Self::Service {
        AnswerRefusals { inner: self.layers.layer(Fallible { inner }), refused: None }
    }
}

/// The service that [`AnswerRefusalsLayer`] makes: outside the layers.
#[derive(Debug)]
pub struct AnswerRefusals<S> {
    inner: S,
    /// Readiness was refused: the next call gets to know.
    refused: Option<Rejected>,
}

/// A clone was not refused anything.
impl<S: Clone> Clone for AnswerRefusals<S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), refused: None }
    }
}

impl<S, B, R, E> Service<Request<B>> for AnswerRefusals<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Error<E>>,
    R: Default,
{
    type Response = Response<R>;
    type Error = E;
    type Future = AnsweringFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        if self.refused.is_some() {
            return Poll::Ready(Ok(()));
        }
        match ready!(self.inner.poll_ready(cx)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(Error::Failed(error)) => Poll::Ready(Err(error)),
            Err(Error::Rejected(rejected)) => {
                self.refused = Some(rejected);
                Poll::Ready(Ok(()))
            }
        }
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let grpc = grpc::is_grpc(request.headers());
        let answer = match self.refused.take() {
            Some(rejected) => Answer::Refused { rejected },
            None => Answer::Calling { future: self.inner.call(request) },
        };
        AnsweringFuture { grpc, answer }
    }
}

pin_project! {
    /// The answer of an [`AnswerRefusals`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct AnsweringFuture<F> {
        grpc: bool,
        #[pin]
        answer: Answer<F>,
    }
}

pin_project! {
    #[project = AnswerProj]
    #[derive(Debug)]
    enum Answer<F> {
        Calling { #[pin] future: F },
        Refused { rejected: Rejected },
    }
}

impl<F, R, E> Future for AnsweringFuture<F>
where
    F: Future<Output = Result<Response<R>, Error<E>>>,
    R: Default,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = |rejected: &Rejected| if *this.grpc { grpc_refusal(rejected) } else { refusal(rejected) };
        Poll::Ready(match this.answer.project() {
            AnswerProj::Refused { rejected } => Ok(answer(rejected)),
            AnswerProj::Calling { future } => match ready!(future.poll(cx)) {
                Ok(response) => Ok(response),
                Err(Error::Rejected(rejected)) => Ok(answer(&rejected)),
                Err(Error::Failed(error)) => Err(error),
            },
        })
    }
}

/// The service inside the layers of an [`AnswerRefusalsLayer`]: its error can hold a refusal.
#[derive(Clone, Copy, Debug)]
pub struct Fallible<S> {
    inner: S,
}

impl<S: Service<Req>, Req> Service<Req> for Fallible<S> {
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = FallibleFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::Failed)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        FallibleFuture { future: self.inner.call(request) }
    }
}

pin_project! {
    /// The answer of a [`Fallible`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct FallibleFuture<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future<Output = Result<T, E>>, T, E> Future for FallibleFuture<F> {
    type Output = Result<T, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().future.poll(cx).map_err(Error::Failed)
    }
}

/// The HTTP answer to a refused request, see [`AnswerRefusalsLayer`]: for a handler that calls policies itself.
///
/// ```
/// use ft_runtime::Rejected;
/// use ft_tower::http::refusal;
/// use std::time::Duration;
///
/// let answer: http::Response<String> = refusal(&Rejected::RateLimited { retry_after: Duration::from_millis(1500) });
/// assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (429, &"2".parse().unwrap()));
/// ```
pub fn refusal<R: Default>(rejected: &Rejected) -> Response<R> {
    let mut response = Response::new(R::default());
    *response.status_mut() = match rejected {
        Rejected::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
        Rejected::CircuitOpen { .. } | Rejected::BulkheadFull | Rejected::NoTarget | Rejected::ShuttingDown => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Rejected::TimedOut { .. } | Rejected::DeadlinePassed => StatusCode::GATEWAY_TIMEOUT,
        Rejected::Invalid(_) => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    if let Some(hint) = rejected.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(up(hint, Duration::from_secs(1))));
    }
    response
}

/// The gRPC answer to a refused call, see [`AnswerRefusalsLayer`]: its head is all of it.
///
/// ```
/// use ft_runtime::Rejected;
/// use ft_tower::http::grpc_refusal;
///
/// let answer: http::Response<String> = grpc_refusal(&Rejected::BulkheadFull);
/// assert_eq!((answer.status().as_u16(), &answer.headers()["grpc-status"]), (200, &"8".parse().unwrap()));
/// ```
pub fn grpc_refusal<R: Default>(rejected: &Rejected) -> Response<R> {
    let code = match rejected {
        Rejected::RateLimited { .. } | Rejected::BulkheadFull => Code::RESOURCE_EXHAUSTED,
        Rejected::CircuitOpen { .. } | Rejected::NoTarget | Rejected::ShuttingDown => Code::UNAVAILABLE,
        Rejected::TimedOut { .. } | Rejected::DeadlinePassed => Code::DEADLINE_EXCEEDED,
        Rejected::Invalid(_) => Code::INVALID_ARGUMENT,
        _ => Code::INTERNAL,
    };
    let mut response = Response::new(R::default());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(grpc::STATUS, code.header());
    headers.insert(grpc::MESSAGE, HeaderValue::from_static(rejected.reason()));
    if let Some(hint) = rejected.retry_after() {
        headers.insert(grpc::PUSHBACK, HeaderValue::from(up(hint, Duration::from_millis(1))));
    }
    response
}

/// How many of `unit` cover `duration`.
fn up(duration: Duration, unit: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(unit.as_nanos())).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{ByStatus, retry_after};
    use ft_runtime::FaultKind;
    use ft_runtime::judge::{Class, Classify};
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tower::ServiceExt;

    const SOON: Duration = Duration::from_millis(1500);

    /// Refuses to become ready while it is told to.
    #[derive(Clone)]
    struct Refuses(Arc<AtomicBool>);

    impl Service<Request<()>> for Refuses {
        type Response = Response<()>;
        type Error = Error<Infallible>;
        type Future = std::future::Ready<Result<Response<()>, Self::Error>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(if self.0.load(Ordering::SeqCst) { Err(Rejected::BulkheadFull.into()) } else { Ok(()) })
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            std::future::ready(Ok(Response::new(())))
        }
    }

    #[tokio::test]
    async fn a_refusal_is_the_answer_to_one_request_and_to_no_clone() {
        let refuse = Arc::new(AtomicBool::new(true));
        let mut service = AnswerRefusals { inner: Refuses(Arc::clone(&refuse)), refused: None };
        service.ready().await.unwrap();
        let clone = service.clone();
        refuse.store(false, Ordering::SeqCst);
        assert_eq!(clone.oneshot(Request::new(())).await.unwrap().status(), 200, "it was not refused");
        assert_eq!(service.call(Request::new(())).await.unwrap().status(), 503);
        assert_eq!(service.ready().await.unwrap().call(Request::new(())).await.unwrap().status(), 200);
    }

    #[test]
    fn a_refusal_has_a_status_and_says_when_to_come_back() {
        for (rejected, status, hint) in [
            (Rejected::RateLimited { retry_after: SOON }, 429, Some(2)),
            (Rejected::CircuitOpen { retry_after: SOON }, 503, Some(2)),
            (Rejected::CircuitOpen { retry_after: Duration::ZERO }, 503, Some(0)),
            (Rejected::BulkheadFull, 503, None),
            (Rejected::NoTarget, 503, None),
            (Rejected::ShuttingDown, 503, None),
            (Rejected::TimedOut { limit: SOON }, 504, None),
            (Rejected::DeadlinePassed, 504, None),
            (Rejected::Invalid(ft_runtime::Invalid::new("not a duration")), 400, None),
            (Rejected::Injected, 500, None),
        ] {
            let response = refusal::<()>(&rejected);
            assert_eq!(response.status(), status, "{rejected}");
            assert_eq!(retry_after(response.headers()), hint.map(Duration::from_secs), "{rejected}");
        }
    }

    #[test]
    fn a_client_reads_from_a_grpc_refusal_what_was_refused() {
        let class = |rejected| ByStatus.classify(&grpc_refusal::<()>(&rejected));
        let throttled = |retry_after| Some(Class::new(FaultKind::Throttled { retry_after }));
        assert_eq!(class(Rejected::RateLimited { retry_after: SOON }), throttled(Some(SOON)));
        assert_eq!(class(Rejected::CircuitOpen { retry_after: SOON }), throttled(Some(SOON)));
        assert_eq!(class(Rejected::BulkheadFull), throttled(None));
        assert_eq!(class(Rejected::DeadlinePassed), Some(Class::new(FaultKind::Transient)));
        assert_eq!(grpc_refusal::<()>(&Rejected::BulkheadFull).status(), 200);
    }
}
