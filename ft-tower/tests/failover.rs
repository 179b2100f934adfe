//! The failover over services: what tower promises of readiness, and what the policy promises of requests.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use ft_runtime::{Failover as Policy, Fault, Pool};
use ft_tower::Failover;
use tower::buffer::Buffer;
use tower::limit::ConcurrencyLimit;
use tower::{BoxError, Service, ServiceExt, service_fn};

const POLICY: Policy = Policy::new();

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Answers,
    AnswersSlowly,
    Refuses,
    NeverReady,
    BreaksWhenPolled,
}

/// A service that panics when it is called without having been made ready, and counts.
#[derive(Debug)]
struct Probe {
    shared: Arc<Shared>,
    is_ready: bool,
}

#[derive(Debug)]
struct Shared {
    mode: Mutex<Mode>,
    calls: AtomicU32,
    polls: AtomicU32,
    wakers: Mutex<HashMap<usize, Waker>>,
}

impl Probe {
    fn new(mode: Mode) -> Self {
        let shared = Shared {
            mode: Mutex::new(mode),
            calls: AtomicU32::new(0),
            polls: AtomicU32::new(0),
            wakers: Mutex::default(),
        };
        Self { shared: Arc::new(shared), is_ready: false }
    }

    fn set(&self, mode: Mode) {
        *self.shared.mode.lock().unwrap() = mode;
        self.shared.wakers.lock().unwrap().drain().for_each(|(_, waker)| waker.wake());
    }

    fn calls(&self) -> u32 {
        self.shared.calls.load(Ordering::Relaxed)
    }

    fn polls(&self) -> u32 {
        self.shared.polls.load(Ordering::Relaxed)
    }
}

/// As tower's own services: readiness belongs to the instance, not to its clones.
impl Clone for Probe {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), is_ready: false }
    }
}

impl Service<u32> for Probe {
    type Response = u32;
    type Error = io::Error;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.polls.fetch_add(1, Ordering::Relaxed);
        match *self.shared.mode.lock().unwrap() {
            Mode::NeverReady => {
                let me = std::ptr::from_ref(self).addr();
                self.shared.wakers.lock().unwrap().insert(me, cx.waker().clone());
                Poll::Pending
            }
            Mode::BreaksWhenPolled => Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into())),
            Mode::Answers | Mode::AnswersSlowly | Mode::Refuses => {
                self.is_ready = true;
                Poll::Ready(Ok(()))
            }
        }
    }

    fn call(&mut self, request: u32) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called without having been made ready");
        self.shared.calls.fetch_add(1, Ordering::Relaxed);
        let mode = *self.shared.mode.lock().unwrap();
        let slow = mode == Mode::AnswersSlowly;
        Answer {
            after: slow.then(|| Box::pin(tokio::time::sleep(Duration::from_millis(5)))),
            outcome: Some(if mode == Mode::Refuses {
                Err(io::ErrorKind::ConnectionRefused.into())
            } else {
                Ok(request)
            }),
        }
    }
}

struct Answer {
    after: Option<Pin<Box<tokio::time::Sleep>>>,
    outcome: Option<io::Result<u32>>,
}

impl Future for Answer {
    type Output = io::Result<u32>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(after) = &mut self.after {
            std::task::ready!(after.as_mut().poll(cx));
        }
        Poll::Ready(self.outcome.take().expect("polled after it answered"))
    }
}

fn over(probes: &[Probe]) -> Failover<Probe> {
    Failover::new(POLICY, probes.iter().enumerate().map(|(at, probe)| (format!("t{at}"), probe.clone())))
}

fn health<S, J>(service: &Failover<S, J>, at: usize) -> &'static str {
    service.pool().snapshot()[at].health.as_str()
}

fn is_no_target(outcome: &io::Result<u32>) -> bool {
    let error = outcome.as_ref().unwrap_err();
    Fault::rejected(error).is_some_and(|rejected| rejected.reason() == "no_target")
}

async fn send<S: Service<u32>>(service: &mut S, request: u32) -> Result<S::Response, S::Error> {
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(request).await
}

mod requests {
    use super::*;

