//! The HTTP layers: over services that insist on the contract, and over real sockets.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use ft_runtime::observe::{self, GaveUp, What};
use ft_runtime::testing::Script;
use ft_runtime::{Backoff, CircuitBreaker, Hedge, Jitter, Rejected, Retry};
use ft_tower::http::{AnswerRefusalsLayer, ByStatus, HttpRetryLayer, ReplayBody};
use ft_tower::testing::{Probe, Scripted};
use ft_tower::{CircuitBreakerLayer, HedgeLayer, RetryLayer, RetryService};
use futures_util::stream::{self, StreamExt};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt};

use crate::flaky::Wrong;

const RETRY: Retry =
    Retry::new().max_attempts(3).backoff(Backoff::fixed(Duration::from_millis(10)).jitter(Jitter::None));

type Nothing = Empty<Bytes>;
type Answer = Response<&'static str>;
type Server = Probe<Scripted<Answer, Wrong, Request<ReplayBody<Nothing>>>>;

/// Answers with these statuses, one after the other; zero is an error that may have run.
fn server(statuses: &'static [u16]) -> (Server, Script<Answer, Wrong>) {
    let script = Script::from_fn(move |call: u32| match statuses[(call as usize).min(statuses.len()) - 1] {
        0 => Err(Wrong::Passing),
        status => Ok(Response::builder().status(status).body("").unwrap()),
    });
    (Probe::new(Scripted::new(&script)), script)
}

fn request(method: Method) -> Request<Nothing> {
    Request::builder().method(method).uri("http://server/").body(Nothing::new()).unwrap()
}

/// The status of the last answer, and how many attempts were made.
async fn status(statuses: &'static [u16], request: Request<Nothing>) -> (u16, u32) {
    let (server, script) = server(statuses);
    let mut client = HttpRetryLayer::new(RETRY).layer(server);
    let response = client.ready().await.unwrap().call(request).await;
    (response.map_or(0, |response| response.status().as_u16()), script.calls())
}

#[tokio::test(start_paused = true)]
async fn what_may_have_run_is_repeated_only_if_the_request_says_that_it_may_be() {
    assert_eq!(status(&[503, 0, 200], request(Method::GET)).await, (200, 3));
    assert_eq!(status(&[503, 200], request(Method::POST)).await, (503, 1), "the answer as it is");
    assert_eq!(status(&[0, 200], request(Method::POST)).await, (0, 1), "the error as it is");
    assert_eq!(status(&[425, 200], request(Method::POST)).await, (200, 2), "it did not run");
    let mut keyed = request(Method::POST);
    keyed.headers_mut().insert("idempotency-key", "order-7".parse().unwrap());
    assert_eq!(status(&[503, 0, 200], keyed).await, (200, 3));
    assert_eq!(status(&[404, 200], request(Method::GET)).await, (404, 1), "an answer");
    assert_eq!(status(&[500], request(Method::GET)).await, (500, 3), "the last one, unchanged");
}

#[tokio::test(start_paused = true)]
async fn what_the_caller_calls_idempotent_is_repeated() {
    let (server, script) = server(&[503, 200]);
    let layer = HttpRetryLayer::new(RETRY).idempotent(|head| head.uri.path() == "/");
    let response = layer.layer(server).oneshot(request(Method::POST)).await.unwrap();
    assert_eq!((response.status().as_u16(), script.calls()), (200, 2));
}

