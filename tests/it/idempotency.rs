//! The layer that carries requests out once: what the draft asks of a server, and what it leaves open.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ft_runtime::observe::{self, What};
use ft_runtime::{Again, Checkpoint, CheckpointError, Rejected, checkpoint};
use ft_tower::http::{CheckpointLayer, KeyNeed, idempotency_run};
use futures_util::future::join;
use http::request::Parts;
use http::{Method, Response};
use tokio::sync::Notify;
use tower::Layer;
use tower::util::BoxCloneSyncService;

use crate::orders::{
    Asked, Change, Counts, Given, ask, memory, order, post, request, server, server_with, sqlite, text,
};

#[tokio::test]
async fn the_same_request_again_gets_the_recorded_answer_whole_and_marked() {
    let folder = tempfile::tempdir().unwrap();
    for store in [memory(), sqlite(&folder)] {
        let (server, counts) = server(&store);
        let first = ask(&server, post("\"a\"")).await;
        assert_eq!((first.status, &*first.body, first.is_replayed()), (201, "charge 1", false));
        assert_eq!(first.headers["date"], "long ago");
        for again in ["\"a\"", "a"] {
            let again = ask(&server, post(again)).await;
            assert_eq!((again.status, &*again.body, again.is_replayed()), (201, "charge 1", true));
            let twice: Vec<_> = again.headers.get_all("x-a").iter().collect();
            assert_eq!(twice, ["1", "2"]);
            assert!(!again.headers.contains_key("date"), "a date is that of the answer it stands in");
        }
        assert_eq!(ask(&server, post("b")).await.body, "charge 2");
        assert_eq!(counts.get(), (2, 2));
    }
}

#[tokio::test]
async fn another_request_under_the_key_is_refused_and_leaves_the_answer() {
    let (server, counts) = server(&memory());
    ask(&server, post("a")).await;
    for (other, what) in [
        (request(Method::POST, "/orders", Some("a"), "two books"), "body"),
        (request(Method::POST, "/orders", Some("a"), ""), "body"),
        (request(Method::POST, "/orders/7", Some("a"), "one book"), "path"),
        (request(Method::POST, "/orders?gift", Some("a"), "one book"), "path"),
        (request(Method::PATCH, "/orders", Some("a"), "one book"), "method"),
        (request(Method::PATCH, "/", Some("a"), "one book"), "method and path"),
    ] {
        let answer = ask(&server, other).await;
        let detail = answer.is(422, "key_reused")["detail"].to_string();
        assert!(detail.contains(&format!("another {what}.")), "{detail}");
        assert!(
            matches!(&answer.rejected, Some(Rejected::Checkpoint(error)) if matches!(**error, CheckpointError::RunInputChanged { .. }))
        );
    }
    let again = ask(&server, post("a")).await;
    assert!(again.is_replayed() && again.body == "charge 1");
    assert_eq!(counts.get(), (1, 1));
}

/// A handler that says that it is there, and waits until it may go on.
#[derive(Clone, Default)]
struct Door {
    entered: Arc<Notify>,
    open: Arc<Notify>,
}

#[tokio::test]
async fn of_two_requests_at_once_one_is_carried_out_and_the_other_is_told_to_come_back() {
    let folder = tempfile::tempdir().unwrap();
    for store in [memory(), sqlite(&folder)] {
        let door = Door::default();
        let inside = door.clone();
        let (server, counts) = server_with(
            &store,
            |layer| layer,
            move |counts, _| {
                let door = inside.clone();
                async move {
                    door.entered.notify_one();
                    door.open.notified().await;
                    order(counts).await
                }
            },
        );
        let second = async {
            door.entered.notified().await;
            let early = ask(&server, post("a")).await;
            // Another body is wrong whether the first request is carried out already or not.
            let other = ask(&server, request(Method::POST, "/orders", Some("a"), "two books")).await;
            door.open.notify_one();
            (early, other)
        };
        let (first, (early, other)) = join(ask(&server, post("a")), second).await;
        early.is(409, "in_progress");
        assert_eq!(early.headers["retry-after"], "1");
        assert!(other.status == 422 || other.status == 409, "{other:?}");
        assert_eq!(first.body, "charge 1");
        assert!(ask(&server, post("a")).await.is_replayed());
        assert_eq!(counts.get(), (1, 1));
    }
}

