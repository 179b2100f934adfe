//! The sessions of failover, driven as the attributes drive them, and through the plain door.

use std::future::Future;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use ft_runtime::observe::{self, What};
use ft_runtime::{
    Deadline, Error, Failover, Fault, FaultKind, Pool, Prefer, Rejected, RetryBudget, Target, Targets, Timeout, site,
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
        assert_eq!(failover.call_blocking(Arc::new(&pool), |db| db.get()), Ok(7));
        assert_eq!(failover.call_blocking(Arc::new(pool.clone()), |db| db.get()), Ok(7));
        assert_eq!(failover.call_blocking(pool, |db| db.get()), Ok(7));
    }
}

mod attribute {
    use super::*;
    use ft_runtime::failover;

    static READS: Failover = Failover::new().eject_after(2);

    struct Service {
        replicas: Pool<Db>,
    }

    impl Service {
        #[failover(READS, replica in &self.replicas, prefer = sticky)]
        async fn read(&self, key: &str) -> Result<u32, DbError> {
            tokio::task::yield_now().await;
            let _ = key;
            replica.get()
        }

        #[failover(replica in &self.replicas, on = DbError::Reset, idempotent = false)]
        fn read_blocking(&self) -> Result<u32, DbError> {
            replica.get()
        }

        #[failover(to = [Self::stale])]
        async fn cached<T: Clone>(&self, value: &T) -> Result<T, DbError> {
            self.replicas.iter().next().ok_or(DbError::NoTarget)?.get().map(|_| value.clone())
        }

        async fn stale<T: Clone>(&self, value: &T) -> Result<T, DbError> {
            Ok(value.clone())
        }

        #[failover(replica in &self.replicas, on = _)]
        async fn with_a_local_error(&self) -> Result<u32, ft_runtime::Error<Rc<str>>> {
            tokio::task::yield_now().await;
            replica.get().map_err(|_| ft_runtime::Error::Failed(Rc::from("reset")))
        }
    }

    #[tokio::test]
    async fn all_forms_move_on_and_keep_their_futures_send() {
        let service = Service { replicas: three(Db::failing(DbError::Reset), Db::default(), Db::default()) };
        assert_eq!(must_be_send(service.read("key")).await, Ok(7));
        assert_eq!(must_be_send(service.read("key")).await, Ok(7));
        assert_eq!(db(&service.replicas, "b").calls(), 2, "sticky");
        assert_eq!(service.read_blocking(), Ok(7), "the reset was named as safe");
        assert_eq!(must_be_send(service.cached(&"value")).await, Ok("value"));
        assert_eq!(must_be_send(service.with_a_local_error()).await.unwrap(), 7);
        let empty = Service { replicas: Pool::new() };
        assert_eq!(empty.read("key").await, Err(DbError::NoTarget));
        assert_eq!(empty.cached(&1).await, Ok(1));
    }
}

mod moving_on {
    use super::*;

    #[test]
    fn a_target_is_asked_at_most_once_in_a_call_and_the_last_error_is_returned_unchanged() {
        let pool = three(Db::failing(DbError::Reset), Db::failing(DbError::Reset), Db::failing(DbError::Refused));
        assert_eq!(get(&Failover::new(), &pool), Err(DbError::Refused));
        assert!(pool.iter().all(|db| db.calls() == 1));
    }

    #[test]
    fn a_permanent_error_is_the_callers_and_no_failure_of_the_target() {
        let pool = three(Db::failing(DbError::Declined), Db::default(), Db::default());
        for _ in 0..20 {
            assert_eq!(get(&Failover::new(), &pool), Err(DbError::Declined));
        }
        assert_eq!((health(&pool, "a"), db(&pool, "b").calls()), ("up", 0));
    }

