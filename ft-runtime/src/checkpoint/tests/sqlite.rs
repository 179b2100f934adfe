//! What is special to the embedded store.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use super::World;
use crate::checkpoint::sqlite::Sqlite;
use crate::checkpoint::{
    Appended, Arguments, Backend, Checkpoint, CheckpointError, Claim, Claimed, Filter, InputHash, Lease, Left, Step,
    Store, StoreError, Ticket,
};
use crate::{Deadline, Error, Rejected, site};

type Out = Result<u32, Error<&'static str>>;

fn open(world: &World) -> Sqlite {
    Sqlite::open_as_new_owner(&world.path()).unwrap()
}

fn claim(run: &str) -> Claim {
    Claim {
        run: run.into(),
        function: "work".into(),
        version: 0,
        upgrades: false,
        arguments: Arguments::default(),
        input: None,
        again: false,
        max_recoveries: 10,
        keep_unfinished: Duration::from_secs(3600),
        at: 0,
    }
}

fn append(store: &Sqlite, run: &str, key: String) -> Ticket<Vec<Appended>> {
    append_with(store, run, 1, key)
}

fn append_with(store: &Sqlite, run: &str, token: u64, key: String) -> Ticket<Vec<Appended>> {
    store.append(vec![step(run, token, key)])
}

fn step(run: &str, token: u64, key: String) -> Step {
    Step {
        lease: Lease { run: run.into(), token },
        key: key.into(),
        schema: 0,
        input: InputHash::default(),
        value: Arc::from(*b"value"),
        version: 0,
        at: 0,
    }
}

#[test]
fn steps_of_many_producers_share_one_commit() {
    let world = World::sqlite();
    let store = open(&world);
    let _ = store.claim(claim("r")).wait().unwrap();
    let before = store.commits();
    let tickets: Vec<_> = store.while_stalled(|| (0..64).map(|n| append(&store, "r", format!("s#{n}"))).collect());
    for (n, ticket) in tickets.into_iter().enumerate() {
        assert_eq!(ticket.wait().unwrap(), [Appended::Recorded { seq: n as u64 + 1 }]);
    }
    assert_eq!(store.commits() - before, 1);
}

#[test]
fn what_is_enqueued_is_written_though_nobody_waits_and_the_store_is_dropped() {
    let world = World::sqlite();
    let store = open(&world);
    store.while_stalled(|| {
        drop(store.claim(claim("r")));
        drop(append(&store, "r", "s#1".into()));
    });
    drop(store);
    assert_eq!(open(&world).steps("r").wait().unwrap().len(), 1);
}

#[test]
fn a_failed_commit_answers_every_waiter_with_the_error_and_nothing_of_it_is_kept() {
    let world = World::sqlite();
    let store = open(&world);
    let _ = store.claim(claim("r")).wait().unwrap();
    let tickets: Vec<_> = store.while_stalled(|| {
        store.fail_next_commit();
        (0..3).map(|n| append(&store, "r", format!("s#{n}"))).collect()
    });
    for ticket in tickets {
        assert!(matches!(ticket.wait(), Err(StoreError::Failed { .. })));
    }
    // The connection was opened and read again before this is acknowledged.
    assert_eq!(append(&store, "r", "s#9".into()).wait().unwrap(), [Appended::Recorded { seq: 1 }]);
    assert_eq!(store.steps("r").wait().unwrap().len(), 1);
}

#[test]
fn a_release_that_could_not_be_written_does_not_keep_the_run_from_its_own_process() {
    let world = World::sqlite();
    let store = open(&world);
    let _ = store.claim(claim("r")).wait().unwrap();
    store.fail_next_commit();
    assert!(store.release(Lease { run: "r".into(), token: 1 }, 0, Left::Failed).wait().is_err());
    assert!(matches!(store.claim(claim("r")).wait().unwrap(), Claimed::Granted(granted) if granted.token == 2));
}

#[test]
fn one_path_opened_twice_in_a_process_is_one_store() {
    let world = World::sqlite();
    fs::create_dir(world.scratch.join("sub")).unwrap();
    let first = Store::open(&format!("sqlite:{}", world.path().display())).unwrap();
    let second = Store::open(&format!("sqlite:{}", world.scratch.join("sub/../ft.db").display())).unwrap();
    assert!(Arc::ptr_eq(first.backend(), second.backend()));
    assert!(Arc::ptr_eq(first.backend(), Store::open(first.url()).unwrap().backend()));
}

