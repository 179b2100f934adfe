//! A server that takes orders under the layer that carries requests out once, and its client.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

use bytes::Bytes;
use ft_runtime::{Checkpoint, Rejected, Store, checkpoint};
use ft_tower::http::{CheckpointBody, CheckpointLayer};
use futures_util::future::BoxFuture;
use futures_util::stream;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::Value;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt};

pub type Asked = Request<CheckpointBody<Full<Bytes>>>;
pub type Streamed = StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, &'static str>>>>;
pub type Server = BoxCloneSyncService<Request<Full<Bytes>>, Response<CheckpointBody<Streamed>>, &'static str>;
pub type Given = Result<Response<Streamed>, &'static str>;

/// Counts what the handler did.
#[derive(Clone, Default)]
pub struct Counts {
    pub calls: Arc<AtomicU32>,
    pub charges: Arc<AtomicU32>,
}

impl Counts {
    /// How often the handler was called, and how often its step was executed.
    pub fn get(&self) -> (u32, u32) {
        (self.calls.load(Ordering::SeqCst), self.charges.load(Ordering::SeqCst))
    }
}

#[checkpoint(skip(counts))]
pub async fn charge(counts: Counts) -> Result<u32, Rejected> {
    tokio::task::yield_now().await;
    Ok(counts.charges.fetch_add(1, Ordering::SeqCst) + 1)
}

pub fn frames(frames: impl IntoIterator<Item = Result<Frame<Bytes>, &'static str>>) -> Streamed {
    StreamBody::new(stream::iter(frames.into_iter().collect::<Vec<_>>()))
}

pub fn text(text: &str) -> Streamed {
    frames([Ok(Frame::data(Bytes::copy_from_slice(text.as_bytes())))])
}

/// An order: charges, and says with what.
pub async fn order(counts: Counts) -> Given {
    let charged = charge(counts).await.map_err(|_| "the step was refused")?;
    let answer = Response::builder().status(201).header("x-a", "1").header("x-a", "2").header("date", "long ago");
    Ok(answer.body(text(&format!("charge {charged}"))).unwrap())
}

/// What the layer is told beyond its defaults.
pub type Change =
    fn(CheckpointLayer<fn(&Parts) -> Option<&'static str>>) -> CheckpointLayer<fn(&Parts) -> Option<&'static str>>;

/// A server on this store whose handler is `handle`, after it was counted.
pub fn server_with<F>(
    store: &Store,
    change: Change,
    handle: impl Fn(Counts, Asked) -> F + Clone + Send + Sync + 'static,
) -> (Server, Counts)
where
    F: Future<Output = Given> + Send + 'static,
{
    let counts = Counts::default();
    let counted = counts.clone();
    let inner = tower::service_fn(move |request: Asked| -> BoxFuture<'static, Given> {
        counted.calls.fetch_add(1, Ordering::SeqCst);
        Box::pin(handle(counted.clone(), request))
    });
    let layer = change(CheckpointLayer::shared(Checkpoint::new()).store(store.clone()));
    (BoxCloneSyncService::new(layer.layer(inner)), counts)
}

pub fn server(store: &Store) -> (Server, Counts) {
    server_with(store, |layer| layer, |counts, _| order(counts))
}

pub fn memory() -> Store {
    Store::open("memory:").unwrap()
}

pub fn sqlite(folder: &tempfile::TempDir) -> Store {
    Store::open(&format!("sqlite:{}", folder.path().join("ft.db").display())).unwrap()
}

pub fn request(method: Method, path: &str, key: Option<&str>, body: &'static str) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(format!("http://server{path}"));
    let request = key.into_iter().fold(request, |request, key| request.header("idempotency-key", key));
    request.body(Full::from(body)).unwrap()
}

pub fn post(key: &str) -> Request<Full<Bytes>> {
    request(Method::POST, "/orders", Some(key), "one book")
}

/// An answer that was read to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
    pub rejected: Option<Rejected>,
}

impl Answer {
    pub fn is_replayed(&self) -> bool {
        self.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
    }

    /// The problem in it.
    pub fn problem(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem["status"], self.status);
        for member in ["title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| text.len() > 10), "{problem}");
        }
        problem
    }

    pub fn is(&self, status: u16, code: &str) -> Value {
        let problem = self.problem();
        assert_eq!((self.status, problem["code"].as_str()), (status, Some(code)), "{problem}");
        problem
    }
}

pub async fn try_ask(server: &Server, request: Request<Full<Bytes>>) -> Result<Answer, &'static str> {
    let (head, body) = server.clone().oneshot(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: String::from_utf8(body.into()).unwrap(),
        rejected: head.extensions.get().cloned(),
    })
}

pub async fn ask(server: &Server, request: Request<Full<Bytes>>) -> Answer {
    try_ask(server, request).await.unwrap()
}

/// Polls it once.
pub async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}
