//! Which requests may be repeated.

use ::http::request::Parts;
use ft_runtime::FaultKind;
use ft_runtime::observe::GaveUp;

use super::grpc;

/// When a request may be made again.
///
/// ```
/// use ft_runtime::FaultKind;
/// use ft_tower::http::Repeatable;
///
/// let head = |request: http::request::Builder| request.body(()).unwrap().into_parts().0;
/// let post = Repeatable::of(&head(http::Request::post("/orders")));
/// assert!(post.after(FaultKind::Unsent) && !post.after(FaultKind::Transient));
/// let keyed = Repeatable::of(&head(http::Request::post("/orders").header("idempotency-key", "order-7")));
/// assert!(keyed.after(FaultKind::Transient));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repeatable {
    /// Whatever happened to it: it is idempotent by its method (GET, HEAD, OPTIONS, TRACE, PUT, DELETE), or it carries an
    /// `Idempotency-Key`, by which the server knows it again.
    Always,
    /// After the server refused it: a gRPC call, whose `RESOURCE_EXHAUSTED` or pushback says that it did not run.
    IfRefused,
    /// Only if it provably never reached the server.
    IfUnsent,
}

impl Repeatable {
    /// What the head of a request says.
    pub fn of(request: &Parts) -> Self {
        let key = request.headers.get("idempotency-key");
        if request.method.is_idempotent() || key.is_some_and(|key| !key.as_bytes().trim_ascii().is_empty()) {
            Self::Always
        } else if grpc::is_grpc(&request.headers) {
            Self::IfRefused
        } else {
            Self::IfUnsent
        }
    }

    /// May it be made again after it failed like this?
    pub fn after(self, kind: FaultKind) -> bool {
        match self {
            Self::Always => true,
            Self::IfRefused => matches!(kind, FaultKind::Unsent | FaultKind::Throttled { .. }),
            Self::IfUnsent => kind == FaultKind::Unsent,
        }
    }

    pub(super) fn bars(self, kind: FaultKind) -> Option<GaveUp> {
        (!self.after(kind)).then_some(GaveUp::NotRepeatable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::Request;

    fn repeatable(method: &str, headers: &[(&str, &str)]) -> Repeatable {
        let mut request = Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Repeatable::of(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_request_may_be_repeated_by_its_method_or_by_its_key() {
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
            assert_eq!(repeatable(method, &[]), Repeatable::Always, "{method}");
        }
        for method in ["POST", "PATCH", "CONNECT", "BREW"] {
            assert_eq!(repeatable(method, &[]), Repeatable::IfUnsent, "{method}");
            assert_eq!(repeatable(method, &[("idempotency-key", "a1")]), Repeatable::Always, "{method}");
            assert_eq!(repeatable(method, &[("idempotency-key", " ")]), Repeatable::IfUnsent, "{method}");
        }
        assert_eq!(repeatable("POST", &[("content-type", "application/grpc")]), Repeatable::IfRefused);
    }

    #[test]
    fn what_may_have_run_is_repeated_only_where_that_is_safe() {
        let throttled = FaultKind::Throttled { retry_after: None };
        let after = |repeatable: Repeatable| {
            [FaultKind::Unsent, throttled, FaultKind::Transient].map(|kind| repeatable.after(kind))
        };
        assert_eq!(after(Repeatable::Always), [true, true, true]);
        assert_eq!(after(Repeatable::IfRefused), [true, true, false]);
        assert_eq!(after(Repeatable::IfUnsent), [true, false, false]);
    }
}