#[tokio::test(start_paused = true)]
async fn case_11_a_date_is_waited_for_and_a_hint_beyond_the_longest_delay_ends_the_retry() {
    async fn waited(headers: &'static [(&'static str, &'static str)]) -> (Duration, u16) {
        let script = Script::from_fn(move |call| {
            let mut response = Response::builder().status(if call == 1 { 429 } else { 200 });
            for (name, value) in headers {
                response = response.header(*name, *value);
            }
            Ok::<_, Wrong>(response.body("").unwrap())
        });
        let client = HttpRetryLayer::new(RETRY.backoff(Backoff::fixed(Duration::from_secs(60)).jitter(Jitter::None)));
        let began = tokio::time::Instant::now();
        let response = client.layer(Scripted::new(&script)).oneshot(request(Method::GET)).await.unwrap();
        (began.elapsed(), response.status().as_u16())
    }
    const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 12:00:00 GMT");
    let (wait, status) = waited(&[DATE, ("retry-after", "Sun, 06 Nov 1994 12:00:20 GMT")]).await;
    assert!(status == 200 && wait >= Duration::from_secs(20) && wait <= Duration::from_secs(60), "{wait:?}");
    assert_eq!(
        waited(&[DATE, ("retry-after", "soon")]).await,
        (Duration::from_secs(60), 200),
        "no hint: our own delay"
    );
    assert_eq!(waited(&[("retry-after", "-1")]).await, (Duration::from_secs(60), 200));
    assert_eq!(
        waited(&[("retry-after", "99999999999999999999")]).await,
        (Duration::ZERO, 429),
        "the caller's to decide"
    );
}