#[test]
fn missing_directories_are_made() {
    let world = World::sqlite();
    let path = world.scratch.join("a/b/ft.db");
    let store = Store::open(&format!("sqlite:{}", path.display())).unwrap();
    assert!(path.is_file());
    drop(store);
    let left = fs::read_dir(world.scratch.join("a/b")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.collect();
    assert!(
        left.iter().all(|name| ["ft.db", "ft.db.mark", "ft.db.owners"].iter().any(|known| name == known)),
        "{left:?}"
    );
}

#[test]
fn two_processes_may_write_to_one_file_at_the_same_time() {
    let world = World::sqlite();
    let write = |name: &'static str| {
        let store = open(&world);
        move || {
            let Claimed::Granted(granted) = store.claim(claim(name)).wait().unwrap() else { panic!("not granted") };
            for n in 0..50 {
                let appended = append_with(&store, name, granted.token, format!("s#{n}")).wait().unwrap();
                assert_eq!(appended, [Appended::Recorded { seq: n + 1 }]);
            }
        }
    };
    let threads = [write("a"), write("b")].map(thread::spawn);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let store = open(&world);
    assert_eq!(store.steps("a").wait().unwrap().len(), 50);
    assert_eq!(store.steps("b").wait().unwrap().len(), 50);
}

#[test]
fn a_panic_in_a_request_is_its_own_answer_and_nothing_of_it_is_kept() {
    for is_trusted in [false, true] {
        let world = World::sqlite();
        let store = open(&world);
        let (before, panicked, after) =
            store.while_stalled(|| (store.claim(claim("a")), store.panic(is_trusted), store.claim(claim("b"))));
        assert!(matches!(before.wait(), Ok(Claimed::Granted(_))));
        let error = panicked.wait().unwrap_err();
        assert!(matches!(&error, StoreError::Failed { reason, .. } if reason == "it panicked: asked to"), "{error:?}");
        assert!(matches!(after.wait(), Ok(Claimed::Granted(_))));
        assert_eq!(store.list(Filter::default()).wait().unwrap().len(), 2);
    }
}

#[test]
fn a_step_of_a_damaged_run_spoils_nothing_else_of_its_batch() {
    let world = World::sqlite();
    let store = open(&world);
    for (run, token) in [("bad", 1), ("good", 2)] {
        let _ = store.claim(claim(run)).wait().unwrap();
        assert_eq!(append_with(&store, run, token, "first".into()).wait().unwrap(), [Appended::Recorded { seq: 1 }]);
    }
    world.tamper("UPDATE ft_run SET steps = 0 WHERE run = 'bad'");
    let commits = store.commits();
    let (claimed, again, good, bad, after, stale) = store.while_stalled(|| {
        (
            store.claim(claim("new")),
            store.claim(claim("new")),
            append_with(&store, "good", 2, "second".into()),
            append_with(&store, "bad", 1, "second".into()),
            append_with(&store, "good", 2, "third".into()),
            append_with(&store, "good", 1, "stale".into()),
        )
    });
    assert!(matches!(claimed.wait(), Ok(Claimed::Granted(granted)) if granted.token == 3));
    assert!(matches!(again.wait(), Ok(Claimed::Busy { .. })));
    assert_eq!(good.wait().unwrap(), [Appended::Recorded { seq: 2 }]);
    assert!(matches!(bad.wait(), Err(StoreError::Damaged { .. })));
    assert_eq!(after.wait().unwrap(), [Appended::Recorded { seq: 3 }]);
    assert!(matches!(stale.wait().unwrap().as_slice(), [Appended::Fenced { .. }]));
    assert_eq!(store.commits(), commits + 1, "what was rolled back is committed with the others");
    let keys = |run| store.steps(run).wait().unwrap().into_iter().map(|step| step.key.to_string()).collect::<Vec<_>>();
    assert_eq!(
        (keys("good"), keys("bad")),
        (["first", "second", "third"].map(str::to_owned).into(), vec!["first".into()])
    );
    world.tamper("UPDATE ft_run SET steps = 1 WHERE run = 'bad'");
    assert_eq!(append_with(&store, "bad", 1, "second".into()).wait().unwrap(), [Appended::Recorded { seq: 2 }]);
}

