//! What a bulkhead promises, on the paused clock.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, advance, sleep, timeout};

use super::Bulkhead;
use crate::keyed::Template;
use crate::observe::{self, What};
use crate::testing::VirtualTime;
use crate::time::LATE;
use crate::{Deadline, Keyed, Rejected, Shared, Timeout};

const MS: Duration = Duration::from_millis(1);

fn shared(bulkhead: Bulkhead) -> Shared<Bulkhead> {
    Arc::new(bulkhead).into()
}

/// A task that holds a permit for so long, or for ever; it has begun when this returns.
async fn hold(bulkhead: &Shared<Bulkhead>, time: Duration) -> tokio::task::JoinHandle<Result<(), Rejected>> {
    let calls = Bulkhead::calls_of::<Result<(), Rejected>, _>(bulkhead.clone());
    let holding = tokio::spawn(calls.run(async move {
        sleep(time).await;
        Ok(())
    }));
    yield_now().await;
    holding
}

async fn nothing() -> Result<(), Rejected> {
    Ok(())
}

fn is_empty(bulkhead: &Bulkhead) -> bool {
    (bulkhead.in_flight(), bulkhead.waiting()) == (0, 0)
}

#[tokio::test(start_paused = true)]
async fn so_many_run_at_a_time_and_the_next_one_is_refused_at_once() {
    let bulkhead = shared(Bulkhead::new(2));
    let held = [hold(&bulkhead, 10 * MS).await, hold(&bulkhead, 10 * MS).await];
    let asked = Instant::now();
    assert_eq!(bulkhead.run(nothing()).await, Err(Rejected::BulkheadFull));
    assert_eq!(bulkhead.run_blocking(|| Ok(())), Err(Rejected::BulkheadFull));
    assert_eq!(asked.elapsed(), Duration::ZERO);
    for held in held {
        held.await.unwrap().unwrap();
    }
    assert_eq!(bulkhead.run(nothing()).await, Ok(()));
    assert!(is_empty(&bulkhead));
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_in_length_and_in_time() {
    let bulkhead = shared(Bulkhead::new(1).queue(1).max_wait(20 * MS));
    let held = hold(&bulkhead, 100 * MS).await;
    let asked = Instant::now();
    let waiting = hold(&bulkhead, MS).await;
    assert_eq!(bulkhead.waiting(), 1);
    assert_eq!(bulkhead.run(nothing()).await, Err(Rejected::BulkheadFull), "the queue is full");
    assert_eq!(asked.elapsed(), Duration::ZERO);
    assert_eq!(waiting.await.unwrap(), Err(Rejected::BulkheadFull), "the time is over");
    assert_eq!(asked.elapsed(), 20 * MS);
    assert_eq!(bulkhead.waiting(), 0);
    held.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn case_41_who_waits_has_begun_nothing_of_what_is_inside() {
    let bulkhead = shared(Bulkhead::new(1).queue(1));
    let held = hold(&bulkhead, 10 * MS).await;
    let begun = AtomicBool::new(false);
    let inside = async {
        begun.store(true, Ordering::SeqCst);
        Ok::<_, Rejected>(())
    };
    let mut waiting = std::pin::pin!(bulkhead.run(inside));
    assert!(timeout(5 * MS, &mut waiting).await.is_err());
    assert!(!begun.load(Ordering::SeqCst));
    assert_eq!(waiting.await, Ok(()));
    assert!(begun.load(Ordering::SeqCst));
    held.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn case_46_a_wait_is_no_longer_than_the_deadline_leaves_and_none_begins_after_it() {
    let bulkhead = shared(Bulkhead::new(1).queue(8).max_wait(Duration::from_secs(60)));
    let held = hold(&bulkhead, Duration::from_secs(3600)).await;
    let asked = Instant::now();
    let outcome = Deadline::after(5 * MS).scope(bulkhead.run(nothing())).await;
    assert_eq!((outcome, asked.elapsed()), (Err(Rejected::BulkheadFull), 5 * MS - LATE));

    let asked = Instant::now();
    let outcome = Deadline::after(Duration::ZERO).scope(bulkhead.run(nothing())).await;
    assert_eq!((outcome, asked.elapsed()), (Err(Rejected::BulkheadFull), Duration::ZERO));
    let outcome = Deadline::after(Duration::ZERO).scope_blocking(|| bulkhead.run_blocking(|| Ok(())));
    assert_eq!(outcome, Err(Rejected::BulkheadFull));
    held.abort();
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_vain_is_refused_before_a_time_limit_around_cuts_it_off() {
    let bulkhead = shared(Bulkhead::new(1).queue(1));
    let _held = hold(&bulkhead, Duration::from_secs(60)).await;
    let asked = Instant::now();
    let refused = Timeout::new(50 * MS).run(bulkhead.run(nothing())).await;
    assert_eq!(refused, Err(Rejected::BulkheadFull));
    // Timers know milliseconds, and one that is set later may go off later.
    let took = asked.elapsed();
    assert!(took < 50 * MS && took >= 48 * MS, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_free_permit_is_taken_whatever_time_is_left() {
    let bulkhead = Bulkhead::new(1).queue(1).max_wait(Duration::ZERO);
    assert_eq!(bulkhead.run(nothing()).await, Ok(()));
    assert_eq!(Deadline::after(Duration::ZERO).scope(bulkhead.run(nothing())).await, Ok(()));
    assert_eq!(
        Deadline::after(Duration::ZERO).scope_blocking(|| bulkhead.run_blocking(|| Ok(7))),
        Ok::<_, Rejected>(7)
    );
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_comes_free_is_for_the_first_who_waits_and_nobody_overtakes() {
    let bulkhead = shared(Bulkhead::new(1).queue(2));
    let held = hold(&bulkhead, 10 * MS).await;
    let mut waiting = polled(bulkhead.clone());
    assert!(waiting.poll().is_none());
    held.await.unwrap().unwrap();
    // It was woken and has not run yet: the permit is its own all the same.
    assert_eq!((bulkhead.in_flight(), bulkhead.waiting()), (1, 0));
    let mut later = polled(bulkhead.clone());
    assert!(later.poll().is_none());
    assert_eq!(waiting.poll(), Some(Ok(())));
    assert_eq!(later.poll(), Some(Ok(())));
}

#[tokio::test(start_paused = true)]
async fn who_is_dropped_when_its_turn_has_come_passes_it_on() {
    let bulkhead = shared(Bulkhead::new(1).queue(3));
    let held = hold(&bulkhead, 10 * MS).await;
    let mut waiting: Vec<_> = (0..3).map(|_| polled(bulkhead.clone())).collect();
    assert!(waiting.iter_mut().all(|task| task.poll().is_none()));
    held.await.unwrap().unwrap();
    // The first one's turn has come and it goes; the second one gets it and goes too.
    waiting.remove(0);
    assert_eq!((bulkhead.in_flight(), bulkhead.waiting()), (1, 1));
    waiting.remove(0);
    assert!(waiting[0].woken.load(Ordering::SeqCst), "told of it");
    assert_eq!(waiting[0].poll(), Some(Ok(())));
    drop(waiting);
    assert!(is_empty(&bulkhead));
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_comes_at_the_moment_the_time_is_over_is_taken() {
    let bulkhead = shared(Bulkhead::new(1).queue(1).max_wait(10 * MS));
    let held = hold(&bulkhead, 10 * MS).await;
    let mut waiting = polled(bulkhead.clone());
    assert!(waiting.poll().is_none());
    held.await.unwrap().unwrap();
    assert_eq!(waiting.poll(), Some(Ok(())));
    assert!(is_empty(&bulkhead));
}

#[tokio::test(start_paused = true)]
async fn case_44_whatever_happens_permits_out_and_in_are_the_capacity_and_the_queue_empties() {
    for seed in 0..20 {
        let mut random = fastrand::Rng::with_seed(seed);
        let bulkhead = shared(Bulkhead::new(3).queue(12).max_wait(40 * MS));
        let inside = Arc::new(AtomicU32::new(0));
        let tasks: Vec<_> = (0..200)
            .map(|_| {
                let (arrives, takes, gives_up) = (random.u32(..300), random.u32(..30), random.u32(..120));
                let panics = random.u8(..5) == 0;
                let (bulkhead, inside) = (bulkhead.clone(), Arc::clone(&inside));
                tokio::spawn(async move {
                    sleep(arrives * MS).await;
                    let work = Bulkhead::calls_of::<Result<(), Rejected>, _>(bulkhead).run(async move {
                        struct Leaving(Arc<AtomicU32>);
                        impl Drop for Leaving {
                            fn drop(&mut self) {
                                self.0.fetch_sub(1, Ordering::SeqCst);
                            }
                        }
                        assert!(inside.fetch_add(1, Ordering::SeqCst) < 3, "too many inside");
                        let _leaving = Leaving(inside);
                        sleep(takes * MS).await;
                        if panics {
                            std::panic::resume_unwind(Box::new("on purpose"))
                        }
                        Ok(())
                    });
                    let _ = timeout(gives_up * MS, work).await;
                })
            })
            .collect();
        for task in tasks {
            let failed = task.await.err().and_then(|error| error.try_into_panic().ok());
            assert!(failed.is_none_or(|panic| panic.downcast_ref() == Some(&"on purpose")), "seed {seed}");
        }
        assert!(is_empty(&bulkhead), "seed {seed}: {bulkhead:?}");
        let all: Vec<_> = std::iter::repeat_with(|| bulkhead.try_take()).take(4).collect();
        assert_eq!(all, [true, true, true, false], "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn case_45_turns_come_in_the_order_of_arrival_with_two_polls_for_each_who_waits() {
    const WAITING: u32 = 200;
    let bulkhead = shared(Bulkhead::new(2).queue(WAITING).max_wait(Duration::MAX));
    let held = [hold(&bulkhead, MS).await, hold(&bulkhead, MS).await];
    let (order, polls) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU32::new(0)));
    let tasks: Vec<_> = (0..WAITING)
        .map(|number| {
            let (order, polls) = (Arc::clone(&order), Arc::clone(&polls));
            let mut waiting =
                Box::pin(Bulkhead::calls_of::<Result<(), Rejected>, _>(bulkhead.clone()).run(async move {
                    order.lock().unwrap().push(number);
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
    assert_eq!(*order.lock().unwrap(), (0..WAITING).collect::<Vec<_>>());
    assert_eq!(polls.load(Ordering::SeqCst), 2 * WAITING);
    for held in held {
        held.await.unwrap().unwrap();
    }
}

#[test]
fn a_panic_gives_the_permit_back() {
    let bulkhead = Bulkhead::new(1);
    let panicked = std::panic::catch_unwind(AssertUnwindSafe(|| {
        bulkhead.run_blocking(|| -> Result<(), Rejected> { std::panic::resume_unwind(Box::new("on purpose")) })
    }));
    assert!(panicked.is_err() && is_empty(&bulkhead));
    assert_eq!(bulkhead.run_blocking(|| Ok::<_, Rejected>(1)), Ok(1));
}

#[test]
fn a_wait_without_a_runtime_panics_and_leaves_the_queue() {
    let bulkhead = Bulkhead::new(1).queue(1);
    let inside = bulkhead.run_blocking(|| {
        let mut waits = Box::pin(bulkhead.run(nothing()));
        let poll = || waits.as_mut().poll(&mut task::Context::from_waker(task::Waker::noop()));
        assert!(std::panic::catch_unwind(AssertUnwindSafe(poll)).is_err());
        drop(waits);
        Ok::<_, Rejected>((bulkhead.in_flight(), bulkhead.waiting()))
    });
    assert_eq!(inside, Ok((1, 0)));
    assert!(is_empty(&bulkhead));
}

#[test]
fn a_thread_waits_no_longer_than_it_may() {
    let bulkhead = Bulkhead::new(1).queue(1).max_wait(30 * MS);
    let time = VirtualTime::start();
    let outcome = bulkhead.run_blocking(|| bulkhead.run_blocking(|| Ok::<_, Rejected>(())));
    assert_eq!(outcome, Err(Rejected::BulkheadFull));
    // The real clock goes on as well; it can only shorten the wait.
    assert!(time.elapsed() <= 30 * MS && time.elapsed() > 10 * MS, "{:?}", time.elapsed());
    assert!(is_empty(&bulkhead));
}

#[test]
fn tasks_and_threads_wait_in_one_queue() {
    let bulkhead = &Bulkhead::new(1).queue(8).max_wait(Duration::MAX);
    let order = &Mutex::new(Vec::new());
    let note = |name: &'static str| {
        order.lock().unwrap().push(name);
        Ok::<_, Rejected>(())
    };
    let queue_is = |length| {
        while bulkhead.waiting() != length {
            std::thread::yield_now()
        }
    };
    let (release, released) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let blocks = move || {
            released.recv().unwrap();
            Ok::<_, Rejected>(())
        };
        scope.spawn(move || bulkhead.run_blocking(blocks));
        while bulkhead.in_flight() == 0 {
            std::thread::yield_now();
        }
        scope.spawn(move || bulkhead.run_blocking(|| note("a thread")));
        queue_is(1);
        scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(bulkhead.run(async { note("a task") }))
        });
        queue_is(2);
        scope.spawn(move || bulkhead.run_blocking(|| note("another thread")));
        queue_is(3);
        release.send(()).unwrap();
    });
    assert_eq!(*order.lock().unwrap(), ["a thread", "a task", "another thread"]);
    assert!(is_empty(bulkhead));
}

#[tokio::test(start_paused = true)]
async fn an_adaptive_limit_grows_while_it_is_reached_and_falls_when_calls_get_slower() {
    let bulkhead = shared(Bulkhead::adaptive(2, 40).queue(1_000).max_wait(Duration::MAX));
    let load = async |calls: u32, takes: Duration| {
        let tasks: Vec<_> = (0..calls)
            .map(|_| {
                tokio::spawn(Bulkhead::calls_of::<Result<(), Rejected>, _>(bulkhead.clone()).run(async move {
                    sleep(takes).await;
                    Ok(())
                }))
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
    };
    load(900, 10 * MS).await;
    let grown = bulkhead.limit();
    assert!(grown > 10, "{grown}");
    load(2 * grown, 100 * MS).await;
    let fallen = bulkhead.limit();
    assert!(fallen <= grown.div_ceil(2) && fallen >= 2, "{grown} then {fallen}");
    assert!(is_empty(&bulkhead));
}

#[tokio::test(start_paused = true)]
async fn limits_that_change_are_told_apart_by_their_keys() {
    static TENANTS: Keyed<Bulkhead> = Keyed::new(Bulkhead::adaptive(1, 4));
    let told = Arc::new(Mutex::new(Vec::new()));
    let tells = Arc::clone(&told);
    let _listening = observe::subscribe(move |event| {
        if let What::Limit { key, from, to } = event.what
            && key.starts_with("tenant of limits")
        {
            tells.lock().unwrap().push((key.to_owned(), from, to));
        }
    });
    for key in ["tenant of limits 1", "tenant of limits 2"] {
        let tenant = TENANTS.of(key);
        while tenant.limit() == 1 {
            tenant.run(nothing()).await.unwrap();
        }
    }
    let expected = ["tenant of limits 1", "tenant of limits 2"].map(|key| (key.to_owned(), 1, 2));
    assert_eq!(*told.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_grows_lets_in_who_waits() {
    let bulkhead = shared(Bulkhead::adaptive(1, 4).queue(4).max_wait(Duration::MAX));
    let held = hold(&bulkhead, Duration::from_secs(60)).await;
    let mut waiting = polled(bulkhead.clone());
    assert!(waiting.poll().is_none());
    // As `learn` does it.
    bulkhead.limit.store(2, Ordering::Relaxed);
    bulkhead.hand_on();
    assert_eq!(waiting.poll(), Some(Ok(())));
    held.abort();
}

#[tokio::test(start_paused = true)]
async fn case_51_one_bulkhead_for_each_key_and_no_more_than_may_be() {
    static TENANTS: Keyed<Bulkhead> = Keyed::new(Bulkhead::new(1)).max_keys(2);
    let [one, other] = [TENANTS.of("one"), TENANTS.of("other")];
    let inside = one.run_blocking(|| {
        assert_eq!(other.run_blocking(|| Ok::<_, Rejected>(())), Ok(()), "the other one has room");
        assert_eq!(TENANTS.of("one").run_blocking(|| Ok::<_, Rejected>(())), Err(Rejected::BulkheadFull));
        // A third key takes the place of the one that nobody is in.
        (0..100).for_each(|key| drop(TENANTS.of(&key)));
        assert_eq!(TENANTS.entries().len(), 2);
        assert!(TENANTS.get("one").is_some(), "in use");
        Ok::<_, Rejected>(())
    });
    assert_eq!(inside, Ok(()));
    let adaptive = Bulkhead::adaptive(3, 9).queue(4).max_wait(MS).fresh("key");
    assert_eq!((adaptive.limit(), adaptive.queue, adaptive.max_wait), (3, 4, MS));
}

#[test]
fn nonsense_is_refused_when_it_is_built() {
    let message = |build: fn() -> Bulkhead| {
        let panic = std::panic::catch_unwind(build).expect_err("refused");
        panic.downcast_ref::<&str>().copied().unwrap_or_default()
    };
    assert_eq!(message(|| Bulkhead::new(0)), "the limit of a bulkhead must be at least 1");
    assert_eq!(message(|| Bulkhead::adaptive(0, 5)), "the lowest limit of a bulkhead must be at least 1");
    assert_eq!(message(|| Bulkhead::adaptive(6, 5)), "the lowest limit of a bulkhead must not be above its highest");
    let largest = Bulkhead::new(u32::MAX).queue(u32::MAX).max_wait(Duration::MAX);
    assert_eq!(largest.run_blocking(|| Ok::<_, Rejected>(largest.in_flight())), Ok(1));
}

/// A call that is polled by hand.
struct Polled {
    call: std::pin::Pin<Box<dyn Future<Output = Result<(), Rejected>>>>,
    woken: Arc<AtomicBool>,
}

fn polled(bulkhead: Shared<Bulkhead>) -> Polled {
    let call = Box::pin(Bulkhead::calls_of::<Result<(), Rejected>, _>(bulkhead).run(nothing()));
    Polled { call, woken: Arc::default() }
}

impl Polled {
    fn poll(&mut self) -> Option<Result<(), Rejected>> {
        struct Flag(Arc<AtomicBool>);
        impl std::task::Wake for Flag {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let waker = Arc::new(Flag(Arc::clone(&self.woken))).into();
        match self.call.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            std::task::Poll::Ready(outcome) => Some(outcome),
            std::task::Poll::Pending => None,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn time_that_passes_while_nobody_polls_is_over_all_the_same() {
    let bulkhead = shared(Bulkhead::new(1).queue(1).max_wait(10 * MS));
    let held = hold(&bulkhead, Duration::from_secs(60)).await;
    let mut waiting = polled(bulkhead.clone());
    assert!(waiting.poll().is_none());
    advance(11 * MS).await;
    assert_eq!(waiting.poll(), Some(Err(Rejected::BulkheadFull)));
    assert_eq!(bulkhead.waiting(), 0);
    held.abort();
}

/// `RUSTFLAGS="--cfg ft_shuttle" cargo test -p ft-runtime --lib interleaving`
#[cfg(ft_shuttle)]
mod interleavings {
    use shuttle::future::block_on;
    use shuttle::thread;

    use super::*;

    fn patient(limit: u32, queue: u32) -> Arc<Bulkhead> {
        Arc::new(Bulkhead::new(limit).queue(queue).max_wait(Duration::MAX))
    }

    /// The calls that are inside and inside together, as seen from the inside.
    fn work(inside: &AtomicU32, limit: u32) -> Result<(), Rejected> {
        assert!(inside.fetch_add(1, Ordering::SeqCst) < limit, "more inside than may be");
        thread::yield_now();
        inside.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }

    #[test]
    fn in_any_interleaving_of_calls_permits_add_up_and_nobody_is_forgotten() {
        let explore = || {
            let (bulkhead, inside) = (patient(2, 8), Arc::new(AtomicU32::new(0)));
            let callers: Vec<_> = (0..4)
                .map(|caller| {
                    let (bulkhead, inside) = (Arc::clone(&bulkhead), Arc::clone(&inside));
                    thread::spawn(move || match caller % 2 {
                        0 => bulkhead.run_blocking(|| work(&inside, 2)),
                        _ => block_on(bulkhead.run(async { work(&inside, 2) })),
                    })
                })
                .collect();
            // Whoever is forgotten waits for ever, which is a deadlock to the explorer.
            callers.into_iter().for_each(|caller| assert_eq!(caller.join().expect("no panic"), Ok(())));
            assert!(is_empty(&bulkhead), "{bulkhead:?}");
        };
        shuttle::check_random(explore, 3_000);
    }

    #[test]
    fn in_any_interleaving_with_callers_that_give_up_a_turn_is_passed_on() {
        let explore = || {
            let (bulkhead, inside) = (patient(1, 8), Arc::new(AtomicU32::new(0)));
            let callers: Vec<_> = (0..4)
                .map(|caller| {
                    let (bulkhead, inside) = (Arc::clone(&bulkhead), Arc::clone(&inside));
                    thread::spawn(move || {
                        let call = bulkhead.run(async { work(&inside, 1) });
                        if caller % 2 == 0 {
                            block_on(call).expect("served");
                        } else {
                            // Polled once, then dropped.
                            let mut call = Box::pin(call);
                            block_on(std::future::poll_fn(|cx| {
                                std::task::Poll::Ready(call.as_mut().poll(cx).is_ready())
                            }));
                        }
                    })
                })
                .collect();
            callers.into_iter().for_each(|caller| caller.join().expect("no panic"));
            assert!(is_empty(&bulkhead), "{bulkhead:?}");
        };
        shuttle::check_random(explore, 3_000);
    }

    #[test]
    fn in_any_interleaving_the_queue_is_no_longer_than_it_may_be() {
        let explore = || {
            let (bulkhead, inside) = (patient(1, 1), Arc::new(AtomicU32::new(0)));
            let callers: Vec<_> = (0..4)
                .map(|_| {
                    let (bulkhead, inside) = (Arc::clone(&bulkhead), Arc::clone(&inside));
                    thread::spawn(move || {
                        let outcome = bulkhead.run_blocking(|| work(&inside, 1));
                        assert!(bulkhead.waiting() <= 1);
                        outcome
                    })
                })
                .collect();
            let served = callers.into_iter().filter_map(|caller| caller.join().expect("no panic").ok()).count();
            assert!(served >= 2 && is_empty(&bulkhead), "{served} served, {bulkhead:?}");
        };
        shuttle::check_random(explore, 3_000);
    }

    #[test]
    fn in_any_interleaving_a_limit_that_moves_forgets_nobody() {
        let explore = || {
            let bulkhead = patient(1, 8);
            let mover = Arc::clone(&bulkhead);
            let mover = thread::spawn(move || {
                for limit in [2, 1, 3, 1] {
                    mover.limit.store(limit, Ordering::Relaxed);
                    mover.hand_on();
                }
            });
            let callers: Vec<_> = (0..3)
                .map(|_| {
                    let bulkhead = Arc::clone(&bulkhead);
                    thread::spawn(move || bulkhead.run_blocking(|| Ok::<_, Rejected>(thread::yield_now())))
                })
                .collect();
            mover.join().expect("no panic");
            callers.into_iter().for_each(|caller| assert_eq!(caller.join().expect("no panic"), Ok(())));
            assert!(is_empty(&bulkhead), "{bulkhead:?}");
        };
        shuttle::check_random(explore, 3_000);
    }
}
