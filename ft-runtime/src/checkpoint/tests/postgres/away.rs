//! A server that is away for a while, or for too long.

use std::future::pending;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ft_test_postgres::{Mode, own};

use super::{Behind, eventually, granted, step};
use crate::checkpoint::postgres::Postgres;
use crate::checkpoint::{
    Appended, Backend, Checkpoint, CheckpointError, Claim, Claimed, Filter, Finish, Lease, Left, RunStatus, Store,
    StoreError,
};
use crate::{Error, Rejected, site};

#[test]
fn what_is_written_while_the_server_crashes_and_comes_back_is_written_once() {
    let Some(cluster) = own("what_is_written_while_the_server_crashes_and_comes_back_is_written_once") else { return };
    let store = Postgres::open_as_new_owner(&cluster.database()).unwrap();
    let token = granted(&store, "r").token;
    let appended = thread::scope(|scope| {
        let store = &store;
        let writing = scope.spawn(move || {
            let tickets = (0..300).map(|n| {
                let ticket = store.append(vec![step("r", token, &n.to_string())]);
                thread::sleep(Duration::from_millis(5));
                ticket
            });
            let tickets: Vec<_> = tickets.collect();
            tickets.into_iter().map(|ticket| ticket.wait().unwrap().remove(0)).collect::<Vec<_>>()
        });
        for mode in [Mode::Immediate, Mode::Fast] {
            thread::sleep(Duration::from_millis(200));
            cluster.stop(mode);
            cluster.start_again();
        }
        writing.join().unwrap()
    });
    let expected: Vec<_> = (1..=300).map(|seq| Appended::Recorded { seq }).collect();
    assert_eq!(appended, expected);
    let keys: Vec<_> = store.steps("r").wait().unwrap().iter().map(|step| step.key.to_string()).collect();
    assert_eq!(keys, (0..300).map(|n| n.to_string()).collect::<Vec<_>>());
    store.finish(Finish::new(Lease::new("r", token), *b"out")).wait().unwrap();
}

#[test]
fn a_server_that_is_away_for_too_long_is_an_error_and_the_run_goes_on_later() {
    let Some(cluster) = own("a_server_that_is_away_for_too_long_is_an_error_and_the_run_goes_on_later") else { return };
    let store = Postgres::open_as_new_owner(&format!("{}?ft_store_timeout=500ms", cluster.database())).unwrap();
    let token = granted(&store, "r").token;
    cluster.stop(Mode::Fast);
    let began = Instant::now();
    let (write, read) = (store.append(vec![step("r", token, "a")]), store.steps("r"));
    for error in [write.wait().map(drop).unwrap_err(), read.wait().map(drop).unwrap_err()] {
        assert!(matches!(error, StoreError::Failed { .. }), "{error}");
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    cluster.start_again();
    assert_eq!(store.append(vec![step("r", token, "a")]).wait().unwrap(), [Appended::Recorded { seq: 1 }]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_cannot_renew_stops_its_runs_before_anybody_may_take_them_over() {
    let Some(cluster) = own("a_process_that_cannot_renew_stops_its_runs_before_anybody_may_take_them_over") else {
        return;
    };
    let url = format!("{}?ft_lease=2s", cluster.database());
    let backend = Arc::new(Postgres::open_as_new_owner(&url).unwrap());
    let store = Store::from_backend(Arc::clone(&backend) as Arc<dyn Backend>);
    let run = |id: &'static str| Checkpoint::new().run(id).named("work").calls::<Result<u32, Error<&'static str>>>();
    let body = run("r").at(site!("cannot renew").enter()).run(pending());
    let running = tokio::spawn(store.scope(body));
    tokio::task::block_in_place(|| {
        eventually("the run is executed", || backend.list(Filter::default()).wait().unwrap().len() == 1);
        cluster.pause();
    });
    let paused = Instant::now();
    let stopped = tokio::time::timeout(Duration::from_secs(20), running).await.expect("the run was not stopped");
    let Err(Error::Rejected(Rejected::Checkpoint(error))) = stopped.unwrap() else { panic!("it went on") };
    assert!(matches!(*error, CheckpointError::Store(StoreError::LeaseLost { .. })), "{error}");
    // Whatever was renewed last, was so before the pause.
    assert!(paused.elapsed() < Duration::from_secs(2), "{:?} after its lease began", paused.elapsed());
    tokio::task::block_in_place(|| cluster.resume());
    // The same process goes on with it, once it can.
    let again = store.scope(run("r").run(async { Ok(7) })).await.unwrap();
    assert_eq!(again, 7);
}

#[test]
fn a_run_that_could_not_be_given_back_is_given_back_when_the_server_is_there_again() {
    let Some(cluster) = own("a_run_that_could_not_be_given_back_is_given_back_when_the_server_is_there_again") else {
        return;
    };
    let url = cluster.database();
    let store = Postgres::open_as_new_owner(&format!("{url}?ft_store_timeout=300ms&ft_lease=3s")).unwrap();
    let lease = Lease::new("r", granted(&store, "r").token);
    cluster.stop(Mode::Fast);
    let error = store.release(lease, 0, Left::Interrupted).wait().unwrap_err();
    assert!(matches!(error, StoreError::Failed { .. }), "{error}");
    cluster.start_again();
    // The process lives on, and nobody may take anything from it.
    let other = Postgres::open_as_new_owner(&url).unwrap();
    eventually("the run is free", || matches!(other.claim(Claim::new("r", "work")).wait(), Ok(Claimed::Granted(_))));
    let runs = other.list(Filter::default()).wait().unwrap();
    assert_eq!((runs[0].owner.as_deref(), runs[0].recoveries), (Some(other.owner()), 0), "nobody has died");
}

/// Forwards to the server, until it is told to keep an answer and cut the connection.
struct Proxy {
    port: u16,
    cuts: Arc<AtomicBool>,
}

impl Proxy {
    fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let cuts = Arc::new(AtomicBool::new(false));
        let cutting = Arc::clone(&cuts);
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || forward(from, to, None));
                let cutting = Arc::clone(&cutting);
                thread::spawn(move || forward(server, client, Some(&cutting)));
            }
        });
        Self { port, cuts }
    }
}

