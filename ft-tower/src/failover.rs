//! Somebody else when one fails, over several services.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ft_runtime::door::{Advance, Round, Sleep, sleep};
use ft_runtime::judge::{Accept, Both, Classified, Either, Judge, Judgement, Until};
use ft_runtime::{AsPool, FromRejected, Pool, Rejected, Site, Under};
use pin_project_lite::pin_project;
use tower_service::Service;

/// Sends a request to another service when one fails, as the [`Failover`](ft_runtime::Failover) says: the same value,
/// and where it is [`over`](Self::over) a [`Pool`] the same health, as behind the attribute and the plain calls.
///
/// ```
/// use ft_runtime::{Failover, FaultKind};
/// use tower::{Service, ServiceExt, service_fn};
/// use std::io;
///
/// const READS: Failover = Failover::new().eject_after(3);
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> io::Result<()> {
/// let replica = |up: bool| {
///     service_fn(move |id: u64| async move {
///         if up { Ok(format!("row {id}")) } else { Err(io::Error::from(io::ErrorKind::ConnectionRefused)) }
///     })
/// };
/// let mut service = ft_tower::Failover::new(READS, [("eu", replica(false)), ("us", replica(true))]);
/// assert_eq!(service.ready().await?.call(7).await?, "row 7");
/// # Ok(()) }
/// ```
///
/// # Readiness
///
/// It is ready when *any* target that may be asked is ready; one that never is does not hold up the others. When none
/// of them is within [`ready_within`](Self::ready_within), or there is none, it is ready to refuse: the response is
/// [`Rejected::NoTarget`]. So it never fails as a whole, and never waits for ever. A target whose `poll_ready` fails
/// counts as failed, and a fresh clone takes its place.
///
/// # Requests
///
/// After a failure that is not `Unsent` the request may have run: put it around requests only that may be made twice, or
/// say with [`when`](Self::when) `Fault::is_unsent`. It does not look at the method of an HTTP request.
///
/// They are cloned for later attempts (not where there is a single target). The first attempt is made by the instance
/// that was made ready; each later one by a clone that is made ready first, again whichever is ready before the others.
/// No future is boxed.
///
/// # Panics
///
/// As tower allows, `call` panics when the service was not made ready before; and timers need a tokio runtime.
pub struct Failover<S, J = Judge> {
    policy: ft_runtime::Failover,
    pool: Pool<()>,
    judge: J,
    site: Option<&'static Site>,
    ready_within: Duration,
    /// Never polled: what clones are made from. A service need not be `Sync`.
    pristine: Arc<[Mutex<S>]>,
    services: Vec<S>,
    /// Which of the services have been polled since they were last replaced: they may hold a place in some queue.
    polled: Vec<bool>,
    /// The call to come, with its first target; one without a target will be refused.
    next: Option<Round<Pool<()>>>,
    waiting: Option<Sleep>,
}

/// By default: how long no target may be ready before requests are refused.
const READY_WITHIN: Duration = Duration::from_secs(1);

impl<S: Clone> Failover<S> {
    /// Over these services, asked in this order.
    ///
    /// # Panics
    ///
    /// When a name is empty, longer than 128 bytes or given twice, or there are more than 1024.
    #[track_caller]
    pub fn new<N: Into<Cow<'static, str>>>(
        policy: ft_runtime::Failover,
        services: impl IntoIterator<Item = (N, S)>,
    ) -> Self {
        let (names, services): (Vec<_>, Vec<_>) = services.into_iter().map(|(name, s)| ((name.into(), ()), s)).unzip();
        Self::made_of(policy, Pool::of(names), services)
    }

    /// Over the targets of a pool, and with their health: `service` makes the one for each target. Tiers are the pool's.
    pub fn over<P: AsPool>(policy: ft_runtime::Failover, pool: P, mut service: impl FnMut(&P::Item) -> S) -> Self {
        let mut services = Vec::new();
        let pool = pool.as_pool().map(|target| services.push(service(target)));
        Self::made_of(policy, pool, services)
    }

    fn made_of(policy: ft_runtime::Failover, pool: Pool<()>, services: Vec<S>) -> Self {
        let pristine = services.iter().map(|service| Mutex::new(service.clone())).collect();
        Self {
            policy,
            pool,
            judge: Judge::by_fault(),
            site: None,
            ready_within: READY_WITHIN,
            pristine,
            polled: vec![false; services.len()],
            services,
            next: None,
            waiting: None,
        }
    }
}

