//! Tower layers over the policies of [`ft_runtime`]: the same values, the same state, the same numbers as behind the
//! attributes and the plain calls.
//!
//! | policy | layer |
//! |---|---|
//! | [`Retry`](ft_runtime::Retry) | [`RetryLayer`] |

mod retry;

pub use retry::{RetryFuture, RetryLayer, RetryService};
