use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::*;
use crate::error::Error;
use crate::rejected::Rejected;

type Answer = Result<u32, Error<u32>>;

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future that is polled by hand.
struct Polled<F> {
    future: std::pin::Pin<Box<F>>,
    woken: Arc<Woken>,
}

impl<F: Future> Polled<F> {
    fn new(future: F) -> Self {
        Self { future: Box::pin(future), woken: Arc::default() }
    }

    fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.woken));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn woken(&self) -> u32 {
        self.woken.0.swap(0, Ordering::SeqCst)
    }
}

/// Suspends once, counts its executions, answers with its number.
async fn work(executions: &Cell<u32>) -> Answer {
    executions.set(executions.get() + 1);
    let number = executions.get();
    let mut suspended = false;
    std::future::poll_fn(|_| if std::mem::replace(&mut suspended, true) { Poll::Ready(()) } else { Poll::Pending })
        .await;
    Ok(number)
}

#[test]
fn equal_keys_share_one_execution_and_others_do_not() {
    let (coalesce, executions) = (Coalesce::new(), Cell::new(0));
    let mut calls = ["a", "a", "b", "a"].map(|key| Polled::new(coalesce.run(key, work(&executions))));
    assert!(calls.iter_mut().all(|call| call.poll().is_pending()));
    assert_eq!((executions.get(), coalesce.in_flight()), (2, 2));
    let answers = calls.map(|mut call| call.poll());
    assert_eq!(answers, [1, 1, 2, 1].map(|number| Poll::Ready(Ok(number))));
    assert_eq!(coalesce.in_flight(), 0);
}

#[test]
fn the_next_call_after_the_outcome_runs_anew() {
    let (coalesce, executions) = (Coalesce::new(), Cell::new(0));
    for number in 1..=2 {
        let mut call = Polled::new(coalesce.run("a", work(&executions)));
        assert!(call.poll().is_pending());
        assert_eq!(call.poll(), Poll::Ready(Ok(number)));
    }
}

#[test]
fn a_call_that_is_ready_at_once_waits_for_nobody() {
    let coalesce = Coalesce::new();
    assert_eq!(Polled::new(coalesce.run("a", async { Answer::Ok(7) })).poll(), Poll::Ready(Ok(7)));
    assert_eq!(coalesce.in_flight(), 0);
}

#[test]
fn case_40_all_who_wait_are_woken_also_when_one_of_them_is_dropped() {
    let (coalesce, executions) = (Coalesce::new(), Cell::new(0));
    let mut leader = Polled::new(coalesce.run("a", work(&executions)));
    assert!(leader.poll().is_pending());
    let mut waiting: Vec<_> = (0..10).map(|_| Polled::new(coalesce.run("a", work(&executions)))).collect();
    assert!(waiting.iter_mut().all(|call| call.poll().is_pending()));
    drop(waiting.remove(0));
    assert_eq!(leader.poll(), Poll::Ready(Ok(1)));
    assert!(waiting.iter().all(|call| call.woken() == 1), "each is woken, once");
    assert!(waiting.iter_mut().all(|call| call.poll() == Poll::Ready(Ok(1))));
    assert_eq!(executions.get(), 1);
}

#[test]
fn case_39_who_waits_is_not_polled_until_the_outcome_is_there() {
    let (coalesce, executions) = (Coalesce::new(), Cell::new(0));
    let mut leader = Polled::new(coalesce.run("a", work(&executions)));
    assert!(leader.poll().is_pending());
    let mut waits = Polled::new(coalesce.run("a", work(&executions)));
    assert!(waits.poll().is_pending());
    assert!(waits.poll().is_pending(), "polled for no reason");
    assert_eq!(waits.woken(), 0);
}

