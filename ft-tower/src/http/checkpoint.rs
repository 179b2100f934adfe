//! Requests that are carried out once, however often they are sent.

mod body;
mod exchange;
mod future;
mod key;
mod problem;
mod record;

use std::fmt;
use std::task::{Context, Poll};

use ::http::request::Parts;
use ::http::{Method, Request, Response, StatusCode, response};
use ft_runtime::Site;
use ft_runtime::checkpoint::{Again, Checkpoint, Fingerprint, Store};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

pub use self::body::CheckpointBody;
use self::exchange::Exchange;
pub use self::future::CheckpointFuture;
use self::future::Stage;
use self::problem::Problem;
use super::grpc;
use crate::oneshot::Oneshot;

/// Carries a request with an `Idempotency-Key` out once: whoever sends it again gets the answer that was recorded, also
/// after a crash. It does what the IETF's draft "The Idempotency-Key HTTP Header Field" asks of a server.
///
/// | request | answer |
/// |---|---|
/// | the first one with its key | that of the service inside |
/// | the same again, behind the answer | the recorded one: status, headers, body; and `Idempotency-Replayed: true` |
/// | the same again, before it | 409, `Retry-After` |
/// | another method, path, query or body under the key | 422; the earlier answer stays |
/// | without a key, or with a malformed one, where one is needed | 400 |
/// | with a longer body than may be | 413 |
/// | while the store is down | 503, `Retry-After` |
/// | one that has killed its process too often ([`max_recoveries`](Checkpoint::max_recoveries)), or whose record is damaged | 500 |
/// | one that was carried out, with an answer too long to keep | 410; the first caller got it whole |
///
/// What the layer answers itself is `application/problem+json` with a member `code`, and says what to do. Why a run was
/// refused stands in the extensions of the answer, as a [`Rejected`](ft_runtime::Rejected), for a layer outside that logs.
///
/// # The handler runs inside a run
///
/// Its [`#[checkpoint]`](macro@ft_runtime::checkpoint) steps are recorded. When the process dies between charging and
/// answering, the same request, sent again, goes on behind the charge. So it does when its caller leaves half-way, and
/// when the answer does not settle it.
///
/// # Which answers settle
///
/// 2xx, 3xx and 4xx, except what asks to come back: 408, 425, 429. Everything else, an error of the service, and an answer
/// that breaks off, leave the request open: the handler runs again, with its recorded steps. [`settles`](Self::settles)
/// decides otherwise. An answer is recorded before it is given, so it is read to its end first: routes that stream without
/// end do not belong under this layer ([`KeyNeed::Ignored`]).
///
/// # Whose key it is
///
/// Two callers may send the same key, and none must get the other's answer. So a scope must be said: what tells callers
/// apart, such as the tenant that a layer outside found out, or the credentials themselves; the store sees a fingerprint of
/// it only. A request without one is refused with 403. [`shared`](Self::shared) is for servers whose callers may see each
/// other's answers. A router that is nested in another one sees the rest of the path only: put the layer around the
/// outer one, or the prefix into the scope.
///
/// # Readiness
///
/// The service is always ready: who gets a recorded answer needs nothing of the service inside. It is made ready for a
/// request, on a clone of its own, when that is carried out. An error of `poll_ready` inside is the outcome of that request.
///
/// # Where it stands
///
/// Inside authentication and the limits: a deadline bounds the wait for a body, a bulkhead how many are in memory, and a
/// rate how many keys one caller may use up, as a store keeps the newest 100,000 results. As it answers its refusals, it
/// fits around a router.
///
/// Answers stand in the store as they are, with their cookies.
///
/// # Defaults
///
/// | setting | default |
/// |---|---|
/// | [`need`](Self::need) | POST and PATCH need a key, that of others is ignored; gRPC passes through |
/// | [`max_request`](Self::max_request), [`max_answer`](Self::max_answer) | 1 MiB each; headers of an answer 16 KiB |
/// | key | 1 to 200 printable ASCII characters, in double quotes or bare |
/// | [`keep`](Checkpoint::keep) of the policy: how long a key is known | 7 days |
/// | store | the installed one |
///
/// ```
/// use ft_runtime::{Checkpoint, Store};
/// use ft_tower::http::CheckpointLayer;
/// use bytes::Bytes;
/// use http::{Request, Response, request::Parts};
/// use http_body_util::Full;
/// use std::{convert::Infallible, sync::atomic::{AtomicU32, Ordering}, time::Duration};
/// use tower::{Service, ServiceBuilder, ServiceExt};
///
/// static CHARGES: AtomicU32 = AtomicU32::new(0);
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tenant = |head: &Parts| head.headers.get("x-tenant")?.to_str().ok().map(String::from);
/// let mut server = ServiceBuilder::new()
///     .layer(CheckpointLayer::new(Checkpoint::new().keep(Duration::from_secs(86_400)), tenant).store(Store::open("memory:")?))
///     .service_fn(async |_| {
///         let charge = CHARGES.fetch_add(1, Ordering::Relaxed);
///         Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(format!("charge {charge}")))))
///     });
///
/// let order = || {
///     let order = Request::post("/orders").header("x-tenant", "7").header("idempotency-key", "\"8e03978e\"");
///     order.body(Full::new(Bytes::from("one book"))).unwrap()
/// };
/// let first = server.ready().await?.call(order()).await?;
/// let again = server.ready().await?.call(order()).await?;
/// assert!(first.status() == 200 && again.headers()["idempotency-replayed"] == "true");
/// assert_eq!(CHARGES.load(Ordering::Relaxed), 1);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct CheckpointLayer<F> {
    scope: F,
    rules: Rules,
}

