//! Tower layers over the policies of [`ft_runtime`]: the same values, the same state, the same numbers as behind the
//! attributes and the plain calls.
//!
//! | policy | layer |
//! |---|---|
//! | [`Retry`](ft_runtime::Retry) | [`RetryLayer`] |
//! | [`Failover`](ft_runtime::Failover) | [`Failover`], over several services |
//! | [`Timeout`](ft_runtime::Timeout) | [`TimeoutLayer`] |
//! | [`Deadline`](ft_runtime::Deadline) | `DeadlineLayer` on the server, `PropagateDeadlineLayer` on the client: feature `http` |

#[cfg(feature = "http")]
mod deadline;
mod failover;
mod retry;
mod timeout;

#[cfg(feature = "http")]
pub use deadline::{DeadlineFuture, DeadlineLayer, DeadlineService, PropagateDeadlineLayer, PropagateDeadlineService};
pub use failover::{Failover, FailoverFuture};
pub use retry::{RetryFuture, RetryLayer, RetryService};
pub use timeout::{TimeoutLayer, TimeoutService};