#[tokio::test]
async fn many_requests_at_once_charge_once_and_all_get_the_same_answer_in_the_end() {
    let (server, counts) = server(&sqlite(&tempfile::tempdir().unwrap()));
    let patiently = || {
        let server = server.clone();
        tokio::spawn(async move {
            loop {
                let answer = ask(&server, post("a")).await;
                match answer.status {
                    409 => tokio::task::yield_now().await,
                    _ => return (answer.status, answer.body),
                }
            }
        })
    };
    let all: Vec<_> = (0..20).map(|_| patiently()).collect();
    for one in all {
        assert_eq!(one.await.unwrap(), (201, "charge 1".into()));
    }
    assert_eq!(counts.get(), (1, 1));
}

#[tokio::test]
async fn a_key_that_is_missing_or_malformed_is_refused_where_one_is_needed() {
    let docs: Change = |layer| layer.docs("https://shop.example/docs#keys");
    let (server, counts) = server_with(&memory(), docs, |counts, _| order(counts));
    for method in [Method::POST, Method::PATCH] {
        let missing = ask(&server, request(method, "/orders", None, "")).await;
        assert_eq!(missing.is(400, "key_missing")["type"], "https://shop.example/docs#keys");
        assert_eq!(missing.headers["link"], "<https://shop.example/docs#keys>; rel=\"describedby\"");
    }
    let long = "x".repeat(201);
    for malformed in ["\"a", "a b", "\"\"", "", &long, "\"a\", \"b\""] {
        ask(&server, post(malformed)).await.is(400, "key_malformed");
    }
    let mut two = post("a");
    two.headers_mut().append("idempotency-key", "a".parse().unwrap());
    let detail = ask(&server, two).await.is(400, "key_malformed")["detail"].to_string();
    assert!(detail.contains("more than once"), "{detail}");
    assert_eq!(counts.get(), (0, 0));
    assert_eq!(ask(&server, post(&long[..200])).await.status, 201, "the longest key");
}

#[tokio::test]
async fn what_needs_no_key_passes_through_as_often_as_it_comes() {
    let store = memory();
    let (server, counts) = server(&store);
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS] {
        for _ in 0..2 {
            let answer = ask(&server, request(method.clone(), "/orders", Some("not a key"), "")).await;
            assert!(answer.status == 201 && !answer.is_replayed());
        }
    }
    let mut grpc = post("a");
    grpc.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    assert_eq!(ask(&server, grpc).await.status, 201);
    assert_eq!(counts.get(), (11, 11), "no run, so no record of the step");
    assert!(store.runs(checkpoint::Filter::default()).await.unwrap().is_empty());

    let by_choice: Change =
        |layer| layer.need(|head| if head.uri.path() == "/login" { KeyNeed::Ignored } else { KeyNeed::Optional });
    let (server, counts) = server_with(&store, by_choice, |counts, _| order(counts));
    for _ in 0..2 {
        assert!(!ask(&server, request(Method::POST, "/login", Some("a"), "")).await.is_replayed());
        assert_eq!(ask(&server, request(Method::POST, "/orders", None, "")).await.status, 201);
        ask(&server, request(Method::PUT, "/orders", Some("b"), "")).await;
    }
    assert_eq!(counts.get(), (5, 5), "the one with a key once");
    ask(&server, request(Method::POST, "/orders", Some("a b"), "")).await.is(400, "key_malformed");
}

#[tokio::test]
async fn a_key_belongs_to_its_caller_and_a_request_of_nobody_is_refused() {
    let (calls, store) = (Arc::new(AtomicU32::new(0)), memory());
    let count = Arc::clone(&calls);
    let inner = tower::service_fn(move |_: Asked| {
        let call = count.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok::<_, &'static str>(Response::new(text(&format!("answer {call}")))))
    });
    let tenant = |head: &Parts| Some(head.headers.get("x-tenant")?.to_str().ok()?.to_owned());
    let layer = CheckpointLayer::new(Checkpoint::new(), tenant).store(store.clone());
    let server = BoxCloneSyncService::new(layer.layer(inner));
    let of = |tenant: &str, key: &str| {
        let mut request = post(key);
        request.headers_mut().insert("x-tenant", tenant.parse().unwrap());
        request
    };
    // "a-b" and "c", "a" and "b-c": no scope runs into a key.
    let answers = [("a", "b-c"), ("a-b", "c"), ("b", "b-c"), ("", "b-c")];
    let mut bodies = HashSet::new();
    for (tenant, key) in answers {
        let first = ask(&server, of(tenant, key)).await;
        assert!(!first.is_replayed(), "{tenant} got the answer of somebody else");
        bodies.insert(first.body);
    }
    assert_eq!(bodies.len(), 4);
    assert!(ask(&server, of("a", "b-c")).await.is_replayed());
    ask(&server, post("b-c")).await.is(403, "caller_unknown");
    assert_eq!(calls.load(Ordering::SeqCst), 4);
    let runs = store.runs(checkpoint::Filter::default()).await.unwrap();
    assert!(runs.iter().any(|run| run.run == idempotency_run("a-b", "c")));
}

