//! Which responses are failures.

use std::fmt;

use ::http::{Response, StatusCode};
use ft_runtime::FaultKind;
use ft_runtime::judge::{Class, Classify};

use super::grpc::{self, Code};
use super::hint::retry_after;

/// Judges responses by their status, for the setter `classify` of every layer that judges.
///
/// | status | counts as |
/// |---|---|
/// | 425 | unsent: the server did not want to try yet |
/// | 429, 503 | throttled |
/// | 408, 500, 502, 504 | transient |
/// | gRPC `UNAVAILABLE`, `UNKNOWN`, `INTERNAL`, `DEADLINE_EXCEEDED` | transient |
/// | gRPC `RESOURCE_EXHAUSTED`, and any of these with a pushback | throttled |
/// | everything else | an answer |
///
/// The hint is `Retry-After`, or `grpc-retry-pushback-ms` for gRPC; a pushback that is negative, or cannot be read, forbids
/// another attempt. Only the head of a response is looked at: a gRPC status in trailers behind messages is not seen, and
/// by then the messages were delivered.
///
/// ```
/// use ft_runtime::Retry;
/// use ft_tower::{RetryLayer, http::ByStatus};
/// # use tower::Layer;
/// # fn client() -> impl tower::Service<(), Response = http::Response<()>, Error = std::io::Error, Future: Send> + Clone + Send {
/// #     tower::service_fn(|()| std::future::ready(Ok(http::Response::new(()))))
/// # }
/// let client = RetryLayer::new(Retry::new()).classify(ByStatus).layer(client());
/// # fn check(_: impl tower::Service<()>) {}
/// # check(client);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ByStatus;

impl<B> Classify<Response<B>> for ByStatus {
    #[inline]
    fn classify(&self, response: &Response<B>) -> Option<Class> {
        let headers = response.headers();
        match response.status() {
            StatusCode::OK => grpc::class(Code::of(headers)?, headers),
            status => Some(Class::new(kind(status)?).retry_after(retry_after(headers))),
        }
    }

    fn describe(&self, response: &Response<B>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Code::of(response.headers()) {
            Some(code) if response.status() == StatusCode::OK => write!(f, "grpc status {}", code.number()),
            _ => write!(f, "http status {}", response.status().as_u16()),
        }
    }
}

fn kind(status: StatusCode) -> Option<FaultKind> {
    match status {
        StatusCode::TOO_EARLY => Some(FaultKind::Unsent),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Some(FaultKind::Throttled { retry_after: None })
        }
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::INTERNAL_SERVER_ERROR
        | StatusCode::BAD_GATEWAY
        | StatusCode::GATEWAY_TIMEOUT => Some(FaultKind::Transient),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn answer(status: u16, headers: &[(&str, &str)]) -> Option<Class> {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        ByStatus.classify(&response.body(()).unwrap())
    }

    #[test]
    fn a_status_counts_as_the_table_says_and_all_others_are_answers() {
        let throttled = FaultKind::Throttled { retry_after: None };
        for status in 100..600 {
            let kind = match status {
                425 => Some(FaultKind::Unsent),
                429 | 503 => Some(throttled),
                408 | 500 | 502 | 504 => Some(FaultKind::Transient),
                _ => None,
            };
            assert_eq!(answer(status, &[]), kind.map(Class::new), "{status}");
        }
    }

    #[test]
    fn a_hint_comes_with_any_failure_and_with_no_answer() {
        let second = Some(Duration::from_secs(1));
        let hint = &[("retry-after", "1")];
        let throttled = Class::new(FaultKind::Throttled { retry_after: None });
        assert_eq!(answer(503, hint), Some(throttled.retry_after(second)));
        assert_eq!(answer(500, hint), Some(Class::new(FaultKind::Transient).retry_after(second)));
        assert_eq!(answer(404, hint), None);
        assert_eq!(answer(301, hint), None);
    }

    #[test]
    fn a_grpc_status_in_the_head_counts() {
        for code in 0..20_u8 {
            let kind = match code {
                2 | 4 | 13 | 14 => Some(FaultKind::Transient),
                8 => Some(FaultKind::Throttled { retry_after: None }),
                _ => None,
            };
            assert_eq!(answer(200, &[("grpc-status", &code.to_string())]), kind.map(Class::new), "{code}");
        }
        assert_eq!(answer(200, &[("grpc-status", "14"), ("grpc-retry-pushback-ms", "1000")]).map(|_| ()), Some(()));
    }
}
