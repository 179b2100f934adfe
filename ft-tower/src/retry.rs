//! Again after a failure, as a layer.

use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ft_runtime::door::{attempts, sleep};
use ft_runtime::judge::{
    Accept, AnyValue, Both, ByCause, ByFault, Classified, Either, Hint, Judge, Judgement, NoHint, NoVeto, Until,
};
use ft_runtime::{Attempts, Deadline, FaultKind, Retry, Site, Under, Wait};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

/// Makes a request again when it fails, as the [`Retry`] says.
///
/// Requests are cloned for later attempts. The first attempt uses the service that was made ready and is polled in
/// place; only when it fails is a future boxed. Each later attempt waits for the service to be ready again.
///
/// # Which failures
///
/// The error's own [`Fault`](ft_runtime::Fault) says it (boxed errors are asked for the first known cause), or the
/// judgement given here. The last outcome is answered unchanged; so is an error of `poll_ready`, which ends the
/// attempts: a service that cannot become ready will not.
///
/// ```
/// use ft_runtime::Retry;
/// use ft_tower::RetryLayer;
/// use tower::{Service, ServiceBuilder, ServiceExt};
/// use std::io;
///
/// static DB: Retry = Retry::new().max_attempts(4);
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> io::Result<()> {
/// let mut service = ServiceBuilder::new()
///     .layer(RetryLayer::new(DB))
///     .service_fn(|id: u64| async move { io::Result::Ok(format!("row {id}")) });
/// assert_eq!(service.ready().await?.call(7).await?, "row 7");
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RetryLayer<J = Judge> {
    policy: Retry,
    judge: J,
    site: Option<&'static Site>,
}

impl RetryLayer {
    /// A layer that retries as `policy` says.
    pub const fn new(policy: Retry) -> Self {
        Self { policy, judge: Judge::by_fault(), site: None }
    }
}

impl<J> RetryLayer<J> {
    /// Files the requests under a site, see [`ft_runtime::site!`].
    pub fn at(self, site: &'static Site) -> Self {
        Self { site: Some(site), ..self }
    }

    fn judged<K>(self, change: impl FnOnce(J) -> K) -> RetryLayer<K> {
        RetryLayer { policy: self.policy, judge: change(self.judge), site: self.site }
    }
}

impl<V, U, H> RetryLayer<Judge<ByFault, V, U, H>> {
    /// Judges errors by the first known cause in their chain of sources: for services whose error is no
    /// [`Fault`](ft_runtime::Fault). One without a known cause is `unknown`.
    pub fn by_cause(self, unknown: FaultKind) -> RetryLayer<Judge<ByCause, V, U, H>> {
        self.judged(|judge| judge.by_cause(unknown))
    }
}

impl<A: Accept, V, U, H> RetryLayer<Judge<A, V, U, H>> {
    /// Tries only errors again that the predicate says yes to. Given twice, both must.
    #[expect(clippy::type_complexity, reason = "the four parts of a judgement")]
    pub fn when<F>(self, accept: F) -> RetryLayer<Judge<Both<A::Explicit, F>, V, U, H>> {
        self.judged(|judge| judge.when(accept))
    }

    /// Never tries errors again that the predicate says yes to.
    #[expect(clippy::type_complexity, reason = "the four parts of a judgement")]
    pub fn unless<F>(self, veto: F) -> RetryLayer<Judge<A::Explicit, Either<V, F>, U, H>> {
        self.judged(|judge| judge.unless(veto))
    }

    /// Tries again while the predicate says no to the response.
    pub fn until<F>(self, good: F) -> RetryLayer<Judge<A, V, Until<F>, H>> {
        self.judged(|judge| judge.until(good))
    }

    /// Some responses are failures, of a kind and with a hint, as `classify` says. Takes the place of
    /// [`until`](Self::until).
    pub fn classify<C>(self, classify: C) -> RetryLayer<Judge<A, V, Classified<C>, H>> {
        self.judged(|judge| judge.classify(classify))
    }

    /// Takes the hint of the other side from the error.
    pub fn retry_after<F>(self, hint: F) -> RetryLayer<Judge<A, V, U, Hint<F>>> {
        self.judged(|judge| judge.retry_after(hint))
    }
}

impl<S, J: Clone> Layer<S> for RetryLayer<J> {
    type Service = RetryService<S, J>;

    fn layer(&self, inner: S) -> Self::Service {
        RetryService { inner, layer: self.clone() }
    }
}

/// The service that [`RetryLayer`] makes.
#[derive(Clone, Copy, Debug)]
pub struct RetryService<S, J = Judge<ByFault, NoVeto, AnyValue, NoHint>> {
    inner: S,
    layer: RetryLayer<J>,
}

impl<S, J> RetryService<S, J> {
    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, J, Req> Service<Req> for RetryService<S, J>
where
    S: Service<Req> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send + 'static,
    S::Error: Send + 'static,
    J: Judgement<S::Response, S::Error> + Clone + Send + 'static,
    Req: Clone + Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = RetryFuture<S, J, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        // The instance that was made ready makes the first attempt; its clone waits to be made ready for the next call.
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        let RetryLayer { policy, judge, site } = &self.layer;
        start(*policy, judge.clone(), *site, ready, request)
    }
}

