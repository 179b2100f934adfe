//! For tests, ours and our users': services that fail by script, and services that insist on the tower contract.

mod probe;
mod scripted;

pub use probe::{Probe, ProbeCounts, ProbeFuture};
pub use scripted::Scripted;
