//! Leaves the service alone while it fails, as a layer.

use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use ft_runtime::judge::{
    Accept, AnyValue, Both, ByFault, Classified, Either, Hint, Judge, Judgement, NoHint, NoVeto, Until,
};
use ft_runtime::{CircuitBreaker, CircuitBreakerFuture, FromRejected, Keyed, Shared, Site};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::select::{ByKey, One, Select};

/// Refuses requests while the service fails, as the [`CircuitBreaker`] says.
///
/// The services that one layer makes, and their clones, share the breaker, and so does everybody else who has it.
///
/// An open breaker is ready, also when the service inside is not, and answers the request with a refusal: nobody waits for a
/// service that may not be called, and a `Buffer` around it is not torn down. Otherwise it is ready when the service is. A
/// breaker for each key is known when the request comes, so there the service is made ready first.
/// Readiness that was obtained before a refusal stays with this instance, for its next request; drop the instance to give
/// it back.
///
/// # Which outcomes are failures
///
/// The error's own [`Fault`](ft_runtime::Fault) says it, or the judgement given here. The error must be able to hold a
/// [`Rejected`](ft_runtime::Rejected). An error of `poll_ready` passes through and counts for nothing: no request was made.
///
/// ```
/// use ft_runtime::{CircuitBreaker, Keyed};
/// use ft_tower::CircuitBreakerLayer;
/// use tower::{Service, ServiceBuilder, ServiceExt};
/// use std::io;
///
/// static PAYMENTS: CircuitBreaker = CircuitBreaker::new().rate(0.3);
/// static HOSTS: Keyed<CircuitBreaker> = Keyed::new(CircuitBreaker::new());
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> io::Result<()> {
/// let mut service = ServiceBuilder::new()
///     .layer(CircuitBreakerLayer::new(&PAYMENTS))
///     .layer(CircuitBreakerLayer::keyed(&HOSTS, |id: &u64| format!("host {}", id % 2)))   // one for each host
///     .service_fn(|id: u64| async move { io::Result::Ok(format!("row {id}")) });
/// assert_eq!(service.ready().await?.call(7).await?, "row 7");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct CircuitBreakerLayer<S = One<CircuitBreaker>, J = Judge> {
    select: S,
    judge: J,
    site: Option<&'static Site>,
}

impl CircuitBreakerLayer {
    /// A layer with this breaker: `&'static CircuitBreaker` or `Arc<CircuitBreaker>`.
    pub fn new(breaker: impl Into<Shared<CircuitBreaker>>) -> Self {
        Self { select: One(breaker.into()), judge: Judge::by_fault(), site: None }
    }
}

impl<F> CircuitBreakerLayer<ByKey<CircuitBreaker, F>> {
    /// A layer with a breaker for each key: `key` finds it in the request, as anything `Display` that borrows nothing of it.
    pub fn keyed<Req, K>(breakers: impl Into<Shared<Keyed<CircuitBreaker>>>, key: F) -> Self
    where
        F: Fn(&Req) -> K,
    {
        Self { select: ByKey { keyed: breakers.into(), key }, judge: Judge::by_fault(), site: None }
    }
}

impl<S, J> CircuitBreakerLayer<S, J> {
    /// Files the requests under a site, see [`ft_runtime::site!`].
    pub fn at(self, site: &'static Site) -> Self {
        Self { site: Some(site), ..self }
    }

    fn judged<K>(self, change: impl FnOnce(J) -> K) -> CircuitBreakerLayer<S, K> {
        CircuitBreakerLayer { select: self.select, judge: change(self.judge), site: self.site }
    }
}

impl<S, A: Accept, V, U, H> CircuitBreakerLayer<S, Judge<A, V, U, H>> {
    /// Takes only errors for failures that the predicate says yes to. Given twice, both must.
    #[expect(clippy::type_complexity, reason = "the four parts of a judgement")]
    pub fn when<F>(self, accept: F) -> CircuitBreakerLayer<S, Judge<Both<A::Explicit, F>, V, U, H>> {
        self.judged(|judge| judge.when(accept))
    }

    /// Takes no error for a failure that the predicate says yes to.
    #[expect(clippy::type_complexity, reason = "the four parts of a judgement")]
    pub fn unless<F>(self, veto: F) -> CircuitBreakerLayer<S, Judge<A::Explicit, Either<V, F>, U, H>> {
        self.judged(|judge| judge.unless(veto))
    }

