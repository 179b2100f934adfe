//! Tower layers over the policies of [`ft_runtime`]: the same values, the same state, the same numbers as behind the
//! attributes and the plain calls.
//!
//! | policy | layer |
//! |---|---|
//! | [`Retry`](ft_runtime::Retry) | [`RetryLayer`] |
//! | [`Timeout`](ft_runtime::Timeout) | [`TimeoutLayer`] |
//! | [`CircuitBreaker`](ft_runtime::CircuitBreaker) | [`CircuitBreakerLayer`] |
//! | [`Bulkhead`](ft_runtime::Bulkhead) | [`BulkheadLayer`] |
//! | [`RateLimiter`](ft_runtime::RateLimiter) | [`RateLimiterLayer`] |
//! | [`Fallback`](ft_runtime::Fallback) | [`FallbackLayer`] |
//! | [`Hedge`](ft_runtime::Hedge) | [`HedgeLayer`] |
//! | [`Coalesce`](ft_runtime::Coalesce) | [`CoalesceLayer`] |
//! | [`Chaos`](ft_runtime::Chaos) | [`ChaosLayer`] |
//! | [`Failover`](ft_runtime::Failover) | [`Failover`], over several services |
//! | `Checkpoint` | `http::CheckpointLayer` on the server (features `http` and `checkpoint`) |
//! | [`Deadline`](ft_runtime::Deadline) | `http::DeadlineLayer` on the server, `http::PropagateDeadlineLayer` on the client |
//!
//! # "The method `ready` exists, but its trait bounds were not satisfied"
//!
//! Then a layer asks for more than the service inside gives; rustc does not say which. One of these it is:
//!
//! | layer | the service inside |
//! |---|---|
//! | all that can refuse: timeout, breaker, bulkhead, limiter, chaos, coalesce | its error can hold a refusal: `From<Rejected>`, such as [`ft_runtime::Error`] or `BoxError`; around a router, whose error is `Infallible`, put the layers into `http::AnswerRefusalsLayer` |
//! | those that judge: retry, breaker, fallback, hedge | its error is a [`Fault`](trait@ft_runtime::Fault), or say `.when(..)`; responses of HTTP: `.classify(http::ByStatus)` |
//! | those that may ask again or later: retry, hedge, coalesce, bulkhead, limiter | it is `Clone`, `Send` and `'static` |
//! | retry, hedge, `FallbackLayer::to` | its request is `Clone`; requests of HTTP: `http::HttpRetryLayer` |
//! | coalesce | its response and error are `Clone` |
//!
//! # Order
//!
//! Layers stack from the outside in, as `ServiceBuilder` writes them, in the same order as attributes:
//! [`ft_runtime`](ft_runtime#order) recommends one.

mod bulkhead;
mod chaos;
mod circuit_breaker;
mod coalesce;
mod failover;
pub mod fallback;
mod hedge;
#[cfg(feature = "http")]
pub mod http;
mod oneshot;
mod rate_limiter;
mod retry;
mod select;
pub mod testing;
mod timeout;

pub use bulkhead::{BulkheadLayer, BulkheadService};
pub use chaos::{ChaosLayer, ChaosService};
pub use circuit_breaker::{CircuitBreakerLayer, CircuitBreakerResponse, CircuitBreakerService};
pub use coalesce::{CoalesceLayer, CoalesceService};
pub use failover::{Failover, FailoverFuture};
pub use fallback::{FallbackFuture, FallbackLayer, FallbackService};
pub use hedge::{HedgeFuture, HedgeLayer, HedgeService};
pub use oneshot::Oneshot;
pub use rate_limiter::{RateLimiterLayer, RateLimiterService};
pub use retry::{RetryFuture, RetryLayer, RetryService};
pub use select::{ByKey, One, Select};
pub use timeout::{TimeoutLayer, TimeoutService};