#[tokio::test(start_paused = true)]
async fn case_37_http_retry_works_over_a_concurrency_limit_and_over_a_buffer_of_one() {
    let (probe, script) = server(&[503, 0, 200]);
    let counts = probe.counts();
    let service = ServiceBuilder::new().layer(HttpRetryLayer::new(RETRY)).concurrency_limit(1).service(probe);
    assert_eq!(service.oneshot(request(Method::GET)).await.unwrap().status(), 200);
    assert_eq!((script.calls(), counts.calls(), counts.reserved()), (3, 3, 0));

    let (probe, script) = server(&[503, 503, 200]);
    let transient = |error: &BoxError| error.downcast_ref() == Some(&Wrong::Passing);
    let layer = HttpRetryLayer::new(RETRY).when(transient);
    let service = ServiceBuilder::new().layer(layer).buffer(1).service(probe);
    assert_eq!(service.oneshot(request(Method::GET)).await.unwrap().status(), 200);
    assert_eq!(script.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn case_38_readiness_that_is_not_used_is_given_back_and_asked_for_twice_is_taken_once() {
    let (probe, _) = server(&[200]);
    let counts = probe.counts();
    let mut service = ServiceBuilder::new().layer(HttpRetryLayer::new(RETRY)).concurrency_limit(1).service(probe);
    let mut other = service.clone();
    service.ready().await.unwrap();
    service.ready().await.unwrap();
    assert_eq!(counts.reserved(), 1);
    drop(service);
    assert_eq!(counts.reserved(), 0);
    tokio::time::timeout(Duration::from_secs(1), other.ready()).await.expect("the permit is back").unwrap();
}

#[tokio::test(start_paused = true)]
async fn case_41_a_request_in_its_wait_holds_nothing_of_the_service_inside() {
    let (probe, script) = server(&[503, 200]);
    let counts = probe.counts();
    let hour = RETRY.backoff(Backoff::fixed(Duration::from_secs(3600)).jitter(Jitter::None));
    let mut service = ServiceBuilder::new().layer(HttpRetryLayer::new(hour)).concurrency_limit(1).service(probe);
    let waiting = tokio::spawn(service.ready().await.unwrap().call(request(Method::GET)));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((script.calls(), counts.reserved()), (1, 0));
    let other = tokio::time::timeout(Duration::from_secs(1), service.oneshot(request(Method::GET)));
    assert_eq!(other.await.expect("the only slot is free").unwrap().status(), 200);
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
}

/// Ready once, and then broken.
#[derive(Clone)]
struct BreaksAfterwards {
    polls: Arc<AtomicU32>,
}

impl<B> Service<Request<B>> for BreaksAfterwards {
    type Response = Answer;
    type Error = Wrong;
    type Future = std::future::Ready<Result<Answer, Wrong>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Wrong>> {
        Poll::Ready(if self.polls.fetch_add(1, Ordering::SeqCst) == 0 { Ok(()) } else { Err(Wrong::NeverSent) })
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        std::future::ready(Err(Wrong::Passing))
    }
}

#[tokio::test(start_paused = true)]
async fn case_42_an_error_of_readiness_is_not_tried_again() {
    let polls = Arc::new(AtomicU32::new(0));
    let client = HttpRetryLayer::new(RETRY).layer(BreaksAfterwards { polls: Arc::clone(&polls) });
    assert_eq!(client.oneshot(request(Method::GET)).await.unwrap_err(), Wrong::NeverSent);
    assert_eq!(polls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn refusals_are_answered_around_a_service_that_cannot_fail() {
    #[derive(Clone, Copy)]
    enum Refuse {
        WhenReady,
        WhenCalled,
        Never,
    }
    /// A layer that can refuse.
    #[derive(Clone)]
    struct Guard<S>(S, Refuse);
    impl<S, E> Service<Request<Nothing>> for Guard<S>
    where
        S: Service<Request<Nothing>, Response = Answer, Error = ft_runtime::Error<E>>,
        S::Future: Send + 'static,
        E: Send + 'static,
    {
        type Response = Answer;
        type Error = S::Error;
        type Future = futures_util::future::Either<S::Future, std::future::Ready<Result<Answer, S::Error>>>;
        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
            match self.1 {
                Refuse::WhenReady => Poll::Ready(Err(Rejected::BulkheadFull.into())),
                _ => self.0.poll_ready(cx),
            }
        }
        fn call(&mut self, request: Request<Nothing>) -> Self::Future {
            match self.1 {
                Refuse::WhenCalled => {
                    let rejected = Rejected::RateLimited { retry_after: Duration::from_millis(1500) };
                    futures_util::future::Either::Right(std::future::ready(Err(rejected.into())))
                }
                _ => futures_util::future::Either::Left(self.0.call(request)),
            }
        }
    }
    let router = tower::service_fn(|_: Request<Nothing>| async { Ok::<_, Infallible>(Response::new("here")) });
    let ask = async |refuse: Refuse, request: Request<Nothing>| {
        let layers = tower::layer::layer_fn(move |inner| Guard(inner, refuse));
        let service = AnswerRefusalsLayer::new(layers).layer(router);
        let answer: Result<Answer, Infallible> = service.oneshot(request).await;
        answer.unwrap()
    };
    let get = || request(Method::GET);
    assert_eq!(*ask(Refuse::Never, get()).await.body(), "here");
    assert_eq!(ask(Refuse::WhenReady, get()).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    let limited = ask(Refuse::WhenCalled, get()).await;
    assert_eq!(
        (limited.status(), &limited.headers()["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"2".parse().unwrap())
    );
    let mut call = request(Method::POST);
    call.headers_mut().insert("content-type", "application/grpc+proto".parse().unwrap());
    let limited = ask(Refuse::WhenCalled, call).await;
    assert_eq!((limited.status(), &limited.headers()["grpc-status"]), (StatusCode::OK, &"8".parse().unwrap()));
    assert_eq!(limited.headers()["grpc-retry-pushback-ms"], "1500");
}

#[tokio::test(start_paused = true)]
async fn the_classification_is_the_same_behind_the_plain_retry_layer() {
    let (service, script) = {
        let script = Script::from_fn(|call: u32| {
            Ok::<_, Wrong>(Response::builder().status(if call < 3 { 503 } else { 200 }).body("").unwrap())
        });
        let service: RetryService<_, _> =
            RetryLayer::new(RETRY).classify(ByStatus).layer(Scripted::<_, _, ()>::new(&script));
        (service, script)
    };
    assert_eq!(service.oneshot(()).await.unwrap().status(), 200);
    assert_eq!(script.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_counts_responses_by_their_status_also_those_that_must_not_be_repeated() {
    static BREAKER: CircuitBreaker = CircuitBreaker::new().consecutive(3);
    let script = Script::from_fn(|call: u32| {
        let response = match call {
            1 => Response::builder().status(503),
            2 => Response::builder().header("grpc-status", "14").header("grpc-retry-pushback-ms", "-1"),
            3 => Response::builder().status(404),
            _ => Response::builder().status(500),
        };
        Ok::<_, ft_runtime::Error<Wrong>>(response.body("").unwrap())
    });
    let mut service = CircuitBreakerLayer::new(&BREAKER).classify(ByStatus).layer(Scripted::<_, _, ()>::new(&script));
    for _ in 0..6 {
        service.ready().await.unwrap().call(()).await.unwrap();
    }
    let refused = service.ready().await.unwrap().call(()).await.unwrap_err();
    assert!(matches!(refused, ft_runtime::Error::Rejected(Rejected::CircuitOpen { .. })), "{refused:?}");
    assert_eq!(script.calls(), 6, "the 404 was an answer, and began the count anew");
}

#[tokio::test(start_paused = true)]
async fn a_pushback_that_forbids_another_attempt_ends_retry_hedge_and_failover() {
    let told = || {
        Script::from_fn(|_| {
            let response = Response::builder().header("grpc-status", "14").header("grpc-retry-pushback-ms", "-1");
            Ok::<_, Wrong>(response.body("").unwrap())
        })
    };
    let script = told();
    let retry = RetryLayer::new(RETRY).classify(ByStatus);
    retry.layer(Scripted::<_, _, ()>::new(&script)).oneshot(()).await.unwrap();
    assert_eq!(script.calls(), 1, "retry");

    static HEDGE: Hedge = Hedge::new().after(Duration::from_secs(3600));
    let script = told();
    let hedge = HedgeLayer::new(&HEDGE).classify(ByStatus);
    hedge.layer(Scripted::<_, _, ()>::new(&script)).oneshot(()).await.unwrap();
    assert_eq!(script.calls(), 1, "hedge");

    let script = Script::from_fn(|_| {
        let response = Response::builder().header("grpc-status", "14").header("grpc-retry-pushback-ms", "-1");
        Ok::<_, ft_runtime::Error<Wrong>>(response.body("").unwrap())
    });
    let servers = [("a", Scripted::<_, _, ()>::new(&script)), ("b", Scripted::new(&script))];
    let failover = ft_tower::Failover::new(ft_runtime::Failover::new(), servers).classify(ByStatus);
    failover.oneshot(()).await.unwrap();
    assert_eq!(script.calls(), 1, "failover");
}

// ===== real sockets =====

/// A server on a free port that gives the head and the whole body of each request to `answer`.
async fn serve(answer: impl Fn(u32) -> ServerDoes + Send + Sync + 'static) -> (SocketAddr, Arc<Mutex<Vec<Received>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let received = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&received);
    let answer = Arc::new(answer);
    let calls = Arc::new(AtomicU32::new(0));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (answer, calls, log) = (Arc::clone(&answer), Arc::clone(&calls), Arc::clone(&log));
            let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
                let does = answer(calls.fetch_add(1, Ordering::SeqCst) + 1);
                let log = Arc::clone(&log);
                async move {
                    let mut response = Response::new(Full::<Bytes>::default());
                    match does {
                        ServerDoes::RefuseUnread => *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE,
                        ServerDoes::Answer(status) => {
                            let length = request.headers().get("content-length").cloned();
                            let whole = request.into_body().collect().await?;
                            let trailers = whole.trailers().cloned();
                            let length = length.map(|length| length.to_str().unwrap().to_owned());
                            log.lock().unwrap().push(Received { bytes: whole.to_bytes().len(), length, trailers });
                            *response.status_mut() = StatusCode::from_u16(status).unwrap();
                        }
                    }
                    Ok::<_, hyper::Error>(response)
                }
            });
            let io = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
        }
    });
    (address, received)
}

enum ServerDoes {
    /// Answers 503 before the body is there, and closes.
    RefuseUnread,
    /// Reads the whole body, and answers with this status.
    Answer(u16),
}

#[derive(Debug, PartialEq)]
struct Received {
    bytes: usize,
    length: Option<String>,
    trailers: Option<HeaderMap>,
}

fn client<B>() -> hyper_util::client::legacy::Client<hyper_util::client::legacy::connect::HttpConnector, B>
where
    B: http_body::Body + Send,
    B::Data: Send,
{
    hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http()
}

/// The reasons for which this call gave up.
fn gave_up(site: &'static str) -> (Arc<Mutex<Vec<GaveUp>>>, observe::Subscription) {
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&reasons);
    let listening = observe::subscribe(move |event| {
        if let What::GaveUp { reason, .. } = event.what
            && event.site == site
        {
            heard.lock().unwrap().push(reason);
        }
    });
    (reasons, listening)
}

#[tokio::test]
async fn a_server_gets_the_same_body_in_each_attempt_with_its_length() {
    let (server, received) = serve(|call| ServerDoes::Answer(if call < 3 { 503 } else { 200 })).await;
    let client = HttpRetryLayer::new(RETRY).layer(client());
    let body = Full::new(Bytes::from(vec![b'x'; 5000]));
    let request = Request::put(format!("http://{server}/")).body(body).unwrap();
    assert_eq!(client.oneshot(request).await.unwrap().status(), 200);
    let same = || Received { bytes: 5000, length: Some("5000".to_owned()), trailers: None };
    assert_eq!(*received.lock().unwrap(), [same(), same(), same()]);
}

#[tokio::test]
async fn a_body_that_an_early_answer_cut_off_is_whole_in_the_next_attempt() {
    let (server, received) =
        serve(|call| if call == 1 { ServerDoes::RefuseUnread } else { ServerDoes::Answer(200) }).await;
    // In pieces that come one after the other, and trailers.
    let piece = || Frame::data(Bytes::from_static(&[b'x'; 1000]));
    let sum = HeaderMap::from_iter([("sum".parse().unwrap(), "7".parse().unwrap())]);
    let frames = std::iter::repeat_with(piece).take(20).chain([Frame::trailers(sum)]);
    let body = StreamBody::new(stream::iter(frames).then(async |frame| {
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(frame)
    }));
    let client = HttpRetryLayer::new(RETRY).layer(client());
    let request = Request::put(format!("http://{server}/")).header("trailer", "sum").body(body).unwrap();
    assert_eq!(client.oneshot(request).await.unwrap().status(), 200);
    let received = received.lock().unwrap();
    assert_eq!((received.len(), received[0].bytes), (1, 20_000));
    assert_eq!(received[0].trailers.as_ref().unwrap()["sum"], "7");
}

#[tokio::test]
async fn an_answer_that_never_comes_is_a_failure_that_may_have_run_boxed_or_not() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            // Read to the end of the head, and closed without a word.
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(tokio::io::AsyncReadExt::read_u8(&mut stream).await.unwrap());
            }
        }
    });
    let plain = HttpRetryLayer::new(RETRY).layer(client());
    let boxed = ServiceBuilder::new().layer(HttpRetryLayer::new(RETRY)).map_err(BoxError::from).service(client());
    let request =
        |method| Request::builder().method(method).uri(format!("http://{server}/")).body(Nothing::new()).unwrap();
    let connected = || connections.swap(0, Ordering::SeqCst);
    plain.clone().oneshot(request(Method::GET)).await.unwrap_err();
    assert_eq!(connected(), 3);
    plain.oneshot(request(Method::POST)).await.unwrap_err();
    assert_eq!(connected(), 1);
    boxed.clone().oneshot(request(Method::GET)).await.unwrap_err();
    assert_eq!(connected(), 3);
    boxed.oneshot(request(Method::POST)).await.unwrap_err();
    assert_eq!(connected(), 1);
}

#[tokio::test]
async fn a_body_over_the_bound_is_sent_once_and_the_reason_is_told() {
    let (reasons, _listening) = gave_up("http::over_the_bound");
    let (server, received) = serve(|_| ServerDoes::Answer(503)).await;
    let client = HttpRetryLayer::new(RETRY)
        .by_cause()
        .replay(1000)
        .at(ft_runtime::site!("http::over_the_bound"))
        .layer(client());
    let send = async |bytes: usize| {
        let body = Full::new(Bytes::from(vec![b'x'; bytes]));
        let request = Request::put(format!("http://{server}/")).body(body).unwrap();
        client.clone().oneshot(request).await.unwrap().status().as_u16()
    };
    assert_eq!((send(1001).await, received.lock().unwrap().len()), (503, 1));
    assert_eq!(*reasons.lock().unwrap(), [GaveUp::BodyTooLong]);
    assert_eq!((send(1000).await, received.lock().unwrap().len()), (503, 1 + 3));
    assert_eq!(*reasons.lock().unwrap(), [GaveUp::BodyTooLong, GaveUp::Exhausted]);
}
