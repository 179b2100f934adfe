//! Which runs nobody executes any more, and what is recorded to go on with them.

use std::sync::Arc;

use super::World;
use crate::checkpoint::envelope::{Envelope, Place, seal};
use crate::checkpoint::{
    Abandoned, Backend, Claim, Claimed, Filter, Finish, Lease, Left, RunRecord, RunStatus, Step, StoreError,
};

fn claim(store: &dyn Backend, run: &str, at: i64) -> Lease {
    granted(store, Claim { at, ..Claim::new(run, "work") })
}

#[track_caller]
fn granted(store: &dyn Backend, claim: Claim) -> Lease {
    let run = Arc::clone(&claim.run);
    match store.claim(claim).wait().unwrap() {
        Claimed::Granted(granted) => Lease { run, token: granted.token },
        other => panic!("not granted: {other:?}"),
    }
}

fn abandoned(store: &dyn Backend, abandoned: Abandoned) -> Vec<RunRecord> {
    store.abandoned(abandoned).wait().unwrap()
}

fn names(runs: &[RunRecord]) -> Vec<&str> {
    runs.iter().map(|run| &*run.run).collect()
}

fn input(run: &str, value: u32) -> Arc<[u8]> {
    seal(&value, 0, &Place::Input { run }).unwrap().into()
}

#[test]
fn runs_of_the_dead_and_interrupted_ones_are_abandoned_and_no_others() {
    for world in World::all() {
        let (dies, lives) = (world.owner(), world.owner());
        claim(&*dies, "dead", 5000);
        claim(&*lives, "executed", 1000);
        lives.release(claim(&*lives, "failed", 1000), 1000, Left::Failed).wait().unwrap();
        lives.release(claim(&*lives, "interrupted", 1000), 4000, Left::Interrupted).wait().unwrap();
        lives.finish(Finish::new(claim(&*lives, "finished", 1000), *b"out")).wait().unwrap();
        lives.release(claim(&*lives, "cancelled", 1000), 1000, Left::Interrupted).wait().unwrap();
        assert_eq!(lives.cancel("cancelled", 2000).wait(), Ok(true));
        let forked = claim(&*lives, "origin", 1000);
        let _ = lives.append(vec![Step::new(forked.clone(), "a", input("x", 1))]).wait().unwrap();

        assert_eq!(names(&abandoned(&*lives, Abandoned::new())), ["interrupted"], "all owners live");
        assert_eq!(names(&abandoned(&*dies, Abandoned::new())), ["interrupted"]);
        drop(dies);
        let left = abandoned(&*lives, Abandoned::new());
        assert_eq!(names(&left), ["interrupted", "dead"], "the one touched longest ago first");
        assert_eq!(
            left.iter().map(|run| (run.interrupted, run.owner.is_some())).collect::<Vec<_>>(),
            [(true, false), (false, true)]
        );

        // Whoever goes on with them executes them.
        claim(&*lives, "interrupted", 6000);
        claim(&*lives, "dead", 6000);
        assert!(abandoned(&*lives, Abandoned::new()).is_empty());
    }
}

#[test]
fn abandoned_runs_are_asked_for_by_function_and_page() {
    for world in World::all() {
        let store = world.owner();
        for (at, run, function) in [(1000, "b", "one"), (1000, "a", "one"), (500, "c", "two"), (2000, "0", "one")] {
            let lease = granted(&*store, Claim { at, ..Claim::new(run, function) });
            store.release(lease, at, Left::Interrupted).wait().unwrap();
        }
        let of = |asked: Abandoned| abandoned(&*store, asked);
        assert_eq!(names(&of(Abandoned::new())), ["c", "a", "b", "0"]);
        assert_eq!(names(&of(Abandoned::new().functions(["two", "none"]))), ["c"]);
        assert!(of(Abandoned::new().functions(Vec::<String>::new())).is_empty());
        let first = of(Abandoned::new().functions(["one"]).limit(1));
        assert_eq!(names(&first), ["a"]);
        assert_eq!(names(&of(Abandoned::new().functions(["one"]).after(&first[0]))), ["b", "0"]);
    }
}

#[test]
fn a_run_of_this_process_that_could_not_be_given_back_is_abandoned() {
    let world = World::sqlite();
    let store = crate::checkpoint::sqlite::Sqlite::open_as_new_owner(&world.path()).unwrap();
    let lease = claim(&store, "r", 1000);
    store.fail_next_commit();
    store.release(lease, 2000, Left::Interrupted).wait().unwrap_err();
    assert_eq!(names(&abandoned(&store, Abandoned::new())), ["r"]);
}

#[test]
fn an_interruption_is_no_recovery_and_a_failure_counts_them_from_none_again() {
    for world in World::all() {
        let recoveries = || world.owner().list(Filter::default()).wait().unwrap()[0].recoveries;
        let dies = world.owner();
        claim(&*dies, "r", 1000);
        drop(dies);
        let store = world.owner();
        let lease = claim(&*store, "r", 2000);
        assert_eq!(recoveries(), 1);
        store.release(lease, 2000, Left::Interrupted).wait().unwrap();
        let lease = claim(&*store, "r", 3000);
        assert_eq!(recoveries(), 1, "it may still be what kills its process");
        assert!(!store.list(Filter::default()).wait().unwrap()[0].interrupted);
        store.release(lease, 3000, Left::Failed).wait().unwrap();
        assert_eq!(recoveries(), 0);
    }
}

