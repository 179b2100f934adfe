//! One HTTP request to one server. No protection in here: that is what the attributes are for.

use std::time::Duration;

use ft_runtime::IdempotencyKey;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, header};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;

use crate::ImportError;
use crate::tally::{Event, tell};
use crate::unicode::Enriched;

/// Longest answer that is read.
const BODY: usize = 16 * 1024;

/// A server and the connections to it.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    url: String,
    keys: bool,
    client: legacy::Client<HttpConnector, Full<Bytes>>,
}

impl Server {
    /// Without `keys`, requests do not carry the key that they are given: what `--break key` wants to see.
    pub(crate) fn new(address: &str, keys: bool) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        // The client would send some requests again by itself; here every retry is meant to be seen.
        let client = legacy::Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build(connector);
        Self { url: format!("http://{address}/enrich"), keys, client }
    }

    pub(crate) async fn enrich(&self, line: &str, key: Option<IdempotencyKey>) -> Result<Enriched, ImportError> {
        let mut request = Request::post(&self.url);
        if let Some(key) = key.filter(|_| self.keys) {
            request = request.header("idempotency-key", key.to_string());
        }
        let request =
            request.body(Full::from(line.to_owned())).map_err(|error| ImportError::Answer(error.to_string()))?;
        tell(&Event::Attempt);
        let response = self.client.request(request).await.map_err(|error| match error.is_connect() {
            true => ImportError::Unreachable(error),
            false => ImportError::Broken(Box::new(error)),
        })?;

        let status = response.status();
        let retry_after =
            response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = Limited::new(response.into_body(), BODY).collect().await.map_err(ImportError::Broken)?.to_bytes();
        match (status, retry_after) {
            (StatusCode::OK, _) => {
                serde_json::from_slice(&body).map_err(|error| ImportError::Answer(error.to_string()))
            }
            (StatusCode::SERVICE_UNAVAILABLE, None) => Err(ImportError::Unavailable),
            (StatusCode::SERVICE_UNAVAILABLE, Some(seconds)) => {
                Err(ImportError::Busy { retry_after: Duration::from_secs(seconds) })
            }
            _ => Err(ImportError::Answer(format!("{status}: {}", String::from_utf8_lossy(&body)))),
        }
    }
}
