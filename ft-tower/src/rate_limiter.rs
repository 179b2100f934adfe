//! So many in a time, as a layer.

use std::task::{Context, Poll};

use ft_runtime::{FromRejected, Keyed, RateLimiter, RateLimiterRun, Shared, Site};
use tower_layer::Layer;
use tower_service::Service;

use crate::oneshot::Oneshot;
use crate::select::{ByKey, One, Select};

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
/// use ft_runtime::{Keyed, RateLimiter};
/// use ft_tower::RateLimiterLayer;
/// use tower::{Service, ServiceBuilder, ServiceExt};
/// use std::io;
///
/// static DB: RateLimiter = RateLimiter::new(100).burst(10);
/// static TENANTS: Keyed<RateLimiter> = Keyed::new(RateLimiter::new(5));
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> io::Result<()> {
/// let mut service = ServiceBuilder::new()
///     .layer(RateLimiterLayer::keyed(&TENANTS, |id: &u64| id % 100))   // one for each tenant
///     .layer(RateLimiterLayer::new(&DB))
///     .service_fn(|id: u64| async move { io::Result::Ok(format!("row {id}")) });
/// assert_eq!(service.ready().await?.call(7).await?, "row 7");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct RateLimiterLayer<S = One<RateLimiter>> {
    select: S,
    site: Option<&'static Site>,
}

impl RateLimiterLayer {
    /// A layer with this limiter: `&'static RateLimiter` or `Arc<RateLimiter>`.
    pub fn new(limiter: impl Into<Shared<RateLimiter>>) -> Self {
        Self { select: One(limiter.into()), site: None }
    }
}

impl<F> RateLimiterLayer<ByKey<RateLimiter, F>> {
    /// A layer with a rate for each key: `key` finds it in the request, as anything `Display` that borrows nothing of it.
    pub fn keyed<Req, K>(limiters: impl Into<Shared<Keyed<RateLimiter>>>, key: F) -> Self
    where
        F: Fn(&Req) -> K,
    {
        Self { select: ByKey { keyed: limiters.into(), key }, site: None }
    }
}

impl<S> RateLimiterLayer<S> {
    /// Files the requests under a site, see [`ft_runtime::site!`].
    pub fn at(self, site: &'static Site) -> Self {
        Self { site: Some(site), ..self }
    }
}

impl<S: Clone, Inner> Layer<Inner> for RateLimiterLayer<S> {
    type Service = RateLimiterService<Inner, S>;

    fn layer(&self, inner: Inner) -> Self::Service {
        RateLimiterService { inner, layer: self.clone() }
    }
}

/// The service that [`RateLimiterLayer`] makes.
#[derive(Clone, Debug)]
pub struct RateLimiterService<Inner, S = One<RateLimiter>> {
    inner: Inner,
    layer: RateLimiterLayer<S>,
}

impl<Inner, S> RateLimiterService<Inner, S> {
    /// The service inside.
    pub fn get_ref(&self) -> &Inner {
        &self.inner
    }
}

impl<Inner, S, Req> Service<Req> for RateLimiterService<Inner, S>
where
    Inner: Service<Req> + Clone,
    Inner::Error: FromRejected,
    S: Select<Req, Policy = RateLimiter>,
{
    type Response = Inner::Response;
    type Error = Inner::Error;
    type Future = RateLimiterRun<S::Held, Oneshot<Inner, Req>, Inner::Error>;

    /// Always ready: nothing is reserved before the turn has come.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Inner::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let limiter = self.layer.select.select(&request);
        let calls = RateLimiter::calls_of::<Result<Inner::Response, Inner::Error>, _>(limiter);
        let calls = match self.layer.site {
            Some(site) => calls.at(site.enter()),
            None => calls,
        };
        calls.run(Oneshot::new(self.inner.clone(), request))
    }
}
