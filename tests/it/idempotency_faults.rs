//! The layer that carries requests out once, when something goes wrong half-way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use ft_runtime::checkpoint::Filter;
use ft_runtime::{CheckpointError, Deadline, Rejected};
use ft_tower::http::idempotency_run;
use futures_util::future::BoxFuture;
use http::Response;
use http_body::Frame;
use tower::ServiceExt;

use crate::orders::{
    Answer, Asked, Counts, Given, Server, ask, frames, memory, order, poll_once, post, server, server_with, sqlite,
    text, try_ask,
};

#[tokio::test]
async fn what_is_not_settled_goes_on_behind_the_steps_that_were_recorded() {
    let fails = Arc::new(AtomicU32::new(0));
    let failing = Arc::clone(&fails);
    let (server, counts) = server_with(
        &memory(),
        |layer| layer,
        move |counts, _| {
            let call = failing.fetch_add(1, Ordering::SeqCst);
            async move {
                let answer = order(counts).await?;
                match call {
                    0 => Err("no connection"),
                    1 => Ok(Response::builder().status(503).body(text("busy")).unwrap()),
                    2 => Ok(answer.map(|_| frames([Ok(Frame::data("half".into())), Err("broke off")]))),
                    _ => Ok(answer),
                }
            }
        },
    );
    assert_eq!(try_ask(&server, post("a")).await, Err("no connection"), "the error of the service, as it is");
    assert_eq!(ask(&server, post("a")).await.body, "busy");
    assert_eq!(try_ask(&server, post("a")).await, Err("broke off"), "for the caller, too");
    assert_eq!(ask(&server, post("a")).await.body, "charge 1");
    assert!(ask(&server, post("a")).await.is_replayed());
    assert_eq!(counts.get(), (4, 1));
}

/// Sends the request again while a claim that was given up is on its way back.
async fn ask_until_free(server: &Server, key: &str) -> Answer {
    for _ in 0..1000 {
        let answer = ask(server, post(key)).await;
        if answer.status != 409 {
            return answer;
        }
        tokio::task::yield_now().await;
    }
    panic!("`{key}` is never given back")
}

#[tokio::test]
async fn a_request_whose_caller_leaves_at_any_moment_goes_on_and_charges_once() {
    let folder = tempfile::tempdir().unwrap();
    for store in [memory(), sqlite(&folder)] {
        let (server, counts) = server(&store);
        let mut finished = 0;
        for polls in 1..=12 {
            let key = format!("key-{polls}");
            let mut answer = Box::pin(server.clone().oneshot(post(&key)));
            for _ in 0..polls {
                if poll_once(answer.as_mut()).await.is_ready() {
                    finished += 1;
                    break;
                }
                // The store answers in order: what was asked for before this has its answer.
                store.steps("").await.unwrap();
            }
            drop(answer);
            let answer = ask_until_free(&server, &key).await;
            assert_eq!((answer.status, counts.get().1), (201, polls), "left after {polls} polls");
        }
        assert!(finished > 0, "the longest wait must see an answer, or the others are all alike");
    }
}

/// Takes a table away from under a store, or puts it back.
fn break_store(folder: &tempfile::TempDir, broken: bool) {
    let (from, to) = if broken { ("ft_run", "gone") } else { ("gone", "ft_run") };
    let db = rusqlite::Connection::open(folder.path().join("ft.db")).unwrap();
    db.busy_timeout(Duration::from_secs(10)).unwrap();
    db.execute_batch(&format!("PRAGMA legacy_alter_table = ON; ALTER TABLE {from} RENAME TO {to}")).unwrap();
}

#[tokio::test]
async fn while_the_store_is_down_nothing_is_carried_out() {
    let folder = tempfile::tempdir().unwrap();
    let (server, counts) = server(&sqlite(&folder));
    ask(&server, post("a")).await;
    break_store(&folder, true);
    for key in ["a", "b"] {
        let down = ask(&server, post(key)).await;
        down.is(503, "store_down");
        assert_eq!(down.headers["retry-after"], "1");
        assert!(!down.body.contains("ft.db"), "the inside of the server is not told to everybody");
        assert!(
            matches!(&down.rejected, Some(Rejected::Checkpoint(error)) if matches!(**error, CheckpointError::Store(_)))
        );
    }
    assert_eq!(counts.get(), (1, 1));
    break_store(&folder, false);
    assert!(ask(&server, post("a")).await.is_replayed());
    assert_eq!(ask(&server, post("b")).await.body, "charge 2");
}

#[tokio::test]
async fn an_answer_that_could_not_be_recorded_is_not_given() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let (down, place, store) = (Arc::new(AtomicBool::new(true)), Arc::clone(&folder), sqlite(&folder));
    let (server, counts) = server_with(
        &store,
        |layer| layer,
        move |counts, _| {
            let (down, place) = (Arc::clone(&down), Arc::clone(&place));
            async move {
                let answer = order(counts).await;
                if down.swap(false, Ordering::SeqCst) {
                    break_store(&place, true);
                }
                answer
            }
        },
    );
    ask(&server, post("a")).await.is(503, "store_down");
    // Behind the claim that was to be given back, which the store could not do either.
    assert!(store.runs(Filter::default()).await.is_err());
    break_store(&folder, false);
    let answer = ask_until_free(&server, "a").await;
    assert_eq!((answer.body.as_str(), answer.is_replayed()), ("charge 1", false));
    assert_eq!(counts.get().1, 1);
}

#[tokio::test]
async fn after_a_restart_answers_are_replayed_and_open_requests_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(&folder);
    let stops: fn(Counts, Asked) -> BoxFuture<'static, Given> = |counts, _| {
        Box::pin(async {
            order(counts).await?;
            std::future::pending().await
        })
    };
    let (first_life, counts) = server(&store);
    let whole = ask(&first_life, post("done")).await;
    let (stopping, stopped) = server_with(&store, |layer| layer, stops);
    let mut open = Box::pin(stopping.clone().oneshot(post("open")));
    while stopped.get().1 == 0 || store.steps(&idempotency_run("", "open")).await.unwrap().is_empty() {
        assert!(poll_once(open.as_mut()).await.is_pending());
        tokio::task::yield_now().await;
    }
    drop((open, stopping, first_life, store));

    let (second_life, late) = server(&sqlite(&folder));
    let replayed = ask(&second_life, post("done")).await;
    assert_eq!((replayed.status, replayed.body, late.get()), (whole.status, whole.body, (0, 0)));
    assert_eq!(ask(&second_life, post("open")).await.body, "charge 1", "charged in the first life");
    assert_eq!((counts.get(), stopped.get(), late.get()), ((1, 1), (1, 1), (1, 0)));
}

#[tokio::test]
async fn a_deadline_that_passes_before_the_store_answers_is_a_timeout_and_nothing_is_carried_out() {
    let folder = tempfile::tempdir().unwrap();
    let (server, counts) = server(&sqlite(&folder));
    let lock = rusqlite::Connection::open(folder.path().join("ft.db")).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let late = Deadline::after(Duration::from_millis(20)).scope(ask(&server, post("a"))).await;
    late.is(504, "too_late");
    lock.execute_batch("ROLLBACK").unwrap();
    assert_eq!(counts.get(), (0, 0));
    assert_eq!(ask_until_free(&server, "a").await.status, 201, "the late claim was given back");
}
