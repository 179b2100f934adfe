//! The deadline over HTTP and gRPC: out of a request on the server's side, into one on the client's.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::http::Request;
use ::http::header::{HeaderMap, HeaderName, HeaderValue};
use ft_runtime::door::{refused, under, under_blocking};
use ft_runtime::{Deadline, FromRejected, Invalid, Rejected, Site, Under};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

const HTTP: HeaderName = HeaderName::from_static(Deadline::HEADER);
const GRPC: HeaderName = HeaderName::from_static(Deadline::GRPC_HEADER);

/// The policy that events name.
const POLICY: &str = "deadline";

/// Puts each request under the deadline that its client asked for: the server's side.
///
/// It reads the headers [`ft-timeout-ms`](Deadline::HEADER) and [`grpc-timeout`](Deadline::GRPC_HEADER); where there are
/// several the nearest one counts, and a deadline around the service counts as well. Everything inside sees it as
/// [`Deadline::current`]: retries, queues and timeouts keep to it, and [`PropagateDeadlineLayer`] hands what is left on to
/// the next server. A request without such a header is passed on as it is.
///
/// It does not cut off: put a [`TimeoutLayer`](crate::TimeoutLayer) inside it, whose limit is then the nearer of both.
///
/// # Errors
///
/// The service's own, and without calling it: [`Rejected::Invalid`] for a header that is not a duration (to go on without
/// the deadline would be work that nobody waits for, or work without end), [`Rejected::DeadlinePassed`] where nothing is
/// left on arrival. Each is also an event, `refused` of the policy `deadline`. Around a service that cannot fail, such as a
/// router, put it into an [`AnswerRefusalsLayer`](crate::http::AnswerRefusalsLayer).
///
/// ```
/// use ft_runtime::{Deadline, Rejected};
/// use ft_tower::http::DeadlineLayer;
/// use tower::{Service, ServiceBuilder, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let mut service = ServiceBuilder::new()
///     .layer(DeadlineLayer::new())
///     .service_fn(|_: http::Request<()>| async { Ok::<_, Rejected>(Deadline::current().map(Deadline::remaining)) });
/// let request = http::Request::get("/").header(Deadline::HEADER, "250").body(()).unwrap();
/// let left = service.ready().await.unwrap().call(request).await.unwrap();
/// assert_eq!(left.unwrap().as_millis(), 250);
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct DeadlineLayer {
    site: Option<&'static Site>,
}

impl DeadlineLayer {
    /// A layer that reads both headers.
    pub const fn new() -> Self {
        Self { site: None }
    }

    /// Files the requests under a site, see [`ft_runtime::site!`].
    pub const fn at(self, site: &'static Site) -> Self {
        Self { site: Some(site) }
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = DeadlineService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DeadlineService { inner, site: self.site }
    }
}

/// The service that [`DeadlineLayer`] makes.
#[derive(Clone, Copy, Debug)]
pub struct DeadlineService<S> {
    inner: S,
    site: Option<&'static Site>,
}

impl<S> DeadlineService<S> {
    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, B> Service<Request<B>> for DeadlineService<S>
where
    S: Service<Request<B>>,
    S::Error: FromRejected,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = DeadlineFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.site.map(Site::enter);
        match asked(request.headers()) {
            Err(invalid) => DeadlineFuture::refused(self.site, Rejected::Invalid(invalid)),
            Ok(Some(deadline)) if deadline.has_passed() => DeadlineFuture::refused(self.site, Rejected::DeadlinePassed),
            Ok(deadline) => DeadlineFuture::under(deadline, || self.inner.call(request)),
        }
    }
}

/// Writes what is left of the deadline into each request: the client's side.
///
/// Where no deadline is in force a request is passed on as it is. A header that is there already stays where it asks for
/// less.
///
/// # Errors
///
/// The service's own, and [`Rejected::DeadlinePassed`] without calling it where nothing is left, or less than the header
/// can say: a millisecond in HTTP.
///
/// ```
/// use ft_runtime::{Deadline, Rejected};
/// use ft_tower::http::PropagateDeadlineLayer;
/// use std::time::Duration;
/// use tower::{Service, ServiceBuilder, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let mut client = ServiceBuilder::new()
///     .layer(PropagateDeadlineLayer::grpc())
///     .service_fn(|request: http::Request<()>| async move { Ok::<_, Rejected>(request.headers()["grpc-timeout"].clone()) });
/// let sent = Deadline::after(Duration::from_secs(2)).scope(async {
///     client.ready().await?.call(http::Request::new(())).await
/// });
/// assert_eq!(sent.await.unwrap(), "2000000u");
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PropagateDeadlineLayer {
    wire: Wire,
    site: Option<&'static Site>,
}

