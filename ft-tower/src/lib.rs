//! Tower layers over the policies of [`ft_runtime`]: the same values, the same state, the same numbers as behind the
//! attributes and the plain calls.
//!
//! | policy | layer |
//! |---|---|
//! | [`Retry`](ft_runtime::Retry) | [`RetryLayer`] |
//! | [`Chaos`](ft_runtime::Chaos) | [`ChaosLayer`] |
//! | [`Coalesce`](ft_runtime::Coalesce) | [`CoalesceLayer`] |
//! | [`Failover`](ft_runtime::Failover) | [`Failover`], over several services |
//! | [`Fallback`](ft_runtime::Fallback) | [`FallbackLayer`] |
//! | [`Hedge`](ft_runtime::Hedge) | [`HedgeLayer`] |

mod asking;
mod chaos;
mod coalesce;
mod failover;
pub mod fallback;
mod hedge;
mod retry;

pub use chaos::{ChaosLayer, ChaosService};
pub use coalesce::{CoalesceFuture, CoalesceLayer, CoalesceService};
pub use failover::{Failover, FailoverFuture};
pub use fallback::{FallbackFuture, FallbackLayer, FallbackService};
pub use hedge::{HedgeFuture, HedgeLayer, HedgeService};
pub use retry::{RetryFuture, RetryLayer, RetryService};