impl<S, J> Failover<S, J> {
    /// How long no target may be ready before requests are refused: 1 s by default.
    pub fn ready_within(self, ready_within: Duration) -> Self {
        Self { ready_within, ..self }
    }

    /// Files the requests under a site, see [`ft_runtime::site!`].
    pub fn at(self, site: &'static Site) -> Self {
        Self { site: Some(site), ..self }
    }

    /// The targets and their health, to look at and to set by hand.
    pub fn pool(&self) -> &Pool<()> {
        &self.pool
    }

    fn judged<K>(self, change: impl FnOnce(J) -> K) -> Failover<S, K> {
        Failover {
            policy: self.policy,
            pool: self.pool,
            judge: change(self.judge),
            site: self.site,
            ready_within: self.ready_within,
            pristine: self.pristine,
            services: self.services,
            polled: self.polled,
            next: self.next,
            waiting: self.waiting,
        }
    }
}

impl<S, A: Accept, V, U, H> Failover<S, Judge<A, V, U, H>> {
    /// Moves on only after errors that the predicate says yes to. Given twice, both must.
    #[expect(clippy::type_complexity, reason = "the four parts of a judgement")]
    pub fn when<F>(self, accept: F) -> Failover<S, Judge<Both<A::Explicit, F>, V, U, H>> {
        self.judged(|judge| judge.when(accept))
    }

    /// Never moves on after errors that the predicate says yes to.
    #[expect(clippy::type_complexity, reason = "the four parts of a judgement")]
    pub fn unless<F>(self, veto: F) -> Failover<S, Judge<A::Explicit, Either<V, F>, U, H>> {
        self.judged(|judge| judge.unless(veto))
    }

    /// Moves on while the predicate says no to the response.
    pub fn until<F>(self, good: F) -> Failover<S, Judge<A, V, Until<F>, H>> {
        self.judged(|judge| judge.until(good))
    }

    /// Some responses are failures, of a kind and with a hint, as `classify` says. Takes the place of
    /// [`until`](Self::until).
    pub fn classify<C>(self, classify: C) -> Failover<S, Judge<A, V, Classified<C>, H>> {
        self.judged(|judge| judge.classify(classify))
    }
}

impl<S: Clone, J> Failover<S, J> {
    /// Gives up what the polled services may hold (a permit, a place in a queue), but for the one that is `kept`.
    fn release(&mut self, kept: Option<usize>) {
        for (index, polled) in self.polled.iter_mut().enumerate() {
            if *polled && kept != Some(index) {
                *polled = false;
                self.services[index] = fresh(&self.pristine, index);
            }
        }
    }

    /// Ready to send to the target of `round`, or to refuse.
    fn settle(&mut self, round: Round<Pool<()>>) -> Poll<()> {
        self.waiting = None;
        self.release(round.has_begun().then(|| round.index()));
        self.next = Some(round);
        Poll::Ready(())
    }

