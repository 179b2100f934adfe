//! One execution for many equal requests, as a layer.

use std::fmt;
use std::task::{Context, Poll};

use ft_runtime::{Coalesce, Coalesced, FromRejected, Shared, Site};
use tower_layer::Layer;
use tower_service::Service;

use crate::oneshot::Oneshot;

/// Lets requests with the same key share one execution, as the [`Coalesce`] says.
///
/// # Readiness
///
/// The service is always ready: whoever only waits for the outcome of another request needs nothing of the service inside,
/// and finds that other request also while the service inside has no room for a second one. The request that runs makes a
/// clone of it ready first. An error of `poll_ready` inside is the outcome of that request, and of those who share it.
///
/// ```
/// use ft_runtime::{Coalesce, Error};
/// use ft_tower::CoalesceLayer;
/// use tower::{Service, ServiceBuilder, ServiceExt};
///
/// static ROWS: Coalesce = Coalesce::new();
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let mut service = ServiceBuilder::new()
///     .layer(CoalesceLayer::new(&ROWS, |id: &u64| *id))        // the key: anything `Display`
///     .service_fn(|id: u64| async move { Ok::<_, Error<u32>>(format!("row {id}")) });
/// assert_eq!(service.ready().await.unwrap().call(7).await.unwrap(), "row 7");
/// # }
/// ```
#[derive(Clone)]
pub struct CoalesceLayer<K> {
    policy: Shared<Coalesce>,
    key: K,
    site: Option<&'static Site>,
}

impl<K> CoalesceLayer<K> {
    /// A layer over a policy in a `static` or an `Arc`; `key` says what makes requests equal.
    pub fn new(policy: impl Into<Shared<Coalesce>>, key: K) -> Self {
        Self { policy: policy.into(), key, site: None }
    }

    /// Files the requests under a site, see [`ft_runtime::site!`].
    pub fn at(self, site: &'static Site) -> Self {
        Self { site: Some(site), ..self }
    }
}

impl<K> fmt::Debug for CoalesceLayer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoalesceLayer").field("policy", &self.policy).field("site", &self.site).finish_non_exhaustive()
    }
}

impl<S, K: Clone> Layer<S> for CoalesceLayer<K> {
    type Service = CoalesceService<S, K>;

    fn layer(&self, inner: S) -> Self::Service {
        CoalesceService { inner, layer: self.clone() }
    }
}

/// The service that [`CoalesceLayer`] makes.
#[derive(Clone, Debug)]
pub struct CoalesceService<S, K> {
    inner: S,
    layer: CoalesceLayer<K>,
}

impl<S, K> CoalesceService<S, K> {
    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, K, D, Req> Service<Req> for CoalesceService<S, K>
where
    S: Service<Req> + Clone,
    S::Response: Clone + Send + 'static,
    S::Error: FromRejected + Clone + Send + 'static,
    K: Fn(&Req) -> D,
    D: fmt::Display,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Coalesced<Shared<Coalesce>, S::Response, S::Error, Oneshot<S, Req>>;

    /// Always ready: nothing is reserved before it is known who runs.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let calls = Coalesce::calls_of::<Result<S::Response, S::Error>, _>(self.layer.policy.clone());
        let calls = match self.layer.site {
            Some(site) => calls.at(site.enter()),
            None => calls,
        };
        calls.key(&(self.layer.key)(&request)).run(Oneshot::new(self.inner.clone(), request))
    }
}
