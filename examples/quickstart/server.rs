//! The enrichment service: `POST /enrich` with a record as body and an `Idempotency-Key`, answered with JSON.
//!
//! Server `a` is slow and has faults; which ones a record meets is drawn from the seed, so every run has the same.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::unicode::Enricher;
use crate::witness::{Accepted, Effect, Ledger};

/// Longest body that is read.
const BODY: usize = 4096;

/// Serves for ever on a port of the system's choice, which the first line on stdout tells.
pub(crate) async fn serve(name: &str, witness: &Path, seed: u64) -> io::Result<Infallible> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?);
    let service = Arc::new(Service {
        enricher: Enricher::new(),
        ledger: Ledger::open(witness, name)?,
        faults: (name == "a").then(|| Faults { seed, seen: Mutex::default() }),
    });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = Arc::clone(&service);
        tokio::spawn(async move {
            let answer = service_fn(|request| service.answer(request));
            // A connection that ends early is the client's affair, or the fault that was asked for.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

struct Service {
    enricher: Enricher,
    ledger: Ledger,
    faults: Option<Faults>,
}

impl Service {
    /// An error closes the connection without an answer.
    async fn answer(&self, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
        if request.uri().path() != "/enrich" {
            return Ok(text(StatusCode::NOT_FOUND, "the service is POST /enrich"));
        }
        let key = request.headers().get("idempotency-key").and_then(|key| key.to_str().ok()).map(str::to_owned);
        let body = Limited::new(request.into_body(), BODY).collect().await.map_err(io::Error::other)?.to_bytes();
        let enriched = match self.enricher.enrich(&String::from_utf8_lossy(&body)) {
            Ok(enriched) => enriched,
            Err(error) => return Ok(text(StatusCode::BAD_REQUEST, error.to_string())),
        };

        let Weather { latency, fault } =
            self.faults.as_ref().map(|faults| faults.draw(enriched.code)).unwrap_or_default();
        tokio::time::sleep(latency).await;
        match fault {
            Some(Fault::Unavailable) => {
                return Ok(text(StatusCode::SERVICE_UNAVAILABLE, "try again"));
            }
            Some(Fault::Overloaded) => {
                let mut busy = text(StatusCode::SERVICE_UNAVAILABLE, "come back in a second");
                busy.headers_mut().insert(header::RETRY_AFTER, 1.into());
                return Ok(busy);
            }
            Some(Fault::ReplyLost) | None => {}
        }

        let json = serde_json::to_vec(&enriched).map_err(io::Error::other)?;
        let effect = Effect {
            // Nobody can recognise a request without a key: each one is an effect of its own.
            key: key.unwrap_or_else(|| format!("none-{:016x}", fastrand::u64(..))),
            code: enriched.code,
            hash: hash(&json),
        };
        match self.ledger.accept(effect).await? {
            Accepted::New | Accepted::Again => {}
            Accepted::Conflict => {
                return Ok(text(StatusCode::UNPROCESSABLE_ENTITY, "this idempotency key belongs to another record"));
            }
        }
        if let Some(Fault::ReplyLost) = fault {
            return Err(io::Error::other("executed, and the connection is lost before the answer"));
        }
        Ok(text(StatusCode::OK, json))
    }
}

#[derive(Clone, Copy)]
enum Fault {
    /// 503, nothing executed.
    Unavailable,
    /// 503 with `Retry-After: 1`, nothing executed.
    Overloaded,
    /// Executed, recorded, and the connection dropped: only the key can save the caller now.
    ReplyLost,
}

#[derive(Default)]
struct Weather {
    latency: Duration,
    fault: Option<Fault>,
}

/// What goes wrong at a server: drawn from the seed, the record and how often it came, never from time.
struct Faults {
    seed: u64,
    seen: Mutex<HashMap<u32, u32>>,
}

impl Faults {
    fn draw(&self, code: u32) -> Weather {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let times = seen.entry(code).or_default();
        *times += 1;
        let mut random = fastrand::Rng::with_seed(hash(&(self.seed, code, *times)));
        let latency = if random.u32(..100) == 0 { 60..120 } else { 2..12 };
        let latency = Duration::from_millis(random.u64(latency));
        let fault = match random.u32(..1000) {
            0..80 => Some(Fault::Unavailable),
            80..84 => Some(Fault::Overloaded),
            84..86 => Some(Fault::ReplyLost),
            _ => None,
        };
        Weather { latency, fault }
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
}

fn hash(value: &impl Hash) -> u64 {
    // Without keys: the same in every process of this program.
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