#[test]
fn case_56_when_the_leader_is_cancelled_exactly_the_next_waiter_takes_over() {
    let (coalesce, executions) = (Coalesce::new(), Cell::new(0));
    let mut calls: Vec<_> = (0..4).map(|_| Polled::new(coalesce.run("a", work(&executions)))).collect();
    assert!(calls.iter_mut().all(|call| call.poll().is_pending()));
    drop(calls.remove(0));
    assert_eq!(calls.iter().map(Polled::woken).collect::<Vec<_>>(), [1, 0, 0], "the one that waits longest");
    // The others find that somebody is asked; the one who is asked leaves too, so the next one is.
    assert!(calls[1].poll().is_pending());
    drop(calls.remove(0));
    assert_eq!(calls.iter().map(Polled::woken).collect::<Vec<_>>(), [1, 0]);
    assert!(calls[0].poll().is_pending());
    assert_eq!((executions.get(), coalesce.in_flight()), (2, 1));
    assert_eq!(calls[0].poll(), Poll::Ready(Ok(2)));
    assert_eq!(calls[1].poll(), Poll::Ready(Ok(2)));
    assert_eq!(coalesce.in_flight(), 0);
}

#[test]
fn case_56_when_all_leave_the_key_is_free() {
    let (coalesce, executions) = (Coalesce::new(), Cell::new(0));
    let mut calls: Vec<_> = (0..3).map(|_| Polled::new(coalesce.run("a", work(&executions)))).collect();
    assert!(calls.iter_mut().all(|call| call.poll().is_pending()));
    calls.drain(..).for_each(drop);
    assert_eq!(coalesce.in_flight(), 0);
    // A waiter that leaves before the leader does changes nothing either.
    let mut calls: Vec<_> = (0..2).map(|_| Polled::new(coalesce.run("a", work(&executions)))).collect();
    assert!(calls.iter_mut().all(|call| call.poll().is_pending()));
    calls.pop();
    assert_eq!(calls[0].poll(), Poll::Ready(Ok(2)));
}

#[test]
fn case_56_a_panic_of_the_leader_is_its_own_and_never_leaves_the_key() {
    let coalesce = Coalesce::new();
    let mut panics = Polled::new(coalesce.run("a", async {
        let mut polled = false;
        std::future::poll_fn(|_| if std::mem::replace(&mut polled, true) { panic!("oh") } else { Poll::<()>::Pending })
            .await;
        Answer::Ok(0)
    }));
    assert!(panics.poll().is_pending());
    let mut others = [0; 2].map(|_| Polled::new(coalesce.run("a", async { Answer::Ok(7) })));
    assert!(others.iter_mut().all(|call| call.poll().is_pending()));

    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| panics.poll())).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"oh"));
    assert_eq!(coalesce.in_flight(), 0, "the key is still there");
    for other in &mut others {
        assert_eq!(other.woken(), 1);
        assert_eq!(other.poll(), Poll::Ready(Err(Error::Rejected(Rejected::LeaderPanicked))));
    }
    let mut next = Polled::new(coalesce.run("a", async { Answer::Ok(8) }));
    assert_eq!(next.poll(), Poll::Ready(Ok(8)));
    drop(panics);
    assert_eq!(coalesce.in_flight(), 0);
}

#[test]
fn keys_beyond_the_bound_run_alone() {
    let (coalesce, executions) = (Coalesce::new().max_keys(2), Cell::new(0));
    let mut calls: Vec<_> = (0..6).map(|key| Polled::new(coalesce.run(key / 2, work(&executions)))).collect();
    assert!(calls.iter_mut().all(|call| call.poll().is_pending()));
    assert_eq!((executions.get(), coalesce.in_flight()), (4, 2));
    let answers: Vec<_> = calls.iter_mut().map(|call| call.poll()).collect();
    assert_eq!(answers, [1, 1, 2, 2, 3, 4].map(|number| Poll::Ready(Ok(number))));
}

#[test]
fn calls_that_return_another_type_never_meet() {
    let (coalesce, executions) = (Coalesce::new(), Cell::new(0));
    let mut number = Polled::new(coalesce.run("a", work(&executions)));
    assert!(number.poll().is_pending());
    let mut text = Polled::new(coalesce.run("a", async { Ok::<_, Error<u32>>("text") }));
    assert_eq!(text.poll(), Poll::Ready(Ok("text")));
}