    /// Takes a response for a failure that the predicate says no to.
    pub fn until<F>(self, good: F) -> CircuitBreakerLayer<S, Judge<A, V, Until<F>, H>> {
        self.judged(|judge| judge.until(good))
    }

    /// Some responses are failures, of a kind and with a hint, as `classify` says. Takes the place of
    /// [`until`](Self::until).
    pub fn classify<C>(self, classify: C) -> CircuitBreakerLayer<S, Judge<A, V, Classified<C>, H>> {
        self.judged(|judge| judge.classify(classify))
    }

    /// Takes the hint of the other side from the error.
    pub fn retry_after<F>(self, hint: F) -> CircuitBreakerLayer<S, Judge<A, V, U, Hint<F>>> {
        self.judged(|judge| judge.retry_after(hint))
    }
}

impl<S, J, Inner> Layer<Inner> for CircuitBreakerLayer<S, J>
where
    S: Clone,
    J: Clone,
{
    type Service = CircuitBreakerService<Inner, S, J>;

    fn layer(&self, inner: Inner) -> Self::Service {
        CircuitBreakerService { inner, layer: self.clone(), turns_away: false }
    }
}

/// The service that [`CircuitBreakerLayer`] makes.
#[derive(Clone, Debug)]
pub struct CircuitBreakerService<Inner, S = One<CircuitBreaker>, J = Judge<ByFault, NoVeto, AnyValue, NoHint>> {
    inner: Inner,
    layer: CircuitBreakerLayer<S, J>,
    /// It was open when it was asked whether it is ready: the service inside was not.
    turns_away: bool,
}

impl<Inner, S, J> CircuitBreakerService<Inner, S, J> {
    /// The service inside.
    pub fn get_ref(&self) -> &Inner {
        &self.inner
    }
}

impl<Inner, S, J, Req> Service<Req> for CircuitBreakerService<Inner, S, J>
where
    Inner: Service<Req>,
    Inner::Error: FromRejected,
    S: Select<Req, Policy = CircuitBreaker>,
    J: Judgement<Inner::Response, Inner::Error> + Clone,
{
    type Response = Inner::Response;
    type Error = Inner::Error;
    type Future = CircuitBreakerResponse<S::Held, Inner::Future, Inner::Error, J>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Inner::Error>> {
        self.turns_away = self.layer.select.any().is_some_and(|breaker| breaker.refuses_for().is_some());
        if self.turns_away { Poll::Ready(Ok(())) } else { self.inner.poll_ready(cx) }
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let breaker = self.layer.select.select(&request);
        let calls = CircuitBreaker::calls_of::<Result<Inner::Response, Inner::Error>, _>(breaker);
        let calls = calls.by(self.layer.judge.clone());
        let calls = calls.at_any(self.layer.site.map(Site::enter));
        if self.turns_away {
            return CircuitBreakerResponse { stage: Stage::Refused { refusal: Some(calls.turn_away()) } };
        }
        match calls.start(|| self.inner.call(request)) {
            Ok(call) => CircuitBreakerResponse { stage: Stage::Started { call } },
            Err(refusal) => CircuitBreakerResponse { stage: Stage::Refused { refusal: Some(refusal) } },
        }
    }
}

pin_project! {
    /// The answer of a [`CircuitBreakerService`].
    #[must_use = "futures do nothing unless polled"]
    pub struct CircuitBreakerResponse<P, F, E, J>
    where
        P: Deref<Target = CircuitBreaker>,
    {
        #[pin]
        stage: Stage<P, F, E, J>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<P, F, E, J>
    where
        P: Deref<Target = CircuitBreaker>,
    {
        Started {
            #[pin]
            call: CircuitBreakerFuture<P, F, E, J>,
        },
        Refused {
            refusal: Option<E>,
        },
    }
}

impl<P, F, T, E, J> Future for CircuitBreakerResponse<P, F, E, J>
where
    P: Deref<Target = CircuitBreaker>,
    F: Future<Output = Result<T, E>>,
    J: Judgement<T, E>,
{
    type Output = Result<T, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, E>> {
        match self.project().stage.project() {
            StageProj::Started { call } => call.poll(cx),
            StageProj::Refused { refusal } => match refusal.take() {
                Some(refusal) => Poll::Ready(Err(refusal)),
                None => unreachable!("a future that has answered is polled again"),
            },
        }
    }
}

impl<P: Deref<Target = CircuitBreaker>, F, E, J> std::fmt::Debug for CircuitBreakerResponse<P, F, E, J> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CircuitBreakerResponse").finish_non_exhaustive()
    }
}
