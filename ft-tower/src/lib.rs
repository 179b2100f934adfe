//! Tower layers over the policies of [`ft_runtime`]: the same values, the same state, the same numbers as behind the
//! attributes and the plain calls.
//!
//! | policy | layer |
//! |---|---|
//! | [`Retry`](ft_runtime::Retry) | [`RetryLayer`] |
//! | [`Chaos`](ft_runtime::Chaos) | [`ChaosLayer`] |
//! | [`Coalesce`](ft_runtime::Coalesce) | [`CoalesceLayer`] |
//! | [`Failover`](ft_runtime::Failover) | [`Failover`], over several services |
//! | [`Bulkhead`](ft_runtime::Bulkhead) | [`BulkheadLayer`] |
//! | [`RateLimiter`](ft_runtime::RateLimiter) | [`RateLimiterLayer`] |

mod bulkhead;
mod failover;
#[cfg(feature = "http")]
pub mod http;
mod oneshot;
mod rate_limiter;
//! | [`Fallback`](ft_runtime::Fallback) | [`FallbackLayer`] |
//! | [`Hedge`](ft_runtime::Hedge) | [`HedgeLayer`] |

mod asking;
mod chaos;
mod coalesce;
pub mod fallback;
mod hedge;
mod retry;
pub mod testing;

pub use bulkhead::{BulkheadLayer, BulkheadService};
pub use failover::{Failover, FailoverFuture};
pub use oneshot::Oneshot;
pub use rate_limiter::{RateLimiterLayer, RateLimiterService};
pub use chaos::{ChaosLayer, ChaosService};
pub use coalesce::{CoalesceFuture, CoalesceLayer, CoalesceService};
pub use fallback::{FallbackFuture, FallbackLayer, FallbackService};
pub use hedge::{HedgeFuture, HedgeLayer, HedgeService};
pub use retry::{RetryFuture, RetryLayer, RetryService};
