//! Nothing is kept for ever, nothing goes unseen, and nothing goes that somebody executes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::World;
use crate::checkpoint::{
    Backend, Checkpoint, Claim, Claimed, Excess, Filter, Finish, Forgotten, Gc, Granted, KEPT_RUNS, Lease, Left,
    PRUNED_AT_ONCE, RunStatus,
};
use crate::observe::{self, What};
use crate::{Error, site};

const HOUR: i64 = 60 * 60 * 1000;

/// A run that is kept for two hours while it is not finished.
fn claim(store: &dyn Backend, run: &str, at: i64) -> Granted {
    let keep_unfinished = Duration::from_secs(2 * 60 * 60);
    match store.claim(Claim { keep_unfinished, at, ..Claim::new(run, "work") }).wait().unwrap() {
        Claimed::Granted(granted) => granted,
        other => panic!("not granted: {other:?}"),
    }
}

fn fail(store: &dyn Backend, run: &str, at: i64) {
    let token = claim(store, run, at).token;
    store.release(Lease::new(run, token), at, Left::Failed).wait().unwrap();
}

fn finish(store: &dyn Backend, run: &str, at: i64) {
    let token = claim(store, run, at).token;
    let finish = Finish { at, expires_at: Some(at + HOUR), ..Finish::new(Lease::new(run, token), *b"out") };
    store.finish(finish).wait().unwrap();
}

fn ids(store: &dyn Backend) -> Vec<String> {
    store.list(Filter::default()).wait().unwrap().into_iter().map(|run| run.run).collect()
}

#[test]
fn a_run_that_failed_or_died_is_forgotten_when_its_time_is_over_and_a_living_one_is_not() {
    for world in World::all() {
        let (store, dying) = (world.owner(), world.owner());
        fail(&*store, "failed", 0);
        claim(&*dying, "died", 0);
        drop(dying);
        claim(&*store, "living", 0);
        assert_eq!(claim(&*store, "other", 2 * HOUR - 1).forgotten, []);
        let mut forgotten = claim(&*store, "late", 2 * HOUR).forgotten;
        forgotten.sort_by(|a, b| a.run.cmp(&b.run));
        let expected = ["died", "failed"].map(|run| Forgotten::new(run, RunStatus::Running, Excess::Age));
        assert_eq!(forgotten, expected);
        assert_eq!(ids(&*store), ["late", "living", "other"]);
    }
}

#[test]
fn the_time_of_a_run_counts_from_when_it_was_touched_last() {
    for world in World::all() {
        let store = world.owner();
        // Executed for longer than a failed run is kept; it fails only now.
        let token = claim(&*store, "long", 0).token;
        store.release(Lease::new("long", token), 5 * HOUR, Left::Failed).wait().unwrap();
        // Killed, but its step is not that old.
        let dying = world.owner();
        let token = claim(&*dying, "recorded", 0).token;
        let step = crate::checkpoint::Step {
            at: 5 * HOUR,
            ..crate::checkpoint::Step::new(Lease::new("recorded", token), "s", *b"v")
        };
        let _ = dying.append(vec![step]).wait().unwrap();
        drop(dying);
        assert_eq!(claim(&*store, "other", 6 * HOUR).forgotten, []);
        assert_eq!(claim(&*store, "another", 7 * HOUR).forgotten.len(), 2);
    }
}

#[test]
fn a_run_that_is_past_its_time_and_still_there_goes_on() {
    for world in World::all() {
        let store = world.owner();
        fail(&*store, "r", 0);
        assert_eq!(claim(&*store, "r", 9 * HOUR).attempts, 2);
    }
}