/// What holds for each request.
#[derive(Clone)]
struct Rules {
    policy: Checkpoint,
    store: Option<Store>,
    site: Option<&'static Site>,
    need: fn(&Parts) -> KeyNeed,
    settles: fn(&response::Parts) -> bool,
    max_request: usize,
    max_answer: usize,
    docs: Option<&'static str>,
}

/// What a request needs of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyNeed {
    /// Without a key it is refused.
    Required,
    /// Without a key it passes through, and is carried out as often as it is sent.
    Optional,
    /// It passes through, whatever it carries.
    Ignored,
}

impl KeyNeed {
    /// Required of POST and PATCH, ignored with all other methods, which are idempotent by themselves, and with gRPC.
    ///
    /// ```
    /// use ft_tower::http::KeyNeed;
    ///
    /// let post = http::Request::post("/orders").body(()).unwrap().into_parts().0;
    /// assert_eq!(KeyNeed::by_method(&post), KeyNeed::Required);
    /// ```
    pub fn by_method(head: &Parts) -> Self {
        let changes = head.method == Method::POST || head.method == Method::PATCH;
        if changes && !grpc::is_grpc(&head.headers) { Self::Required } else { Self::Ignored }
    }
}

impl<F> CheckpointLayer<F> {
    /// A layer whose keys belong to callers: `scope` tells them apart, as anything `Display` that borrows nothing of the
    /// request. `None` refuses the request.
    ///
    /// Of the policy, the version and how long results and unfinished requests are kept count. A request that was
    /// carried out is never carried out [`again`](Checkpoint::again) while its answer is kept.
    pub fn new<D: fmt::Display>(policy: Checkpoint, scope: F) -> Self
    where
        F: Fn(&Parts) -> Option<D>,
    {
        let rules = Rules {
            policy: policy.again(Again::AfterKeep),
            store: None,
            site: None,
            need: KeyNeed::by_method,
            settles,
            max_request: 1024 * 1024,
            max_answer: 1024 * 1024,
            docs: None,
        };
        Self { scope, rules }
    }

    /// The store of its runs, instead of the installed one.
    pub fn store(mut self, store: Store) -> Self {
        self.rules.store = Some(store);
        self
    }

    /// Files the requests under a site, see [`ft_runtime::site!`].
    pub fn at(mut self, site: &'static Site) -> Self {
        self.rules.site = Some(site);
        self
    }

    /// Which requests need a key: by default as [`KeyNeed::by_method`] says.
    ///
    /// ```
    /// # use ft_runtime::Checkpoint; use ft_tower::http::{CheckpointLayer, KeyNeed};
    /// let layer = CheckpointLayer::shared(Checkpoint::new()).need(|head| match head.uri.path() {
    ///     "/login" => KeyNeed::Ignored,
    ///     _ => KeyNeed::by_method(head),
    /// });
    /// # let _ = layer;
    /// ```
    pub fn need(mut self, need: fn(&Parts) -> KeyNeed) -> Self {
        self.rules.need = need;
        self
    }

    /// Which answers are recorded, and end the request: by default 2xx, 3xx and 4xx except 408, 425 and 429.
    pub fn settles(mut self, settles: fn(&response::Parts) -> bool) -> Self {
        self.rules.settles = settles;
        self
    }

    /// How many bytes the body of a request with a key may have: 1 MiB by default. It is read into memory, to be compared.
    pub fn max_request(mut self, bytes: usize) -> Self {
        self.rules.max_request = bytes;
        self
    }

    /// How many bytes of an answer's body are kept: 1 MiB by default. Who asked first gets a longer one whole; after that it is
    /// known only that the request was carried out.
    ///
    /// # Panics
    ///
    /// Above 32 MiB, which is too much for a value of a store.
    #[track_caller]
    pub fn max_answer(mut self, bytes: usize) -> Self {
        assert!(bytes <= 32 * 1024 * 1024, "max_answer must be at most 32 MiB");
        self.rules.max_answer = bytes;
        self
    }

