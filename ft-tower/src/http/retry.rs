//! Again after a failure, for requests.

use std::error::Error as StdError;
use std::mem;
use std::task::{Context, Poll};

use ::http::Request;
use ::http::request::Parts;
use ft_runtime::judge::{
    Accept, AnyValue, Both, ByCause, ByFault, Classified, Either, Gate, Gated, Hint, Judge, Judgement, NoHint, NoVeto,
    Until,
};
use ft_runtime::observe::GaveUp;
use ft_runtime::{FaultKind, Retry, Site};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::replay::{self, Watch};
use super::{ByStatus, Repeatable, ReplayBody};
use crate::retry::{RetryFuture, start};

/// Makes an HTTP or gRPC request again when it fails, as the [`Retry`] says, if it may be repeated.
///
/// The service inside gets requests with a [`ReplayBody`]. The first attempt streams the body; up to
/// [`replay`](Self::replay) bytes of it are kept on the way.
///
/// # Which failures
///
/// Responses are judged by their status ([`ByStatus`]), with the server's hint; errors by their
/// [`Fault`](ft_runtime::Fault), or with [`by_cause`](Self::by_cause). The setters say otherwise.
///
/// # Which requests
///
/// What may have run is repeated only where that is safe: see [`Repeatable`], and
/// [`idempotent`](Self::idempotent) to say more. What provably never reached the server is always made again.
///
/// Where a failure is not tried again for one of these reasons, the caller gets that outcome as it is, and the event
/// `gave_up` says why: `not_repeatable`, `body_too_long`, `told_not_to`.
///
/// # Defaults
///
/// | setting | default |
/// |---|---|
/// | [`replay`](Self::replay) | 64 KiB |
/// | [`idempotent`](Self::idempotent) | by method and `Idempotency-Key` |
///
/// ```
/// use bytes::Bytes;
/// use ft_runtime::Retry;
/// use ft_tower::http::{HttpRetryLayer, ReplayBody};
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{Service, ServiceBuilder, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> std::io::Result<()> {
/// # let attempt = std::sync::atomic::AtomicU32::new(0);
/// # let attempt: &'static std::sync::atomic::AtomicU32 = Box::leak(Box::new(attempt));
/// let mut client = ServiceBuilder::new()
///     .layer(HttpRetryLayer::new(Retry::new()))
///     .service_fn(move |_: Request<ReplayBody<Full<Bytes>>>| async move {
///         // 503, and then 200
///         # let status = if attempt.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 { 503 } else { 200 };
///         std::io::Result::Ok(Response::builder().status(status).body(()).unwrap())
///     });
/// let request = Request::put("http://localhost/orders/7").body(Full::from("order")).unwrap();
/// assert_eq!(client.ready().await?.call(request).await?.status(), 200);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HttpRetryLayer<J = Judge<ByFault, NoVeto, Classified<ByStatus>, NoHint>> {
    policy: Retry,
    judge: J,
    site: Option<&'static Site>,
    replay: usize,
    idempotent: fn(&Parts) -> bool,
}

impl HttpRetryLayer {
    /// A layer that retries as `policy` says.
    pub fn new(policy: Retry) -> Self {
        Self {
            policy,
            judge: Judge::by_fault().classify(ByStatus),
            site: None,
            replay: replay::LIMIT,
            idempotent: |_| false,
        }
    }
}

impl<J> HttpRetryLayer<J> {
    /// Files the requests under a site, see [`ft_runtime::site!`].
    pub fn at(self, site: &'static Site) -> Self {
        Self { site: Some(site), ..self }
    }

    /// How many bytes of a body are kept for another attempt: 64 KiB by default. A request with a longer one is made
    /// once, as far as it is not sent from the start.
    pub fn replay(self, bytes: usize) -> Self {
        Self { replay: bytes, ..self }
    }

    /// Which requests may be repeated though neither their method nor a key says so: the gRPC methods that only read.
    ///
    /// ```
    /// # use ft_runtime::Retry; use ft_tower::http::HttpRetryLayer;
    /// let layer = HttpRetryLayer::new(Retry::new()).idempotent(|request| request.uri.path() == "/shop.Orders/Find");
    /// # let _ = layer;
    /// ```
    pub fn idempotent(self, idempotent: fn(&Parts) -> bool) -> Self {
        Self { idempotent, ..self }
    }

    fn judged<K>(self, change: impl FnOnce(J) -> K) -> HttpRetryLayer<K> {
        let Self { policy, judge, site, replay, idempotent } = self;
        HttpRetryLayer { policy, judge: change(judge), site, replay, idempotent }
    }
}

impl<V, U, H> HttpRetryLayer<Judge<ByFault, V, U, H>> {
    /// Judges errors by the first known cause in their chain of sources: for clients whose error is no
    /// [`Fault`](ft_runtime::Fault). One without a known cause counts as transient, so only what may be repeated is.
    pub fn by_cause(self) -> HttpRetryLayer<Judge<ByCause, V, U, H>> {
        self.judged(|judge| judge.by_cause(FaultKind::Transient))
    }
}

impl<A: Accept, V, U, H> HttpRetryLayer<Judge<A, V, U, H>> {
    /// Tries only errors again that the predicate says yes to. Given twice, both must.
    #[expect(clippy::type_complexity, reason = "the four parts of a judgement")]
    pub fn when<F>(self, accept: F) -> HttpRetryLayer<Judge<Both<A::Explicit, F>, V, U, H>> {
        self.judged(|judge| judge.when(accept))
    }

    /// Never tries errors again that the predicate says yes to.
    #[expect(clippy::type_complexity, reason = "the four parts of a judgement")]
    pub fn unless<F>(self, veto: F) -> HttpRetryLayer<Judge<A::Explicit, Either<V, F>, U, H>> {
        self.judged(|judge| judge.unless(veto))
    }

    /// Judges responses by this instead of [`ByStatus`].
    pub fn classify<C>(self, classify: C) -> HttpRetryLayer<Judge<A, V, Classified<C>, H>> {
        self.judged(|judge| judge.classify(classify))
    }

    /// Tries again while the predicate says no to the response, instead of [`ByStatus`].
    pub fn until<F>(self, good: F) -> HttpRetryLayer<Judge<A, V, Until<F>, H>> {
        self.judged(|judge| judge.until(good))
    }

    /// Looks at errors only, whatever the status of a response.
    pub fn any_response(self) -> HttpRetryLayer<Judge<A, V, AnyValue, H>> {
        self.judged(Judge::any_value)
    }

    /// Takes the hint of the other side from the error.
    pub fn retry_after<F>(self, hint: F) -> HttpRetryLayer<Judge<A, V, U, Hint<F>>> {
        self.judged(|judge| judge.retry_after(hint))
    }
}

impl<S, J: Clone> Layer<S> for HttpRetryLayer<J> {
    type Service = HttpRetryService<S, J>;

    fn layer(&self, inner: S) -> Self::Service {
        HttpRetryService { inner, layer: self.clone() }
    }
}

/// The service that [`HttpRetryLayer`] makes.
#[derive(Clone, Copy, Debug)]
pub struct HttpRetryService<S, J = Judge<ByFault, NoVeto, Classified<ByStatus>, NoHint>> {
    inner: S,
    layer: HttpRetryLayer<J>,
}

impl<S, J> HttpRetryService<S, J> {
    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, J, B> Service<Request<B>> for HttpRetryService<S, J>
where
    S: Service<Request<ReplayBody<B>>> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send + 'static,
    S::Error: Send + 'static,
    J: Judgement<S::Response, S::Error> + Clone + Send + 'static,
    B: Body + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = RetryFuture<S, Gated<J, RequestGate<B>>, Request<ReplayBody<B>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let HttpRetryLayer { policy, judge, site, replay, idempotent } = &self.layer;
        let (head, body) = request.into_parts();
        let body = ReplayBody::new(body, *replay);
        let repeatable = if idempotent(&head) { Repeatable::Always } else { Repeatable::of(&head) };
        let gate = RequestGate { repeatable, body: body.watch() };
        let judge = Gated::new(judge.clone(), gate);
        // The instance that was made ready makes the first attempt; its clone waits to be made ready for the next call.
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        start(*policy, judge, *site, ready, Request::from_parts(head, body))
    }
}

/// Whether one request may be made again: part of the type of the answer's future.
#[derive(Debug)]
pub struct RequestGate<B> {
    repeatable: Repeatable,
    body: Watch<B>,
}

impl<B> Gate for RequestGate<B> {
    fn bars(&self, kind: FaultKind) -> Option<GaveUp> {
        self.repeatable.bars(kind).or_else(|| self.body.bars())
    }
}
