//! Many threads and tasks on one policy.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use tower::{Service, ServiceExt};

use crate::meter;

/// Rounds; the medians are printed.
const ROUNDS: usize = 7;
/// How long one thread alone takes for one round: what starts and ends it must not weigh.
const ROUND: Duration = Duration::from_millis(20);
const TASKS: u64 = 64;
/// A task lets others run after so many calls; all counts of calls are made of these.
const TURN: u64 = 100;

/// The cases, until they run.
pub(crate) struct Contended {
    pattern: String,
    cases: Vec<Case>,
}

struct Case {
    case: &'static str,
    who: &'static str,
    calls: Arc<dyn Fn(u64) -> Calls + Send + Sync>,
    /// In one round, over all threads or tasks.
    count: u64,
    rounds: Vec<[f64; 3]>,
}

/// So many calls, one after the other.
type Calls = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Contended {
    /// One way to do what the case is called after.
    pub(crate) fn case<F>(
        &mut self,
        case: &'static str,
        who: &'static str,
        call: impl Fn() -> F + Clone + Send + Sync + 'static,
    ) where
        F: Future<Output: Send> + Send,
    {
        let calls = move |count: u64| {
            let call = call.clone();
            let calls = async move {
                for _ in 0..count {
                    black_box(call().await);
                }
            };
            Box::pin(calls) as Calls
        };
        self.push(case, who, Arc::new(calls));
    }

    /// As [`case`](Self::case), for a service: each thread and task has a clone of it.
    pub(crate) fn service<S>(&mut self, case: &'static str, who: &'static str, service: S)
    where
        S: Service<u64, Future: Send, Response: Send, Error: Send> + Clone + Send + Sync + 'static,
    {
        let calls = move |count: u64| {
            let mut service = service.clone();
            let calls = async move {
                for _ in 0..count {
                    if let Ok(ready) = service.ready().await {
                        _ = black_box(ready.call(1).await);
                    }
                }
            };
            Box::pin(calls) as Calls
        };
        self.push(case, who, Arc::new(calls));
    }

    fn push(&mut self, case: &'static str, who: &'static str, calls: Arc<dyn Fn(u64) -> Calls + Send + Sync>) {
        if case.contains(&self.pattern) {
            let first = on_threads(1, TASKS * TURN, &calls);
            let turns = ROUND.as_nanos() as f64 / first / (TASKS * TURN) as f64;
            let count = TASKS * TURN * (turns as u64).clamp(1, 1_000);
            self.cases.push(Case { case, who, calls, count, rounds: Vec::new() });
        }
    }
}

/// Runs all cases whose name holds the pattern, and prints the table.
pub(crate) fn run(pattern: &str, cases: impl FnOnce(&mut Contended)) {
    let mut contended = Contended { pattern: pattern.to_owned(), cases: Vec::new() };
    let timers = meter::runtime();
    let entered = timers.enter();
    cases(&mut contended);
    drop(entered);
    let workers = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
    // Building a runtime fails where the system gives no more threads or file descriptors.
    let workers = workers.expect("a runtime");
    for _ in 0..ROUNDS {
        for case in &mut contended.cases {
            let Case { calls, count, rounds, .. } = case;
            rounds.push([
                on_threads(1, *count, calls),
                on_threads(2, *count, calls),
                on_tasks(&workers, *count, calls),
            ]);
        }
    }
    print(&contended.cases);
}

/// Nanoseconds for one call: from when the first thread began until the last one ended. The threads read the clock, since
/// one that only watches them is not running when they begin, where there are no more cores than threads.
fn on_threads(threads: u64, count: u64, calls: &Arc<dyn Fn(u64) -> Calls + Send + Sync>) -> f64 {
    let start = Barrier::new(threads as usize);
    let spans: Vec<(Instant, Instant)> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let runtime = meter::runtime();
                    let calls = calls(count / threads);
                    start.wait();
                    let began = Instant::now();
                    runtime.block_on(calls);
                    (began, Instant::now())
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().expect("the calls do not panic")).collect()
    });
    let began = spans.iter().map(|(began, _)| *began).min();
    let ended = spans.iter().map(|(_, ended)| *ended).max();
    let took = began.zip(ended).map_or(Duration::ZERO, |(began, ended)| ended - began);
    took.as_nanos() as f64 / count as f64
}

fn on_tasks(workers: &tokio::runtime::Runtime, count: u64, calls: &Arc<dyn Fn(u64) -> Calls + Send + Sync>) -> f64 {
    let took = workers.block_on(async {
        let began = Instant::now();
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let calls = Arc::clone(calls);
                tokio::spawn(async move {
                    for _ in 0..count / TASKS / TURN {
                        calls(TURN).await;
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("the calls do not panic");
        }
        began.elapsed()
    });
    took.as_nanos() as f64 / count as f64
}

fn print(cases: &[Case]) {
    println!("case\twho\tthreads_1\tthreads_2\ttasks_64\tratio_to_ours");
    for Case { case, who, rounds, .. } in cases {
        let ours = cases.iter().find(|ours| ours.case == *case && ours.who.starts_with("ft"));
        let ratio = ours.map_or("-".to_owned(), |ours| format!("{:.2}", median(rounds, 1) / median(&ours.rounds, 1)));
        let [one, two, tasks] = [0, 1, 2].map(|column| median(rounds, column));
        println!("{case}\t{who}\t{one:.1}\t{two:.1}\t{tasks:.1}\t{ratio}");
    }
}

fn median(rounds: &[[f64; 3]], column: usize) -> f64 {
    let mut times: Vec<f64> = rounds.iter().map(|round| round[column]).collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
