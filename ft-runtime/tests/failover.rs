//! The sessions of failover, driven as the attributes drive them, and through the plain door.

use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use ft_runtime::observe::{self, What};
use ft_runtime::{
    Deadline, Failover, Fault, FaultKind, Health, Pool, Prefer, Rejected, RetryBudget, Target, Targets, site,
};

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum DbError {
    Declined,
    Reset,
    Refused,
    Busy,
    NoTarget,
    TimedOut,
    CircuitOpen,
}

impl Fault for DbError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Declined => FaultKind::Permanent,
            Self::Reset | Self::TimedOut => FaultKind::Transient,
            Self::Refused | Self::NoTarget | Self::CircuitOpen => FaultKind::Unsent,
            Self::Busy => FaultKind::Throttled { retry_after: None },
        }
    }

    fn rejected(&self) -> Option<&Rejected> {
        static OPEN: Rejected = Rejected::CircuitOpen { retry_after: Duration::from_secs(1) };
        static LATE: Rejected = Rejected::TimedOut { limit: Duration::from_secs(1) };
        match self {
            Self::CircuitOpen => Some(&OPEN),
            Self::TimedOut => Some(&LATE),
            _ => None,
        }
    }
}

impl From<Rejected> for DbError {
    fn from(rejected: Rejected) -> Self {
        assert!(matches!(rejected, Rejected::NoTarget), "{rejected:?}");
        Self::NoTarget
    }
}

/// A target that fails as scripted and counts its calls.
#[derive(Debug, Default)]
struct Db {
    fails: Mutex<Option<DbError>>,
    calls: AtomicU32,
}

impl Db {
    fn failing(error: DbError) -> Self {
        Self { fails: Mutex::new(Some(error)), ..Self::default() }
    }

    fn set(&self, fails: Option<DbError>) {
        *self.fails.lock().unwrap() = fails;
    }

    fn get(&self) -> Result<u32, DbError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.fails.lock().unwrap().map_or(Ok(7), Err)
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }
}

fn three(first: Db, second: Db, third: Db) -> Pool<Db> {
    Pool::of([("a", first), ("b", second), ("c", third)])
}

fn db(pool: &Pool<Db>, name: &str) -> Target<Db> {
    pool.iter().find(|target| target.name() == name).unwrap()
}

fn health(pool: &Pool<Db>, name: &str) -> &'static str {
    pool.snapshot().into_iter().find(|target| target.name == name).unwrap().health.as_str()
}

fn get(failover: &Failover, pool: &Pool<Db>) -> Result<u32, DbError> {
    failover.call_blocking(pool, |db| db.get())
}

fn must_be_send<F: Future + Send>(future: F) -> F {
    future
}

mod expansion {
    use super::*;

    struct Service {
        replicas: Pool<Db>,
    }

    impl Service {
        /// `#[failover(replica in &self.replicas)]`, by hand.
        async fn read(&self, key: &str) -> Result<u32, DbError> {
            let site = ft_runtime::site!().enter();
            let failover = {
                const FT_FAILOVER: Failover = Failover::new().eject_after(3);
                &FT_FAILOVER
            };
            let pool = &self.replicas;
            let mut candidates = failover.over::<Result<u32, DbError>, _>(pool).at(site).start();
            loop {
                let Some(target) = candidates.current() else { break candidates.refused() };
                let outcome: Result<u32, DbError> = candidates
                    .run(async {
                        let replica = &*target;
                        let outcome: Result<u32, DbError> = {
                            tokio::task::yield_now().await;
                            let _ = key;
                            replica.get()
                        };
                        outcome
                    })
                    .await;
                if !candidates.again(&outcome) {
                    break outcome;
                }
            }
        }
    }