#[derive(Clone, Copy, Debug)]
enum Wire {
    Http,
    Grpc,
}

impl PropagateDeadlineLayer {
    /// Writes [`ft-timeout-ms`](Deadline::HEADER).
    pub const fn http() -> Self {
        Self { wire: Wire::Http, site: None }
    }

    /// Writes [`grpc-timeout`](Deadline::GRPC_HEADER).
    pub const fn grpc() -> Self {
        Self { wire: Wire::Grpc, site: None }
    }

    /// Files the requests under a site, see [`ft_runtime::site!`].
    pub const fn at(self, site: &'static Site) -> Self {
        Self { site: Some(site), ..self }
    }
}

impl<S> Layer<S> for PropagateDeadlineLayer {
    type Service = PropagateDeadlineService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        PropagateDeadlineService { inner, layer: *self }
    }
}

/// The service that [`PropagateDeadlineLayer`] makes.
#[derive(Clone, Copy, Debug)]
pub struct PropagateDeadlineService<S> {
    inner: S,
    layer: PropagateDeadlineLayer,
}

impl<S> PropagateDeadlineService<S> {
    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, B> Service<Request<B>> for PropagateDeadlineService<S>
where
    S: Service<Request<B>>,
    S::Error: FromRejected,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = DeadlineFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        self.layer.site.map(Site::enter);
        if let Some(deadline) = Deadline::current()
            && !self.layer.wire.write(deadline, request.headers_mut())
        {
            return DeadlineFuture::refused(self.layer.site, Rejected::DeadlinePassed);
        }
        DeadlineFuture::under(None, || self.inner.call(request))
    }
}

impl Wire {
    /// Writes what is left, unless less is asked for already: `false` where there is nothing to write.
    fn write(self, deadline: Deadline, headers: &mut HeaderMap) -> bool {
        let (name, left) = match self {
            Self::Http => (HTTP, deadline.to_header()),
            Self::Grpc => (GRPC, deadline.to_grpc_timeout()),
        };
        if left.starts_with('0') {
            return false;
        }
        let nearer = self.read(headers).is_ok_and(|asked| asked.is_some_and(|asked| asked < deadline));
        // Digits and a letter: always a value that a header can hold.
        if let (false, Ok(left)) = (nearer, HeaderValue::try_from(left)) {
            headers.insert(name, left);
        }
        true
    }

    /// The nearest deadline of this header.
    fn read(self, headers: &HeaderMap) -> Result<Option<Deadline>, Invalid> {
        let (name, parse): (_, fn(&str) -> _) = match self {
            Self::Http => (HTTP, Deadline::from_header),
            Self::Grpc => (GRPC, Deadline::from_grpc_timeout),
        };
        let mut nearest = None;
        for value in headers.get_all(name) {
            let asked = parse(&String::from_utf8_lossy(value.as_bytes()))?;
            nearest = Some(nearest.map_or(asked, |nearest: Deadline| nearest.min(asked)));
        }
        Ok(nearest)
    }
}

/// The deadline that a request asks for.
fn asked(headers: &HeaderMap) -> Result<Option<Deadline>, Invalid> {
    let (http, grpc) = (Wire::Http.read(headers)?, Wire::Grpc.read(headers)?);
    Ok([http, grpc].into_iter().flatten().min())
}

pin_project! {
    /// The answer of a [`DeadlineService`] and of a [`PropagateDeadlineService`].
    #[must_use = "futures do nothing unless polled"]
    pub struct DeadlineFuture<F> {
        #[pin]
        stage: Stage<F>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<F> {
        Called {
            #[pin]
            answer: Under<F>,
        },
        Refused {
            rejected: Rejected,
        },
    }
}

impl<F: Future> DeadlineFuture<F> {
    fn under(deadline: Option<Deadline>, call: impl FnOnce() -> F) -> Self {
        Self { stage: Stage::Called { answer: under(deadline, under_blocking(deadline, call)) } }
    }

    #[cold]
    fn refused(site: Option<&'static Site>, rejected: Rejected) -> Self {
        refused(site, POLICY, None, &rejected);
        Self { stage: Stage::Refused { rejected } }
    }
}

impl<T, E: FromRejected, F: Future<Output = Result<T, E>>> Future for DeadlineFuture<F> {
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().stage.project() {
            StageProj::Called { answer } => answer.poll(cx),
            StageProj::Refused { rejected } => Poll::Ready(Err(E::from_rejected(rejected.clone()))),
        }
    }
}

impl<F> fmt::Debug for DeadlineFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadlineFuture").finish_non_exhaustive()
    }
}
