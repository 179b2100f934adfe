//! HTTP and gRPC: what an answer counts as, which requests may be repeated, bodies that can be sent again, refusals as
//! answers.
//!
//! | what | for |
//! |---|---|
//! | [`ByStatus`] | tells every judging layer which responses are failures: `CircuitBreakerLayer::new(&B).classify(ByStatus)` |
//! | [`HttpRetryLayer`] | repeats requests, if they may be repeated, with their body |
//! | [`Repeatable`] | which requests may be repeated |
//! | [`ReplayBody`] | a body that streams through and is kept, up to a bound, for another attempt |
//! | [`DeadlineLayer`] | puts a server's request under the deadline that its client asked for |
//! | [`PropagateDeadlineLayer`] | writes what is left of the deadline into a client's request |
//! | [`AnswerRefusalsLayer`] | answers what the layers of a server refuse with a status, so that they fit around a router |
//! | `CheckpointLayer` (feature `checkpoint`) | carries a request with an `Idempotency-Key` out once, also through a crash |

#[cfg(feature = "checkpoint")]
mod checkpoint;
mod deadline;
mod grpc;
mod hint;
mod refusals;
mod repeatable;
mod replay;
mod retry;
mod status;

#[cfg(feature = "checkpoint")]
pub use checkpoint::{CheckpointBody, CheckpointFuture, CheckpointLayer, CheckpointService, KeyNeed, idempotency_run};
pub use deadline::{DeadlineFuture, DeadlineLayer, DeadlineService, PropagateDeadlineLayer, PropagateDeadlineService};
pub use hint::retry_after;
pub use refusals::{
    AnswerRefusals, AnswerRefusalsLayer, AnsweringFuture, Fallible, FallibleFuture, grpc_refusal, refusal,
};
pub use repeatable::Repeatable;
pub use replay::{ReplayBody, ReplayError};
pub use retry::{HttpRetryLayer, HttpRetryService, RequestGate};
pub use status::ByStatus;
