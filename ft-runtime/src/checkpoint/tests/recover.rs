//! Runs that go on by themselves.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Kind, World};
use crate::checkpoint::record::unix_now;
use crate::checkpoint::sealing::Sealing;
use crate::checkpoint::{
    Checkpoint, CheckpointError, Claim, Claimed, Filter, HTTP_FUNCTION, Inputs, Lease, Left, LeftRun, Recovered,
    Recovery, RunRecord, RunStatus, Shutdown, Start, Store, Value, ValueError, WhyLeft, envelope, sleep,
};
use crate::observe::{self, What};
use crate::{Error, Saved, checkpoint, site};

type Failed = Error<&'static str>;
type Out = Result<u32, Failed>;

/// What `work` has done, by run.
static DONE: Mutex<Vec<(String, u32)>> = Mutex::new(Vec::new());

fn done(tag: &str) -> Vec<u32> {
    let done = DONE.lock().unwrap();
    done.iter().filter(|(run, _)| run == tag).map(|(_, value)| *value).collect()
}

/// A function with a step, written as `#[checkpoint(run = .., recover)]` writes it.
async fn work(tag: &str, value: u32) -> Out {
    crate::recoverable!("tests.work", 0, |inputs| {
        let tag: String = inputs.get("tag")?;
        let value: u32 = inputs.get("value")?;
        Ok(Start::new(async move { work(&tag, value).await }))
    });
    let inputs = Inputs::new().with("tag", tag).with("value", &value);
    let run = Checkpoint::new().run(format!("{tag}-{value}")).named("tests.work").recover(inputs).calls::<Out>();
    run.run(async {
        let step = Checkpoint::new().step("step").at(site!().enter()).calls::<Out>();
        let once = step.run(async { Ok(value) }).await?;
        DONE.lock().unwrap().push((tag.to_owned(), once));
        Ok(once)
    })
    .await
}

fn work_blocking(tag: String) -> Out {
    crate::recoverable!("tests.blocking", 3, |inputs| {
        let tag: String = inputs.get("tag")?;
        Ok(Start::blocking(move || work_blocking(tag)))
    });
    let policy = Checkpoint::new().version(3);
    let run = policy.run(&tag).named("tests.blocking").recover(Inputs::new().with("tag", &tag));
    run.calls::<Out>().run_blocking(|| {
        DONE.lock().unwrap().push((tag, 0));
        Ok(0)
    })
}

/// Two of one name and version.
mod twice {
    use super::Start;

    #[allow(dead_code)]
    pub(super) fn first() {
        crate::recoverable!("tests.twice", 0, |_| Ok(Start::blocking(|| ())));
        crate::recoverable!("tests.twice", 0, |_| Ok(Start::blocking(|| ())));
    }
}

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Order {
    id: u32,
}

#[checkpoint(run = format!("{tag}-{}", order.id), recover, version = 2)]
async fn place_order(order: &Order, tag: &str, rows: &[u32], total: u64) -> Out {
    if DONE.lock().unwrap().iter().all(|(known, _)| known != tag) {
        DONE.lock().unwrap().push((tag.to_owned(), 0));
        std::future::pending::<()>().await;
    }
    DONE.lock().unwrap().push((tag.to_owned(), rows.iter().sum::<u32>() + total as u32));
    Ok(order.id)
}

#[checkpoint(run = tag.clone(), recover)]
fn blocking_order(state: &mut Saved<u32>, tag: String) -> Out {
    **state += 1;
    DONE.lock().unwrap().push((tag, **state));
    if **state == 1 {
        state.commit_blocking()?;
        // As a process that is killed here, as far as the run knows.
        crate::checkpoint::sleep_blocking("long", Duration::from_secs(3600))?;
    }
    Ok(**state)
}

#[tokio::test(start_paused = true)]
async fn an_attribute_records_borrowed_arguments_and_starts_with_owned_ones() {
    for world in World::all() {
        let tag = tag();
        let store = world.store();
        let (order, rows) = (Order { id: 7 }, [1, 2, 3]);
        let called = store.scope(place_order(&order, &tag, &rows, 10));
        tokio::select! {
            _ = called => unreachable!(),
            () = until(|| done(&tag) == [0]) => {}
        }
        let recovered = recovered(Recovery::new(), &store).await;
        assert_eq!((recovered.started, recovered.left), (vec![format!("{tag}-7")], vec![]));
        assert_eq!(done(&tag), [0, 16]);
        assert_eq!(store.scope(place_order(&order, &tag, &rows, 10)).await.unwrap(), 7);
    }
}

