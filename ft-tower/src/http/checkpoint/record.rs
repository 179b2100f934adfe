//! What is recorded of an answer.

use std::fmt;

use ::http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderName, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use ::http::{HeaderMap, HeaderValue, Response, StatusCode, response};
use bytes::Bytes;
use http_body::Body;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::body::CheckpointBody;
use super::problem::Problem;

/// Marks an answer that was recorded before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Bytes of headers, and of trailers, that are recorded at most.
const MAX_HEADERS: usize = 16 * 1024;

/// What belongs to one connection, or is made anew for each answer.
const LEFT_OUT: [HeaderName; 10] = [
    CONNECTION,
    CONTENT_LENGTH,
    DATE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-connection"),
];

/// An answer in the store.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    status: u16,
    /// `None`: too long to be kept.
    content: Option<Content>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Content {
    headers: Vec<(String, Blob)>,
    body: Blob,
    trailers: Option<Vec<(String, Blob)>>,
}

impl Record {
    /// The record of an answer with this head; `None` stands for a body that is too long.
    pub(super) fn of(head: &response::Parts, body: Option<(&Bytes, Option<&HeaderMap>)>) -> Self {
        let content = body.and_then(|(body, trailers)| {
            let trailers = match trailers {
                Some(trailers) => Some(listed(trailers)?),
                None => None,
            };
            Some(Content { headers: listed(&head.headers)?, body: Blob(body.clone()), trailers })
        });
        Self { status: head.status.as_u16(), content }
    }

    /// The recorded answer; `None` if it was never one that this code has recorded.
    pub(super) fn replay<B: Body>(self) -> Result<Response<CheckpointBody<B>>, Problem> {
        let Content { headers, body, trailers } = self.content.ok_or(Problem::NotKept { status: self.status })?;
        let trailers = trailers.map(read).transpose()?;
        let mut response = Response::new(CheckpointBody::whole(body.0, trailers));
        *response.status_mut() = StatusCode::from_u16(self.status).map_err(|_| Problem::Unusable)?;
        *response.headers_mut() = read(headers)?;
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        Ok(response)
    }
}

/// Headers as they stand in the store; `None` if they are too many.
fn listed(headers: &HeaderMap) -> Option<Vec<(String, Blob)>> {
    // What `Connection` names belongs to the connection, too.
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let kept = headers
        .iter()
        .filter(|(name, _)| !LEFT_OUT.contains(name) && !named.iter().any(|other| *other == name.as_str()));
    let mut left = MAX_HEADERS;
    kept.map(|(name, value)| {
        left = left.checked_sub(name.as_str().len() + value.len())?;
        Some((name.as_str().to_owned(), Blob(Bytes::copy_from_slice(value.as_bytes()))))
    })
    .collect()
}

fn read(listed: Vec<(String, Blob)>) -> Result<HeaderMap, Problem> {
    let mut headers = HeaderMap::with_capacity(listed.len());
    for (name, value) in listed {
        let name = HeaderName::try_from(name).map_err(|_| Problem::Unusable)?;
        let value = HeaderValue::from_maybe_shared(value.0).map_err(|_| Problem::Unusable)?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// Bytes that are written as such, and not one by one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Blob(pub(super) Bytes);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = Blob;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(Bytes::copy_from_slice(bytes)))
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Blob, E> {
                Ok(Blob(bytes.into()))
            }
        }
        deserializer.deserialize_byte_buf(Whole)
    }
}