    fn poll_any<Req>(&mut self, cx: &mut Context<'_>) -> Poll<()>
    where
        S: Service<Req>,
        J: Judgement<S::Response, S::Error>,
    {
        if let Some(next) = self.next.take() {
            if next.stands() {
                self.next = Some(next);
                return Poll::Ready(());
            }
            self.release(None);
        }
        let mut round = Round::new(self.policy, self.pool.clone(), self.site);
        let (services, polled, judge) = (&mut self.services, &mut self.polled, &self.judge);
        let mut broken = Vec::new();
        let advance = choose::<S, Req>(&mut round, judge, |index| {
            polled[index] = true;
            let poll = services[index].poll_ready(cx);
            if matches!(poll, Poll::Ready(Err(_))) {
                broken.push(index);
            }
            poll
        });
        for index in broken {
            self.polled[index] = false;
            self.services[index] = fresh(&self.pristine, index);
        }
        if advance != Advance::NotReady {
            return self.settle(round);
        }
        let within = self.ready_within;
        ready!(Pin::new(self.waiting.get_or_insert_with(|| sleep(within))).poll(cx));
        round.stop();
        self.settle(round)
    }
}

impl<S, J, Req> Service<Req> for Failover<S, J>
where
    S: Service<Req> + Clone,
    S::Error: FromRejected,
    J: Judgement<S::Response, S::Error> + Clone,
    Req: Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = FailoverFuture<S, J, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.poll_any(cx).map(Ok)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let Some(mut round) = self.next.take() else {
            // Documented, and allowed by `Service`: a caller without a permit would overrun every limit inside.
            panic!("`Failover::call` without `poll_ready`: make the service ready before each request");
        };
        self.site.map(Site::enter);
        round.arm();
        let stage = if round.has_begun() {
            let index = round.index();
            self.polled[index] = false;
            let copy = (self.services.len() > 1).then(|| request.clone());
            let attempt = round.run_with(|| self.services[index].call(request));
            let pristine = Arc::clone(&self.pristine);
            let later = Later { request: copy, judge: self.judge.clone(), pristine, ready_within: self.ready_within };
            Stage::Calling { attempt, call: Some((round, later)) }
        } else {
            Stage::Refused
        };
        FailoverFuture { stage }
    }
}

impl<S: Clone, J: Clone> Clone for Failover<S, J> {
    fn clone(&self) -> Self {
        Self {
            policy: self.policy,
            pool: self.pool.clone(),
            judge: self.judge.clone(),
            site: self.site,
            ready_within: self.ready_within,
            pristine: Arc::clone(&self.pristine),
            services: (0..self.services.len()).map(|index| fresh(&self.pristine, index)).collect(),
            polled: vec![false; self.services.len()],
            next: None,
            waiting: None,
        }
    }
}

impl<S, J> fmt::Debug for Failover<S, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failover").field("policy", &self.policy).field("pool", &self.pool).finish_non_exhaustive()
    }
}

pin_project! {
    /// The answer of a [`Failover`].
    #[must_use = "futures do nothing unless polled"]
    pub struct FailoverFuture<S, J, Req>
    where
        S: Service<Req>,
    {
        #[pin]
        stage: Stage<S, J, Req>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<S, J, Req>
    where
        S: Service<Req>,
    {
        Calling {
            #[pin]
            attempt: Under<S::Future>,
            call: Option<(Round<Pool<()>>, Later<S, J, Req>)>,
        },
        Choosing {
            choosing: Choosing<S, S::Response, S::Error>,
            call: Option<(Round<Pool<()>>, Later<S, J, Req>)>,
        },
        Refused,
    }
}

/// What later attempts need.
struct Later<S, J, Req> {
    request: Option<Req>,
    judge: J,
    pristine: Arc<[Mutex<S>]>,
    ready_within: Duration,
}

/// The next service is looked for.
struct Choosing<S, T, E> {
    /// Being made ready.
    services: Vec<(usize, S)>,
    waiting: Sleep,
    /// The answer, should there be no next one.
    last: Option<Result<T, E>>,
}

impl<S, J, Req> Future for FailoverFuture<S, J, Req>
where
    S: Service<Req> + Clone,
    S::Error: FromRejected,
    J: Judgement<S::Response, S::Error>,
    Req: Clone,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut stage = self.as_mut().project().stage;
            let next = match stage.as_mut().project() {
                StageProj::Refused => return Poll::Ready(Err(S::Error::from_rejected(Rejected::NoTarget))),
                StageProj::Calling { attempt, call } => {
                    let outcome = ready!(attempt.poll(cx));
                    // Taken once: then the stage is another one, or the future has answered.
                    let Some((mut round, later)) = call.take() else { return Poll::Ready(outcome) };
                    if !round.judged(&later.judge, &outcome) {
                        return Poll::Ready(outcome);
                    }
                    let choosing = Choosing {
                        services: Vec::new(),
                        waiting: sleep(round.within(later.ready_within)),
                        last: Some(outcome),
                    };
                    Stage::Choosing { choosing, call: Some((round, later)) }
                }
                StageProj::Choosing { choosing, call: slot } => {
                    let (next, last) = match (slot.take(), choosing.last.take()) {
                        (Some((round, later)), Some(last)) => (go_on(choosing, round, later, cx), last),
                        // Both are there until the stage is left.
                        _ => unreachable!("a future that has answered is polled again"),
                    };
                    match next {
                        Next::Calling(attempt, call) => Stage::Calling { attempt, call: Some(call) },
                        Next::Waiting(call) => {
                            (*slot, choosing.last) = (Some(call), Some(last));
                            return Poll::Pending;
                        }
                        Next::Ended => return Poll::Ready(last),
                    }
                }
            };
            stage.set(next);
        }
    }
}