    #[tokio::test]
    async fn a_request_goes_to_the_next_service_when_one_fails_and_the_last_error_is_answered_unchanged() {
        let probes = [Probe::new(Mode::Refuses), Probe::new(Mode::Refuses), Probe::new(Mode::Answers)];
        let mut service = over(&probes);
        assert_eq!(send(&mut service, 7).await.unwrap(), 7);
        probes[2].set(Mode::Refuses);
        let error = send(&mut service, 7).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(probes.map(|probe| probe.calls()), [2, 2, 2]);
    }

    /// Case 37: the first attempt uses the readied instance (a probe panics otherwise), each later one polls first.
    #[tokio::test]
    async fn every_call_goes_to_an_instance_that_was_made_ready() {
        let probes = [Probe::new(Mode::Refuses), Probe::new(Mode::Answers)];
        let mut service = over(&probes);
        for _ in 0..3 {
            assert_eq!(send(&mut service, 7).await.unwrap(), 7);
        }
        assert_eq!(probes.each_ref().map(Probe::polls), [3, 3], "one poll for each call");
    }

    /// Case 37.
    #[tokio::test(start_paused = true)]
    async fn it_works_over_a_concurrency_limit_of_one() {
        let probes = [Probe::new(Mode::Refuses), Probe::new(Mode::AnswersSlowly)];
        let limited = probes.iter().map(|probe| ConcurrencyLimit::new(probe.clone(), 1));
        let service = Failover::new(POLICY.eject_after(1000), ["a", "b"].into_iter().zip(limited));
        let mut tasks = tokio::task::JoinSet::new();
        for request in 0..100 {
            let mut service = service.clone();
            tasks.spawn(async move { send(&mut service, request).await.unwrap() == request });
        }
        assert!(tasks.join_all().await.into_iter().all(|same| same));
        assert_eq!(probes[1].calls(), 100);
    }

    /// Case 37.
    #[tokio::test(start_paused = true)]
    async fn it_works_over_a_buffer_of_one() {
        let probes = [Probe::new(Mode::Refuses), Probe::new(Mode::AnswersSlowly)];
        let buffered = probes.iter().map(|probe| Buffer::new(probe.clone(), 1));
        let service = Failover::new(POLICY.eject_after(1000), ["a", "b"].into_iter().zip(buffered));
        let mut tasks = tokio::task::JoinSet::new();
        for request in 0..100 {
            let mut service = service.clone();
            tasks.spawn(async move { send(&mut service, request).await.unwrap() == request });
        }
        assert!(tasks.join_all().await.into_iter().all(|same| same));
        assert_eq!(probes[1].calls(), 100);
    }

    #[tokio::test]
    async fn a_pool_shares_its_health_with_the_service() {
        let pool = Pool::of([("a", Mode::Refuses), ("b", Mode::Answers)]);
        let mut service = Failover::over(POLICY, &pool, |mode| Probe::new(*mode));
        for _ in 0..5 {
            send(&mut service, 7).await.unwrap();
        }
        assert_eq!(pool.snapshot()[0].health.as_str(), "ejected");
        pool.disable("b");
        let by_hand: io::Result<Mode> = POLICY.call_blocking(&pool, |target| Ok(*target));
        assert_eq!(by_hand.unwrap(), Mode::Refuses, "nobody else is left");
    }

    #[tokio::test]
    async fn the_judgement_is_the_same_as_at_the_other_doors() {
        let probes = [Probe::new(Mode::Answers), Probe::new(Mode::Answers)];
        let mut service = over(&probes).until(|response: &u32| *response > 7);
        assert_eq!(send(&mut service, 7).await.unwrap(), 7);
        assert_eq!(probes.each_ref().map(Probe::calls), [1, 1]);
        let probes = [Probe::new(Mode::Refuses), Probe::new(Mode::Answers)];
        let mut service = over(&probes).when(|error: &io::Error| error.kind() == io::ErrorKind::TimedOut);
        assert!(send(&mut service, 7).await.is_err());
        assert_eq!(probes[1].calls(), 0);
    }

