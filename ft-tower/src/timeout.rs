//! So long and no longer, as a layer.

use std::task::{Context, Poll};

use ft_runtime::{FromRejected, Site, Timeout, TimingOut};
use tower_layer::Layer;
use tower_service::Service;

/// Cuts a request off that takes too long, as the [`Timeout`] says, and gives everything inside its deadline.
///
/// The limit is that of the request, from the first poll of its future on: waiting for the service to be ready does not
/// count, and where the deadline around has passed already the service is not called. The future is not boxed.
///
/// ```
/// use ft_runtime::{Rejected, Timeout};
/// use ft_tower::TimeoutLayer;
/// use std::time::Duration;
/// use tower::{Service, ServiceBuilder, ServiceExt};
///
/// const DB: Timeout = Timeout::new(Duration::from_millis(200));
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let mut service = ServiceBuilder::new()
///     .layer(TimeoutLayer::new(DB))                          // or of a `Duration`
///     .service_fn(|id: u64| async move {
///         if id == 0 { std::future::pending::<()>().await }
///         Ok::<_, Rejected>(format!("row {id}"))
///     });
/// assert_eq!(service.ready().await.unwrap().call(7).await.unwrap(), "row 7");
/// let late = service.ready().await.unwrap().call(0).await;
/// assert_eq!(late, Err(Rejected::TimedOut { limit: DB.limit() }));
/// # }
/// ```
///
/// # Errors
///
/// Those of the service, whose error must be able to hold a [`Rejected`](ft_runtime::Rejected): `TimedOut` and
/// `DeadlinePassed`.
#[derive(Clone, Copy, Debug)]
pub struct TimeoutLayer {
    policy: Timeout,
    site: Option<&'static Site>,
}

impl TimeoutLayer {
    /// A layer with this limit: a [`Timeout`], or a `Duration`.
    ///
    /// # Panics
    ///
    /// When the limit is zero.
    #[track_caller]
    pub fn new(policy: impl Into<Timeout>) -> Self {
        Self { policy: policy.into(), site: None }
    }

    /// Files the requests under a site, see [`ft_runtime::site!`].
    pub fn at(self, site: &'static Site) -> Self {
        Self { site: Some(site), ..self }
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = TimeoutService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TimeoutService { inner, layer: *self }
    }
}

/// The service that [`TimeoutLayer`] makes.
#[derive(Clone, Copy, Debug)]
pub struct TimeoutService<S> {
    inner: S,
    layer: TimeoutLayer,
}

impl<S> TimeoutService<S> {
    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, Req> Service<Req> for TimeoutService<S>
where
    S: Service<Req>,
    S::Error: FromRejected,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TimingOut<S::Future, S::Error>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let calls = self.layer.policy.calls::<Result<S::Response, S::Error>>();
        let calls = match self.layer.site {
            Some(site) => calls.at(site.enter()),
            None => calls,
        };
        calls.run_with(|| self.inner.call(request))
    }
}
