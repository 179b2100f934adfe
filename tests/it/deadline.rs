//! One deadline over the wire: the layers that read and write it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ft_runtime::{Deadline, Error, Rejected, site};
use ft_tower::TimeoutLayer;
use ft_tower::http::{AnswerRefusalsLayer, DeadlineLayer, PropagateDeadlineLayer};
use http::{HeaderValue, Request, Response};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::events::Events;

const SECOND: Duration = Duration::from_secs(1);

type Left = Result<Option<Duration>, Rejected>;

/// Answers how much time it has.
fn server() -> impl Service<Request<()>, Response = Option<Duration>, Error = Rejected> + Clone {
    DeadlineLayer::new().layer(service_fn(async |_: Request<()>| Ok(Deadline::current().map(Deadline::remaining))))
}

fn asking(headers: &[(&'static str, &str)]) -> Request<()> {
    let mut request = Request::new(());
    for (name, value) in headers {
        request.headers_mut().append(*name, HeaderValue::from_str(value).unwrap());
    }
    request
}

async fn left(headers: &[(&'static str, &str)]) -> Left {
    server().oneshot(asking(headers)).await
}

#[tokio::test(start_paused = true)]
async fn a_request_is_under_the_deadline_that_it_asks_for_or_under_none() {
    assert_eq!(left(&[]).await, Ok(None));
    assert_eq!(left(&[("ft-timeout-ms", "1500")]).await, Ok(Some(SECOND * 3 / 2)));
    assert_eq!(left(&[("grpc-timeout", "2S")]).await, Ok(Some(2 * SECOND)));
}

#[tokio::test(start_paused = true)]
async fn of_several_deadlines_the_nearest_counts() {
    assert_eq!(left(&[("ft-timeout-ms", "1500"), ("grpc-timeout", "1S")]).await, Ok(Some(SECOND)));
    assert_eq!(left(&[("ft-timeout-ms", "1000"), ("grpc-timeout", "1M")]).await, Ok(Some(SECOND)));
    assert_eq!(left(&[("ft-timeout-ms", "3000"), ("ft-timeout-ms", "1000")]).await, Ok(Some(SECOND)));
    let around = Deadline::after(SECOND).scope(left(&[("ft-timeout-ms", "3000")])).await;
    assert_eq!(around, Ok(Some(SECOND)), "and the one around the service too");
}

#[tokio::test(start_paused = true)]
async fn a_header_that_is_no_duration_and_one_without_time_are_refused_before_the_service_is_called() {
    let events = Events::of("deadline: refusals");
    let site = site!("deadline: refusals");
    let never = service_fn(|_: Request<()>| async { panic!("called") as Result<(), Rejected> });
    let service = DeadlineLayer::new().at(site).layer(never);
    for bad in [[("ft-timeout-ms", "soon")], [("grpc-timeout", "250ms")], [("grpc-timeout", "")]] {
        let refused = service.oneshot(asking(&bad)).await.unwrap_err();
        let Rejected::Invalid(invalid) = refused else { panic!("{refused}") };
        assert!(invalid.to_string().contains(bad[0].0), "{invalid}");
    }
    let mut bytes = asking(&[]);
    bytes.headers_mut().insert("ft-timeout-ms", HeaderValue::from_bytes(b"\xff").unwrap());
    assert!(matches!(service.oneshot(bytes).await, Err(Rejected::Invalid(_))));
    let passed = service.oneshot(asking(&[("ft-timeout-ms", "0")])).await;
    assert_eq!(passed, Err(Rejected::DeadlinePassed));
    assert_eq!(events.seen(), ["refused"; 5]);
    assert_eq!(site.calls(), 5);
}

#[tokio::test(start_paused = true)]
async fn around_a_service_that_cannot_fail_a_refusal_is_a_status() {
    let router = service_fn(async |_: Request<()>| Ok::<_, std::convert::Infallible>(Response::new(String::new())));
    let layers = ServiceBuilder::new().layer(DeadlineLayer::new()).layer(TimeoutLayer::new(SECOND));
    let service = AnswerRefusalsLayer::new(layers).layer(router);
    let status = async |value| service.clone().oneshot(asking(&[("ft-timeout-ms", value)])).await.unwrap().status();
    assert_eq!(status("1000").await, 200);
    assert_eq!(status("0").await, 504);
    assert!(!status("soon").await.is_success());
}

/// What a client sends, and what it gets.
async fn sends(layer: PropagateDeadlineLayer, request: Request<()>) -> Result<Request<()>, Rejected> {
    layer.layer(service_fn(async |request: Request<()>| Ok(request))).oneshot(request).await
}

fn header<'a>(request: &'a Request<()>, name: &str) -> Option<&'a str> {
    request.headers().get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_client_writes_what_is_left_into_each_request_and_nothing_where_there_is_no_deadline() {
    let free = sends(PropagateDeadlineLayer::http(), asking(&[])).await.unwrap();
    assert!(free.headers().is_empty());
    let deadline = Deadline::after(2 * SECOND);
    tokio::time::advance(SECOND / 2).await;
    let http = deadline.scope(async { sends(PropagateDeadlineLayer::http(), asking(&[])).await }).await.unwrap();
    assert_eq!((header(&http, "ft-timeout-ms"), header(&http, "grpc-timeout")), (Some("1500"), None));
    let grpc = deadline.scope(async { sends(PropagateDeadlineLayer::grpc(), asking(&[])).await }).await.unwrap();
    assert_eq!((header(&grpc, "ft-timeout-ms"), header(&grpc, "grpc-timeout")), (None, Some("1500000u")));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_asks_for_less_keeps_its_own_header_and_one_that_asks_for_more_does_not() {
    for (own, sent) in [("1S", "1S"), ("1M", "2000000u"), ("nonsense", "2000000u")] {
        let request = asking(&[("grpc-timeout", own)]);
        let sent_in = async { sends(PropagateDeadlineLayer::grpc(), request).await };
        let request = Deadline::after(2 * SECOND).scope(sent_in).await.unwrap();
        assert_eq!(header(&request, "grpc-timeout"), Some(sent), "{own}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_without_time_sends_nothing() {
    let sent = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&sent);
    let server = service_fn(move |_: Request<()>| {
        *counted.lock().unwrap() += 1;
        std::future::ready(Ok::<_, Rejected>(()))
    });
    for layer in [PropagateDeadlineLayer::http(), PropagateDeadlineLayer::grpc()] {
        let send = async { layer.layer(server.clone()).oneshot(asking(&[])).await };
        assert_eq!(Deadline::after(Duration::ZERO).scope(send).await, Err(Rejected::DeadlinePassed));
    }
    let send = async { PropagateDeadlineLayer::http().layer(server.clone()).oneshot(asking(&[])).await };
    let nearly = Deadline::after(Duration::from_micros(999)).scope(send).await;
    assert_eq!(nearly, Err(Rejected::DeadlinePassed), "the header cannot say less than a millisecond");
    assert_eq!(*sent.lock().unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_goes_from_server_to_server_and_ends_the_last_one() {
    // The last server hangs; the one between spends 300 ms before it asks; the client gives one second.
    let last = ServiceBuilder::new()
        .layer(DeadlineLayer::new())
        .layer(TimeoutLayer::new(9 * SECOND))
        .service(service_fn(|_: Request<()>| std::future::pending::<Result<(), Error<()>>>()));
    let between = ServiceBuilder::new().layer(DeadlineLayer::new()).service(service_fn(move |_: Request<()>| {
        let client = PropagateDeadlineLayer::grpc().layer(last);
        async move {
            tokio::time::sleep(SECOND * 3 / 10).await;
            client.oneshot(Request::new(())).await
        }
    }));
    let client =
        ServiceBuilder::new().layer(TimeoutLayer::new(SECOND)).layer(PropagateDeadlineLayer::http()).service(between);
    let began = tokio::time::Instant::now();
    let outcome = client.oneshot(Request::new(())).await;
    assert_eq!(outcome, Err(Error::Rejected(Rejected::TimedOut { limit: SECOND * 7 / 10 })));
    assert_eq!(began.elapsed(), SECOND);
}