#[test]
fn a_step_that_is_there_already_takes_no_number_and_does_not_count_as_getting_further() {
    let world = World::sqlite();
    let store = open(&world);
    let _ = store.claim(claim("r")).wait().unwrap();
    let _ = append(&store, "r", "a".into()).wait().unwrap();
    world.tamper("UPDATE ft_run SET recoveries = 2, updated_at = -7200000");
    let before = store.list(Filter::default()).wait().unwrap();
    assert!(matches!(append(&store, "r", "a".into()).wait().unwrap().as_slice(), [Appended::Already(_)]));
    assert_eq!(store.list(Filter::default()).wait().unwrap(), before);
    assert_eq!(append(&store, "r", "b".into()).wait().unwrap(), [Appended::Recorded { seq: 2 }]);
    let after = store.list(Filter::default()).wait().unwrap();
    assert_eq!(after[0].recoveries, 0);
    assert!(after[0].updated_at > before[0].updated_at);
}

#[test]
fn an_heir_that_panics_takes_no_other_answer_with_it() {
    let world = World::sqlite();
    let store = open(&world);
    let after = store.while_stalled(|| {
        store.claim(claim("a")).abandon(|_| panic!("the heir"));
        store.claim(claim("b"))
    });
    assert!(matches!(after.wait(), Ok(Claimed::Granted(_))));
    assert_eq!(store.list(Filter::default()).wait().unwrap().len(), 2);
}

#[test]
fn of_steps_handed_over_together_none_is_kept_when_one_meets_a_senseless_row() {
    let world = World::sqlite();
    let store = open(&world);
    let _ = store.claim(claim("r")).wait().unwrap();
    let _ = append(&store, "r", "damaged".into()).wait().unwrap();
    world.tamper("UPDATE ft_step SET input = x'00'");
    let both = ["new", "damaged"].map(|key| step("r", 1, key.into())).to_vec();
    assert!(matches!(store.append(both).wait(), Err(StoreError::Damaged { .. })));
    world.tamper("UPDATE ft_step SET input = zeroblob(16)");
    assert_eq!(store.steps("r").wait().unwrap().len(), 1);
}

#[test]
fn many_processes_may_open_a_new_store_at_once() {
    let open_and_use = |path: &std::path::Path, run: String| -> Result<bool, StoreError> {
        let store = Sqlite::open_as_new_owner(path)?;
        Ok(matches!(store.claim(claim(&run)).wait()?, Claimed::Granted(_)))
    };
    for _ in 0..10 {
        let world = World::sqlite();
        let (path, gate) = (world.path(), Barrier::new(8));
        thread::scope(|scope| {
            let opening = (0..8).map(|n| {
                let (path, gate) = (&path, &gate);
                scope.spawn(move || {
                    gate.wait();
                    open_and_use(path, format!("r{n}"))
                })
            });
            let opening: Vec<_> = opening.collect();
            let opened = opening.into_iter().map(|thread| thread.join().unwrap());
            assert_eq!(opened.collect::<Vec<_>>(), vec![Ok(true); 8]);
        });
        assert_eq!(open(&world).list(Filter::default()).wait().unwrap().len(), 8);
    }
}

#[test]
fn an_abandoned_claim_is_given_back_even_from_the_writers_own_thread() {
    let world = World::sqlite();
    let store = Arc::new(open(&world));
    let heir = Arc::clone(&store);
    store.while_stalled(|| {
        store.claim(claim("r")).abandon(move |claimed| {
            let Ok(Claimed::Granted(granted)) = claimed else { panic!("{claimed:?}") };
            drop(heir.release(Lease { run: "r".into(), token: granted.token }, 0, Left::Failed));
        });
    });
    // The second claim may be in the batch of the first, before the release: then it is told so.
    let granted = std::iter::repeat_with(|| store.claim(claim("r")).wait().unwrap()).take(3);
    assert!(granted.into_iter().any(|claimed| matches!(claimed, Claimed::Granted(_))));
}

#[test]
fn a_read_waits_for_the_writes_before_it_and_for_no_commit_after_it() {
    let world = World::sqlite();
    let store = open(&world);
    let _ = store.claim(claim("r")).wait().unwrap();
    let (early, written, late) = store.while_stalled(|| {
        // Nothing is under way: the writer is not needed.
        let early = store.steps("r").wait().unwrap();
        let written = append(&store, "r", "s#1".into());
        (early, written, store.steps("r"))
    });
    let _ = written.wait().unwrap();
    assert_eq!((early.len(), late.wait().unwrap().len()), (0, 1));
}