    #[tokio::test]
    async fn the_body_runs_once_for_each_target_until_one_answers() {
        let service = Arc::new(Service {
            replicas: three(Db::failing(DbError::Reset), Db::failing(DbError::Refused), Db::default()),
        });
        let shared = Arc::clone(&service);
        let outcome = tokio::spawn(async move { shared.read("key").await }).await.unwrap();
        assert_eq!(outcome, Ok(7));
        let calls: Vec<u32> = service.replicas.iter().map(|db| db.calls()).collect();
        assert_eq!(calls, [1, 1, 1]);
    }

    async fn from_replica<T: Clone>(id: &T, calls: &AtomicU32) -> Result<T, DbError> {
        calls.fetch_add(10, Ordering::Relaxed);
        Ok(id.clone())
    }

    /// `#[failover(to = [from_replica])]` on a generic function, by hand.
    async fn from_primary<T: Clone>(id: &T, calls: &AtomicU32) -> Result<T, DbError> {
        let site = ft_runtime::site!().enter();
        let failover = {
            const FT_FAILOVER: Failover = Failover::new();
            &FT_FAILOVER
        };
        let targets = {
            static FT_TARGETS: Targets<2> = Targets::new(["from_primary", "from_replica"]);
            &FT_TARGETS
        };
        let mut candidates = failover
            .among::<Result<T, DbError>, 2>(targets)
            .at(site)
            .unless(|error| matches!(error, DbError::Declined))
            .start();
        loop {
            let index = candidates.index();
            let outcome: Result<T, DbError> = candidates
                .run(async {
                    match index {
                        1 => from_replica(id, calls).await,
                        _ => {
                            let outcome: Result<T, DbError> = {
                                calls.fetch_add(1, Ordering::Relaxed);
                                Err(DbError::Refused)
                            };
                            outcome
                        }
                    }
                })
                .await;
            if !candidates.again(&outcome) {
                break outcome;
            }
        }
    }

    #[tokio::test]
    async fn functions_take_over_from_each_other_and_keep_a_health() {
        let calls = AtomicU32::new(0);
        for _ in 0..6 {
            assert_eq!(must_be_send(from_primary(&"id", &calls)).await, Ok("id"));
        }
        assert_eq!(calls.load(Ordering::Relaxed), 65, "the primary is ejected after five failures");
    }

    /// The error type is not `Send`; the future must be.
    async fn with_a_local_error(pool: &Pool<Db>) -> Result<u32, ft_runtime::Error<Rc<str>>> {
        let failover = &Failover::new();
        let mut candidates = failover.over::<Result<u32, ft_runtime::Error<Rc<str>>>, _>(pool).on(|_| true).start();
        loop {
            let Some(target) = candidates.current() else { break candidates.refused() };
            let outcome: Result<u32, ft_runtime::Error<Rc<str>>> = candidates
                .run(async {
                    tokio::task::yield_now().await;
                    target.get().map_err(|_| ft_runtime::Error::Failed(Rc::from("reset")))
                })
                .await;
            if !candidates.again(&outcome) {
                break outcome;
            }
        }
    }

    #[tokio::test]
    async fn the_future_is_send_with_an_error_that_is_not() {
        let pool = three(Db::failing(DbError::Reset), Db::default(), Db::default());
        assert_eq!(must_be_send(with_a_local_error(&pool)).await.unwrap(), 7);
    }

    #[test]
    fn every_way_to_hold_a_pool_is_taken() {
        static POOL: LazyLock<Pool<Db>> = LazyLock::new(|| Pool::of([("a", Db::default())]));
        let failover = Failover::new();
        let pool = Pool::of([("a", Db::default())]);
        assert_eq!(failover.call_blocking(&POOL, |db| db.get()), Ok(7));
        assert_eq!(failover.call_blocking(&*POOL, |db| db.get()), Ok(7));
        assert_eq!(failover.call_blocking(&&pool, |db| db.get()), Ok(7));
        assert_eq!(failover.call_blocking(Arc::new(pool.clone()), |db| db.get()), Ok(7));
        assert_eq!(failover.call_blocking(pool, |db| db.get()), Ok(7));
    }
}
