//! The layer that carries requests out once: its bounds, its readiness, and a router over a socket.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use ft_runtime::Checkpoint;
use ft_tower::http::{CheckpointBody, CheckpointLayer, CheckpointService, KeyNeed};
use ft_tower::testing::Probe;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

use crate::orders::{
    Asked, Change, Counts, Streamed, ask, charge, frames, memory, poll_once, post, request, server, server_with, text,
};

#[tokio::test]
async fn bodies_of_requests_have_a_bound() {
    let small: Change = |layer| layer.max_request(8);
    let (server, counts) = server_with(&memory(), small, |_, request| async move {
        let body = request.into_body().collect().await.map_err(|_| "broken")?.to_bytes();
        Ok(Response::new(text(&format!("read {}", body.len()))))
    });
    assert_eq!(ask(&server, post("a")).await.body, "read 8", "what was compared is given on");
    let long = || request(Method::POST, "/orders", Some("b"), "two books");
    let detail = ask(&server, long()).await.is(413, "body_too_long")["detail"].to_string();
    assert!(detail.contains("8 bytes"), "{detail}");
    assert_eq!(counts.get().0, 1);
    let pass: Change = |layer| layer.max_request(8).need(|_| KeyNeed::Optional);
    let (server, _) = server_with(&memory(), pass, |_, request| async move {
        let body = request.into_body().collect().await.map_err(|_| "broken")?.to_bytes();
        Ok(Response::new(text(&format!("read {}", body.len()))))
    });
    let unkeyed = request(Method::POST, "/orders", None, "two books");
    assert_eq!(ask(&server, unkeyed).await.body, "read 9", "no key, no bound");
}

#[tokio::test]
async fn a_body_that_is_too_long_unannounced_or_breaks_off_is_not_carried_out() {
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    let inner = tower::service_fn(move |_: Request<CheckpointBody<Streamed>>| {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok::<_, Infallible>(Response::new(text(""))))
    });
    let layer = CheckpointLayer::shared(Checkpoint::new()).store(memory()).max_request(8);
    let server = layer.layer(inner);
    let sent = |body: Streamed| {
        let request = Request::post("/").header("idempotency-key", "a").body(body).unwrap();
        let answer = server.clone().oneshot(request);
        async { answer.await.unwrap().status().as_u16() }
    };
    let data = |text: &'static str| Ok(Frame::data(Bytes::from_static(text.as_bytes())));
    assert_eq!(sent(frames([data("12345"), data("6789")])).await, 413);
    assert_eq!(sent(frames([data("1234"), Err("reset")])).await, 400);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    assert_eq!(sent(frames([data("1234"), data("5678")])).await, 200);
}

#[tokio::test]
async fn an_answer_that_is_too_long_to_keep_is_given_once_and_the_request_not_carried_out_again() {
    let small: Change = |layer| layer.max_answer(8);
    let (server, counts) = server_with(&memory(), small, |counts, request| async move {
        let charged = charge(counts).await.map_err(|_| "refused")?;
        Ok(match request.uri().path() {
            "/body" => Response::builder().status(201).body(text(&format!("long charge {charged}"))).unwrap(),
            _ => Response::builder().header("x-long", "x".repeat(16 * 1024)).body(text("short")).unwrap(),
        })
    });
    for (path, status, body) in [("/body", 201, "long charge 1"), ("/headers", 200, "short")] {
        let first = ask(&server, request(Method::POST, path, Some(path), "")).await;
        assert_eq!((first.status, &*first.body), (status, body));
        for _ in 0..2 {
            let again = ask(&server, request(Method::POST, path, Some(path), "")).await;
            let detail = again.is(410, "answer_not_kept")["detail"].to_string();
            assert!(detail.contains(&format!("answered with {status}")), "{detail}");
        }
    }
    assert_eq!(counts.get(), (2, 2));
}

#[tokio::test]
async fn trailers_are_recorded_and_what_belongs_to_the_connection_is_not() {
    let (server, _) = server_with(
        &memory(),
        |layer| layer,
        |_, _| async {
            let trailers = HeaderMap::from_iter([(http::header::ETAG, "\"7\"".parse().unwrap())]);
            let body = frames([Ok(Frame::data("data".into())), Ok(Frame::trailers(trailers))]);
            let answer =
                Response::builder().header("connection", "close, X-Hop").header("x-hop", "1").header("x-end", "2");
            Ok(answer.header("transfer-encoding", "chunked").header("content-length", "4").body(body).unwrap())
        },
    );
    let mut heads = Vec::new();
    for _ in 0..2 {
        let (head, body) = server.clone().oneshot(post("a")).await.unwrap().into_parts();
        let collected = body.collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["etag"], "\"7\"");
        assert_eq!(collected.to_bytes(), "data");
        heads.push(head.headers);
    }
    assert_eq!(heads[0].len(), 5, "the first answer is as it was");
    let names: Vec<_> = heads[1].keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["x-end", "idempotency-replayed"]);
}

