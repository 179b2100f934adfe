//! Any nest of time limits and deadlines ends when, and as, a plain calculation says.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use crate::{Context, Deadline, Rejected, Timeout};

type Answer = Result<(), Rejected>;

#[derive(Clone, Debug)]
enum Work {
    /// So many milliseconds; zero does not suspend.
    Takes(u64),
    /// Asks for the deadline, and so starts every limit around.
    Asks,
    Limited(u64, Box<Work>),
    Until(u64, Box<Work>),
    /// With a context that has no deadline.
    Afresh(Box<Work>),
    /// With its context carried over another one.
    Carried(Box<Work>),
    /// Goes on whatever comes of it.
    Tried(Box<Work>),
    InTurn(Vec<Work>),
    Joined(Box<Work>, Box<Work>),
    /// The first one to answer; the other one is dropped.
    Raced(Box<Work>, Box<Work>),
}

use Work::*;

impl Work {
    fn run(&self) -> Pin<Box<dyn Future<Output = Answer> + '_>> {
        Box::pin(async move {
            match self {
                Takes(0) => Ok(()),
                Takes(time) => {
                    sleep(millis(*time)).await;
                    Ok(())
                }
                Asks => {
                    let _ = Deadline::current();
                    Ok(())
                }
                Limited(limit, work) => Timeout::new(millis(*limit)).run(work.run()).await,
                Until(left, work) => Deadline::after(millis(*left)).scope(work.run()).await,
                Afresh(work) => Context::default().scope(work.run()).await,
                Carried(work) => {
                    let inherited = Context::current();
                    Context::default().scope(inherited.scope(work.run())).await
                }
                Tried(work) => {
                    let _ = work.run().await;
                    Ok(())
                }
                InTurn(works) => {
                    for work in works {
                        work.run().await?;
                    }
                    Ok(())
                }
                Joined(one, other) => {
                    let (one, other) = tokio::join!(biased; one.run(), other.run());
                    one.and(other)
                }
                Raced(one, other) => tokio::select! {
                    biased;
                    answer = one.run() => answer,
                    answer = other.run() => answer,
                },
            }
        })
    }

    /// When it ends that starts then, and how; in milliseconds.
    fn ends(&self, start: u64, deadline: Option<u64>) -> (u64, Answer) {
        match self {
            Takes(time) => (start + time, Ok(())),
            Asks => (start, Ok(())),
            Limited(limit, work) => {
                if deadline.is_some_and(|deadline| deadline <= start) {
                    return (start, Err(Rejected::DeadlinePassed));
                }
                let end = deadline.map_or(start + limit, |deadline| deadline.min(start + limit));
                match work.ends(start, Some(end)) {
                    (at, _) if at > end => (end, Err(Rejected::TimedOut { limit: millis(end - start) })),
                    in_time => in_time,
                }
            }
            Until(left, work) => {
                work.ends(start, Some(deadline.map_or(start + left, |deadline| deadline.min(start + left))))
            }
            Afresh(work) => work.ends(start, None),
            Carried(work) => work.ends(start, deadline),
            Tried(work) => (work.ends(start, deadline).0, Ok(())),
            InTurn(works) => works.iter().fold((start, Ok(())), |(at, before), work| match before {
                Ok(()) => work.ends(at, deadline),
                failed => (at, failed),
            }),
            Joined(one, other) => {
                let (one, other) = (one.ends(start, deadline), other.ends(start, deadline));
                (one.0.max(other.0), one.1.and(other.1))
            }
            Raced(one, other) => {
                let (one, other) = (one.ends(start, deadline), other.ends(start, deadline));
                if one.0 <= other.0 { one } else { other }
            }
        }
    }
}

fn millis(time: u64) -> Duration {
    Duration::from_millis(time)
}

/// Nests so deep at the most, and hardly less.
fn works(depth: u32) -> BoxedStrategy<Work> {
    let leaf = prop_oneof![3 => (0_u64..40).prop_map(Takes), 1 => Just(Asks)];
    if depth == 0 {
        return leaf.boxed();
    }
    let work = works(depth - 1);
    let one = work.clone().prop_map(Box::new);
    prop_oneof![
        2 => leaf,
        6 => (1_u64..50, one.clone()).prop_map(|(limit, work)| Limited(limit, work)),
        2 => (0_u64..50, one.clone()).prop_map(|(left, work)| Until(left, work)),
        1 => one.clone().prop_map(Afresh),
        1 => one.clone().prop_map(Carried),
        2 => one.clone().prop_map(Tried),
        4 => prop::collection::vec(work, 1..4).prop_map(InTurn),
        2 => (one.clone(), one.clone()).prop_map(|(one, other)| Joined(one, other)),
        1 => (one.clone(), one).prop_map(|(one, other)| Raced(one, other)),
    ]
    .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn any_nest_of_limits_and_deadlines_ends_when_it_should_and_leaves_no_deadline_behind(work in works(6)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (took, answer, left) = runtime.block_on(async {
            let began = Instant::now();
            let answer = work.run().await;
            (began.elapsed(), answer, Deadline::current())
        });
        let (end, expected) = work.ends(0, None);
        prop_assert_eq!((took, answer), (millis(end), expected));
        prop_assert!(left.is_none());
    }
}
