//! What a rate limiter promises, on the paused clock.

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, advance, sleep, timeout};

use super::RateLimiter;
use crate::testing::VirtualTime;
use crate::time::LATE;
use crate::{Deadline, Keyed, Rejected, Shared, Timeout};

const MS: Duration = Duration::from_millis(1);

fn shared(limiter: RateLimiter) -> Shared<RateLimiter> {
    Arc::new(limiter).into()
}

async fn nothing() -> Result<(), Rejected> {
    Ok(())
}

fn limited(retry_after: Duration) -> Result<(), Rejected> {
    Err(Rejected::RateLimited { retry_after })
}

#[tokio::test(start_paused = true)]
async fn a_burst_goes_through_at_once_and_then_one_call_an_interval() {
    let limiter = RateLimiter::new(100).burst(3);
    for _ in 0..3 {
        assert_eq!(limiter.run(nothing()).await, Ok(()));
    }
    assert_eq!(limiter.run(nothing()).await, limited(10 * MS));
    advance(4 * MS).await;
    assert_eq!(limiter.run(nothing()).await, limited(6 * MS));
    advance(6 * MS).await;
    assert_eq!(limiter.run(nothing()).await, Ok(()));
    assert_eq!(limiter.run(nothing()).await, limited(10 * MS));
    // However long the pause, no more than the burst.
    advance(Duration::from_secs(3600)).await;
    let taken = std::iter::from_fn(|| limiter.run_blocking(|| Ok::<_, Rejected>(())).ok()).count();
    assert_eq!(taken, 3);
}

