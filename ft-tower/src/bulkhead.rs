//! So many at a time, as a layer.

use std::task::{Context, Poll};

use ft_runtime::{Bulkhead, BulkheadRun, FromRejected, Keyed, Shared, Site};
use tower_layer::Layer;
use tower_service::Service;

use crate::oneshot::Oneshot;
use crate::select::{ByKey, One, Select};

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
/// use ft_runtime::{Bulkhead, Keyed};
/// use ft_tower::BulkheadLayer;
/// use tower::{Service, ServiceBuilder, ServiceExt};
/// use std::io;
///
/// static DB: Bulkhead = Bulkhead::new(16).queue(32);
/// static TENANTS: Keyed<Bulkhead> = Keyed::new(Bulkhead::new(4));
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> io::Result<()> {
/// let mut service = ServiceBuilder::new()
///     .layer(BulkheadLayer::keyed(&TENANTS, |id: &u64| id % 100))   // one for each tenant
///     .layer(BulkheadLayer::new(&DB))
///     .service_fn(|id: u64| async move { io::Result::Ok(format!("row {id}")) });
/// assert_eq!(service.ready().await?.call(7).await?, "row 7");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct BulkheadLayer<S = One<Bulkhead>> {
    select: S,
    site: Option<&'static Site>,
}

impl BulkheadLayer {
    /// A layer with this bulkhead: `&'static Bulkhead` or `Arc<Bulkhead>`.
    pub fn new(bulkhead: impl Into<Shared<Bulkhead>>) -> Self {
        Self { select: One(bulkhead.into()), site: None }
    }
}

impl<F> BulkheadLayer<ByKey<Bulkhead, F>> {
    /// A layer with a bulkhead for each key: `key` finds it in the request, as anything `Display` that borrows nothing of it.
    pub fn keyed<Req, K>(bulkheads: impl Into<Shared<Keyed<Bulkhead>>>, key: F) -> Self
    where
        F: Fn(&Req) -> K,
    {
        Self { select: ByKey { keyed: bulkheads.into(), key }, site: None }
    }
}

impl<S> BulkheadLayer<S> {
    /// Files the requests under a site, see [`ft_runtime::site!`].
    pub fn at(self, site: &'static Site) -> Self {
        Self { site: Some(site), ..self }
    }
}

impl<S: Clone, Inner> Layer<Inner> for BulkheadLayer<S> {
    type Service = BulkheadService<Inner, S>;

    fn layer(&self, inner: Inner) -> Self::Service {
        BulkheadService { inner, layer: self.clone() }
    }
}

/// The service that [`BulkheadLayer`] makes.
#[derive(Clone, Debug)]
pub struct BulkheadService<Inner, S = One<Bulkhead>> {
    inner: Inner,
    layer: BulkheadLayer<S>,
}

impl<Inner, S> BulkheadService<Inner, S> {
    /// The service inside.
    pub fn get_ref(&self) -> &Inner {
        &self.inner
    }
}

impl<Inner, S, Req> Service<Req> for BulkheadService<Inner, S>
where
    Inner: Service<Req> + Clone,
    Inner::Error: FromRejected,
    S: Select<Req, Policy = Bulkhead>,
{
    type Response = Inner::Response;
    type Error = Inner::Error;
    type Future = BulkheadRun<S::Held, Oneshot<Inner, Req>, Inner::Error>;

    /// Always ready: nothing is reserved before the permit is there.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Inner::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let bulkhead = self.layer.select.select(&request);
        let calls = Bulkhead::calls_of::<Result<Inner::Response, Inner::Error>, _>(bulkhead);
        let calls = match self.layer.site {
            Some(site) => calls.at(site.enter()),
            None => calls,
        };
        calls.run(Oneshot::new(self.inner.clone(), request))
    }
}