#[test]
fn a_read_that_fails_is_its_own_answer_and_the_next_one_is_answered() {
    let world = World::sqlite();
    let store = open(&world);
    let _ = store.claim(claim("r")).wait().unwrap();
    world.tamper("UPDATE ft_run SET status = 'asleep'");
    assert!(matches!(store.list(Filter::default()).wait(), Err(StoreError::Damaged { .. })));
    world.tamper("UPDATE ft_run SET status = 'running'");
    assert_eq!(store.list(Filter::default()).wait().unwrap().len(), 1);
}

/// Fills the queue to its bound.
fn fill(store: &Sqlite) {
    let mut number = 0;
    while store.full().is_none() {
        number += 1;
        drop(append(store, "r", format!("filling#{number}")));
    }
}

#[tokio::test]
async fn a_full_queue_makes_a_step_wait_without_its_thread_and_before_its_body() {
    let world = World::sqlite();
    let sqlite = Arc::new(open(&world));
    let store = Store::from_backend(sqlite.clone());
    let done = store.scope(Checkpoint::new().run("r").named("work").calls::<Out>().run(async {
        let ran = AtomicBool::new(false);
        let step = Checkpoint::new().step("s").at(site!().enter()).calls::<Out>();
        let mut step = std::pin::pin!(step.run(async {
            ran.store(true, Ordering::Relaxed);
            Ok(7)
        }));
        sqlite.while_stalled(|| {
            fill(&sqlite);
            for _ in 0..3 {
                assert!(step.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
        });
        assert!(!ran.load(Ordering::Relaxed), "the body ran though its result could not be handed over");
        step.await
    }));
    assert_eq!(done.await.unwrap(), 7);
}

#[test]
fn a_full_queue_blocks_a_blocking_caller_until_there_is_room() {
    let world = World::sqlite();
    let sqlite = Arc::new(open(&world));
    let store = Store::from_backend(sqlite.clone());
    let (send, ended) = mpsc::channel();
    let blocked = sqlite.while_stalled(|| {
        fill(&sqlite);
        let blocked = thread::spawn(move || {
            let run = Checkpoint::new().run("other").named("work").calls::<Out>();
            send.send(store.scope_blocking(|| run.run_blocking(|| Ok(7)))).unwrap();
        });
        // It must not have claimed anything while the queue is full.
        thread::yield_now();
        assert!(ended.try_recv().is_err());
        blocked
    });
    assert_eq!(ended.recv().unwrap().unwrap(), 7);
    blocked.join().unwrap();
}

#[tokio::test]
async fn a_deadline_ends_the_wait_for_a_record_which_is_written_and_found_by_the_next_call() {
    let world = World::sqlite();
    let sqlite = Arc::new(open(&world));
    let store = Store::from_backend(sqlite.clone());
    let ran = AtomicU32::new(0);
    let call = || {
        let step = Checkpoint::new().step("s").key(&1).at(site!().enter()).calls::<Out>();
        step.run(async { Ok(ran.fetch_add(1, Ordering::Relaxed)) })
    };
    let done = store.scope(Checkpoint::new().run("r").named("work").calls::<Out>().run(async {
        // The writer stays away until the deadline has passed.
        sqlite.stall(true);
        let late = Deadline::after(Duration::from_millis(1)).scope(call()).await;
        sqlite.stall(false);
        let Err(Error::Rejected(Rejected::Checkpoint(error))) = late else { panic!("{late:?}") };
        assert_eq!(*error, CheckpointError::Store(StoreError::DeadlinePassed));
        call().await
    }));
    assert_eq!(done.await.unwrap(), 0);
    assert_eq!((ran.load(Ordering::Relaxed), store.steps("r").await.unwrap().len()), (1, 1));
}

#[tokio::test]
async fn a_claim_that_is_granted_after_the_deadline_is_given_back() {
    let world = World::sqlite();
    let sqlite = Arc::new(open(&world));
    let store = Store::from_backend(sqlite.clone());
    let run = || Checkpoint::new().run("r").named("work").calls::<Out>();
    sqlite.stall(true);
    let late = store.scope(Deadline::after(Duration::from_millis(1)).scope(run().run(async { Ok(1) }))).await;
    sqlite.stall(false);
    assert!(matches!(late, Err(Error::Rejected(Rejected::Checkpoint(_)))), "{late:?}");
    let _ = store.runs(Filter::default()).await;
    let _ = store.runs(Filter::default()).await;
    assert_eq!(store.scope(run().run(async { Ok(2) })).await.unwrap(), 2);
}
