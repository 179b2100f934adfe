//! One execution for many equal requests, as a layer.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use ft_runtime::{Coalesce, Coalesced, FromRejected, Shared, Site};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::asking::Asking;

/// Lets requests with the same key share one execution, as the [`Coalesce`] says.
///
/// The first one uses the service that was made ready. Those that wait give their readiness back, and make a clone of the
/// service ready when they take over.
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
    type Future = CoalesceFuture<S, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let clone = self.inner.clone();
        let readied = mem::replace(&mut self.inner, clone);
        let calls = Coalesce::calls_of::<Result<S::Response, S::Error>, _>(self.layer.policy.clone());
        let calls = match self.layer.site {
            Some(site) => calls.at(site.enter()),
            None => calls,
        };
        let calls = calls.key(&(self.layer.key)(&request));
        CoalesceFuture { call: calls.work(Asking::readied(readied, request)) }
    }
}

type Call<S, Req> =
    Coalesced<Shared<Coalesce>, <S as Service<Req>>::Response, <S as Service<Req>>::Error, Asking<S, Req>>;

pin_project! {
    /// The answer of a [`CoalesceService`].
    #[must_use = "futures do nothing unless polled"]
    pub struct CoalesceFuture<S, Req>
    where
        S: Service<Req>,
    {
        #[pin]
        call: Call<S, Req>,
    }
}

impl<S: Service<Req>, Req> fmt::Debug for CoalesceFuture<S, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoalesceFuture").field("call", &self.call).finish()
    }
}

impl<S: Service<Req> + Clone, Req> Future for CoalesceFuture<S, Req> {
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().call.poll(cx)
    }
}