    #[test]
    fn what_is_not_idempotent_moves_on_only_when_it_never_ran() {
        let once = Failover::new().idempotent(false);
        let pool = three(Db::failing(DbError::Reset), Db::default(), Db::default());
        assert_eq!(get(&once, &pool), Err(DbError::Reset));
        let pool = three(Db::failing(DbError::Busy), Db::default(), Db::default());
        assert_eq!(get(&once, &pool), Err(DbError::Busy));
        let pool = three(Db::failing(DbError::Refused), Db::default(), Db::default());
        assert_eq!(get(&once, &pool), Ok(7));
        let pool = three(Db::failing(DbError::Reset), Db::default(), Db::default());
        let named = once.when(|error: &DbError| *error == DbError::Reset);
        assert_eq!(named.call_blocking(&pool, |db| db.get()), Ok(7), "the caller named it as safe");
        let unless = once.unless(|error: &DbError| *error == DbError::Declined);
        assert_eq!(unless.call_blocking(&pool, |db| db.get()), Err(DbError::Reset), "nobody named it as safe");
    }

    #[test]
    fn an_empty_pool_and_a_disabled_one_refuse_the_call() {
        assert_eq!(get(&Failover::new(), &Pool::new()), Err(DbError::NoTarget));
        let pool = Pool::of([("a", Db::default())]);
        assert!(pool.disable("a") && !pool.disable("z"));
        assert_eq!(get(&Failover::new(), &pool), Err(DbError::NoTarget));
        assert_eq!(db(&pool, "a").calls(), 0);
    }

    #[test]
    fn tiers_are_asked_in_order_whatever_the_order_they_were_given_in() {
        let pool = Pool::new()
            .with_tier(2, "last", Db::default())
            .with("first", Db::failing(DbError::Reset))
            .with_tier(1, "middle", Db::failing(DbError::Reset));
        assert_eq!(get(&Failover::new(), &pool), Ok(7));
        let order: Vec<String> = pool.snapshot().into_iter().map(|target| target.name).collect();
        assert_eq!(order, ["first", "middle", "last"]);
        assert!(pool.iter().all(|db| db.calls() == 1));
    }

    #[test]
    fn no_more_than_max_targets_are_asked() {
        let pool = three(Db::failing(DbError::Reset), Db::failing(DbError::Reset), Db::default());
        assert_eq!(get(&Failover::new().max_targets(2), &pool), Err(DbError::Reset));
        assert_eq!(db(&pool, "c").calls(), 0);
    }

    #[test]
    fn more_targets_than_a_word_has_bits_are_each_asked_once() {
        let pool = Pool::of((0..200).map(|n| (format!("t{n}"), Db::failing(DbError::Reset))));
        assert_eq!(get(&Failover::new(), &pool), Err(DbError::Reset));
        assert!(pool.iter().all(|db| db.calls() == 1));
    }

