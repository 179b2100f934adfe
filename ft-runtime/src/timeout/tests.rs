use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Waker;

use tokio::time::{advance, sleep};

use super::*;
use crate::observe::What;
use crate::{Backoff, Deadline, Jitter, Retry, site};

mod nests;

const SECOND: Duration = Duration::from_secs(1);
const SHORT: Timeout = Timeout::new(SECOND);

type Answer = Result<u32, Rejected>;

fn late(limit: Duration) -> Answer {
    Err(Rejected::TimedOut { limit })
}

fn left() -> Option<Duration> {
    Deadline::current().map(Deadline::remaining)
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Tells how it was dropped.
struct Watched<'a>(&'a Cell<&'static str>);

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.0.set(if deadline::is_cutting_off() { "cut off" } else { "left" });
    }
}

#[test]
fn case_58_a_limit_of_zero_is_refused_where_it_is_given() {
    let refused = catch_unwind(|| Timeout::new(Duration::ZERO)).unwrap_err();
    assert_eq!(refused.downcast_ref(), Some(&"the limit must be longer than zero"));
    catch_unwind(|| Timeout::from(Duration::ZERO)).unwrap_err();
}

#[test]
fn a_call_that_is_ready_at_once_needs_neither_clock_nor_runtime() {
    let nest = SHORT.run(async { SHORT.run(async { Answer::Ok(7) }).await });
    assert_eq!(poll_once(pin!(nest)), Poll::Ready(Ok(7)));
}

#[tokio::test(start_paused = true)]
async fn an_answer_within_the_limit_is_the_calls_own() {
    let call = async |wait: Duration, answer: Answer| {
        SHORT
            .run(async {
                sleep(wait).await;
                answer
            })
            .await
    };
    assert_eq!(call(SECOND / 2, Ok(7)).await, Ok(7));
    assert_eq!(call(SECOND / 2, Err(Rejected::NoTarget)).await, Err(Rejected::NoTarget));
    assert_eq!(call(SECOND, Ok(7)).await, Ok(7), "at the last moment");
    assert_eq!(call(SECOND + Duration::from_millis(1), Ok(7)).await, late(SECOND));
}

