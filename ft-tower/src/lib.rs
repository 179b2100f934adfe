//! Tower layers over the policies of [`ft_runtime`]: the same values, the same state, the same numbers as behind the
//! attributes and the plain calls.
//!
//! | policy | layer |
//! |---|---|
//! | [`Retry`](ft_runtime::Retry) | [`RetryLayer`] |
//! | [`CircuitBreaker`](ft_runtime::CircuitBreaker) | [`CircuitBreakerLayer`] |
//! | [`Failover`](ft_runtime::Failover) | [`Failover`], over several services |

mod circuit_breaker;
mod failover;
mod retry;
mod select;

pub use circuit_breaker::{CircuitBreakerLayer, CircuitBreakerResponse, CircuitBreakerService};
pub use failover::{Failover, FailoverFuture};
pub use retry::{RetryFuture, RetryLayer, RetryService};
pub use select::{ByKey, One, Select};