    #[tokio::test]
    async fn services_that_are_not_sync_still_make_a_future_that_can_be_spawned() {
        let boxed = |up: bool| {
            let service = service_fn(move |request: u32| async move {
                if up { Ok(request) } else { Err(io::Error::from(io::ErrorKind::ConnectionRefused)) }
            });
            tower::util::BoxCloneService::new(service)
        };
        let mut service = Failover::new(POLICY, [("a", boxed(false)), ("b", boxed(true))]);
        poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
        assert_eq!(tokio::spawn(service.call(7)).await.unwrap().unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_whose_response_is_dropped_leaves_its_place_free() {
        let probes = [Probe::new(Mode::Refuses), Probe::new(Mode::Answers)];
        let mut service = over(&probes);
        for _ in 0..5 {
            send(&mut service, 7).await.unwrap();
        }
        tokio::time::advance(Duration::from_secs(5)).await;
        for _ in 0..3 {
            poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
            drop(service.call(7));
            poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
            drop(service.clone());
        }
        assert_eq!(probes[0].calls(), 8, "each call was the probe");
        let mut fresh = service.clone();
        drop(service);
        send(&mut fresh, 7).await.unwrap();
        assert_eq!(probes[0].calls(), 9);
    }
}

mod readiness {
    use super::*;

    /// Case 39.
    #[tokio::test(start_paused = true)]
    async fn a_service_that_is_never_ready_does_not_hold_up_the_others() {
        let probes = [Probe::new(Mode::NeverReady), Probe::new(Mode::Answers), Probe::new(Mode::NeverReady)];
        let mut service = over(&probes);
        let started = tokio::time::Instant::now();
        for _ in 0..10 {
            assert_eq!(send(&mut service, 7).await.unwrap(), 7);
        }
        assert_eq!(started.elapsed(), Duration::ZERO);
        assert_eq!(health(&service, 0), "up", "not ready is not failed");
    }

    /// Case 39: a wait that nobody would end does not exist.
    #[tokio::test(start_paused = true)]
    async fn pending_leaves_a_waker_and_polls_no_more_than_it_is_woken() {
        let probes = [Probe::new(Mode::NeverReady), Probe::new(Mode::NeverReady)];
        let mut service = over(&probes).ready_within(Duration::from_secs(60));
        let waiting = tokio::spawn({
            let second = probes[1].clone();
            async move {
                tokio::time::sleep(Duration::from_secs(30)).await;
                second.set(Mode::Answers);
            }
        });
        let started = tokio::time::Instant::now();
        assert_eq!(send(&mut service, 7).await.unwrap(), 7);
        assert_eq!(started.elapsed(), Duration::from_secs(30));
        waiting.await.unwrap();
        assert!(probes.iter().all(|probe| probe.polls() <= 3), "{probes:?}");
    }

    /// Case 39.
    #[tokio::test(start_paused = true)]
    async fn with_nobody_ready_the_request_is_refused_within_the_bound() {
        let probes = [Probe::new(Mode::NeverReady), Probe::new(Mode::NeverReady)];
        let mut service = over(&probes);
        let started = tokio::time::Instant::now();
        assert!(is_no_target(&send(&mut service, 7).await));
        assert!((1000..1010).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
        probes[0].set(Mode::Answers);
        assert_eq!(send(&mut service, 7).await.unwrap(), 7, "and the next one is not");
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_or_disabled_pool_refuses_at_once() {
        let mut none = Failover::<Probe>::new(POLICY, Vec::<(String, Probe)>::new());
        assert!(is_no_target(&send(&mut none, 7).await));
        let mut service = over(&[Probe::new(Mode::Answers)]);
        service.pool().disable("t0");
        assert!(is_no_target(&send(&mut service, 7).await));
        service.pool().enable("t0");
        assert_eq!(send(&mut service, 7).await.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_breaks_while_it_is_made_ready_counts_as_failed() {
        let probes = [Probe::new(Mode::BreaksWhenPolled), Probe::new(Mode::Answers)];
        let mut service = over(&probes);
        for _ in 0..10 {
            assert_eq!(send(&mut service, 7).await.unwrap(), 7);
        }
        assert_eq!((health(&service, 0), probes[0].polls()), ("ejected", 5));
        let mut broken = over(&[Probe::new(Mode::BreaksWhenPolled), Probe::new(Mode::BreaksWhenPolled)]);
        assert!(is_no_target(&send(&mut broken, 7).await));
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_attempt_takes_whoever_is_ready_and_the_error_when_nobody_is() {
        let probes = [Probe::new(Mode::Refuses), Probe::new(Mode::NeverReady), Probe::new(Mode::Answers)];
        let mut service = over(&probes);
        assert_eq!(send(&mut service, 7).await.unwrap(), 7);
        probes[2].set(Mode::NeverReady);
        let started = tokio::time::Instant::now();
        assert_eq!(send(&mut service, 7).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert!((1000..1010).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_passed_over_holds_no_permit() {
        let slow = Probe::new(Mode::Answers);
        let limited = ConcurrencyLimit::new(slow.clone(), 1);
        let (mut holder, other) = (limited.clone(), Probe::new(Mode::Answers));
        let boxed = |service| tower::util::BoxCloneService::<u32, u32, io::Error>::new(service);
        let backup = tower::util::BoxCloneService::<u32, u32, io::Error>::new(other.clone());
        let mut service = Failover::new(POLICY, [("limited", boxed(limited.clone())), ("backup", backup)]);
        poll_fn(|cx| holder.poll_ready(cx)).await.unwrap();
        assert_eq!(send(&mut service, 7).await.unwrap(), 7);
        assert_eq!(other.calls(), 1, "the permit is taken, so the backup answers");
        drop(holder);
        let mut next = limited;
        let ready = tokio::time::timeout(Duration::from_secs(1), poll_fn(|cx| next.poll_ready(cx))).await;
        ready.expect("the permit is free for somebody else").unwrap();
    }

    #[tokio::test]
    async fn a_target_that_is_ejected_after_it_was_made_ready_is_not_called() {
        let probes = [Probe::new(Mode::Answers), Probe::new(Mode::Answers)];
        let mut service = over(&probes);
        poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
        service.pool().disable("t0");
        assert_eq!(send(&mut service, 7).await.unwrap(), 7);
        assert_eq!(probes.each_ref().map(Probe::calls), [0, 1]);
    }

    /// Case 40: each clone waits for itself; one that leaves takes nobody's wake-up along.
    #[tokio::test(start_paused = true)]
    async fn every_waiting_clone_wakes_also_when_the_first_in_line_leaves() {
        let limited = ConcurrencyLimit::new(Probe::new(Mode::Answers), 1);
        let mut holder = limited.clone();
        poll_fn(|cx| holder.poll_ready(cx)).await.unwrap();
        let service = Failover::new(POLICY, [("only", limited)]).ready_within(Duration::from_secs(3600));
        let clones = (0..5).map(|_| {
            let mut clone = service.clone();
            tokio::spawn(async move { send(&mut clone, 7).await.unwrap() })
        });
        let clones: Vec<_> = clones.collect();
        tokio::time::sleep(Duration::from_secs(1)).await;
        clones[0].abort();
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(holder);
        for clone in clones.into_iter().skip(1) {
            let answer = tokio::time::timeout(Duration::from_secs(1), clone).await;
            assert_eq!(answer.expect("it wakes").unwrap(), 7);
        }
    }

    #[test]
    fn ready_at_once_needs_no_timer_and_no_runtime() {
        struct Flag(AtomicBool);
        impl Wake for Flag {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let waker = Waker::from(Arc::new(Flag(AtomicBool::new(false))));
        let mut cx = Context::from_waker(&waker);
        let mut service = over(&[Probe::new(Mode::Refuses), Probe::new(Mode::Answers)]);
        assert!(service.poll_ready(&mut cx).is_ready());
        let Poll::Ready(answer) = pin!(service.call(7)).poll(&mut cx) else { panic!("nothing to wait for") };
        assert_eq!(answer.unwrap(), 7);
    }
}

#[tokio::test]
async fn boxed_errors_carry_the_refusal() {
    let service = service_fn(|request: u32| async move { Ok::<_, BoxError>(request) });
    let mut service = Failover::new(POLICY, [("a", service)]);
    assert_eq!(service.ready().await.unwrap().call(7).await.unwrap(), 7);
    service.pool().disable("a");
    let refused = service.ready().await.unwrap().call(7).await.unwrap_err();
    assert!(matches!(refused.downcast_ref(), Some(ft_runtime::Rejected::NoTarget)));
}
