//! Tower layers over the policies of [`ft_runtime`]: the same values, the same state, the same numbers as behind the
//! attributes and the plain calls.
//!
//! | policy | layer |
//! |---|---|
//! | [`Retry`](ft_runtime::Retry) | [`RetryLayer`] |
//! | [`Failover`](ft_runtime::Failover) | [`Failover`], over several services |
//! | [`Timeout`](ft_runtime::Timeout) | [`TimeoutLayer`] |
//! | [`Deadline`](ft_runtime::Deadline) | `http::DeadlineLayer` on the server, `http::PropagateDeadlineLayer` on the client |

mod failover;
#[cfg(feature = "http")]
pub mod http;
mod retry;
pub mod testing;
mod timeout;

pub use failover::{Failover, FailoverFuture};
pub use retry::{RetryFuture, RetryLayer, RetryService};
pub use timeout::{TimeoutLayer, TimeoutService};