    #[tokio::test(start_paused = true)]
    async fn no_further_target_is_asked_once_the_deadline_has_passed() {
        let pool = three(Db::failing(DbError::Reset), Db::default(), Db::default());
        let slow = |db: Target<Db>| async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            db.get()
        };
        let own = Failover::new().deadline(Duration::from_secs(2));
        assert_eq!(own.call(&pool, slow).await, Err(DbError::Reset), "at exactly the deadline it has passed");
        let around = Deadline::after(Duration::from_secs(1)).scope(Failover::new().call(&pool, slow)).await;
        assert_eq!(around, Err(DbError::Reset));
        assert_eq!(db(&pool, "b").calls(), 0);
        assert_eq!(Failover::new().deadline(Duration::from_secs(9)).call(&pool, slow).await, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn the_body_sees_the_deadline_of_the_failover() {
        let pool = Pool::of([("a", ())]);
        let failover = Failover::new().deadline(Duration::from_secs(3));
        let seen = failover.call(&pool, |_| async {
            Ok::<_, ft_runtime::Error<std::io::Error>>(Deadline::current().map(Deadline::remaining))
        });
        assert_eq!(seen.await.unwrap(), Some(Duration::from_secs(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_spent_budget_stops_the_failover_and_our_own_refusals_cost_none() {
        static BUDGET: RetryBudget = RetryBudget::new().ratio(0.0).floor(2);
        let failover = Failover::new().budget(&BUDGET).eject_after(100);
        let open = three(Db::failing(DbError::CircuitOpen), Db::default(), Db::default());
        for _ in 0..5 {
            assert_eq!(get(&failover, &open), Ok(7));
        }
        let pool = three(Db::failing(DbError::Busy), Db::default(), Db::default());
        assert_eq!([(); 3].map(|()| get(&failover, &pool)), [Ok(7), Ok(7), Err(DbError::Busy)]);
    }

    #[test]
    fn sticky_calls_stay_where_they_went_until_it_fails() {
        let failover = Failover::new().prefer(Prefer::Sticky);
        let pool = three(Db::failing(DbError::Reset), Db::default(), Db::default());
        assert_eq!(get(&failover, &pool), Ok(7));
        db(&pool, "a").set(None);
        for _ in 0..3 {
            assert_eq!(get(&failover, &pool), Ok(7));
        }
        assert_eq!((db(&pool, "a").calls(), db(&pool, "b").calls()), (1, 4));
        db(&pool, "b").set(Some(DbError::Reset));
        for _ in 0..2 {
            assert_eq!(get(&failover, &pool), Ok(7));
        }
        assert_eq!((db(&pool, "a").calls(), db(&pool, "b").calls()), (3, 5));
    }

    #[test]
    fn a_value_that_is_not_good_enough_moves_on() {
        let pool = Pool::of([("a", 1), ("b", 2)]);
        let fresh = Failover::new().until(|value: &u32| *value > 1);
        let read = |target: Target<u32>| Ok::<_, DbError>(*target);
        assert_eq!(fresh.call_blocking(&pool, read), Ok(2));
    }
}

mod accounting {
    use super::*;

    #[test]
    fn five_failures_in_a_row_eject_and_an_answer_between_starts_the_row_again() {
        let pool = three(Db::failing(DbError::Reset), Db::default(), Db::default());
        let failover = Failover::new();
        let a = db(&pool, "a");
        for answer in [None, Some(DbError::Declined)] {
            a.set(Some(DbError::Reset));
            for _ in 0..4 {
                let _ = get(&failover, &pool);
            }
            assert_eq!(health(&pool, "a"), "suspect");
            a.set(answer);
            let _ = get(&failover, &pool);
            assert_eq!(health(&pool, "a"), "up", "{answer:?}");
        }
        a.set(Some(DbError::Refused));
        for _ in 0..9 {
            let _ = get(&failover, &pool);
        }
        assert_eq!((health(&pool, "a"), a.calls()), ("ejected", 15));
    }

    #[test]
    fn timeouts_count_throttling_and_our_own_refusals_do_not() {
        for (error, ejected) in [(DbError::TimedOut, true), (DbError::Busy, false), (DbError::CircuitOpen, false)] {
            let pool = three(Db::failing(error), Db::default(), Db::default());
            for _ in 0..20 {
                assert_eq!(get(&Failover::new(), &pool), Ok(7));
            }
            assert_eq!(health(&pool, "a") == "ejected", ejected, "{error:?}");
        }
    }

    #[test]
    fn the_last_target_is_never_ejected() {
        let pool = three(Db::failing(DbError::Reset), Db::failing(DbError::Reset), Db::failing(DbError::Reset));
        for _ in 0..50 {
            assert_eq!(get(&Failover::new(), &pool), Err(DbError::Reset));
        }
        let states: Vec<&str> = pool.snapshot().iter().map(|target| target.health.as_str()).collect();
        assert_eq!(states, ["ejected", "ejected", "suspect"]);
    }

    #[test]
    fn below_half_healthy_the_ejected_are_asked_too_but_after_the_healthy_and_never_the_disabled() {
        let pool = three(Db::failing(DbError::Reset), Db::failing(DbError::Reset), Db::default());
        for _ in 0..5 {
            assert_eq!(get(&Failover::new(), &pool), Ok(7));
        }
        let calls = |pool: &Pool<Db>| pool.iter().map(|db| db.calls()).collect::<Vec<_>>();
        assert_eq!(calls(&pool), [5, 5, 5]);
        assert_eq!(get(&Failover::new(), &pool), Ok(7));
        assert_eq!(calls(&pool), [5, 5, 6], "the healthy one first");

        db(&pool, "a").set(None);
        db(&pool, "c").set(Some(DbError::Reset));
        assert_eq!(get(&Failover::new(), &pool), Ok(7), "one of three is healthy, and it fails");
        assert_eq!(calls(&pool), [6, 5, 7]);
        assert_eq!(health(&pool, "a"), "warming", "an answer is an answer");

        pool.disable("b");
        db(&pool, "a").set(Some(DbError::Reset));
        assert_eq!(get(&Failover::new(), &pool), Err(DbError::Reset));
        assert_eq!(calls(&pool)[1], 5);
    }

    #[test]
    fn with_half_of_them_healthy_the_ejected_are_left_alone() {
        let pool = Pool::of([("a", Db::failing(DbError::Reset)), ("b", Db::default())]);
        for _ in 0..5 {
            assert_eq!(get(&Failover::new(), &pool), Ok(7));
        }
        db(&pool, "b").set(Some(DbError::Reset));
        assert_eq!(get(&Failover::new(), &pool), Err(DbError::Reset));
        assert_eq!((health(&pool, "a"), db(&pool, "a").calls()), ("ejected", 5));
    }

    #[test]
    fn a_draining_target_is_asked_only_when_nobody_healthy_is_left() {
        let pool = three(Db::default(), Db::default(), Db::default());
        pool.drain("a");
        assert_eq!(get(&Failover::new(), &pool), Ok(7));
        assert_eq!((db(&pool, "a").calls(), db(&pool, "b").calls()), (0, 1));
        pool.disable("b");
        pool.disable("c");
        assert_eq!(get(&Failover::new(), &pool), Ok(7));
        assert_eq!(db(&pool, "a").calls(), 1);
        pool.enable("b");
        assert_eq!(get(&Failover::new(), &pool), Ok(7));
        assert_eq!(db(&pool, "b").calls(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_comes_back_through_one_probe_and_a_growing_share() {
        let pool = Pool::of([("a", Db::failing(DbError::Reset)), ("b", Db::default())]);
        let failover = Failover::new().warm_for(Duration::from_secs(10));
        for _ in 0..5 {
            assert_eq!(get(&failover, &pool), Ok(7));
        }
        let a = db(&pool, "a");
        a.set(None);
        tokio::time::advance(Duration::from_millis(4_999)).await;
        assert_eq!((get(&failover, &pool), a.calls()), (Ok(7), 5));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!((get(&failover, &pool), a.calls()), (Ok(7), 6));
        assert_eq!(health(&pool, "a"), "warming");

        let share = |calls: u32| {
            let before = a.calls();
            (0..calls).for_each(|_| assert_eq!(get(&failover, &pool), Ok(7)));
            a.calls() - before
        };
        assert_eq!(share(100), 10);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(share(100), 50);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(share(100), 100);
        assert_eq!(health(&pool, "a"), "up");
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_at_a_time_probes_and_a_lost_probe_makes_room_after_one_ejection() {
        let pool = Pool::of([("a", Db::failing(DbError::Reset)), ("b", Db::default())]);
        let failover = Failover::new();
        for _ in 0..5 {
            assert_eq!(get(&failover, &pool), Ok(7));
        }
        tokio::time::advance(Duration::from_secs(5)).await;
        let start = || failover.over::<Result<u32, DbError>, _>(&pool).start();
        let asks = |candidates: &ft_runtime::Candidates<Pool<Db>, u32, DbError>| {
            candidates.current().unwrap().name().to_owned()
        };
        let probe = start();
        assert_eq!((asks(&probe), asks(&start())), ("a".into(), "b".into()));
        drop(probe);
        let probe = start();
        assert_eq!(asks(&probe), "a", "a probe that was dropped gives its place back");
        tokio::time::advance(Duration::from_secs(5)).await;
        let mut second = start();
        assert_eq!(asks(&second), "a", "the first one is lost");
        drop(probe);
        assert_eq!(asks(&start()), "b", "and its drop does not free the place of the second");
        assert!(!second.again(&Ok(7)));
        assert_eq!(health(&pool, "a"), "warming");
    }

    #[test]
    fn results_of_before_an_ejection_change_nothing_after_it() {
        let pool = Pool::of([("a", Db::default()), ("b", Db::default())]);
        let failover = Failover::new();
        let start = || failover.over::<Result<u32, DbError>, _>(&pool).start();
        let (mut late_success, mut late_failure) = (start(), start());
        db(&pool, "a").set(Some(DbError::Reset));
        for _ in 0..5 {
            assert_eq!(get(&failover, &pool), Ok(7));
        }
        assert!(!late_success.again(&Ok(7)));
        assert_eq!(health(&pool, "a"), "ejected");
        pool.enable("a");
        assert!(late_failure.again(&Err(DbError::Reset)), "it still moves on");
        assert_eq!(health(&pool, "a"), "up");
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_leaves_counts_for_nothing_and_a_call_that_a_limit_of_ours_cuts_off_for_a_failure() {
        let pool = three(Db::default(), Db::default(), Db::default());
        let failover = Failover::new().eject_after(1);
        let hang = |_| std::future::pending::<Result<u32, DbError>>();
        let second = Duration::from_secs(1);
        assert!(tokio::time::timeout(second, failover.call(&pool, hang)).await.is_err());
        assert_eq!(health(&pool, "a"), "up");
        let stuck = |_| std::future::pending::<Result<u32, Error<DbError>>>();
        let cut_off = Timeout::new(second).run(failover.call(&pool, stuck)).await;
        assert!(matches!(cut_off, Err(Error::Rejected(Rejected::TimedOut { .. }))), "{cut_off:?}");
        assert_eq!(health(&pool, "a"), "ejected");
    }
}

mod cancellation {
    use super::*;

    /// Fails at the first target, and waits before each answer.
    async fn call(pool: &Pool<Db>, failover: &Failover) -> Result<u32, DbError> {
        failover
            .call(pool, |db| async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                db.get()
            })
            .await
    }

    #[tokio::test(start_paused = true)]
    async fn dropped_at_any_await_a_call_leaves_nothing_behind() {
        for polls in 0..3 {
            let pool = Pool::of([("a", Db::failing(DbError::Reset)), ("b", Db::failing(DbError::Reset))]);
            let failover = Failover::new().eject_after(1).warm_for(Duration::ZERO);
            assert_eq!(get(&failover, &pool), Err(DbError::Reset));
            tokio::time::advance(Duration::from_secs(5)).await;
            let before = (health(&pool, "a"), health(&pool, "b"));
            assert_eq!(before, ("ejected", "suspect"));
            let probing = tokio::time::timeout(Duration::from_millis(500 + 1000 * polls), call(&pool, &failover));
            let _ = probing.await;
            // Whoever was on probation is free again, or ejected anew by the probe's own failure.
            let a = db(&pool, "a");
            let asked = a.calls();
            tokio::time::advance(Duration::from_secs(10)).await;
            let _ = get(&failover, &pool);
            assert_eq!(a.calls(), asked + 1, "after {polls} answers");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_charge_for_an_attempt_that_never_started_is_refunded() {
        static BUDGET: RetryBudget = RetryBudget::new().ratio(0.0).floor(1);
        let pool = three(Db::failing(DbError::Reset), Db::default(), Db::default());
        let failover = Failover::new().budget(&BUDGET);
        for _ in 0..3 {
            let mut candidates = failover.over::<Result<u32, DbError>, _>(&pool).start();
            assert!(candidates.again(&Err(DbError::Reset)));
            drop(candidates);
        }
        assert_eq!(get(&failover, &pool), Ok(7));
        assert_eq!(get(&failover, &pool), Err(DbError::Reset), "that one was spent");
    }
}

mod watching {
    use super::*;

    #[test]
    fn a_failover_is_told_and_filed_and_a_success_is_not() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let listening = observe::subscribe({
            let told = Arc::clone(&told);
            move |event| {
                if event.site == "watched" {
                    let line = match &event.what {
                        What::FailedOver { from, to, fault, .. } => format!("{from} -> {to}: {}", fault.kind),
                        What::Health { target, from, to } => format!("{target}: {from} -> {to}"),
                        What::GaveUp { attempts, reason, .. } => format!("gave up: {attempts}, {}", reason.as_str()),
                        What::Recovered { attempt } => format!("recovered: {attempt}"),
                        other => format!("{other:?}"),
                    };
                    told.lock().unwrap().push(line);
                }
            }
        });
        let site = site!("watched");
        let failover = Failover::new().eject_after(2).at(site);
        let pool = Pool::of([("a", Db::default()), ("b", Db::default())]);
        let get = || failover.call_blocking(&pool, |db| db.get());
        assert_eq!(get(), Ok(7));
        assert_eq!(told.lock().unwrap().len(), 0);

        db(&pool, "a").set(Some(DbError::Reset));
        assert_eq!((get(), get()), (Ok(7), Ok(7)));
        db(&pool, "b").set(Some(DbError::Refused));
        assert_eq!(get(), Err(DbError::Refused));
        drop(listening);
        let expected = [
            "a -> b: transient",
            "recovered: 2",
            "a: up -> ejected",
            "a -> b: transient",
            "recovered: 2",
            "gave up: 1, exhausted",
        ];
        assert_eq!(*told.lock().unwrap(), expected);

        let faults = site.faults();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert_eq!((faults[0].policy, faults[0].kind, faults[0].count), ("failover", FaultKind::Transient, 2));
        assert_eq!((faults[1].kind, faults[1].given_up), (FaultKind::Unsent, 1));
        assert_eq!(site.calls(), 4);
    }
}

mod building {
    use super::*;

    #[test]
    fn names_are_bounded_and_unique() {
        let error = |names: &[&str]| {
            let targets = names.iter().map(|name| (name.to_string(), ()));
            Pool::try_of(targets).map(|_| ()).unwrap_err().to_string()
        };
        assert_eq!(error(&["a", "b", "a"]), "two targets of a pool have the same name: \"a\"");
        assert_eq!(error(&[""]), "the name of a target must not be empty: \"\"");
        assert!(
            error(&[&"x".repeat(129)]).starts_with("the name of a target must not be longer than 128 bytes: \"xxx")
        );
        let many = (0..1025).map(|n| (n.to_string(), ()));
        assert_eq!(Pool::try_of(many).map(|_| ()).unwrap_err().to_string(), "a pool holds at most 1024 targets");
    }

    #[test]
    #[should_panic(expected = "two targets of a pool have the same name: \"a\"")]
    fn a_list_in_the_program_text_panics() {
        let _ = Pool::of([("a", 1), ("a", 2)]);
    }

    #[test]
    #[should_panic(expected = "a target is named twice")]
    fn a_function_is_listed_once() {
        let _ = Targets::new(["a", "b", "a"]);
    }

    #[test]
    fn a_view_of_a_pool_shares_its_health() {
        let pool = three(Db::failing(DbError::Reset), Db::default(), Db::default());
        let view = pool.map(|db| db.calls());
        for _ in 0..5 {
            assert_eq!(get(&Failover::new(), &pool), Ok(7));
        }
        assert_eq!(view.snapshot()[0].health.as_str(), "ejected");
    }
}