type Call<S, J, Req> = (Round<Pool<()>>, Later<S, J, Req>);

enum Next<S: Service<Req>, J, Req> {
    Calling(Under<S::Future>, Call<S, J, Req>),
    Waiting(Call<S, J, Req>),
    Ended,
}

/// Calls the next service that is ready, if there is one.
fn go_on<S, J, Req>(
    choosing: &mut Choosing<S, S::Response, S::Error>,
    mut round: Round<Pool<()>>,
    later: Later<S, J, Req>,
    cx: &mut Context<'_>,
) -> Next<S, J, Req>
where
    S: Service<Req> + Clone,
    J: Judgement<S::Response, S::Error>,
    Req: Clone,
{
    // A single target has no copy, and no successor.
    let Some(request) = &later.request else {
        round.stop();
        return Next::Ended;
    };
    let services = &mut choosing.services;
    let advance = choose::<S, Req>(&mut round, &later.judge, |index| {
        let at = services.iter().position(|(of, _)| *of == index).unwrap_or_else(|| {
            services.push((index, fresh(&later.pristine, index)));
            services.len() - 1
        });
        services[at].1.poll_ready(cx)
    });
    match advance {
        Advance::Moved => {
            let chosen = services.iter_mut().find(|(of, _)| *of == round.index());
            let Some((_, service)) = chosen else { unreachable!("whoever is chosen was made ready") };
            let attempt = round.run_with(|| service.call(request.clone()));
            Next::Calling(attempt, (round, later))
        }
        Advance::Ended => Next::Ended,
        Advance::NotReady if Pin::new(&mut choosing.waiting).poll(cx).is_ready() => {
            round.stop();
            Next::Ended
        }
        Advance::NotReady => Next::Waiting((round, later)),
    }
}

impl<S: Service<Req>, J, Req> fmt::Debug for FailoverFuture<S, J, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailoverFuture").finish_non_exhaustive()
    }
}

/// Picks the first target that is ready; those that cannot become ready are failures and left out.
/// `NotReady` only when one of them is pending, and so holds the waker.
fn choose<S: Service<Req>, Req>(
    round: &mut Round<Pool<()>>,
    judge: &impl Judgement<S::Response, S::Error>,
    mut poll_ready: impl FnMut(usize) -> Poll<Result<(), S::Error>>,
) -> Advance {
    loop {
        let mut broken = Vec::new();
        let advance = round.advance(|index| match poll_ready(index) {
            Poll::Ready(Ok(())) => true,
            Poll::Ready(Err(error)) => {
                broken.push((index, error));
                false
            }
            Poll::Pending => false,
        });
        let done = broken.is_empty() || advance.is_moved();
        for (index, error) in broken {
            let outcome = Err(error);
            round.broken(index, &Described(|f: &mut fmt::Formatter<'_>| judge.describe(&outcome, f)));
        }
        if done {
            return advance;
        }
    }
}

struct Described<F>(F);

impl<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result> fmt::Display for Described<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)(f)
    }
}

/// A clone of a service that nobody has polled.
fn fresh<S: Clone>(pristine: &[Mutex<S>], index: usize) -> S {
    // Only `clone` runs under this lock; if it panicked, the service is as it was.
    pristine[index].lock().unwrap_or_else(PoisonError::into_inner).clone()
}