#[tokio::test]
async fn a_blocking_function_goes_on_from_its_state() {
    for world in World::all() {
        let tag = tag();
        let store = world.store();
        let end = Shutdown::new();
        let (scope, scoped, name) = (store.clone(), end.clone(), tag.clone());
        let blocked =
            std::thread::spawn(move || scope.scope_blocking(|| scoped.scope_blocking(|| blocking_order(name))));
        while done(&tag) != [1] {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let report = end.within(Duration::from_secs(2)).await;
        assert_eq!(report.handed_over, [&*tag]);
        let refused = blocked.join().unwrap().unwrap_err();
        assert!(refused.to_string().contains("shutting down"), "{refused}");
        assert_eq!(recovered(Recovery::new(), &store).await.started, [&*tag]);
        assert_eq!(done(&tag), [1, 2]);
    }
}

fn inputs(run: &str, inputs: &Inputs) -> Option<Arc<[u8]>> {
    Some(inputs.seal(run, 0, &Sealing::default()).unwrap().into())
}

/// A process that claims runs and dies.
fn dies(world: &World, claims: impl IntoIterator<Item = Claim>) {
    let store = world.owner();
    for claim in claims {
        let claimed = store.claim(claim).wait().unwrap();
        assert!(matches!(claimed, Claimed::Granted(_)), "{claimed:?}");
    }
}

fn works(tag: &str, value: u32) -> Claim {
    let run = format!("{tag}-{value}");
    let recorded = inputs(&run, &Inputs::new().with("tag", tag).with("value", &value));
    Claim { input: recorded, ..Claim::new(run, "tests.work") }
}

/// A name that no other test has.
fn tag() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("tag{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

async fn recovered(recovery: Recovery, store: &Store) -> Recovered {
    let mut recovered = recovery.store(store).start().await.unwrap();
    recovered.ended().await;
    recovered
}

/// Waits until the others have come so far, whose threads may not follow the paused clock.
async fn until(met: impl Fn() -> bool) {
    for _ in 0..100_000 {
        if met() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        std::thread::yield_now();
    }
    panic!("it never came");
}

fn status(store: &Store, run: &str) -> RunStatus {
    store.runs(Filter::default().prefix(run)).wait().unwrap()[0].status
}

fn left(run: &str, function: &str, why: WhyLeft) -> LeftRun {
    LeftRun { run: run.into(), function: function.into(), why }
}

#[tokio::test(start_paused = true)]
async fn what_was_running_when_a_process_died_is_started_again_with_its_arguments() {
    for world in World::all() {
        let tag = tag();
        dies(&world, [works(&tag, 1), works(&tag, 2)]);
        let store = world.store();
        let recovered = recovered(Recovery::new().per_second(1000), &store).await;
        assert_eq!(recovered.started, [format!("{tag}-1"), format!("{tag}-2")]);
        assert_eq!((recovered.left.len(), recovered.more), (0, false));
        let mut values = done(&tag);
        values.sort_unstable();
        assert_eq!(values, [1, 2]);
        assert_eq!(status(&store, &format!("{tag}-1")), RunStatus::Finished);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_called_records_what_starts_it_again_and_one_that_failed_waits_for_its_caller() {
    for world in World::all() {
        let tag = tag();
        let store = world.store();
        assert_eq!(store.scope(work(&tag, 5)).await.unwrap(), 5);
        let recorded = store.input(&format!("{tag}-5")).await.unwrap().unwrap();
        assert_eq!(
            Inputs::open(&recorded, &format!("{tag}-5"), &Sealing::default()).unwrap().get::<u32>("value"),
            Ok(5)
        );

        let failed = Checkpoint::new().run("failed").named("tests.work").calls::<Out>();
        store.scope(failed.run(async { Err(Error::Failed("no paper")) })).await.unwrap_err();
        let dropped = Checkpoint::new().run("dropped").named("tests.nobody").calls::<Out>();
        let begun = tokio::sync::Notify::new();
        tokio::select! {
            biased;
            _ = store.scope(dropped.run(async { begun.notify_one(); std::future::pending().await })) => unreachable!(),
            () = begun.notified() => {}
        }
        let recovered = recovered(Recovery::new(), &store).await;
        assert_eq!(recovered.left, [left("dropped", "tests.nobody", WhyLeft::NoFactory)], "and not `failed`");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_started_is_left_and_says_why() {
    for world in World::all() {
        let text = Inputs::new().with("tag", "t").with("value", "text");
        dies(
            &world,
            [
                Claim::new("a", "tests.unknown"),
                Claim { input: inputs("b", &Inputs::new()), version: 2, ..Claim::new("b", "tests.work") },
                Claim::new("c", "tests.work"),
                Claim { input: inputs("d", &text), ..Claim::new("d", "tests.work") },
                Claim { input: inputs("e", &Inputs::new()), ..Claim::new("e", "tests.twice") },
                Claim::new("f", "tests.parked"),
            ],
        );
        let store = world.store();
        let parked = store.backend().claim(Claim { max_recoveries: 0, ..Claim::new("f", "tests.parked") }).wait();
        assert!(matches!(parked, Ok(Claimed::Parked { .. })));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hear = Arc::clone(&heard);
        let _listening = observe::subscribe(move |event| {
            if let What::LeftBehind { run, reason, .. } = event.what {
                hear.lock().unwrap().push(format!("{run}:{reason}"));
            }
        });
        let recovered = recovered(Recovery::new(), &store).await;
        assert!(recovered.started.is_empty());
        let module = "ft_runtime::checkpoint::tests::recover::twice";
        let [a, b, c, d, e, f] = &recovered.left[..] else { panic!("{recovered}") };
        assert_eq!(*a, left("a", "tests.unknown", WhyLeft::NoFactory));
        assert_eq!(*b, left("b", "tests.work", WhyLeft::OtherVersion { recorded: 2, now: vec![0] }));
        assert_eq!(*c, left("c", "tests.work", WhyLeft::NoInputs));
        assert!(matches!(&d.why, WhyLeft::BadInputs(CheckpointError::Decode { run, what, .. })
            if run == "d" && what == "argument `value`"));
        assert_eq!(*e, left("e", "tests.twice", WhyLeft::Ambiguous { modules: vec![module; 2] }));
        assert_eq!(*f, left("f", "tests.parked", WhyLeft::Parked { recoveries: 0 }));
        for (run, reason) in [("a", "no_factory"), ("b", "other_version"), ("c", "no_inputs"), ("d", "bad_inputs")] {
            assert!(heard.lock().unwrap().contains(&format!("{run}:{reason}")));
            assert!(recovered.to_string().contains(&format!("run `{run}` of ")), "{recovered}");
        }
        assert!((0..5).all(|n| store.runs(Filter::default()).wait().unwrap()[n].status == RunStatus::Running));
    }
}

#[tokio::test(start_paused = true)]
async fn the_report_lists_what_needs_somebody_and_counts_the_requests_that_wait_for_their_clients() {
    const LISTED: &str = "\
0 runs go on, 5 are left
  run `b` of `tests.unknown`: nothing in this program starts it; write `recover` at its function, give a factory, or call it
  run `d` of `tests.work`: version 2 of its code started it, and this program has version 0; a process with version 2 goes on \
with it
  run `e` of `tests.blocking`: version 2 of its code started it, and this program has version 3; a process with version 2 \
goes on with it, or say `migrate = function` at version 3 to take it over
  2 HTTP requests: each goes on when its client sends it again with its key";
    const ONE: &str = "\
1 run goes on, 1 is left
  1 HTTP request: it goes on when its client sends it again with its key";

    for world in World::all() {
        let newer = Claim { version: 2, ..Claim::new("d", "tests.work") };
        let older = Claim { version: 2, ..Claim::new("e", "tests.blocking") };
        let request = |run: &str| Claim::new(run, HTTP_FUNCTION);
        dies(&world, [request("a"), Claim::new("b", "tests.unknown"), request("c"), newer, older]);
        let store = world.store();
        let all = recovered(Recovery::new(), &store).await;
        assert_eq!(all.to_string(), LISTED);
        let why = all.left[0].to_string();
        assert_eq!(why, "run `a` of `http`: an HTTP request: it goes on when its client sends it again with its key");

        // A function that only has its name is none.
        let own = Claim { input: inputs("f", &Inputs::new()), ..request("f") };
        assert!(!RunRecord::started(&own, "owner", 1).is_http_request());
    }
    for world in World::all() {
        dies(&world, [Claim::new("a", HTTP_FUNCTION), works(&tag(), 1)]);
        assert_eq!(recovered(Recovery::new(), &world.store()).await.to_string(), ONE);
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_of_the_code_takes_its_own_runs_and_leaves_the_others() {
    for world in World::all() {
        let of = |version, run: &str| {
            let recorded = inputs(run, &Inputs::new().with("tag", run));
            Claim { input: recorded, version, ..Claim::new(run, "tests.blocking") }
        };
        let (old, new) = (tag(), tag());
        dies(&world, [of(2, &old), of(3, &new)]);
        let store = world.store();
        let recovered = recovered(Recovery::new(), &store).await;
        assert_eq!(recovered.started, [&*new]);
        assert_eq!(recovered.left, [left(&old, "tests.blocking", WhyLeft::OtherVersion { recorded: 2, now: vec![3] })]);
        assert_eq!((done(&new).len(), done(&old).len()), (1, 0));

        // The old binary, on the same store.
        let executed = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&executed);
        let old_code = Recovery::new().factory("tests.blocking", move |run| {
            let count = Arc::clone(&count);
            async move {
                let call = Checkpoint::new().version(2).run(run.id()).named("tests.blocking").calls::<Out>();
                call.run(async { Ok(count.fetch_add(1, Ordering::Relaxed)) }).await
            }
        });
        let mut recovered = old_code.store(&store).start().await.unwrap();
        recovered.ended().await;
        assert_eq!((recovered.started, executed.load(Ordering::Relaxed)), (vec![old], 1));
    }
}

fn doubled(from: u16, value: Value) -> Result<Value, ValueError> {
    assert_eq!(from, 2);
    Value::encode(&(value.decode::<u32>()? * 2))
}

/// As it was: the binary that has died.
async fn as_version_2(store: &Store, tag: &str) {
    let begun = tokio::sync::Notify::new();
    let policy = Checkpoint::new().version(2);
    let run = policy.run(tag).named("tests.upgraded").recover(Inputs::new().with("tag", tag)).calls::<Out>();
    let body = run.run(async {
        policy.step("price").key("a").calls::<Out>().run(async { Ok(5) }).await?;
        begun.notify_one();
        std::future::pending().await
    });
    tokio::select! {
        biased;
        _ = store.scope(body) => unreachable!(),
        () = begun.notified() => {}
    }
}

/// As it is now.
#[checkpoint(run = tag.clone(), name = "tests.upgraded", recover, version = 4, migrate = doubled)]
async fn upgraded(tag: String) -> Out {
    let price = Checkpoint::new().version(4).migrate(doubled).step("price").key("a").calls::<Out>();
    let price = price.run(async { Ok(0) }).await?;
    DONE.lock().unwrap().push((tag, price));
    Ok(price)
}

#[tokio::test(start_paused = true)]
async fn a_newer_version_with_a_migrate_takes_the_runs_of_older_ones_and_none_of_newer_ones() {
    for world in World::all() {
        let (old, newer) = (tag(), tag());
        as_version_2(&world.store(), &old).await;
        let recorded = inputs(&newer, &Inputs::new().with("tag", &newer));
        dies(&world, [Claim { input: recorded, version: 5, ..Claim::new(&*newer, "tests.upgraded") }]);
        let store = world.store();
        let recovered = recovered(Recovery::new(), &store).await;
        assert_eq!(recovered.started, [&*old]);
        assert_eq!(done(&old), [10], "its step was recorded by version 2");
        let why = WhyLeft::OtherVersion { recorded: 5, now: vec![4] };
        assert_eq!(recovered.left, [left(&newer, "tests.upgraded", why)]);
        let runs = store.runs(Filter::default().prefix(&old)).await.unwrap();
        assert_eq!((runs[0].version, runs[0].status), (4, RunStatus::Finished));
    }
}

#[tokio::test(start_paused = true)]
async fn a_factory_starts_what_no_registered_function_can() {
    for world in World::all() {
        dies(&world, [Claim::new("import-7", "import"), works("x", 1)]);
        let store = world.store();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let see = Arc::clone(&seen);
        let start = move |run: crate::checkpoint::LeftToGo| {
            see.lock().unwrap().push((run.id().to_owned(), run.inputs().map(|inputs| inputs.names().count())));
            let function = run.record().function.clone();
            async move {
                // The id that the function would make now is another one; the run that was left is executed all the same.
                let function: &'static str = if function == "import" { "import" } else { "tests.work" };
                let call = Checkpoint::new().run("another id").named(function).calls::<Out>();
                call.run(async { Ok(1) }).await
            }
        };
        let recovery = Recovery::new().factory("import", start.clone()).factory("tests.work", start);
        assert_eq!(recovered(recovery, &store).await.started, ["import-7", "x-1"]);
        let mut seen = std::mem::take(&mut *seen.lock().unwrap());
        seen.sort();
        assert_eq!(seen, [("import-7".into(), None), ("x-1".into(), Some(2))]);
        let runs = store.runs(Filter::default()).await.unwrap();
        assert!(runs.iter().all(|run| run.status == RunStatus::Finished), "{runs:?}");
        assert_eq!(runs.len(), 2, "and none of the other id");
    }
}

/// A recovery of runs that take a minute each, and how many are executed at once, at most.
fn slow(recovery: Recovery) -> (Recovery, Arc<AtomicU32>, Arc<Mutex<Vec<tokio::time::Instant>>>) {
    let (most, now) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let begun = Arc::new(Mutex::new(Vec::new()));
    let (counted, times) = (Arc::clone(&most), Arc::clone(&begun));
    let recovery = recovery.factory("tests.slow", move |run| {
        let (most, now, begun) = (Arc::clone(&counted), Arc::clone(&now), Arc::clone(&times));
        async move {
            begun.lock().unwrap().push(tokio::time::Instant::now());
            let call = Checkpoint::new().run(run.id()).named("tests.slow").calls::<Out>();
            call.run(async {
                most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(60)).await;
                Ok(now.fetch_sub(1, Ordering::Relaxed))
            })
            .await
        }
    });
    (recovery, most, begun)
}

#[tokio::test(start_paused = true)]
async fn only_so_many_are_executed_at_once() {
    for world in World::all() {
        dies(&world, (0..7).map(|n| Claim::new(format!("slow-{n}"), "tests.slow")));
        let (recovery, most, _) = slow(Recovery::new().at_once(3).per_second(1000));
        assert_eq!(recovered(recovery, &world.store()).await.started.len(), 7, "over several pages");
        let most = most.load(Ordering::Relaxed);
        // Where the store has threads of its own, the paused clock runs ahead of them.
        assert!(most == 3 || most < 3 && !matches!(world.kind, Kind::Memory(_)), "{most} at once");
    }
}

#[tokio::test(start_paused = true)]
async fn only_so_many_are_started_in_a_second() {
    for world in World::all() {
        dies(&world, (0..7).map(|n| Claim::new(format!("slow-{n}"), "tests.slow")));
        let (recovery, _, begun) = slow(Recovery::new().at_once(100).per_second(2));
        recovered(recovery, &world.store()).await;
        let begun = begun.lock().unwrap();
        assert!(begun.windows(3).all(|three| three[2] - three[0] >= Duration::from_millis(990)), "{begun:?}");
        assert!(*begun.last().unwrap() - begun[0] < Duration::from_secs(4));
    }
}

#[tokio::test(start_paused = true)]
async fn one_look_takes_in_a_bounded_number() {
    let world = &World::all()[0];
    dies(world, (0..30).map(|n| Claim::new(format!("slow-{n:02}"), "tests.slow")));
    let (recovery, ..) = slow(Recovery::new().at_once(100).per_second(1000));
    let recovered = recovered(recovery, &world.store()).await;
    assert_eq!((recovered.started.len(), recovered.more), (21, true));
}

/// So long ago; not so long that the run would be deleted for its age.
fn ago(hours: i64) -> i64 {
    unix_now() - hours * 3_600_000
}

/// Runs that were touched before those of [`works`], and that nothing here starts.
fn in_front(runs: usize, function: &str, version: u32) -> impl Iterator<Item = Claim> {
    (0..runs).map(move |n| Claim { at: ago(1), version, ..Claim::new(format!("front-{n:03}"), function) })
}

#[tokio::test(start_paused = true)]
async fn runs_that_cannot_be_started_here_do_not_stand_before_those_that_can() {
    for (function, version) in [("tests.unknown", 0), ("tests.work", 9)] {
        for world in World::all() {
            let tag = tag();
            dies(&world, in_front(30, function, version));
            dies(&world, [works(&tag, 1)]);
            let recovered = recovered(Recovery::new(), &world.store()).await;
            assert_eq!(recovered.started, [format!("{tag}-1")], "behind those of {function}");
            assert_eq!(done(&tag), [1]);
            assert!(recovered.left.iter().all(|left| left.function == function), "{recovered}");
            assert_eq!((recovered.left.len(), recovered.more), (20, true), "not all of them are told");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_goes_on_where_the_one_before_it_stopped_and_comes_round() {
    for world in World::all() {
        let tag = tag();
        dies(&world, in_front(100, "tests.work", 9));
        dies(&world, [works(&tag, 1)]);
        let store = world.store();
        let end = Shutdown::new();
        let watching = Recovery::new().keep_watching().every(Duration::from_secs(10)).store(&store);
        let mut watching = end.scope(watching.start()).await.unwrap();
        assert!(watching.started.is_empty() && watching.more, "more than one look reads: {watching}");
        until(|| done(&tag) == [1]).await;
        // Older than all that the last look has read.
        dies(&world, [Claim { at: ago(2), ..works(&tag, 2) }]);
        until(|| done(&tag) == [1, 2]).await;
        let _ = end.within(Duration::from_secs(1)).await;
        watching.ended().await;
    }
}

#[tokio::test(start_paused = true)]
async fn arguments_that_cannot_be_read_do_not_stand_before_those_that_can_for_ever() {
    for world in World::all() {
        let tag = tag();
        let bad = |run: String| {
            let recorded = inputs(&run, &Inputs::new().with("tag", &tag));
            Claim { at: ago(1), input: recorded, ..Claim::new(run, "tests.work") }
        };
        dies(&world, (0..30).map(|n| bad(format!("bad-{n:02}"))));
        dies(&world, [works(&tag, 1)]);
        let store = world.store();
        let end = Shutdown::new();
        let watching = Recovery::new().keep_watching().every(Duration::from_secs(10)).store(&store);
        let mut watching = end.scope(watching.start()).await.unwrap();
        until(|| done(&tag) == [1]).await;
        let _ = end.within(Duration::from_secs(1)).await;
        watching.ended().await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_that_recover_at_once_each_run_is_executed_by_one() {
    for world in World::all() {
        let tag = tag();
        dies(&world, (0..6).map(|n| works(&tag, n)));
        let (one, other) = (world.store(), world.store());
        let quick = || Recovery::new().per_second(1000);
        let (one, other) = tokio::join!(recovered(quick(), &one), recovered(quick(), &other));
        assert!(one.left.is_empty() && other.left.is_empty());
        assert_eq!(done(&tag).len(), 6);
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_finds_what_others_leave_later_and_ends_with_the_process() {
    for world in World::all() {
        let tag = tag();
        let store = world.store();
        let end = Shutdown::new();
        let watching = Recovery::new().keep_watching().every(Duration::from_secs(10)).store(&store);
        let mut watching = end.scope(watching.start()).await.unwrap();
        dies(&world, [works(&tag, 1)]);
        until(|| done(&tag) == [1]).await;
        // What is interrupted, as well.
        let other = world.owner();
        let Claimed::Granted(granted) = other.claim(works(&tag, 2)).wait().unwrap() else { panic!("not granted") };
        other.release(Lease::new(format!("{tag}-2"), granted.token), 1, Left::Interrupted).wait().unwrap();
        until(|| done(&tag) == [1, 2]).await;
        until(|| status(&store, &format!("{tag}-2")) == RunStatus::Finished).await;
        let report = end.within(Duration::from_secs(1)).await;
        assert!(report.left.is_empty(), "{report}");
        watching.ended().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_of_the_store_wakes_a_watch_at_once() {
    let world = &World::all()[0];
    let tag = tag();
    let (store, dies) = (world.store(), world.owner());
    assert!(matches!(dies.claim(works(&tag, 1)).wait(), Ok(Claimed::Granted(_))));
    let end = Shutdown::new();
    let watching = Recovery::new().keep_watching().every(Duration::from_secs(3600)).store(&store);
    let mut watching = end.scope(watching.start()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(dies);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(done(&tag), [1]);
    let _ = end.within(Duration::ZERO).await;
    watching.ended().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_does_not_keep_the_store_open() {
    let world = World::sqlite();
    let store = world.store();
    let watching = Recovery::new().keep_watching().every(Duration::from_secs(10)).store(&store).start();
    let mut watching = watching.await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let weak = Arc::downgrade(store.backend());
    drop(store);
    assert!(weak.upgrade().is_none());
    watching.ended().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_comes_back_unfinished_is_left_alone_longer_each_time() {
    for world in World::all() {
        dies(&world, [Claim::new("dropped", "tests.dropped")]);
        let store = world.store();
        let begun = Arc::new(Mutex::new(Vec::new()));
        let times = Arc::clone(&begun);
        let watching = Recovery::new().keep_watching().every(Duration::from_millis(100)).store(&store);
        let watching = watching.factory("tests.dropped", move |run| {
            times.lock().unwrap().push(tokio::time::Instant::now());
            async move {
                let call = Checkpoint::new().run(run.id()).named("tests.dropped").calls::<Out>();
                let call = call.run(async { Ok(sleep("long", Duration::from_secs(86_400)).await.map(|()| 1)?) });
                tokio::time::timeout(Duration::from_millis(1), call).await
            }
        });
        let end = Shutdown::new();
        let mut watching = end.scope(watching.start()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(20)).await;
        let _ = end.within(Duration::ZERO).await;
        watching.ended().await;
        let begun = begun.lock().unwrap();
        let pauses: Vec<_> = begun.windows(2).map(|two| (two[1] - two[0]).as_secs()).collect();
        if matches!(world.kind, Kind::Memory(_)) {
            assert_eq!(pauses, [1, 2, 4, 8]);
        }
        assert!(pauses.iter().zip([1, 2, 4, 8]).all(|(pause, least)| *pause >= least), "{pauses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_keeps_killing_its_process_is_parked_and_reported() {
    for world in World::all() {
        let tag = tag();
        let claim = || Claim { max_recoveries: 2, ..works(&tag, 1) };
        for _ in 0..3 {
            dies(&world, [claim()]);
        }
        let store = world.store();
        assert!(matches!(store.backend().claim(claim()).wait(), Ok(Claimed::Parked { now: true, .. })));
        let recovery = recovered(Recovery::new(), &store).await;
        assert_eq!(recovery.left, [left(&format!("{tag}-1"), "tests.work", WhyLeft::Parked { recoveries: 2 })]);
        assert_eq!(store.resume(&format!("{tag}-1")).await, Ok(true));
        assert_eq!(recovered(Recovery::new(), &store).await.started, [format!("{tag}-1")]);
        assert_eq!(done(&tag), [1]);
    }
}

#[tokio::test(start_paused = true)]
async fn damaged_arguments_are_an_error_and_nothing_is_executed() {
    let world = World::sqlite();
    let tag = tag();
    dies(&world, [works(&tag, 1)]);
    world.tamper("UPDATE ft_run SET input = substr(input, 1, 30) || x'00'");
    let store = world.store();
    let recovered = recovered(Recovery::new(), &store).await;
    assert!(matches!(&recovered.left[0].why, WhyLeft::BadInputs(CheckpointError::Corrupt { .. })), "{recovered}");
    assert!(done(&tag).is_empty());
    assert_eq!(envelope::HEADER_LEN, 28, "what was cut");
}

#[tokio::test]
async fn no_places_and_no_rate_are_refused() {
    let refused = |recovery: fn() -> Recovery| std::panic::catch_unwind(recovery).is_err();
    assert!(refused(|| Recovery::new().at_once(0)));
    assert!(refused(|| Recovery::new().per_second(0)));
    assert!(refused(|| Recovery::new().every(Duration::ZERO)));
}
