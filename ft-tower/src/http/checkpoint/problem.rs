//! What the layer itself answers: problems, as RFC 9457 writes them.

use std::fmt::Write as _;

use ::http::header::{CONTENT_TYPE, LINK, RETRY_AFTER};
use ::http::{HeaderValue, Response, StatusCode};
use bytes::Bytes;
use ft_runtime::Rejected;
use ft_runtime::checkpoint::{CheckpointError, StoreError};
use http_body::Body;

use super::body::CheckpointBody;
use super::key::Malformed;

/// Why a request is not answered by the service inside.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Problem {
    KeyMissing,
    KeyMalformed(Malformed),
    /// Nobody knows whose request it is.
    CallerUnknown,
    BodyTooLong {
        limit: usize,
    },
    BodyBroken,
    InProgress,
    /// The key belongs to a request in which these are others.
    KeyReused {
        differ: Vec<String>,
    },
    /// Carried out, but its answer was too long to be kept.
    NotKept {
        status: u16,
    },
    Cancelled,
    OtherVersion,
    StoreDown,
    TooLate,
    Unusable,
}

impl Problem {
    /// What a refusal of the run means to who sent the request.
    pub(super) fn of(rejected: &Rejected) -> Self {
        let error = match rejected {
            Rejected::Checkpoint(error) => &**error,
            Rejected::ShuttingDown => return Self::StoreDown,
            Rejected::DeadlinePassed | Rejected::TimedOut { .. } => return Self::TooLate,
            _ => return Self::Unusable,
        };
        match error {
            // Fenced: another process has taken it over.
            CheckpointError::RunBusy { .. }
            | CheckpointError::Store(StoreError::RunBusy { .. } | StoreError::Fenced { .. }) => Self::InProgress,
            CheckpointError::RunInputChanged { arguments, .. } => Self::KeyReused { differ: arguments.clone() },
            CheckpointError::Cancelled { .. } => Self::Cancelled,
            CheckpointError::VersionChanged { .. } => Self::OtherVersion,
            CheckpointError::Store(StoreError::DeadlinePassed) => Self::TooLate,
            CheckpointError::Store(_) => Self::StoreDown,
            error if ft_runtime::Fault::is_transient(error) => Self::StoreDown,
            _ => Self::Unusable,
        }
    }

    /// The answer. `docs` is where a client's author can read on.
    pub(super) fn answer<B: Body>(&self, docs: Option<&str>) -> Response<CheckpointBody<B>> {
        let (status, code, title) = self.head();
        let mut json = String::from("{");
        if let Some(docs) = docs {
            member(&mut json, "type", docs);
        }
        member(&mut json, "title", title);
        member(&mut json, "detail", &self.detail());
        member(&mut json, "code", code);
        // Writing to a `String` cannot fail.
        let _ = write!(json, "\"status\":{}}}", status.as_u16());

        let mut response = Response::new(CheckpointBody::whole(Bytes::from(json), None));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(Ok(link)) = docs.map(|docs| HeaderValue::try_from(format!("<{docs}>; rel=\"describedby\""))) {
            headers.insert(LINK, link);
        }
        if matches!(self, Self::InProgress | Self::StoreDown) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    fn head(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::KeyMissing => (StatusCode::BAD_REQUEST, "key_missing", "Idempotency-Key is missing"),
            Self::KeyMalformed(_) => (StatusCode::BAD_REQUEST, "key_malformed", "Idempotency-Key is malformed"),
            Self::CallerUnknown => (StatusCode::FORBIDDEN, "caller_unknown", "The caller is unknown"),
            Self::BodyTooLong { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_long", "The body is too long"),
            Self::BodyBroken => (StatusCode::BAD_REQUEST, "body_broken", "The body broke off"),
            Self::InProgress => (StatusCode::CONFLICT, "in_progress", "The request is being carried out"),
            Self::KeyReused { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "key_reused", "Idempotency-Key was used for another request")
            }
            Self::NotKept { .. } => (StatusCode::GONE, "answer_not_kept", "The answer was not kept"),
            Self::Cancelled => (StatusCode::GONE, "cancelled", "The request was cancelled"),
            Self::OtherVersion => {
                (StatusCode::SERVICE_UNAVAILABLE, "other_version", "Another version of the server began the request")
            }
            Self::StoreDown => (StatusCode::SERVICE_UNAVAILABLE, "store_down", "Requests cannot be recorded now"),
            Self::TooLate => (StatusCode::GATEWAY_TIMEOUT, "too_late", "The time for the request is over"),
            Self::Unusable => (StatusCode::INTERNAL_SERVER_ERROR, "record_unusable", "The record cannot be used"),
        }
    }