/// Makes the first attempt with the service that was made ready.
pub(crate) fn start<S: Service<Req>, J, Req: Clone>(
    policy: Retry,
    judge: J,
    site: Option<&'static Site>,
    mut service: S,
    request: Req,
) -> RetryFuture<S, J, Req> {
    let attempts = attempts(policy, site, judge);
    let first = attempts.run_with(|| service.call(request.clone()));
    RetryFuture { stage: Stage::First { first, rest: Some(Rest { service, request, attempts }) } }
}

pin_project! {
    /// The answer of a [`RetryService`].
    #[must_use = "futures do nothing unless polled"]
    pub struct RetryFuture<S, J, Req>
    where
        S: Service<Req>,
    {
        #[pin]
        stage: Stage<S, J, Req>,
    }
}

impl<S: Service<Req>, J, Req> std::fmt::Debug for RetryFuture<S, J, Req> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RetryFuture").finish_non_exhaustive()
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<S, J, Req>
    where
        S: Service<Req>,
    {
        First {
            #[pin]
            first: Under<S::Future>,
            rest: Option<Rest<S, J, Req>>,
        },
        Again {
            again: Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>,
        },
    }
}

/// What later attempts need.
struct Rest<S: Service<Req>, J, Req> {
    service: S,
    request: Req,
    attempts: Attempts<Retry, S::Response, S::Error, J>,
}

impl<S, J, Req> Future for RetryFuture<S, J, Req>
where
    S: Service<Req> + Send + 'static,
    S::Future: Send,
    S::Response: Send + 'static,
    S::Error: Send + 'static,
    J: Judgement<S::Response, S::Error> + Send + 'static,
    Req: Clone + Send + 'static,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut stage = self.as_mut().project().stage;
            let again = match stage.as_mut().project() {
                StageProj::Again { again } => return again.as_mut().poll(cx),
                StageProj::First { first, rest } => {
                    let outcome = ready!(first.poll(cx));
                    // Judged where it lies, for it is large; taken only when there is more to do.
                    let wait = rest.as_mut().and_then(|rest| rest.attempts.again(&outcome));
                    match wait.and_then(|wait| Some((wait, rest.take()?))) {
                        None => return Poll::Ready(outcome),
                        Some((wait, rest)) => Box::pin(rest.go_on(outcome, wait)),
                    }
                }
            };
            stage.set(Stage::Again { again });
        }
    }
}

impl<S: Service<Req>, J: Judgement<S::Response, S::Error>, Req: Clone> Rest<S, J, Req> {
    /// The attempts after the first one. The last outcome is kept until another attempt begins.
    async fn go_on(
        mut self,
        mut outcome: Result<S::Response, S::Error>,
        mut wait: Wait,
    ) -> Result<S::Response, S::Error> {
        loop {
            wait.await;
            match self.ready().await {
                Some(ready) => ready?,
                None => return outcome,
            }
            outcome = self.attempts.run_with(|| self.service.call(self.request.clone())).await;
            match self.attempts.again(&outcome) {
                Some(next) => wait = next,
                None => return outcome,
            }
        }
    }

    /// Waits until the service is ready; `None` when the deadline passes first.
    async fn ready(&mut self) -> Option<Result<(), S::Error>> {
        let deadline = self.attempts.run(async { Deadline::current() }).await;
        let mut passed = deadline.map(|deadline| sleep(deadline.remaining()));
        poll_fn(|cx| {
            if let Poll::Ready(ready) = self.service.poll_ready(cx) {
                return Poll::Ready(Some(ready));
            }
            match &mut passed {
                Some(passed) => Pin::new(passed).poll(cx).map(|()| None),
                None => Poll::Pending,
            }
        })
        .await
    }
}
