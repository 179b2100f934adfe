//! Who may write, and who has to stop.

use std::future::pending;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::{Behind, eventually, granted, step};
use crate::checkpoint::{
    Abandoned, Appended, Backend, Checkpoint, CheckpointError, Claim, Claimed, Filter, Finish, Lease, Left, Newest,
    SaveState, Store, StoreError,
};
use crate::{Error, Rejected, site};

/// Takes the run over as another process does, without committing it.
const TAKE_OVER: &str =
    "BEGIN; UPDATE ft_run SET owner = 'other', token = nextval('ft_token'), attempts = attempts + 1 WHERE run = 'r'";

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_an_older_claim_that_waits_for_a_take_over_is_refused_by_it() {
    let Some(behind) = Behind::new("a_step_of_an_older_claim_that_waits_for_a_take_over_is_refused_by_it") else {
        return;
    };
    let store = behind.open();
    let token = granted(&store, "r").token;
    let other = behind.connect().await;
    other.batch_execute(TAKE_OVER).await.unwrap();
    let read: i64 = other.query_one("SELECT count(*) FROM ft_step", &[]).await.unwrap().get(0);
    // The window: the new owner has read the steps and not committed its claim; the old one does not know of it.
    let late = store.append(vec![step("r", token, "late")]);
    tokio::task::block_in_place(|| behind.until_somebody_waits());
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!(late.await.unwrap(), [Appended::Fenced { owner: Some("other".into()) }]);
    assert_eq!(store.steps("r").await.unwrap().len() as i64, read, "the new owner knows of every step");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_save_and_an_end_that_wait_for_a_take_over_are_refused_by_it() {
    let Some(behind) = Behind::new("a_save_and_an_end_that_wait_for_a_take_over_are_refused_by_it") else { return };
    let fenced = Err(StoreError::Fenced { run: "r".into(), owner: Some("other".into()) });
    for save in [true, false] {
        let store = behind.open();
        let lease = Lease::new("r", granted(&store, "r").token);
        let other = behind.connect().await;
        other.batch_execute(TAKE_OVER).await.unwrap();
        let late = if save {
            let value = Arc::<Newest>::default();
            value.put(1, Arc::from(*b"late"));
            store.put_state(SaveState::new(lease, "s", "T", value))
        } else {
            store.finish(Finish::new(lease, *b"out"))
        };
        tokio::task::block_in_place(|| behind.until_somebody_waits());
        other.batch_execute("COMMIT").await.unwrap();
        assert_eq!(late.await, fenced);
        assert!(store.states("r", "s").await.unwrap().is_empty());
        behind.sql("DELETE FROM ft_run");
    }
}

#[test]
fn an_owner_that_is_not_heard_of_loses_its_runs_and_is_told() {
    let Some(behind) = Behind::new("an_owner_that_is_not_heard_of_loses_its_runs_and_is_told") else { return };
    let (first, second) = (behind.open(), behind.open());
    let token = granted(&first, "r").token;
    let lost = first.lost(&Lease::new("r", token)).unwrap();
    assert!(matches!(second.claim(Claim::new("r", "work")).wait().unwrap(), Claimed::Busy { .. }));

    behind.sql(&format!("UPDATE ft_owner SET lease_until = now() WHERE owner = '{}'", first.owner()));
    let taken = granted(&second, "r");
    assert_eq!((taken.attempts, second.list(Filter::default()).wait().unwrap()[0].recoveries), (2, 1));
    let late = first.append(vec![step("r", token, "late")]).wait().unwrap();
    assert_eq!(late, [Appended::Fenced { owner: Some(second.owner().to_owned()) }]);
    let renewed = first.renew().wait().unwrap();
    assert_eq!((renewed.lost, renewed.next), (vec!["r".to_owned()], Some(Duration::from_secs(10))));
    assert!(matches!(lost.wait(), Err(StoreError::Fenced { .. })), "whoever executes it hears of it");
    // From here on nothing goes to the server.
    assert!(matches!(first.append(vec![step("r", token, "late")]).wait(), Err(StoreError::LeaseLost { .. })));
    assert!(matches!(
        first.finish(Finish::new(Lease::new("r", token), *b"")).wait(),
        Err(StoreError::LeaseLost { .. })
    ));
    // Whoever claims anew is not held up by what was lost.
    first.release(Lease::new("r", token), 0, Left::Interrupted).wait().unwrap();
    second.release(Lease::new("r", taken.token), 0, Left::Failed).wait().unwrap();
    let again = granted(&first, "r").token;
    assert_eq!(first.append(vec![step("r", again, "a")]).wait().unwrap(), [Appended::Recorded { seq: 1 }]);
}

#[test]
fn a_dead_owner_is_swept_and_those_who_wait_for_its_runs_hear_of_it() {
    let Some(behind) = Behind::new("a_dead_owner_is_swept_and_those_who_wait_for_its_runs_hear_of_it") else { return };
    let url = format!("{}&ft_lease=300ms", behind.url);
    let living = crate::checkpoint::postgres::Postgres::open_as_new_owner(&url).unwrap();
    let heard = living.wake().unwrap();
    behind.sql("INSERT INTO ft_owner VALUES ('dead', now() - interval '1 second')");
    assert_eq!(heard.wait(), Ok(()));
    assert_eq!(behind.sql("SELECT owner FROM ft_owner"), living.owner());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_body_of_a_run_that_was_taken_over_is_dropped() {
    let Some(behind) = Behind::new("the_body_of_a_run_that_was_taken_over_is_dropped") else { return };
    let backend = Arc::new(behind.open());
    let store = Store::from_backend(Arc::clone(&backend) as Arc<dyn Backend>);
    let dropped = Arc::new(());
    let inside = Arc::clone(&dropped);
    let run = Checkpoint::new().run("r").named("work").calls::<Result<u32, Error<&'static str>>>();
    let run = run.at(site!("taken over").enter()).run(async move {
        let _inside = inside;
        pending().await
    });
    let running = tokio::spawn(store.scope(run));
    tokio::task::block_in_place(|| {
        eventually("the run is executed", || backend.list(Filter::default()).wait().unwrap().len() == 1);
        behind.sql("UPDATE ft_run SET owner = 'other', token = nextval('ft_token')");
        backend.renew().wait().unwrap();
    });
    let Err(Error::Rejected(Rejected::Checkpoint(error))) = running.await.unwrap() else { panic!("it went on") };
    assert!(matches!(*error, CheckpointError::Store(StoreError::Fenced { .. })), "{error}");
    assert_eq!(Arc::strong_count(&dropped), 1);
}

#[test]
fn what_is_still_executed_under_a_lost_claim_keeps_this_process_from_beginning_it_again() {
    let Some(behind) =
        Behind::new("what_is_still_executed_under_a_lost_claim_keeps_this_process_from_beginning_it_again")
    else {
        return;
    };
    let store = behind.open();
    let lease = Lease::new("r", granted(&store, "r").token);
    let busy = Claimed::Busy { owner: store.owner().to_owned() };
    let listed = || store.abandoned(Abandoned::new()).wait().unwrap().len();
    // Another process has taken it over, and given it back.
    behind.sql("UPDATE ft_run SET owner = NULL, interrupted = true, token = nextval('ft_token')");
    assert_eq!((store.claim(Claim::new("r", "work")).wait().unwrap(), listed()), (busy.clone(), 0), "not noticed yet");
    assert_eq!(store.renew().wait().unwrap().lost, ["r"]);
    assert_eq!((store.claim(Claim::new("r", "work")).wait().unwrap(), listed()), (busy, 0), "its steps have not ended");
    store.release(lease, 0, Left::Interrupted).wait().unwrap();
    assert_eq!(listed(), 1);
    let _ = granted(&store, "r");
}

#[test]
fn a_step_of_a_run_that_was_lost_is_not_executed() {
    let Some(behind) = Behind::new("a_step_of_a_run_that_was_lost_is_not_executed") else { return };
    let backend = Arc::new(behind.open());
    let store = Store::from_backend(Arc::clone(&backend) as Arc<dyn Backend>);
    type Out = Result<u32, Error<&'static str>>;
    let mut executed = false;
    let run = || Checkpoint::new().run("r").named("work").calls::<Out>();
    // Nothing stops the body of a blocking run.
    let ended = store.scope_blocking(|| {
        run().run_blocking(|| {
            behind.sql("UPDATE ft_run SET owner = 'other', token = nextval('ft_token')");
            backend.renew().wait().unwrap();
            Checkpoint::new().step("charge").at(site!("lost").enter()).calls::<Out>().run_blocking(|| {
                executed = true;
                Ok(1)
            })
        })
    });
    let Err(Error::Rejected(Rejected::Checkpoint(error))) = ended else { panic!("{ended:?}") };
    assert!(matches!(*error, CheckpointError::Store(StoreError::LeaseLost { .. })), "{error}");
    assert!(!executed);
}

#[test]
fn a_step_does_not_begin_when_the_lease_has_run_out_and_nobody_has_noticed() {
    let Some(behind) = Behind::new("a_step_does_not_begin_when_the_lease_has_run_out_and_nobody_has_noticed") else {
        return;
    };
    let url = format!("{}&ft_lease=300ms", behind.url);
    let backend = Arc::new(crate::checkpoint::postgres::Postgres::open_as_new_owner(&url).unwrap());
    let lease = Lease::new("r", granted(&*backend, "r").token);
    assert_eq!(backend.barred(&lease), None);
    // As when the process is stopped: nothing of the store goes on, until `resume`.
    let (resume, stopped) = mpsc::channel::<()>();
    let (stops, is_stopped) = mpsc::channel();
    backend.while_stalled(|| {
        backend.renew().abandon(move |_| {
            stops.send(()).unwrap();
            let _ = stopped.recv();
        });
    });
    is_stopped.recv().unwrap();
    eventually("the lease has run out", || backend.barred(&lease).is_some());
    assert!(matches!(backend.barred(&lease), Some(StoreError::LeaseLost { .. })));
    resume.send(()).unwrap();
}

#[test]
fn a_damaged_row_does_not_hide_the_runs_behind_it() {
    let Some(behind) = Behind::new("a_damaged_row_does_not_hide_the_runs_behind_it") else { return };
    let store = behind.open();
    for run in ["a", "b", "c"] {
        let lease = Lease::new(run, granted(&store, run).token);
        store.release(lease, 1, Left::Interrupted).wait().unwrap();
    }
    behind.sql("UPDATE ft_run SET attempts = -1 WHERE run = 'a'");
    let left = store.abandoned(Abandoned::new().limit(2)).wait().unwrap();
    let left: Vec<_> = left.iter().map(|run| &*run.run).collect();
    assert_eq!(left, ["b", "c"], "fewer than asked for would mean that there are no more");
}

#[test]
fn two_owners_that_claim_the_same_runs_in_other_orders_share_them() {
    let Some(behind) = Behind::new("two_owners_that_claim_the_same_runs_in_other_orders_share_them") else { return };
    let stores = [behind.open(), behind.open()];
    for round in 0..5 {
        let names: Vec<String> = (0..20).map(|n| format!("r{round}-{n}")).collect();
        let tickets: Vec<_> = std::thread::scope(|scope| {
            let handles = [(&stores[0], false), (&stores[1], true)].map(|(store, backwards)| {
                let mut names = names.clone();
                if backwards {
                    names.reverse();
                }
                scope.spawn(move || {
                    let tickets = store.while_stalled(|| {
                        names.iter().map(|name| store.claim(Claim::new(&**name, "work"))).collect::<Vec<_>>()
                    });
                    tickets.into_iter().map(|ticket| ticket.wait().unwrap()).collect::<Vec<_>>()
                })
            });
            handles.into_iter().flat_map(|handle| handle.join().unwrap()).collect()
        });
        let number = tickets.iter().filter(|claimed| matches!(claimed, Claimed::Granted(_))).count();
        assert_eq!(number, names.len(), "each run has one owner");
    }
}
