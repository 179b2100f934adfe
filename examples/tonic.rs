//! A gRPC client and server, written by hand with prost messages: the channel stands under the HTTP retry layer, which reads
//! status and pushback from the answer's head and sends the message again; what is left of the deadline goes over the wire.
//!
//! `cargo run --example tonic`

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ft_runtime::{Backoff, Deadline, Retry, observe};
use ft_tower::http::{AnswerRefusalsLayer, DeadlineLayer, HttpRetryLayer, PropagateDeadlineLayer, ReplayBody};
use http::uri::PathAndQuery;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::metadata::MetadataValue;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::{BoxError, Service, ServiceBuilder};

#[derive(Clone, PartialEq, prost::Message)]
struct Order {
    #[prost(uint64, tag = "1")]
    id: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Receipt {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint32, tag = "2")]
    calls: u32,
    /// How much time the server saw, in milliseconds, where the caller set a limit.
    #[prost(uint64, optional, tag = "3")]
    left: Option<u64>,
}

const RETRY: Retry = Retry::new().max_attempts(4).backoff(Backoff::fixed(Duration::from_millis(20)));

/// Only reads, so it may be asked again whatever happened: the method says nothing of it, every call of gRPC is a POST.
const FIND: PathAndQuery = PathAndQuery::from_static("/shop.Orders/Find");
/// Charges a card.
const PLACE: PathAndQuery = PathAndQuery::from_static("/shop.Orders/Place");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _listening = observe::subscribe(|event| println!("  {}: {:?}", event.policy, event.what));
    let orders = Orders::default();
    let server = serve(orders.clone()).await?;
    let channel = Channel::from_shared(format!("http://{server}"))?.connect_lazy();
    let channel = ServiceBuilder::new()
        .layer(HttpRetryLayer::new(RETRY).idempotent(|request| request.uri.path() == FIND.as_str()))
        .layer(PropagateDeadlineLayer::grpc())
        .map_err(BoxError::from)
        .map_request(|request: http::Request<ReplayBody<Body>>| request.map(Body::new))
        .service(channel);
    let mut client = tonic::client::Grpc::new(channel);
    let mut ask = async |method: &PathAndQuery, id| {
        println!("{} {id}", method.path());
        orders.calls.store(0, Ordering::SeqCst);
        client.ready().await.map_err(Status::from_error)?;
        let answer = client.unary(Request::new(Order { id }), method.clone(), ProstCodec::default()).await;
        answer.map(|receipt: Response<Receipt>| receipt.into_inner())
    };

    // UNAVAILABLE, and then the answer.
    assert_eq!(ask(&FIND, UNAVAILABLE_ONCE).await?, Receipt { id: UNAVAILABLE_ONCE, calls: 2, left: None });

    // The same for a call that may have run: not made again.
    let status = ask(&PLACE, UNAVAILABLE_ONCE).await.unwrap_err();
    assert_eq!((status.code(), orders.calls.load(Ordering::SeqCst)), (Code::Unavailable, 1));

    // The server says when to come back, and so that it did not run.
    let began = Instant::now();
    assert_eq!(ask(&PLACE, BUSY_ONCE).await?, Receipt { id: BUSY_ONCE, calls: 2, left: None });
    assert!(began.elapsed() >= Duration::from_millis(300), "as the server asked");

    // The server asks not to be called again.
    let status = ask(&FIND, GIVE_UP).await.unwrap_err();
    assert_eq!((status.code(), orders.calls.load(Ordering::SeqCst)), (Code::Unavailable, 1));

    // The deadline of the caller, minus the time that the first attempt and the wait took, is the server's.
    let within = Deadline::after(Duration::from_secs(60));
    let left = within.scope(ask(&PLACE, BUSY_ONCE)).await?.left.expect("a limit");
    assert!((1..=59_700).contains(&left), "{left}");

    println!("tonic: 3 faults survived, 2 calls not repeated, 1 deadline kept");
    Ok(())
}

const UNAVAILABLE_ONCE: u64 = 1;
const BUSY_ONCE: u64 = 2;
const GIVE_UP: u64 = 3;

/// The server: what a code generator would write, and the orders.
#[derive(Clone, Debug, Default)]
struct Orders {
    calls: Arc<AtomicU32>,
}

impl Orders {
    fn answer(&self, order: &Order) -> Result<Response<Receipt>, Status> {
        let calls = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let pushback = |code, wait| {
            let mut status = Status::new(code, "not now");
            status.metadata_mut().insert("grpc-retry-pushback-ms", MetadataValue::from_static(wait));
            status
        };
        match (order.id, calls) {
            (UNAVAILABLE_ONCE, 1) => Err(Status::unavailable("restarting")),
            (BUSY_ONCE, 1) => Err(pushback(Code::ResourceExhausted, "300")),
            (GIVE_UP, _) => Err(pushback(Code::Unavailable, "-1")),
            (id, calls) => Ok(Response::new(Receipt { id, calls, left: left() })),
        }
    }
}

fn left() -> Option<u64> {
    Some(Deadline::current()?.remaining().as_millis() as u64)
}

impl Service<Request<Order>> for Orders {
    type Response = Response<Receipt>;
    type Error = Status;
    type Future = Ready<Result<Response<Receipt>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Order>) -> Self::Future {
        ready(self.answer(request.get_ref()))
    }
}

/// Both methods decode an order and answer with a receipt.
impl Service<http::Request<Body>> for Orders {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let orders = self.clone();
        Box::pin(async move { Ok(tonic::server::Grpc::new(ProstCodec::default()).unary(orders, request).await) })
    }
}

impl tonic::server::NamedService for Orders {
    const NAME: &'static str = "shop.Orders";
}

async fn serve(orders: Orders) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut server = Server::builder().layer(AnswerRefusalsLayer::new(DeadlineLayer::new()));
    tokio::spawn(server.add_service(orders).serve_with_incoming(TcpIncoming::from(listener)));
    Ok(address)
}
