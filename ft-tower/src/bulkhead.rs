//! So many at a time, as a layer.

use std::task::{Context, Poll};

use ft_runtime::{Bulkhead, BulkheadRun, FromRejected, Shared, Site};
use tower_layer::Layer;
use tower_service::Service;

use crate::oneshot::Oneshot;

/// Lets so many requests run at a time, as the [`Bulkhead`] says; the others are refused with
/// [`BulkheadFull`](ft_runtime::Rejected::BulkheadFull).
///
/// All services that it makes, and all their clones, share one bulkhead: also those that a server makes for each
/// connection.
///
/// # Readiness
///
/// The service is always ready, and refuses in `call`: whoever is refused learns it at once, and a buffer in front is not
/// torn down. The service inside is made ready for a request when that has its permit, on a clone of its own: a request that
/// waits for its permit holds nothing of it, one that waits for the service inside counts as running, and one that is dropped
/// gives back all it had. An error of `poll_ready` inside is the answer of that request.
///
/// ```
/// use ft_runtime::Bulkhead;
/// use ft_tower::BulkheadLayer;
/// use tower::{Service, ServiceBuilder, ServiceExt};
/// use std::io;
///
/// static DB: Bulkhead = Bulkhead::new(16).queue(32);
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> io::Result<()> {
/// let mut service = ServiceBuilder::new()
///     .layer(BulkheadLayer::new(&DB))
///     .service_fn(|id: u64| async move { io::Result::Ok(format!("row {id}")) });
/// assert_eq!(service.ready().await?.call(7).await?, "row 7");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct BulkheadLayer {
    policy: Shared<Bulkhead>,
    site: Option<&'static Site>,
}

impl BulkheadLayer {
    /// A layer over this policy: a `static`, or an `Arc`.
    pub fn new(policy: impl Into<Shared<Bulkhead>>) -> Self {
        Self { policy: policy.into(), site: None }
    }

    /// Files the requests under a site, see [`ft_runtime::site!`].
    pub fn at(self, site: &'static Site) -> Self {
        Self { site: Some(site), ..self }
    }
}

impl<S> Layer<S> for BulkheadLayer {
    type Service = BulkheadService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BulkheadService { inner, layer: self.clone() }
    }
}

/// The service that [`BulkheadLayer`] makes.
#[derive(Clone, Debug)]
pub struct BulkheadService<S> {
    inner: S,
    layer: BulkheadLayer,
}

impl<S> BulkheadService<S> {
    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, Req> Service<Req> for BulkheadService<S>
where
    S: Service<Req> + Clone,
    S::Error: FromRejected,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BulkheadRun<Shared<Bulkhead>, Oneshot<S, Req>, S::Error>;

    /// Always ready: nothing is reserved before the permit is there.
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