#[test]
fn a_parked_run_goes_on_by_itself_once_it_may() {
    for world in World::all() {
        let dies = world.owner();
        claim(&*dies, "r", 1000);
        drop(dies);
        let store = world.owner();
        let parked = store.claim(Claim { max_recoveries: 0, ..Claim::new("r", "work") }).wait().unwrap();
        assert_eq!(parked, Claimed::Parked { recoveries: 0, now: true });
        assert!(abandoned(&*store, Abandoned::new()).is_empty());
        assert_eq!(store.resume("r", 2000).wait(), Ok(true));
        assert_eq!(names(&abandoned(&*store, Abandoned::new())), ["r"]);
    }
}

#[test]
fn another_version_neither_takes_a_run_of_the_dead_nor_parks_it() {
    for world in World::all() {
        let dies = world.owner();
        claim(&*dies, "r", 1000);
        drop(dies);
        let store = world.owner();
        let newer = Claim { version: 2, max_recoveries: 0, ..Claim::new("r", "work") };
        assert_eq!(store.claim(newer).wait().unwrap(), Claimed::OtherVersion { recorded: 0 });
        let left = abandoned(&*store, Abandoned::new());
        assert_eq!((left[0].status, left[0].recoveries), (RunStatus::Running, 0));
    }
}

#[test]
fn arguments_are_recorded_when_a_run_starts_and_stay_as_they_were() {
    for world in World::all() {
        let store = world.owner();
        let with = |value| Claim { input: Some(input("r", value)), ..Claim::new("r", "work") };
        let lease = granted(&*store, with(1));
        assert_eq!(store.input("r").wait(), Ok(Some(input("r", 1))));
        assert_eq!(store.input("nobody").wait(), Ok(None));
        store.release(lease, 2000, Left::Failed).wait().unwrap();
        let lease = granted(&*store, with(2));
        assert_eq!(store.input("r").wait(), Ok(Some(input("r", 1))));
        let len = store.list(Filter::default()).wait().unwrap()[0].input_len;
        assert_eq!(len, Some(input("r", 1).len() as u64));

        // A finished run that starts again has those that it starts with.
        store.finish(Finish::new(lease, *b"out")).wait().unwrap();
        let lease = granted(&*store, Claim { again: true, ..with(3) });
        assert_eq!(store.input("r").wait(), Ok(Some(input("r", 3))));
        store.finish(Finish::new(lease, *b"out")).wait().unwrap();
        let lease = granted(&*store, Claim { again: true, ..Claim::new("r", "work") });
        assert_eq!(store.input("r").wait(), Ok(None));

        // One that was started by code that did not record them yet gets them from code that does.
        store.release(lease, 2000, Left::Failed).wait().unwrap();
        granted(&*store, with(4));
        assert_eq!(store.input("r").wait(), Ok(Some(input("r", 4))));
        assert!(store.list(Filter::default()).wait().unwrap()[0].input_len.is_some());
    }
}

#[test]
fn a_fork_has_the_arguments_of_its_origin() {
    for world in World::all() {
        let store = world.store();
        let lease = granted(&**store.backend(), Claim { input: Some(input("r", 7)), ..Claim::new("r", "work") });
        let value =
            seal(&1, 0, &Place::Step { incarnation: lease.token, run: "r", key: "a", input: Default::default() });
        let _ = store.backend().append(vec![Step::new(lease, "a", value.unwrap())]).wait().unwrap();
        let fork = store.fork("r", "a", "again").wait().unwrap();
        let copied = store.input("again").wait().unwrap().unwrap();
        assert_eq!(Envelope::parse(&copied, &Place::Input { run: "again" }).unwrap().decode(0), Ok(7));
        assert_eq!(fork.input_len, Some(copied.len() as u64));
        assert_eq!(store.runs(Filter::default().prefix("again")).wait().unwrap(), [fork]);
        assert!(abandoned(&**store.backend(), Abandoned::new()).is_empty(), "it waits for its first caller");
    }
}

#[test]
fn damaged_arguments_are_not_copied() {
    let world = World::sqlite();
    let store = world.store();
    let lease = granted(&**store.backend(), Claim { input: Some(input("r", 7)), ..Claim::new("r", "work") });
    let _ = store.backend().append(vec![Step::new(lease, "a", *b"v")]).wait().unwrap();
    world.tamper("UPDATE ft_run SET input = substr(input, 1, 28) || x'08'");
    let refused = store.fork("r", "a", "again").wait();
    assert!(
        matches!(&refused, Err(StoreError::Unreadable { run, step, .. }) if run == "r" && step == "its recorded arguments"),
        "{refused:?}"
    );
}

#[test]
fn whoever_waits_for_runs_that_are_left_is_woken_where_the_store_can() {
    for world in World::all() {
        let (leaves, waits) = (world.owner(), world.owner());
        let Some(first) = waits.wake() else { continue };
        let ticket = waits.wake().unwrap();
        assert!(matches!(first.wait(), Err(StoreError::Closed { .. })), "one ticket for each owner");
        leaves.release(claim(&*leaves, "r", 1000), 1000, Left::Interrupted).wait().unwrap();
        assert_eq!(ticket.wait(), Ok(()));
        let ticket = waits.wake().unwrap();
        drop(leaves);
        assert_eq!(ticket.wait(), Ok(()), "its owner died");
    }
}