#[tokio::test(start_paused = true)]
async fn the_body_is_gone_before_the_error_is_answered_and_knows_that_it_was_cut_off() {
    let dropped = Cell::new("no");
    let mut call = pin!(SHORT.run(async {
        let _watched = Watched(&dropped);
        std::future::pending::<Answer>().await
    }));
    assert_eq!(call.as_mut().await, late(SECOND));
    assert_eq!(dropped.get(), "cut off");
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_cuts_nothing_off() {
    let dropped = Cell::new("no");
    {
        let mut call = pin!(SHORT.run(async {
            let _watched = Watched(&dropped);
            std::future::pending::<Answer>().await
        }));
        assert!(poll_once(call.as_mut()).is_pending());
    }
    assert_eq!(dropped.get(), "left");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_cut_off_inside_another_one_knows_it_as_well() {
    let dropped = Cell::new("no");
    let outer = SHORT.run(async {
        let inner = Timeout::new(9 * SECOND).run(async {
            let _watched = Watched(&dropped);
            std::future::pending::<Answer>().await
        });
        // Not ours, so the inner one is still waiting when the outer one cuts it off.
        tokio::select! { answer = inner => answer, () = sleep(2 * SECOND) => Ok(0) }
    });
    let outer = outer.await;
    assert_eq!((outer, dropped.get()), (late(SECOND), "cut off"));
}

#[tokio::test(start_paused = true)]
async fn case_46_a_deadline_that_has_passed_is_refused_at_once_and_the_body_never_runs() {
    let ran = Cell::new(false);
    let began = tokio::time::Instant::now();
    let call = SHORT.run(async {
        ran.set(true);
        Answer::Ok(7)
    });
    let deadline = Deadline::after(SECOND);
    advance(SECOND).await;
    assert_eq!(deadline.scope(call).await, Err(Rejected::DeadlinePassed));
    assert!(!ran.get());
    assert_eq!(began.elapsed(), SECOND);
    let made = Cell::new(false);
    let call = deadline.scope_blocking(|| {
        SHORT.calls::<Answer>().run_with(|| {
            made.set(true);
            std::future::ready(Answer::Ok(7))
        })
    });
    assert_eq!(call.await, Err(Rejected::DeadlinePassed));
    assert!(!made.get(), "and is not made either");
}

#[tokio::test(start_paused = true)]
async fn the_body_sees_the_smaller_of_its_limit_and_what_is_left() {
    let seen = || async { Ok::<_, Rejected>(left()) };
    assert_eq!(SHORT.run(seen()).await, Ok(Some(SECOND)));
    assert_eq!(left(), None);
    let nested = Timeout::new(5 * SECOND).run(async {
        assert_eq!(left(), Some(5 * SECOND));
        sleep(SECOND).await;
        let nearer = SHORT.run(seen()).await?;
        let further = Timeout::new(9 * SECOND).run(seen()).await?;
        Ok::<_, Rejected>((nearer, further, left()))
    });
    assert_eq!(nested.await, Ok((Some(SECOND), Some(4 * SECOND), Some(4 * SECOND))));
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_deadline_around_cuts_off_as_well() {
    let call = Deadline::after(SECOND / 2).scope(SHORT.run(std::future::pending::<Answer>()));
    assert_eq!(call.await, late(SECOND / 2), "with the time that it had");
    let nested = SHORT.run(Timeout::new(9 * SECOND).run(std::future::pending::<Answer>()));
    assert_eq!(nested.await, late(SECOND));
}

#[tokio::test(start_paused = true)]
async fn case_12_in_a_nest_of_retry_and_timeout_every_attempt_gets_the_smaller_part() {
    let retry = Retry::new()
        .max_attempts(9)
        .deadline(Duration::from_millis(2500))
        .backoff(Backoff::fixed(SECOND / 10).jitter(Jitter::None));
    let seen = std::sync::Mutex::new(Vec::new());
    let began = tokio::time::Instant::now();
    let outcome = retry.call(|| {
        SHORT.run(async {
            seen.lock().unwrap().push(left().unwrap().as_millis());
            std::future::pending::<Answer>().await
        })
    });
    assert_eq!(outcome.await, late(Duration::from_millis(300)), "the third attempt got what was left");
    assert_eq!(*seen.lock().unwrap(), [1000, 1000, 300]);
    assert_eq!(began.elapsed(), Duration::from_millis(2500), "and no wait was started after it");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_goes_to_another_task_with_the_context() {
    let call = SHORT.run(async {
        let inherited = crate::Context::current();
        sleep(SECOND / 4).await;
        assert_eq!(tokio::spawn(async { left() }).await.unwrap(), None, "a task inherits nothing by itself");
        assert_eq!(tokio::spawn(inherited.clone().scope(async { left() })).await.unwrap(), Some(SECOND * 3 / 4));
        Ok::<_, Rejected>(tokio::spawn(inherited.scope(Timeout::new(9 * SECOND).run(std::future::pending::<Answer>()))))
    });
    let there = call.await.unwrap();
    assert_eq!(there.await.unwrap(), late(SECOND * 3 / 4));
}

#[tokio::test(start_paused = true)]
async fn case_15_dropped_at_any_await_nothing_runs_on() {
    for awaits in 0..4 {
        let (steps, dropped) = (Cell::new(0), Cell::new("not begun"));
        {
            let mut call = pin!(SHORT.run(async {
                let _watched = Watched(&dropped);
                for _ in 0..3 {
                    steps.set(steps.get() + 1);
                    sleep(SECOND / 10).await;
                }
                Answer::Ok(7)
            }));
            for _ in 0..awaits {
                assert!(poll_once(call.as_mut()).is_pending());
                advance(SECOND / 10).await;
            }
        }
        advance(9 * SECOND).await;
        assert_eq!(steps.get(), awaits);
        assert_eq!(dropped.get(), if awaits == 0 { "not begun" } else { "left" });
        assert_eq!(left(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn case_57_a_panic_inside_stays_a_panic_and_leaves_no_deadline_behind() {
    let at_once = || poll_once(pin!(SHORT.run(async { panic!("mine") as Answer })));
    let panic = catch_unwind(AssertUnwindSafe(at_once)).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"mine"));
    assert_eq!(left(), None);

    let later = tokio::spawn(SHORT.run(async {
        sleep(SECOND / 2).await;
        panic!("mine") as Answer
    }));
    let panic = later.await.unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref(), Some(&"mine"));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_yields_its_turn_is_cut_off_all_the_same() {
    // Always more to do, so the task's budget is spent in every poll and no timer of tokio is looked at.
    let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
    let greedy = SHORT.run(async {
        loop {
            send.send(()).unwrap();
            receive.recv().await;
        }
        #[expect(unreachable_code, reason = "names the type")]
        Answer::Ok(7)
    });
    // The clock of the test moves by itself only where nobody is busy; so it is moved from outside.
    let clock = async {
        for _ in 0..20 {
            advance(SECOND / 10).await;
        }
    };
    let (outcome, ()) = tokio::join!(greedy, clock);
    assert_eq!(outcome, late(SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_limit_runs_from_the_first_poll() {
    let call = SHORT.run(async {
        sleep(SECOND / 2).await;
        Answer::Ok(7)
    });
    advance(9 * SECOND).await;
    assert_eq!(call.await, Ok(7));
}

#[tokio::test(start_paused = true)]
async fn a_limit_begins_when_something_inside_asks_for_it() {
    let mut call = pin!(SHORT.run(async {
        let deadline = Deadline::current().unwrap();
        // As blocking code would.
        assert!(poll_once(pin!(advance(SECOND / 2))).is_pending());
        sleep(9 * SECOND).await;
        Answer::Ok(deadline.remaining().as_secs() as u32)
    }));
    let began = tokio::time::Instant::now();
    assert_eq!(call.as_mut().await, late(SECOND));
    assert_eq!(began.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_expiry_is_told_and_filed_a_refusal_at_entry_is_told() {
    let events = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let into = std::sync::Arc::clone(&events);
    let listening = crate::observe::subscribe(move |event| {
        if let ("timeout: told", What::Refused { reason, .. }) = (event.site, &event.what) {
            into.lock().unwrap().push((event.policy, *reason));
        }
    });
    let told = SHORT.at(site!("timeout: told"));
    for _ in 0..2 {
        told.run(std::future::pending::<Answer>()).await.unwrap_err();
    }
    Deadline::after(Duration::ZERO).scope(told.run(std::future::pending::<Answer>())).await.unwrap_err();
    told.run(async { Answer::Ok(7) }).await.unwrap();
    drop(listening);
    let timed_out = ("timeout", "timed_out");
    assert_eq!(*events.lock().unwrap(), [timed_out, timed_out, ("timeout", "deadline_passed")]);
    let site = crate::sites().into_iter().find(|site| site.path() == "timeout: told").unwrap();
    assert_eq!(site.calls(), 4);
    let [fault] = &site.faults()[..] else { panic!("one entry") };
    assert_eq!((fault.policy, &*fault.what, fault.count), ("timeout", "timed out", 2));
    assert_eq!((fault.kind, fault.given_up), (FaultKind::Transient, 2));
}

#[tokio::test(start_paused = true)]
async fn the_attribute_takes_a_literal_a_duration_a_policy_and_a_field() {
    const LIMIT: Duration = SECOND;
    struct Client {
        limit: Timeout,
    }
    impl Client {
        #[crate::timeout(self.limit)]
        async fn get(&mut self, answer: &str) -> io::Result<String> {
            sleep(SECOND / 2).await;
            Ok(answer.to_owned())
        }
    }
    #[crate::timeout(1500ms)]
    async fn literal<T: Default>() -> Result<T, Rejected> {
        std::future::pending::<()>().await;
        Ok(T::default())
    }
    #[crate::timeout(LIMIT)]
    async fn duration() -> Answer {
        std::future::pending().await
    }
    #[crate::timeout(SHORT)]
    async fn policy() -> Answer {
        std::future::pending().await
    }
    assert_eq!(literal::<u32>().await, late(SECOND * 3 / 2));
    assert_eq!(duration().await, late(SECOND));
    assert_eq!(policy().await, late(SECOND));
    assert_eq!(Client { limit: SHORT }.get("row").await.unwrap(), "row");
    let slow = Client { limit: Timeout::new(SECOND / 4) }.get("row").await.unwrap_err();
    assert_eq!(slow.kind(), io::ErrorKind::TimedOut);
}