#[test]
fn an_outcome_is_cloned_only_for_those_who_wait() {
    #[derive(Debug)]
    struct Cloned(Arc<AtomicU32>);
    impl Clone for Cloned {
        fn clone(&self) -> Self {
            self.0.fetch_add(1, Ordering::SeqCst);
            Self(Arc::clone(&self.0))
        }
    }
    let (coalesce, clones) = (Coalesce::new(), Arc::new(AtomicU32::new(0)));
    let mut alone = Polled::new(coalesce.run("a", async { Ok::<_, Error<u32>>(Cloned(Arc::clone(&clones))) }));
    assert!(alone.poll().is_ready());
    assert_eq!(clones.load(Ordering::SeqCst), 0);
}

#[test]
fn case_56_work_that_panics_while_it_is_dropped_hands_the_key_on_too() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let coalesce = Coalesce::new();
    let leader = async {
        let _bomb = Bomb;
        std::future::pending::<Answer>().await
    };
    let mut leader = Polled::new(coalesce.run("key", leader));
    let executions = Cell::new(0);
    let mut waiter = Polled::new(coalesce.run("key", work(&executions)));
    assert!(leader.poll().is_pending() && waiter.poll().is_pending());
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(leader))).is_err());
    assert_eq!(waiter.woken(), 1);
    assert!(waiter.poll().is_pending());
    assert_eq!((waiter.poll(), coalesce.in_flight()), (Poll::Ready(Ok(1)), 0));
}

#[test]
fn the_work_of_a_leader_that_leaves_is_gone_before_the_next_one_begins() {
    let coalesce = Coalesce::new();
    let running = Rc::new(Cell::new(0_u32));
    struct One(Rc<Cell<u32>>);
    impl Drop for One {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
        }
    }
    let call = || {
        let running = Rc::clone(&running);
        Polled::new(coalesce.run("a", async move {
            running.set(running.get() + 1);
            assert_eq!(running.get(), 1, "two at a time");
            let _one = One(running);
            std::future::pending::<Answer>().await
        }))
    };
    let (mut first, mut second) = (call(), call());
    assert!(first.poll().is_pending() && second.poll().is_pending());
    drop(first);
    assert!(second.poll().is_pending());
    assert_eq!(running.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_tasks_share_what_one_of_them_does() {
    static SHARED: Coalesce = Coalesce::new();
    static RAN: AtomicU32 = AtomicU32::new(0);
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            tokio::spawn(SHARED.run("a", async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Answer::Ok(RAN.fetch_add(1, Ordering::SeqCst))
            }))
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), Ok(0));
    }
}

#[cfg(ft_shuttle)]
mod interleavings {
    use super::*;

    /// One execution, however it ends.
    struct One<'a>(&'a crate::sync::AtomicU32);

    impl<'a> One<'a> {
        fn new(running: &'a crate::sync::AtomicU32) -> Self {
            assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "two at a time");
            Self(running)
        }
    }

    impl Drop for One<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Whoever leads leaves at any moment, while others arrive, leave and wait: somebody always runs, one at a time, and
    /// the key is free in the end.
    #[test]
    fn in_any_interleaving_one_runs_and_the_key_is_free_in_the_end() {
        let explore = || {
            let coalesce = Arc::new(Coalesce::new());
            let running = Arc::new(crate::sync::AtomicU32::new(0));
            let callers: Vec<_> = (0..4)
                .map(|caller| {
                    let (coalesce, running) = (Arc::clone(&coalesce), Arc::clone(&running));
                    shuttle::thread::spawn(move || {
                        let call = coalesce.run("a", async {
                            let _one = One::new(&running);
                            shuttle::future::yield_now().await;
                            Answer::Ok(caller)
                        });
                        if caller < 2 {
                            // Polled once, then dropped.
                            let mut context = Context::from_waker(Waker::noop());
                            let _ = std::pin::pin!(call).as_mut().poll(&mut context);
                        } else {
                            shuttle::future::block_on(call).unwrap();
                        }
                    })
                })
                .collect();
            callers.into_iter().for_each(|caller| caller.join().expect("callers do not panic"));
            assert_eq!(coalesce.in_flight(), 0);
        };
        shuttle::check_random(explore, 2_000);
    }
}
