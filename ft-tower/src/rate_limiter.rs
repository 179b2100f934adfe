//! So many in a time, as a layer.

use std::task::{Context, Poll};

use ft_runtime::{FromRejected, RateLimiter, RateLimiterRun, Shared, Site};
use tower_layer::Layer;
use tower_service::Service;

use crate::oneshot::Oneshot;

/// Lets so many requests begin in a time, as the [`RateLimiter`] says; the others are refused with
/// [`RateLimited`](ft_runtime::Rejected::RateLimited).
///
/// All services that it makes, and all their clones, share one rate: also those that a server makes for each
/// connection.
///
/// # Readiness
///
/// The service is always ready, and refuses in `call`: whoever is refused learns it at once, and a buffer in front is not
/// torn down. The service inside is made ready for a request when its turn has come, on a clone of its own: a request that
/// waits for its turn holds nothing of it. An error of `poll_ready` inside is the answer of that request.
///
/// ```
/// use ft_runtime::RateLimiter;
/// use ft_tower::RateLimiterLayer;
/// use tower::{Service, ServiceBuilder, ServiceExt};
/// use std::io;
///
/// static DB: RateLimiter = RateLimiter::new(100).burst(10);
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> io::Result<()> {
/// let mut service = ServiceBuilder::new()
///     .layer(RateLimiterLayer::new(&DB))
///     .service_fn(|id: u64| async move { io::Result::Ok(format!("row {id}")) });
/// assert_eq!(service.ready().await?.call(7).await?, "row 7");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct RateLimiterLayer {
    policy: Shared<RateLimiter>,
    site: Option<&'static Site>,
}

impl RateLimiterLayer {
    /// A layer over this policy: a `static`, or an `Arc`.
    pub fn new(policy: impl Into<Shared<RateLimiter>>) -> Self {
        Self { policy: policy.into(), site: None }
    }

    /// Files the requests under a site, see [`ft_runtime::site!`].
    pub fn at(self, site: &'static Site) -> Self {
        Self { site: Some(site), ..self }
    }
}

impl<S> Layer<S> for RateLimiterLayer {
    type Service = RateLimiterService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimiterService { inner, layer: self.clone() }
    }
}

/// The service that [`RateLimiterLayer`] makes.
#[derive(Clone, Debug)]
pub struct RateLimiterService<S> {
    inner: S,
    layer: RateLimiterLayer,
}

impl<S> RateLimiterService<S> {
    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, Req> Service<Req> for RateLimiterService<S>
where
    S: Service<Req> + Clone,
    S::Error: FromRejected,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = RateLimiterRun<Shared<RateLimiter>, Oneshot<S, Req>, S::Error>;

    /// Always ready: nothing is reserved before the turn has come.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let calls = self.layer.policy.clone().into_calls::<Result<S::Response, S::Error>>();
        let calls = match self.layer.site {
            Some(site) => calls.at(site.enter()),
            None => calls,
        };
        calls.run(Oneshot::new(self.inner.clone(), request))
    }
}
