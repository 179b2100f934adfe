//! A hyper client as a tower service under the HTTP retry layer, against a server whose port refuses, whose connections
//! are reset, and which has no time.
//!
//! `cargo run --example hyper_client`

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ft_runtime::observe::{self, GaveUp, What};
use ft_runtime::{Backoff, Jitter, Retry};
use ft_tower::http::HttpRetryLayer;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tower::{Service, ServiceBuilder, ServiceExt};

const RETRY: Retry =
    Retry::new().max_attempts(6).backoff(Backoff::fixed(Duration::from_millis(100)).jitter(Jitter::None));

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let why = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&why);
    let _listening = observe::subscribe(move |event| {
        println!("  {}: {:?}", event.policy, event.what);
        if let What::GaveUp { reason, .. } = event.what {
            heard.lock().unwrap().push(reason);
        }
    });

    // With the feature `hyper` the client's error says itself whether the request was sent.
    let client = Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build_http();
    let mut client = ServiceBuilder::new().layer(HttpRetryLayer::new(RETRY).replay(64 * 1024)).service(client);
    let mut send = async |server: SocketAddr, method: Method, path: &str, body: Bytes| {
        println!("{method} {path}, {} bytes", body.len());
        let request = Request::builder().method(method).uri(format!("http://{server}{path}")).body(Full::new(body));
        client.ready().await?.call(request.expect("a valid request")).await.map(|response| response.status())
    };

    // The port is taken, and nobody listens on it yet: the connection is refused. A POST that provably never reached the
    // server is made again, whatever it would do there.
    let socket = TcpSocket::new_v4()?;
    socket.bind("127.0.0.1:0".parse()?)?;
    let late = socket.local_addr()?;
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(250)).await;
        serve(socket.listen(16).expect("our own port"), count).await;
    });
    let status = send(late, Method::POST, "/late", "order".into()).await?;
    assert_eq!((status, calls.load(Ordering::SeqCst)), (StatusCode::OK, 1), "made once");

    // The first connection is reset after the request arrived: it may have run. A PUT is idempotent, a POST is not.
    let resetting = TcpListener::bind("127.0.0.1:0").await?;
    let server = resetting.local_addr()?;
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    tokio::spawn(async move {
        for _ in 0..2 {
            reset(resetting.accept().await.expect("a connection").0).await.expect("a request to answer with a reset");
        }
        serve(resetting, count).await;
    });
    send(server, Method::POST, "/reset", "order".into()).await.expect_err("not made again");
    let status = send(server, Method::PUT, "/reset", "order".into()).await?;
    assert_eq!((status, calls.load(Ordering::SeqCst)), (StatusCode::OK, 1), "the same bytes again");

    // What is longer than the bound streams through, and cannot be sent again.
    let status = send(server, Method::PUT, "/busy", Bytes::from(vec![b'x'; 1024 * 1024])).await?;
    assert_eq!((status, calls.load(Ordering::SeqCst)), (StatusCode::SERVICE_UNAVAILABLE, 2), "made once");

    assert_eq!(*why.lock().unwrap(), [GaveUp::NotRepeatable, GaveUp::BodyTooLong]);
    println!("hyper_client: 1 refusal and 1 reset survived, 2 requests not repeated");
    Ok(())
}

/// Reads the beginning of a request, and resets the connection.
async fn reset(stream: TcpStream) -> std::io::Result<()> {
    stream.readable().await?;
    stream.set_zero_linger()
}

/// Answers `/busy` with 503 and everything else with 200, after the whole body was read.
async fn serve(listener: TcpListener, calls: Arc<AtomicU32>) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let calls = Arc::clone(&calls);
        let answer = hyper::service::service_fn(move |request: Request<Incoming>| {
            calls.fetch_add(1, Ordering::SeqCst);
            async move {
                let busy = request.uri().path() == "/busy";
                let whole = request.into_body().collect().await;
                let status = match whole {
                    Ok(_) if busy => StatusCode::SERVICE_UNAVAILABLE,
                    Ok(_) => StatusCode::OK,
                    Err(_) => StatusCode::BAD_REQUEST,
                };
                let mut response = Response::new(Full::<Bytes>::default());
                *response.status_mut() = status;
                Ok::<_, Infallible>(response)
            }
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}
