//! A second request beside one that takes too long, as a layer.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use ft_runtime::door::Extra;
use ft_runtime::judge::{Accept, AnyValue, Both, ByFault, Classified, Either, Judge, Judgement, NoHint, NoVeto, Until};
use ft_runtime::{Hedge, Hedging, Shared, Site};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::oneshot::Oneshot;

/// Makes a request a second time when its answer takes unusually long, as the [`Hedge`] says.
///
/// The first request uses the service that was made ready and is polled in place. Each extra one clones the request and the
/// service, and waits for that clone to be ready first; only then is anything boxed.
///
/// Both may run: put it around requests only that may be made twice. It does not look at the method of an HTTP request.
///
/// ```
/// use ft_runtime::Hedge;
/// use ft_tower::HedgeLayer;
/// use tower::{Service, ServiceBuilder, ServiceExt};
/// use std::io;
///
/// static READS: Hedge = Hedge::new();
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> io::Result<()> {
/// let mut service = ServiceBuilder::new()
///     .layer(HedgeLayer::new(&READS))
///     .service_fn(|id: u64| async move { io::Result::Ok(format!("row {id}")) });
/// assert_eq!(service.ready().await?.call(7).await?, "row 7");
/// # Ok(()) }
/// ```
///
/// # What is a failure
///
/// Everything but a permanent error, as the error's own [`Fault`](ft_runtime::Fault) says, or what the judgement given here
/// says. A failure starts the next request at once; all else is an answer.
#[derive(Clone, Debug)]
pub struct HedgeLayer<J = Judge> {
    policy: Shared<Hedge>,
    judge: J,
    site: Option<&'static Site>,
}

impl HedgeLayer {
    /// A layer over a policy in a `static` or an `Arc`.
    pub fn new(policy: impl Into<Shared<Hedge>>) -> Self {
        Self { policy: policy.into(), judge: Judge::by_fault(), site: None }
    }
}

impl<J> HedgeLayer<J> {
    /// Files the requests under a site, see [`ft_runtime::site!`].
    pub fn at(self, site: &'static Site) -> Self {
        Self { site: Some(site), ..self }
    }

    fn judged<K>(self, change: impl FnOnce(J) -> K) -> HedgeLayer<K> {
        HedgeLayer { policy: self.policy, judge: change(self.judge), site: self.site }
    }
}

impl<A: Accept, V, U, H> HedgeLayer<Judge<A, V, U, H>> {
    /// Only errors that the predicate says yes to are failures. Given twice, both must say yes.
    #[expect(clippy::type_complexity, reason = "the four parts of a judgement")]
    pub fn when<F>(self, accept: F) -> HedgeLayer<Judge<Both<A::Explicit, F>, V, U, H>> {
        self.judged(|judge| judge.when(accept))
    }

    /// Errors that the predicate says yes to are answers.
    #[expect(clippy::type_complexity, reason = "the four parts of a judgement")]
    pub fn unless<F>(self, veto: F) -> HedgeLayer<Judge<A::Explicit, Either<V, F>, U, H>> {
        self.judged(|judge| judge.unless(veto))
    }

    /// A response that the predicate says no to is a failure.
    pub fn until<F>(self, good: F) -> HedgeLayer<Judge<A, V, Until<F>, H>> {
        self.judged(|judge| judge.until(good))
    }

    /// Some responses are failures, of a kind and with a hint, as `classify` says. Takes the place of
    /// [`until`](Self::until).
    pub fn classify<C>(self, classify: C) -> HedgeLayer<Judge<A, V, Classified<C>, H>> {
        self.judged(|judge| judge.classify(classify))
    }
}

impl<S, J: Clone> Layer<S> for HedgeLayer<J> {
    type Service = HedgeService<S, J>;

    fn layer(&self, inner: S) -> Self::Service {
        HedgeService { inner, layer: self.clone() }
    }
}

/// The service that [`HedgeLayer`] makes.
#[derive(Clone, Debug)]
pub struct HedgeService<S, J = Judge<ByFault, NoVeto, AnyValue, NoHint>> {
    inner: S,
    layer: HedgeLayer<J>,
}

impl<S, J> HedgeService<S, J> {
    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, J, Req> Service<Req> for HedgeService<S, J>
where
    S: Service<Req> + Clone,
    J: Judgement<S::Response, S::Error> + Clone,
    Req: Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = HedgeFuture<S, J, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        // The instance that was made ready makes the first request; its clone waits to be made ready for the next call.
        let clone = self.inner.clone();
        let mut service = mem::replace(&mut self.inner, clone);
        let calls = Hedge::calls_of::<Result<S::Response, S::Error>, _>(self.layer.policy.clone());
        let calls = calls.by(self.layer.judge.clone());
        let calls = match self.layer.site {
            Some(site) => calls.at(site.enter()),
            None => calls,
        };
        let first = service.call(request.clone());
        HedgeFuture { race: calls.race(first, Requests { service, request }) }
    }
}

/// Makes the extra requests.
struct Requests<S, Req> {
    service: S,
    request: Req,
}

impl<S: Service<Req> + Clone, Req: Clone> Extra for Requests<S, Req> {
    type Call = Oneshot<S, Req>;

    fn start(&mut self) -> Oneshot<S, Req> {
        Oneshot::new(self.service.clone(), self.request.clone())
    }
}

type Race<S, J, Req> = Hedging<
    Shared<Hedge>,
    <S as Service<Req>>::Response,
    <S as Service<Req>>::Error,
    J,
    <S as Service<Req>>::Future,
    Requests<S, Req>,
    Oneshot<S, Req>,
>;

pin_project! {
    /// The answer of a [`HedgeService`].
    #[must_use = "futures do nothing unless polled"]
    pub struct HedgeFuture<S, J, Req>
    where
        S: Service<Req>,
    {
        #[pin]
        race: Race<S, J, Req>,
    }
}

impl<S: Service<Req>, J, Req> fmt::Debug for HedgeFuture<S, J, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HedgeFuture").field("race", &self.race).finish()
    }
}

impl<S, J, Req> Future for HedgeFuture<S, J, Req>
where
    S: Service<Req> + Clone,
    J: Judgement<S::Response, S::Error>,
    Req: Clone,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().race.poll(cx)
    }
}