/// Copies until the end, or until the next answer is to be kept.
fn forward(mut from: TcpStream, mut to: TcpStream, cuts: Option<&AtomicBool>) {
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        let cut = cuts.is_some_and(|cuts| is_commit(&bytes[..read]) && cuts.swap(false, Ordering::Relaxed));
        if cut || to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(std::net::Shutdown::Both);
    let _ = to.shutdown(std::net::Shutdown::Both);
}

/// Whether it is what a server says after a commit: to COMMIT itself, or to the one statement of a batch of steps.
fn is_commit(answer: &[u8]) -> bool {
    let says = |tag: &[u8]| answer.windows(tag.len()).any(|window| window == tag);
    says(b"COMMIT\0") || says(b"SELECT 1\0") && says(b"Z\0\0\0\x05I") && says(b"D\0")
}

#[test]
fn a_commit_whose_answer_never_came_is_neither_lost_nor_done_twice() {
    let Some(behind) = Behind::new("a_commit_whose_answer_never_came_is_neither_lost_nor_done_twice") else { return };
    let proxy = Proxy::to(behind.cluster.port());
    let through = behind.url.replace(&format!(":{}/", behind.cluster.port()), &format!(":{}/", proxy.port));
    let store = Postgres::open_as_new_owner(&through).unwrap();
    let cut = || {
        // What is prepared by now answers in one piece.
        proxy.cuts.store(true, Ordering::Relaxed);
    };
    let was_cut = || assert!(!proxy.cuts.load(Ordering::Relaxed), "nothing was cut");

    let token = granted(&store, "r").token;
    let _ = store.append(vec![step("r", token, "first")]).wait().unwrap();
    cut();
    let second = store.append(vec![step("r", token, "second")]).wait().unwrap();
    was_cut();
    assert_eq!(second, [Appended::Recorded { seq: 2 }]);
    assert_eq!(store.steps("r").wait().unwrap().len(), 2);

    cut();
    store.finish(Finish::new(Lease::new("r", token), *b"out")).wait().unwrap();
    was_cut();
    assert_eq!(store.claim(Claim::new("r", "work")).wait().unwrap(), Claimed::Finished(Arc::from(*b"out")));

    cut();
    let claimed = granted(&store, "other");
    was_cut();
    assert_eq!(claimed.attempts, 2, "the first grant reached nobody");
    let run = store.list(Filter::default().prefix("other")).wait().unwrap().remove(0);
    assert_eq!((run.token, run.recoveries, run.status), (claimed.token, 0, RunStatus::Running));

    // What would be answered differently the second time is not tried again.
    cut();
    let error = store.delete("r").wait().unwrap_err();
    was_cut();
    assert!(error.to_string().contains("may have been done"), "{error}");
    assert_eq!(store.delete("r").wait(), Ok(false));
}
