//! Faults on purpose, as a layer.

use std::task::{Context, Poll};

use ft_runtime::{Chaos, FromRejected, Injected, Shared, Site};
use tower_layer::Layer;
use tower_service::Service;

/// Makes requests slow, fail or panic at a given rate, as the [`Chaos`] says, while it is switched on.
///
/// A request that is to fail does not reach the service. One that is to be slow is made at once, and its answer is
/// asked for after the delay.
///
/// ```
/// use ft_runtime::{Chaos, Error, chaos};
/// use ft_tower::ChaosLayer;
/// use tower::{Service, ServiceBuilder, ServiceExt};
///
/// static FLAKY: Chaos = Chaos::new().errors(1.0);
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let mut service = ServiceBuilder::new()
///     .layer(ChaosLayer::new(&FLAKY))
///     .service_fn(|id: u64| async move { Ok::<_, Error<u32>>(id) });
/// assert_eq!(service.ready().await.unwrap().call(7).await, Ok(7));
/// let _on = chaos::scoped();
/// assert!(service.ready().await.unwrap().call(7).await.is_err());
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ChaosLayer {
    policy: Shared<Chaos>,
    site: Option<&'static Site>,
}

impl ChaosLayer {
    /// A layer over a policy in a `static` or an `Arc`.
    pub fn new(policy: impl Into<Shared<Chaos>>) -> Self {
        Self { policy: policy.into(), site: None }
    }

    /// Files the requests under a site, see [`ft_runtime::site!`].
    pub fn at(self, site: &'static Site) -> Self {
        Self { site: Some(site), ..self }
    }
}

impl<S> Layer<S> for ChaosLayer {
    type Service = ChaosService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ChaosService { inner, layer: self.clone() }
    }
}

/// The service that [`ChaosLayer`] makes.
#[derive(Clone, Debug)]
pub struct ChaosService<S> {
    inner: S,
    layer: ChaosLayer,
}

impl<S> ChaosService<S> {
    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, Req> Service<Req> for ChaosService<S>
where
    S: Service<Req>,
    S::Error: FromRejected,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Injected<Shared<Chaos>, S::Response, S::Error, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let calls = Chaos::calls_of::<Result<S::Response, S::Error>, _>(self.layer.policy.clone());
        let calls = match self.layer.site {
            Some(site) => calls.at(site.enter()),
            None => calls,
        };
        calls.run_with(|| self.inner.call(request))
    }
}