    /// Where the authors of clients can read on: every problem links to it, as the draft asks.
    ///
    /// # Panics
    ///
    /// On what is no URL.
    #[track_caller]
    pub fn docs(mut self, url: &'static str) -> Self {
        let plain = url.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"' | b'\\'));
        assert!(plain && !url.is_empty(), "docs must be a URL");
        self.rules.docs = Some(url);
        self
    }
}

impl CheckpointLayer<fn(&Parts) -> Option<&'static str>> {
    /// A layer whose keys belong to everybody: whoever sends the key and the request of somebody else gets the answer to
    /// it. For servers with one caller, or callers that may see each other's answers.
    pub fn shared(policy: Checkpoint) -> Self {
        Self::new(policy, |_| Some(""))
    }
}

impl<F> fmt::Debug for CheckpointLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rules { policy, store, site, .. } = &self.rules;
        f.debug_struct("CheckpointLayer")
            .field("policy", policy)
            .field("store", store)
            .field("site", site)
            .finish_non_exhaustive()
    }
}

/// The id of the run in which the request with this key, from this caller, is carried out: to look it up in a
/// [`Store`], or to cancel it.
///
/// ```
/// use ft_tower::http::idempotency_run;
///
/// let run = idempotency_run("tenant-7", "8e03978e-40d5");
/// assert!(run.starts_with("http-") && run.ends_with("-8e03978e-40d5"));
/// assert_ne!(run, idempotency_run("tenant-8", "8e03978e-40d5"));
/// ```
pub fn idempotency_run(scope: &str, key: &str) -> String {
    // Fingerprinted: credentials do not stand in a store, and no scope runs into a key.
    let scope = scope.fingerprint().expect("text serialises: only a type's own Serialize can refuse");
    format!("http-{scope}-{key}")
}

fn settles(head: &response::Parts) -> bool {
    const COME_BACK: [StatusCode; 3] =
        [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    (200..500).contains(&head.status.as_u16()) && !COME_BACK.contains(&head.status)
}

impl<S, F: Clone> Layer<S> for CheckpointLayer<F> {
    type Service = CheckpointService<S, F>;

    fn layer(&self, inner: S) -> Self::Service {
        CheckpointService { inner, layer: self.clone() }
    }
}

/// The service that [`CheckpointLayer`] makes.
#[derive(Clone, Debug)]
pub struct CheckpointService<S, F> {
    inner: S,
    layer: CheckpointLayer<F>,
}

impl<S, F> CheckpointService<S, F> {
    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, F, D, B, R> Service<Request<B>> for CheckpointService<S, F>
where
    S: Service<Request<CheckpointBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    F: Fn(&Parts) -> Option<D>,
    D: fmt::Display,
    B: Body + Send + 'static,
    B::Error: Send,
    R: Body + Send + 'static,
    R::Error: Send,
{
    type Response = Response<CheckpointBody<R>>;
    type Error = S::Error;
    type Future = CheckpointFuture<S, B, R>;

    /// Always ready: what is recorded is answered without the service inside.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let rules = &self.layer.rules;
        let entered = rules.site.map(Site::enter);
        let (head, body) = request.into_parts();
        let stage = match self.layer.admit(&head) {
            Admitted::Once(run) => {
                let exchange = Exchange { rules: rules.clone(), entered, service: self.inner.clone(), run };
                Stage::Once { answer: Box::pin(exchange.carry_out(head, body)) }
            }
            Admitted::Passes => {
                let request = Request::from_parts(head, CheckpointBody::untouched(body));
                Stage::Passes { answer: Oneshot::new(self.inner.clone(), request) }
            }
            Admitted::Refused(problem) => Stage::Refused { answer: Some(problem.answer(rules.docs)) },
        };
        CheckpointFuture { stage }
    }
}

/// What becomes of a request.
enum Admitted {
    /// Carried out once, in this run.
    Once(String),
    Passes,
    Refused(Problem),
}

impl<F> CheckpointLayer<F> {
    fn admit<D: fmt::Display>(&self, head: &Parts) -> Admitted
    where
        F: Fn(&Parts) -> Option<D>,
    {
        let key = match ((self.rules.need)(head), key::of(&head.headers)) {
            (KeyNeed::Ignored, _) | (KeyNeed::Optional, Ok(None)) => return Admitted::Passes,
            (KeyNeed::Required, Ok(None)) => return Admitted::Refused(Problem::KeyMissing),
            (_, Err(malformed)) => return Admitted::Refused(Problem::KeyMalformed(malformed)),
            (_, Ok(Some(key))) => key,
        };
        match (self.scope)(head) {
            Some(scope) => Admitted::Once(idempotency_run(&scope.to_string(), &key)),
            None => Admitted::Refused(Problem::CallerUnknown),
        }
    }
}