#[tokio::test]
async fn an_answer_settles_the_request_unless_it_asks_to_come_back() {
    let status: fn(Counts, Asked) -> std::future::Ready<Given> = |_, request| {
        let status: u16 = request.uri().path()[1..].parse().unwrap();
        std::future::ready(Ok(Response::builder().status(status).body(text("an answer")).unwrap()))
    };
    let (server, counts) = server_with(&memory(), |layer| layer, status);
    for status in 200..=599 {
        let (before, _) = counts.get();
        let ask = || ask(&server, request(Method::POST, &format!("/{status}"), Some(&format!("key-{status}")), ""));
        let (first, second) = (ask().await, ask().await);
        assert_eq!((first.status, &*first.body, first.is_replayed()), (status, "an answer", false));
        assert_eq!((second.status, &*second.body), (status, "an answer"));
        let settled = matches!(status, 200..=499) && ![408, 425, 429].contains(&status);
        assert_eq!((second.is_replayed(), counts.get().0 - before), (settled, if settled { 1 } else { 2 }), "{status}");
    }

    let by_choice: Change = |layer| layer.settles(|head| head.status.is_server_error());
    let (server, counts) = server_with(&memory(), by_choice, status);
    for path in ["/200", "/500"] {
        ask(&server, request(Method::POST, path, Some(&path[1..]), "")).await;
        ask(&server, request(Method::POST, path, Some(&path[1..]), "")).await;
    }
    assert_eq!(counts.get().0, 3);
}

#[tokio::test]
async fn what_operators_and_deploys_do_to_a_request_is_told() {
    let store = memory();
    let unsettled: fn(Counts, Asked) -> std::future::Ready<Given> =
        |_, _| std::future::ready(Ok(Response::builder().status(500).body(text("")).unwrap()));
    let (old, _) = server_with(&store, |layer| layer, unsettled);
    for key in ["cancelled", "begun"] {
        assert_eq!(ask(&old, post(key)).await.status, 500);
    }
    assert!(store.cancel(&idempotency_run("", "cancelled")).await.unwrap());
    ask(&old, post("cancelled")).await.is(410, "cancelled");

    let inner = tower::service_fn(|_: Asked| std::future::ready(Ok::<_, &'static str>(Response::new(text("new")))));
    let layer = CheckpointLayer::shared(Checkpoint::new().version(2)).store(store.clone());
    let new = BoxCloneSyncService::new(layer.layer(inner));
    ask(&new, post("begun")).await.is(503, "other_version");
}

#[tokio::test]
async fn a_key_is_known_for_as_long_as_the_policy_keeps_results_and_never_again_is_refused() {
    let answers = |policy: Checkpoint| async move {
        let calls = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&calls);
        let inner = tower::service_fn(move |_: Asked| {
            count.fetch_add(1, Ordering::SeqCst);
            std::future::ready(Ok::<_, &'static str>(Response::new(text(""))))
        });
        let server = BoxCloneSyncService::new(CheckpointLayer::shared(policy).store(memory()).layer(inner));
        ask(&server, post("a")).await;
        ask(&server, post("a")).await;
        calls.load(Ordering::SeqCst)
    };
    assert_eq!(answers(Checkpoint::new().keep(Duration::from_secs(1000))).await, 1);
    assert_eq!(answers(Checkpoint::new().keep(Duration::ZERO)).await, 2, "forgotten at once");
    assert_eq!(answers(Checkpoint::new().again(Again::Always)).await, 1, "a repeated request is never a periodic job");
}

#[tokio::test]
async fn refusals_of_runs_are_told_with_the_run() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&heard);
    let run = idempotency_run("", "told");
    let ours = run.clone();
    let _listening = observe::subscribe(move |event| {
        if let What::Refused { key, reason, .. } = event.what
            && key == ours
        {
            told.lock().unwrap().push((event.policy, reason));
        }
    });
    let (server, _) = server(&memory());
    ask(&server, post("told")).await;
    ask(&server, request(Method::POST, "/orders", Some("told"), "other")).await;
    assert_eq!(*heard.lock().unwrap(), [("checkpoint", "checkpoint")]);
}
