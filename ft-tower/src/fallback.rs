//! Another answer when there is none, as a layer.

use std::fmt;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ft_runtime::judge::{Accept, AnyValue, Both, ByFault, Either, Judge, Judgement, NoHint, NoVeto};
use ft_runtime::{Fallback, FallbackCalls, Site};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

/// Answers a request that failed in another way, as a [`Fallback`] does.
///
/// ```
/// use ft_tower::FallbackLayer;
/// use tower::{Service, ServiceBuilder, ServiceExt};
/// use std::io;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> io::Result<()> {
/// let cached = FallbackLayer::to(async |id: u64| Ok(format!("row {id} of yesterday")));
/// let mut service = ServiceBuilder::new()
///     .layer(cached)
///     .service_fn(|_id: u64| async move { Err::<String, _>(io::Error::from(io::ErrorKind::TimedOut)) });
/// assert_eq!(service.ready().await?.call(7).await?, "row 7 of yesterday");
/// # Ok(()) }
/// ```
///
/// # Which failures
///
/// Everything but a permanent error, as the error's own [`Fault`](ft_runtime::Fault) says, and every refusal of our own
/// policies; or what [`when`](Self::when) and [`unless`](Self::unless) say. An error of `poll_ready` is no answer to a
/// request, and is passed on.
#[derive(Clone, Copy)]
pub struct FallbackLayer<A, J = Judge> {
    answer: A,
    judge: J,
    site: Option<&'static Site>,
}

impl<T> FallbackLayer<Value<T>> {
    /// Answers with a clone of this response.
    pub const fn value(response: T) -> Self {
        Self { answer: Value(response), judge: Judge::by_fault(), site: None }
    }
}

impl<F> FallbackLayer<With<F>> {
    /// Answers with what the function makes of the error.
    pub const fn with(function: F) -> Self {
        Self { answer: With(function), judge: Judge::by_fault(), site: None }
    }
}

impl<F> FallbackLayer<To<F>> {
    /// Answers with what the function makes of the request, which is cloned for that.
    pub const fn to(function: F) -> Self {
        Self { answer: To(function), judge: Judge::by_fault(), site: None }
    }
}

impl<A, J> FallbackLayer<A, J> {
    /// Files the requests under a site, see [`ft_runtime::site!`].
    pub fn at(self, site: &'static Site) -> Self {
        Self { site: Some(site), ..self }
    }

    fn judged<K>(self, change: impl FnOnce(J) -> K) -> FallbackLayer<A, K> {
        FallbackLayer { answer: self.answer, judge: change(self.judge), site: self.site }
    }
}

impl<X, A: Accept, V> FallbackLayer<X, Judge<A, V, AnyValue, NoHint>> {
    /// Only errors that the predicate says yes to have a fallback. Given twice, both must say yes.
    #[expect(clippy::type_complexity, reason = "the parts of a judgement")]
    pub fn when<F>(self, accept: F) -> FallbackLayer<X, Judge<Both<A::Explicit, F>, V, AnyValue, NoHint>> {
        self.judged(|judge| judge.when(accept))
    }

    /// Errors that the predicate says yes to never have a fallback.
    #[expect(clippy::type_complexity, reason = "the parts of a judgement")]
    pub fn unless<F>(self, veto: F) -> FallbackLayer<X, Judge<A::Explicit, Either<V, F>, AnyValue, NoHint>> {
        self.judged(|judge| judge.unless(veto))
    }
}

impl<A, J> fmt::Debug for FallbackLayer<A, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackLayer").field("site", &self.site).finish_non_exhaustive()
    }
}

/// What a [`FallbackLayer`] answers with. Implemented for what its constructors make.
pub trait Answer<Req, T, E>: sealed::Sealed {
    /// What it needs of the request.
    type Kept;
    /// The answer on its way.
    type Future: Future<Output = Result<T, E>>;
    /// Takes what it needs, before the request goes to the service.
    fn keep(&self, request: &Req) -> Self::Kept;
    /// The answer to a request that failed.
    fn answer(&self, kept: Self::Kept, error: E) -> Self::Future;
}

/// See [`FallbackLayer::value`].
#[derive(Clone, Copy, Debug)]
pub struct Value<T>(T);

/// See [`FallbackLayer::with`].
#[derive(Clone, Copy, Debug)]
pub struct With<F>(F);

/// See [`FallbackLayer::to`].
#[derive(Clone, Copy, Debug)]
pub struct To<F>(F);