type Probed = CheckpointService<tower::limit::ConcurrencyLimit<Probe<Echo>>, fn(&Parts) -> Option<&'static str>>;

/// Answers at once.
#[derive(Clone)]
struct Echo;

impl Service<Asked> for Echo {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Asked) -> Self::Future {
        std::future::ready(Ok(Response::default()))
    }
}

#[tokio::test]
async fn case_37_and_41_the_service_inside_is_made_ready_only_for_what_is_carried_out() {
    let probe = Probe::new(Echo);
    let counts = probe.counts();
    let layer = CheckpointLayer::shared(Checkpoint::new()).store(memory());
    let mut server: Probed = ServiceBuilder::new().layer(layer).concurrency_limit(1).service(probe);
    server.ready().await.unwrap();
    assert_eq!((counts.polls(), counts.reserved()), (0, 0), "readiness holds nothing of what is inside");
    server.call(post("a")).await.unwrap();
    assert_eq!((counts.calls(), counts.reserved()), (1, 0));

    // Somebody else has the only place.
    let mut other = server.get_ref().clone();
    other.ready().await.unwrap();
    let replayed = server.ready().await.unwrap().call(post("a")).await.unwrap();
    assert_eq!(replayed.headers()["idempotency-replayed"], "true");
    server.ready().await.unwrap().call(request(Method::POST, "/", None, "")).await.unwrap();
    let mut waiting = Box::pin(server.ready().await.unwrap().call(post("b")));
    assert!(poll_once(waiting.as_mut()).await.is_pending());
    drop(other);
    assert_eq!(waiting.await.unwrap().status(), 200);
    assert_eq!((counts.calls(), counts.reserved()), (2, 0));
}

#[tokio::test]
async fn an_error_of_readiness_is_the_outcome_and_leaves_the_request_open() {
    #[derive(Clone)]
    struct Gone;
    impl Service<Asked> for Gone {
        type Response = Response<Full<Bytes>>;
        type Error = &'static str;
        type Future = std::future::Pending<Result<Self::Response, &'static str>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
            Poll::Ready(Err("gone"))
        }

        fn call(&mut self, _: Asked) -> Self::Future {
            unreachable!("never ready")
        }
    }
    let store = memory();
    let layer = CheckpointLayer::shared(Checkpoint::new()).store(store.clone());
    assert_eq!(layer.layer(Gone).oneshot(post("a")).await.unwrap_err(), "gone");
    let (server, _) = server(&store);
    assert_eq!(ask(&server, post("a")).await.status, 201);
}

#[tokio::test]
async fn the_layer_fits_around_a_router_over_a_socket() {
    use axum::Router;
    use axum::routing::post as route;
    let (counts, store) = (Counts::default(), memory());
    let counted = counts.clone();
    let handler = move || {
        let counts = counted.clone();
        async move { charge(counts).await.map(|charged| format!("charge {charged}")).map_err(|error| error.to_string()) }
    };
    let app = Router::new()
        .route("/orders", route(handler).get(async || "list"))
        .layer(CheckpointLayer::shared(Checkpoint::new()).store(store));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/orders", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for replayed in [false, true] {
        let answer = client.post(&url).header("idempotency-key", "\"a\"").body("one book").send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.content_length()), (200, Some(8)));
        assert_eq!(answer.headers().contains_key("idempotency-replayed"), replayed);
        assert!(answer.headers().contains_key("date"));
        assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
        assert_eq!(answer.text().await.unwrap(), "charge 1");
    }
    let missing = client.post(&url).send().await.unwrap();
    assert_eq!(
        (missing.status().as_u16(), &missing.headers()["content-type"]),
        (400, &"application/problem+json".parse().unwrap())
    );
    assert_eq!(client.get(&url).send().await.unwrap().text().await.unwrap(), "list");
    assert_eq!(counts.get(), (0, 1));
    server.abort();
}

#[test]
fn settings_that_make_no_sense_are_refused_where_they_are_given() {
    let layer = || CheckpointLayer::shared(Checkpoint::new());
    let _ = layer().max_answer(32 * 1024 * 1024).docs("https://shop.example/docs");
    for wrong in [
        (|layer| layer.max_answer(32 * 1024 * 1024 + 1)) as Change,
        |layer| layer.docs(""),
        |layer| layer.docs("see the manual"),
        |layer| layer.docs("https://shop.example/\">"),
    ] {
        std::panic::catch_unwind(|| wrong(CheckpointLayer::shared(Checkpoint::new()))).unwrap_err();
    }
}