#[test]
fn of_too_many_failed_runs_the_oldest_are_forgotten_and_named() {
    for world in World::all() {
        let store = world.owner();
        claim(&*store, "living", 0);
        let mut forgotten = Vec::new();
        for n in 0..3 * KEPT_RUNS as i64 {
            let run = format!("r{n:02}");
            let granted = claim(&*store, &run, n);
            store.release(Lease::new(&*run, granted.token), n, Left::Failed).wait().unwrap();
            forgotten.extend(granted.forgotten);
        }
        let kept = ids(&*store);
        assert!(kept.len() <= KEPT_RUNS + 2 * PRUNED_AT_ONCE, "{} are kept", kept.len());
        assert!(kept.contains(&"living".into()) && kept.contains(&"r23".into()), "{kept:?}");
        assert_eq!(forgotten[0], Forgotten::new("r00", RunStatus::Running, Excess::Number));
        assert_eq!(forgotten.len() + kept.len(), 3 * KEPT_RUNS + 1, "each one that is gone was named");
    }
}

#[tokio::test]
async fn each_run_that_is_forgotten_is_an_event() {
    for world in World::all() {
        let store = world.store();
        let brief = |run: &'static str| {
            let policy = Checkpoint::new().keep_unfinished(Duration::ZERO);
            policy.run(run).named("work").calls::<Result<u32, Error<&'static str>>>().at(site!("forgets").enter())
        };
        store.scope(brief("r").run(async { Err(Error::Failed("crash")) })).await.unwrap_err();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hear = Arc::clone(&heard);
        let _listening = observe::subscribe(move |event| {
            if let ("forgets", What::Forgotten { run, status, why }) = (event.site, &event.what) {
                hear.lock().unwrap().push(format!("{run}/{status}/{why}"));
            }
        });
        store.scope(brief("other").run(async { Ok(1) })).await.unwrap();
        assert_eq!(*heard.lock().unwrap(), ["r/running/age"]);
    }
}

/// Deletes on every kind of store, and expects the same of each.
fn collected(gc: impl Fn() -> Gc) -> (Vec<String>, bool, Vec<String>) {
    let answers = World::all().into_iter().map(|world| {
        let store = world.owner();
        for n in 0..3 {
            fail(&*store, &format!("failed-{n}"), n * HOUR / 4);
            finish(&*store, &format!("done-{n}"), n * HOUR / 4);
        }
        claim(&*store, "living", 0);
        let collected = store.gc(Gc { at: HOUR, ..gc() }).wait().unwrap();
        (collected.runs.into_iter().map(|run| run.run).collect(), collected.more, ids(&*store))
    });
    let mut answers: Vec<_> = answers.collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    answers.remove(0)
}

#[test]
fn gc_deletes_by_age_and_by_number_of_each_status_and_says_what() {
    let all = ["done-0", "done-1", "done-2", "failed-0", "failed-1", "failed-2", "living"];
    let (gone, more, left) = collected(Gc::new);
    assert_eq!((gone, more, left), (vec!["done-0".into()], false, all[1..].iter().map(|id| id.to_string()).collect()));

    let gone = |gc: Gc| collected(|| gc.clone()).0;
    let minutes = |n: u64| Duration::from_secs(60 * n);
    assert_eq!(gone(Gc::new().older_than(RunStatus::Running, minutes(45))), ["done-0", "failed-0", "failed-1"]);
    assert_eq!(gone(Gc::new().older_than(RunStatus::Finished, minutes(30))), ["done-0", "done-1", "done-2"]);
    assert_eq!(gone(Gc::new().at_most(RunStatus::Finished, 1)), ["done-0", "done-1"]);
    assert_eq!(gone(Gc::new().at_most(RunStatus::Running, 0).prefix("failed-")), ["failed-0", "failed-1", "failed-2"]);

    let (gone, more, left) = collected(|| Gc::new().at_most(RunStatus::Finished, 0).limit(2));
    assert_eq!((gone, more, left.len()), (vec!["done-0".into(), "done-1".into()], true, 5));
    let (gone, _, left) = collected(|| Gc::new().dry_run(true));
    assert_eq!((gone, left), (vec!["done-0".into()], all.map(String::from).to_vec()));
}