    /// What was found, and what to do.
    fn detail(&self) -> String {
        let text = match self {
            Self::KeyMissing => {
                "This request must carry an Idempotency-Key: a new one, such as a UUID in double quotes, for each operation, and the same one whenever that operation is sent again."
            }
            Self::KeyMalformed(malformed) => {
                return format!(
                    "Idempotency-Key {}. Send one of 1 to 200 printable ASCII characters in double quotes, such as a UUID.",
                    malformed.describe()
                );
            }
            Self::CallerUnknown => {
                "The key of a request belongs to its caller, and this request does not say who that is. Send it with credentials; nothing was carried out."
            }
            Self::BodyTooLong { limit } => {
                return format!(
                    "A request with an Idempotency-Key may have a body of {limit} bytes here. Send less; nothing was carried out."
                );
            }
            Self::BodyBroken => {
                "The body could not be read to its end. Send the request again; nothing was carried out."
            }
            Self::InProgress => {
                "A request with this key is being carried out. Send it again, unchanged, in a moment: its answer will be there."
            }
            Self::KeyReused { differ } => {
                return format!(
                    "This key was sent before with another {}. Send a new key with a new request; to repeat the earlier one, send it unchanged. Nothing was carried out, and the earlier answer is kept.",
                    differ.join(" and ")
                );
            }
            Self::NotKept { status } => {
                return format!(
                    "The request was carried out and answered with {status}, and it is not carried out again. That answer was too long to be kept: look at what the request has made."
                );
            }
            Self::Cancelled => {
                "The request with this key was cancelled by the operator of the server, and is not carried out again. To have it done, send it with a new key."
            }
            Self::OtherVersion => {
                "The request with this key was begun by another version of the server, which this one does not continue. Send it again, unchanged, later."
            }
            Self::StoreDown => {
                "What becomes of the request could not be recorded. Send it again, unchanged, in a moment: what was recorded of it already is not done again."
            }
            Self::TooLate => {
                "The deadline passed before the request was recorded. Send it again, unchanged: what was recorded of it already is not done again."
            }
            Self::Unusable => {
                "What is recorded of the request with this key cannot be used, or its answer could not be recorded. It is not carried out again; the operator of the server has to look at it."
            }
        };
        text.to_owned()
    }
}

/// Adds a member of text to an object of JSON.
fn member(json: &mut String, name: &str, text: &str) {
    // Writing to a `String` cannot fail.
    let _ = write!(json, "\"{name}\":\"");
    for character in text.chars() {
        let _ = match character {
            '"' | '\\' => write!(json, "\\{character}"),
            control if control.is_control() => write!(json, "\\u{:04x}", u32::from(control)),
            other => write!(json, "{other}"),
        };
    }
    json.push_str("\",");
}

#[cfg(test)]
mod tests {
    use super::*;
    use ft_runtime::checkpoint::StoreError;

    fn of(error: CheckpointError) -> Problem {
        Problem::of(&Rejected::from(error))
    }

    #[test]
    fn every_refusal_of_a_run_has_its_problem() {
        let run = || "http-1-a".to_owned();
        assert_eq!(of(CheckpointError::RunBusy { run: run(), owner: run() }), Problem::InProgress);
        assert_eq!(of(StoreError::Fenced { run: run(), owner: None }.into()), Problem::InProgress);
        let differ = vec!["body".to_owned()];
        let changed = CheckpointError::RunInputChanged { run: run(), arguments: differ.clone() };
        assert_eq!(of(changed), Problem::KeyReused { differ });
        assert_eq!(of(StoreError::RunCancelled { run: run() }.into()), Problem::Cancelled);
        assert_eq!(of(CheckpointError::VersionChanged { run: run(), recorded: 1, now: 2 }), Problem::OtherVersion);
        assert_eq!(of(StoreError::DeadlinePassed.into()), Problem::TooLate);
        assert_eq!(of(StoreError::Closed { store: run() }.into()), Problem::StoreDown);
        let damaged = CheckpointError::Corrupt { run: run(), what: run(), reason: run() };
        assert_eq!(of(damaged), Problem::Unusable);
        assert_eq!(of(CheckpointError::Parked { run: run(), recoveries: 10 }), Problem::Unusable);
        assert_eq!(Problem::of(&Rejected::ShuttingDown), Problem::StoreDown);
        assert_eq!(Problem::of(&Rejected::DeadlinePassed), Problem::TooLate);
    }

    #[test]
    fn text_is_written_as_json_wants_it() {
        let mut json = String::new();
        member(&mut json, "a", "say \"no\" \\ \n é");
        assert_eq!(json, r#""a":"say \"no\" \\ \u000a é","#);
    }
}