impl<Req, T: Clone, E> Answer<Req, T, E> for Value<T> {
    type Kept = ();
    type Future = Ready<Result<T, E>>;

    fn keep(&self, _: &Req) {}

    fn answer(&self, (): (), _: E) -> Self::Future {
        ready(Ok(self.0.clone()))
    }
}

impl<Req, T, E, F, Fut> Answer<Req, T, E> for With<F>
where
    F: Fn(E) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    type Kept = ();
    type Future = Fut;

    fn keep(&self, _: &Req) {}

    fn answer(&self, (): (), error: E) -> Fut {
        (self.0)(error)
    }
}

impl<Req: Clone, T, E, F, Fut> Answer<Req, T, E> for To<F>
where
    F: Fn(Req) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    type Kept = Req;
    type Future = Fut;

    fn keep(&self, request: &Req) -> Req {
        request.clone()
    }

    fn answer(&self, request: Req, _: E) -> Fut {
        (self.0)(request)
    }
}

mod sealed {
    pub trait Sealed {}
    impl<T> Sealed for super::Value<T> {}
    impl<F> Sealed for super::With<F> {}
    impl<F> Sealed for super::To<F> {}
}

impl<S, A: Clone, J: Clone> Layer<S> for FallbackLayer<A, J> {
    type Service = FallbackService<S, A, J>;

    fn layer(&self, inner: S) -> Self::Service {
        FallbackService { inner, layer: self.clone() }
    }
}

/// The service that [`FallbackLayer`] makes.
#[derive(Clone, Copy, Debug)]
pub struct FallbackService<S, A, J = Judge<ByFault, NoVeto, AnyValue, NoHint>> {
    inner: S,
    layer: FallbackLayer<A, J>,
}

impl<S, A, J> FallbackService<S, A, J> {
    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, A, J, Req> Service<Req> for FallbackService<S, A, J>
where
    S: Service<Req>,
    A: Answer<Req, S::Response, S::Error> + Clone,
    J: Judgement<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = FallbackFuture<S, A, J, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let calls = Fallback::new().calls::<Result<S::Response, S::Error>>().by(self.layer.judge.clone());
        let calls = match self.layer.site {
            Some(site) => calls.at(site.enter()),
            None => calls,
        };
        let rest = Rest { kept: self.layer.answer.keep(&request), answer: self.layer.answer.clone(), calls };
        FallbackFuture { stage: Stage::Call { call: self.inner.call(request), rest: Some(rest) } }
    }
}

pin_project! {
    /// The answer of a [`FallbackService`].
    #[must_use = "futures do nothing unless polled"]
    pub struct FallbackFuture<S, A, J, Req>
    where
        S: Service<Req>,
        A: Answer<Req, S::Response, S::Error>,
    {
        #[pin]
        stage: Stage<S, A, J, Req>,
    }
}

impl<S, A, J, Req> fmt::Debug for FallbackFuture<S, A, J, Req>
where
    S: Service<Req>,
    A: Answer<Req, S::Response, S::Error>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackFuture").finish_non_exhaustive()
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<S, A, J, Req>
    where
        S: Service<Req>,
        A: Answer<Req, S::Response, S::Error>,
    {
        Call {
            #[pin]
            call: S::Future,
            rest: Option<Rest<A::Kept, A, FallbackCalls<S::Response, S::Error, J>>>,
        },
        Answer {
            #[pin]
            answer: A::Future,
        },
    }
}

/// What the fallback needs.
struct Rest<K, A, C> {
    kept: K,
    answer: A,
    calls: C,
}

impl<S, A, J, Req> Future for FallbackFuture<S, A, J, Req>
where
    S: Service<Req>,
    A: Answer<Req, S::Response, S::Error>,
    J: Judgement<S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.project().stage;
        loop {
            let answer = match stage.as_mut().project() {
                StageProj::Answer { answer } => return answer.poll(cx),
                StageProj::Call { call, rest } => {
                    let outcome = ready!(call.poll(cx));
                    // Taken once: after that the stage is `Answer`, or the future has answered.
                    let Some(rest) = rest.take() else { return Poll::Ready(outcome) };
                    if !rest.calls.stands_in(&outcome) {
                        return Poll::Ready(outcome);
                    }
                    match outcome {
                        Err(error) => rest.answer.answer(rest.kept, error),
                        // Only errors have a fallback.
                        good => return Poll::Ready(good),
                    }
                }
            };
            stage.set(Stage::Answer { answer });
        }
    }
}