#[tokio::test(start_paused = true)]
async fn case_45_turns_come_in_the_order_of_arrival_with_three_polls_for_each_who_waits() {
    const WAITING: u32 = 100;
    let limiter = shared(RateLimiter::new(100).max_wait(Duration::MAX));
    let (order, polls) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU32::new(0)));
    let began = Instant::now();
    let tasks: Vec<_> = (0..=WAITING)
        .map(|number| {
            let (order, polls) = (Arc::clone(&order), Arc::clone(&polls));
            let mut waiting =
                Box::pin(RateLimiter::calls_of::<Result<(), Rejected>, _>(limiter.clone()).run(async move {
                    order.lock().unwrap().push((number, began.elapsed()));
                    Ok(())
                }));
            tokio::spawn(std::future::poll_fn(move |cx| {
                polls.fetch_add(1, Ordering::SeqCst);
                waiting.as_mut().poll(cx)
            }))
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let evenly: Vec<_> = (0..=WAITING).map(|number| (number, number * 10 * MS)).collect();
    assert_eq!(*order.lock().unwrap(), evenly);
    // When it comes, when it is first, when its time is over.
    let polls = polls.load(Ordering::SeqCst);
    assert!(polls <= 3 * WAITING + 1, "{polls} polls");
    assert_eq!(limiter.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn case_46_a_wait_that_cannot_fit_is_refused_at_once_and_says_when_it_would() {
    let limiter = shared(RateLimiter::new(10).max_wait(250 * MS));
    let began = Instant::now();
    assert_eq!(limiter.run(nothing()).await, Ok(()));
    // Two fit within 250 ms, at 100 and 200.
    let waiting: Vec<_> = (0..2)
        .map(|_| tokio::spawn(RateLimiter::calls_of::<Result<(), Rejected>, _>(limiter.clone()).run(nothing())))
        .collect();
    tokio::task::yield_now().await;
    assert_eq!(limiter.run(nothing()).await, limited(300 * MS));
    let late = Deadline::after(50 * MS).scope(limiter.run(nothing())).await;
    assert_eq!((late, began.elapsed()), (limited(300 * MS), Duration::ZERO));
    for waiting in waiting {
        waiting.await.unwrap().unwrap();
    }
    assert_eq!(began.elapsed(), 200 * MS);
    let short = Deadline::after(50 * MS).scope(limiter.run(nothing())).await;
    assert_eq!((short, began.elapsed()), (limited(100 * MS), 200 * MS));
    let fits = Deadline::after(100 * MS + LATE).scope(limiter.run(nothing())).await;
    assert_eq!((fits, began.elapsed()), (Ok(()), 300 * MS));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_a_timer_could_end_after_the_deadline_cannot_fit() {
    let limiter = RateLimiter::new(10).max_wait(Duration::from_secs(1));
    assert_eq!(limiter.run(nothing()).await, Ok(()));
    let asked = Instant::now();
    assert_eq!(Timeout::new(101 * MS).run(limiter.run(nothing())).await, limited(100 * MS));
    assert_eq!(asked.elapsed(), Duration::ZERO);
    assert_eq!(Timeout::new(102 * MS).run(limiter.run(nothing())).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_comes_back_when_it_was_told_to_fits() {
    let limiter = RateLimiter::new(3).per(Duration::from_secs(1)).burst(2);
    let mut refusals = 0;
    for _ in 0..50 {
        if let Err(Rejected::RateLimited { retry_after }) = limiter.run(nothing()).await {
            refusals += 1;
            advance(retry_after - Duration::from_nanos(1)).await;
            assert_eq!(limiter.run(nothing()).await, limited(Duration::from_nanos(1)));
            advance(Duration::from_nanos(1)).await;
            assert_eq!(limiter.run(nothing()).await, Ok(()));
        }
    }
    assert_eq!(refusals, 48);
}

#[tokio::test(start_paused = true)]
async fn a_free_turn_is_taken_whatever_time_is_left() {
    let limiter = RateLimiter::new(100).max_wait(MS);
    assert_eq!(Deadline::after(Duration::ZERO).scope(limiter.run(nothing())).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn case_44_who_gives_up_takes_nothing_of_the_rate_with_it() {
    for seed in 0..20 {
        let mut random = fastrand::Rng::with_seed(seed);
        let limiter = shared(RateLimiter::new(100).burst(2).max_wait(Duration::MAX));
        let began = Instant::now();
        let tasks: Vec<_> = (0..100)
            .map(|number| {
                let call = RateLimiter::calls_of::<Result<(), Rejected>, _>(limiter.clone()).run(nothing());
                let gives_up = if number % 2 == 0 { random.u32(..100) * MS } else { Duration::MAX };
                tokio::spawn(async move { timeout(gives_up, call).await.is_ok() })
            })
            .collect();
        let mut served = 0;
        for task in tasks {
            served += u32::from(task.await.unwrap());
        }
        assert_eq!(limiter.waiting(), 0);
        // The first two at once, then one every 10 ms, whoever left between.
        assert_eq!(began.elapsed(), (served - 2) * 10 * MS, "seed {seed}, {served} served");
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_first_one_leaves_the_next_one_is_told() {
    let limiter = shared(RateLimiter::new(100).max_wait(Duration::MAX));
    limiter.run(nothing()).await.unwrap();
    let began = Instant::now();
    let first = tokio::spawn(RateLimiter::calls_of::<Result<(), Rejected>, _>(limiter.clone()).run(nothing()));
    let second = tokio::spawn(RateLimiter::calls_of::<Result<(), Rejected>, _>(limiter.clone()).run(nothing()));
    sleep(3 * MS).await;
    assert_eq!(limiter.waiting(), 2);
    first.abort();
    second.await.unwrap().unwrap();
    assert_eq!(began.elapsed(), 10 * MS);
}

#[tokio::test(start_paused = true)]
async fn nobody_overtakes_the_one_whose_time_has_come() {
    let limiter = shared(RateLimiter::new(100).max_wait(Duration::MAX));
    limiter.run(nothing()).await.unwrap();
    let mut first = Box::pin(limiter.run(nothing()));
    assert!(poll(first.as_mut()).is_pending());
    advance(15 * MS).await;
    // Its time has come, and it has not run yet.
    let mut second = Box::pin(limiter.run(nothing()));
    assert!(poll(second.as_mut()).is_pending());
    assert_eq!(poll(first.as_mut()), Poll::Ready(Ok(())));
    assert!(poll(second.as_mut()).is_pending());
    drop(second);
    assert_eq!(limiter.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn waiting_calls_get_the_whole_rate_though_timers_are_late() {
    // A timer knows whole milliseconds, in which ten of these fit; only the last one is as late as that.
    let limiter = shared(RateLimiter::new(10_000).max_wait(50 * MS));
    let began = Instant::now();
    let waiting: Vec<_> = (0..400)
        .map(|_| tokio::spawn(RateLimiter::calls_of::<Result<(), Rejected>, _>(limiter.clone()).run(nothing())))
        .collect();
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    let took = began.elapsed();
    assert!(took >= 399 * MS / 10, "never before its time: {took:?}");
    assert!(took <= 42 * MS, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn who_is_looked_after_late_makes_up_for_two_milliseconds_and_no_more() {
    let limiter = RateLimiter::new(100).max_wait(Duration::from_secs(1));
    limiter.run(nothing()).await.unwrap();
    let mut waits = Box::pin(limiter.run(nothing()));
    assert!(poll(waits.as_mut()).is_pending());
    // It is due after 10 ms, and polled a second later.
    advance(Duration::from_secs(1)).await;
    assert!(poll(waits.as_mut()).is_ready());
    let mut next = Box::pin(limiter.run(nothing()));
    advance(8 * MS - Duration::from_nanos(1)).await;
    assert!(poll(next.as_mut()).is_pending());
    drop(next);
    advance(Duration::from_nanos(1)).await;
    assert!(poll(Box::pin(limiter.run(nothing())).as_mut()).is_ready());
    // One that did not wait makes up for nothing.
    advance(Duration::from_secs(1)).await;
    limiter.run(nothing()).await.unwrap();
    advance(10 * MS - Duration::from_nanos(1)).await;
    assert!(poll(Box::pin(limiter.run(nothing())).as_mut()).is_pending());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_has_stepped_back_does_not_stop_the_rate_for_as_long() {
    let limiter = Arc::new(RateLimiter::new(100));
    let later = Arc::clone(&limiter);
    let another_clock = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            advance(Duration::from_secs(3600)).await;
            later.run(nothing()).await.unwrap();
        });
    });
    another_clock.join().unwrap();
    assert_eq!(limiter.run(nothing()).await, Ok(()));
    assert_eq!(limiter.run(nothing()).await, limited(10 * MS), "and it goes on with this one");
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test(start_paused = true)]
async fn case_49_what_is_missing_of_a_millisecond_is_waited_for_and_not_spun_for() {
    // One every 333,334 ns, where a timer knows milliseconds.
    let limiter = shared(RateLimiter::new(3_000).max_wait(Duration::MAX));
    let (began, polls) = (Instant::now(), AtomicU32::new(0));
    for _ in 0..100 {
        let mut call = Box::pin(limiter.run(nothing()));
        std::future::poll_fn(|cx| {
            polls.fetch_add(1, Ordering::SeqCst);
            call.as_mut().poll(cx)
        })
        .await
        .unwrap();
    }
    let polls = polls.load(Ordering::SeqCst);
    assert!(polls <= 200, "{polls} polls");
    assert!(began.elapsed() >= 99 * Duration::from_nanos(333_334), "{:?}", began.elapsed());

    // A nanosecond short.
    let limiter = RateLimiter::new(1).max_wait(Duration::from_secs(1));
    limiter.run(nothing()).await.unwrap();
    advance(Duration::from_nanos(999_999_999)).await;
    let mut call = Box::pin(limiter.run(nothing()));
    let mut polls = 0;
    std::future::poll_fn(|cx| {
        polls += 1;
        call.as_mut().poll(cx)
    })
    .await
    .unwrap();
    assert_eq!(polls, 2);
}

#[test]
fn a_thread_waits_for_its_turn() {
    let limiter = RateLimiter::new(100).burst(2).max_wait(Duration::from_secs(1));
    let time = VirtualTime::start();
    for _ in 0..10 {
        limiter.run_blocking(|| Ok::<_, Rejected>(())).unwrap();
    }
    let took = time.elapsed();
    // The real clock goes on as well; it can only shorten the waits.
    assert!(took <= 80 * MS && took > 40 * MS, "{took:?}");
}

#[test]
fn tasks_and_threads_wait_in_one_queue() {
    let limiter = &RateLimiter::new(50).max_wait(Duration::from_secs(60));
    limiter.run_blocking(|| Ok::<_, Rejected>(())).unwrap();
    let order = &Mutex::new(Vec::new());
    let note = |name: &'static str| {
        order.lock().unwrap().push(name);
        Ok::<_, Rejected>(())
    };
    // The first one waits for a day of its own, by hand, so that all of them are in the queue before anyone is served.
    let mut first = Box::pin(limiter.run(async { note("first") }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let entered = runtime.enter();
    assert!(poll(first.as_mut()).is_pending());
    drop(entered);
    let queue_is = |length| {
        while limiter.waiting() != length {
            std::thread::yield_now();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(move || limiter.run_blocking(|| note("a thread")));
        queue_is(2);
        scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(limiter.run(async { note("a task") }))
        });
        queue_is(3);
        scope.spawn(move || limiter.run_blocking(|| note("another thread")));
        queue_is(4);
        runtime.block_on(first).unwrap();
    });
    assert_eq!(*order.lock().unwrap(), ["first", "a thread", "a task", "another thread"]);
    assert_eq!(limiter.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn case_51_one_rate_for_each_key_and_no_more_than_may_be() {
    static HOSTS: Keyed<RateLimiter> = Keyed::new(RateLimiter::new(10).burst(2)).max_keys(2);
    for _ in 0..2 {
        assert_eq!(HOSTS.of("busy").run(nothing()).await, Ok(()));
    }
    assert_eq!(HOSTS.of("busy").run(nothing()).await, limited(100 * MS));
    assert_eq!(HOSTS.of("other").run(nothing()).await, Ok(()));
    advance(100 * MS).await;
    // `other` has recovered and may be forgotten, `busy` has not.
    for key in 0..100 {
        drop(HOSTS.of(&key));
        assert_eq!(HOSTS.entries().len(), 2);
    }
    assert!(HOSTS.get("busy").is_some());
    assert_eq!(HOSTS.of("busy").run(nothing()).await, Ok(()));
    assert_eq!(HOSTS.of("busy").run(nothing()).await, limited(100 * MS));
}

#[test]
fn nonsense_is_refused_when_it_is_built() {
    let message = |build: fn() -> RateLimiter| {
        let panic = std::panic::catch_unwind(build).expect_err("refused");
        panic.downcast_ref::<&str>().copied().unwrap_or_default()
    };
    assert_eq!(message(|| RateLimiter::new(0)), "the rate of a limiter must be at least 1");
    assert_eq!(message(|| RateLimiter::new(1).per(Duration::ZERO)), "the time of a rate must be longer than zero");
    let too_fast = "the rate of a limiter must be at most one call a nanosecond";
    assert_eq!(message(|| RateLimiter::new(u32::MAX)), too_fast);
    assert_eq!(message(|| RateLimiter::new(5).per(Duration::from_nanos(4))), too_fast);
    assert!(message(|| RateLimiter::new(1).burst(0)).starts_with("the burst of a limiter must be at least 1"));
    let too_long = "the burst of a limiter must come back within 146 years: burst * per / rate is longer";
    assert_eq!(message(|| RateLimiter::new(1).per(Duration::MAX)), too_long);
    assert_eq!(message(|| RateLimiter::new(1).per(Duration::from_secs(60)).burst(u32::MAX)), too_long);

    let largest = RateLimiter::new(1_000).burst(u32::MAX).max_wait(Duration::MAX);
    assert_eq!(largest.run_blocking(|| Ok::<_, Rejected>(7)), Ok(7));
}

/// `RUSTFLAGS="--cfg ft_shuttle" cargo test -p ft-runtime --lib interleaving`
#[cfg(ft_shuttle)]
mod interleavings {
    use shuttle::thread;

    use super::super::{Joined, Turn};
    use super::*;

    #[test]
    fn in_any_interleaving_no_more_begin_than_the_burst_and_the_rest_is_refused() {
        let explore = || {
            let limiter = Arc::new(RateLimiter::new(1).per(Duration::from_secs(3600)).burst(2));
            let callers: Vec<_> = (0..4)
                .map(|_| {
                    let limiter = Arc::clone(&limiter);
                    thread::spawn(move || limiter.run_blocking(|| Ok::<_, Rejected>(())))
                })
                .collect();
            let begun = callers.into_iter().filter_map(|caller| caller.join().expect("no panic").ok()).count();
            assert_eq!(begun, 2);
        };
        shuttle::check_random(explore, 3_000);
    }

    /// Time stands still for the explorer, so the queue is driven by hand: whoever is told to look must be the first one, and
    /// in the end nobody is left.
    #[test]
    fn in_any_interleaving_of_those_who_join_and_leave_the_first_one_is_told() {
        let explore = || {
            let limiter = Arc::new(RateLimiter::new(1).per(Duration::from_secs(3600)).max_wait(Duration::MAX));
            assert!(limiter.try_take().is_ok());
            let callers: Vec<_> = (0..3)
                .map(|_| {
                    let limiter = Arc::clone(&limiter);
                    thread::spawn(move || {
                        let Ok(Joined::Queue(ticket)) = limiter.join(0) else { panic!("the burst is taken") };
                        let here = crate::turn::Parked::here();
                        // Who is not the first one sleeps until it is; forgotten, it sleeps for ever: a deadlock.
                        while let Turn::Behind = limiter.look(ticket, here.waker()) {
                            here.park(None);
                        }
                        limiter.leave(ticket);
                    })
                })
                .collect();
            callers.into_iter().for_each(|caller| caller.join().expect("no panic"));
            assert_eq!((limiter.waiting(), limiter.state.load(Ordering::Relaxed) & super::super::WAITING), (0, 0));
        };
        shuttle::check_random(explore, 3_000);
    }

    /// A rate so high that each call is due when it looks: the turn goes from one to the next.
    #[test]
    fn in_any_interleaving_of_waiting_and_new_calls_all_are_served() {
        let explore = || {
            let limiter = Arc::new(RateLimiter::new(1_000_000_000).max_wait(Duration::MAX));
            let callers: Vec<_> = (0..4)
                .map(|_| {
                    let limiter = Arc::clone(&limiter);
                    thread::spawn(move || {
                        let Ok(Joined::Queue(ticket)) = limiter.join(0) else { return };
                        let here = crate::turn::Parked::here();
                        loop {
                            match limiter.look(ticket, here.waker()) {
                                Turn::Come => return,
                                Turn::In(_) => thread::yield_now(),
                                Turn::Behind => here.park(None),
                            }
                        }
                    })
                })
                .collect();
            callers.into_iter().for_each(|caller| caller.join().expect("no panic"));
            assert_eq!((limiter.waiting(), limiter.state.load(Ordering::Relaxed) & super::super::WAITING), (0, 0));
        };
        shuttle::check_random(explore, 3_000);
    }
}
