//! Fault tolerance for Rust: annotate a function, call a policy value, or stack a tower layer, and the same policy
//! protects the work in all three.
//!
//! | what it does | attribute | value |
//! |---|---|---|
//! | again after a failure | [`#[retry]`](macro@retry) | [`Retry`], [`Backoff`], [`RetryBudget`] |
//! | so long and no longer | [`#[timeout]`](macro@timeout) | [`Timeout`], [`Deadline`] |
//! | no calls to what fails | [`#[circuit_breaker]`](macro@circuit_breaker) | [`CircuitBreaker`] |
//! | so many at a time | [`#[bulkhead]`](macro@bulkhead) | [`Bulkhead`] |
//! | so many in a time | [`#[rate_limiter]`](macro@rate_limiter) | [`RateLimiter`] |
//! | something else instead | [`#[fallback]`](macro@fallback) | [`Fallback`] |
//! | another one beside a slow one | [`#[hedge]`](macro@hedge) | [`Hedge`] |
//! | another target after a failure | [`#[failover]`](macro@failover) | [`Failover`], [`Pool`] |
//! | one execution for all who ask at once | [`#[coalesce]`](macro@coalesce) | [`Coalesce`] |
//! | faults on purpose | [`#[chaos]`](macro@chaos) | [`Chaos`] |
//! | go on after a crash | [`#[checkpoint]`](macro@checkpoint) | `Checkpoint`, `Saved`, `Store` (feature `checkpoint`) |
//!
//! The layers are in `ft-tower`.
//!
//! # Order
//!
//! The top attribute is the outermost, as in tower's `ServiceBuilder`. Use as many as you need, in this order:
//!
//! | from the outside in | because |
//! |---|---|
//! | `fallback` | it answers for whatever failed below, refusals included |
//! | `coalesce` | callers share all of the work below |
//! | `timeout` (total) | it bounds attempts and waits together; all below see it as their deadline |
//! | `failover` | another target, when the attempts on one are used up |
//! | `hedge` | another call beside a slow one |
//! | `retry` | the same target again; what follows is entered anew by each attempt |
//! | `circuit_breaker` | it counts every attempt, and a refusal costs neither time nor budget |
//! | `rate_limiter` | an attempt that is refused by the breaker takes nothing from the rate |
//! | `timeout` (per attempt) | waiting for the rate is not the other side's slowness |
//! | `bulkhead` | the place is taken last and held for as short as can be |
//! | `chaos` | injected faults look to all above like those of the other side |
//!
//! `#[checkpoint]` on a step stands above them all: the attempts belong inside its one record. On a run it may stand
//! below `#[retry]`, which then goes on from the last checkpoint.
//!
//! # Defaults
//!
//! | policy | unless you say otherwise |
//! |---|---|
//! | Retry | 3 attempts, exponential from 100 ms x2 up to 10 s, full jitter, no deadline, no budget |
//! | RetryBudget | 10 % of the calls, with a floor of 10, in 10 s |
//! | Timeout | none: the limit must be written |
//! | CircuitBreaker | opens at a failure rate of 0.5 over 100 calls, from 20 calls on, for 5 s, 1 probe, no slow threshold |
//! | Bulkhead | the limit must be written; queue 0 |
//! | RateLimiter | the rate must be written; burst 1, no waiting |
//! | Hedge | one extra call after the 95th percentile, from 20 calls on |
//! | Failover | each target once; ejected after 5 failures in a row, for 5 s |
#![cfg_attr(docsrs, feature(doc_cfg))]

// Lets the expansions of our own attributes find `::ft_runtime` in this crate's tests.
extern crate self as ft_runtime;

mod adapt;
mod attempt;
mod attributes;
mod backoff;
mod budget;
mod bulkhead;
pub mod chaos;
#[cfg(feature = "checkpoint")]
pub mod checkpoint;
mod circuit_breaker;
mod coalesce;
mod context;
mod counter;
mod deadline;
mod error;
mod failover;
mod fallback;
mod fault;
mod faults;
mod health;
mod hedge;
pub mod judge;
mod keyed;
pub mod observe;
mod outcome;
mod pool;
mod random;
mod rate_limiter;
mod rejected;
mod retry;
mod roster;
mod round;
mod shared;
mod site;
mod sync;
pub mod testing;
mod time;
mod timeout;
mod turn;
mod wait;

pub use attempt::Attempt;
#[doc(inline)]
pub use attributes::{
    Fault, bulkhead, chaos, checkpoint, circuit_breaker, coalesce, failover, fallback, hedge, rate_limiter, retry,
    timeout,
};
pub use backoff::{Backoff, Delays, Jitter};
pub use budget::{Charge, RetryBudget};
pub use bulkhead::{Bulkhead, BulkheadCalls, BulkheadRun, BulkheadWith};
pub use chaos::{Chaos, ChaosCalls, ChaosWith, Injected};
#[cfg(feature = "checkpoint")]
pub use checkpoint::{
    Again, Checkpoint, CheckpointError, Every, IdempotencyKey, Readiness, Recovery, Saved, Shutdown, ShutdownReport,
    Store, StoreError, idempotency_key, readiness, recover, shutdown,
};
pub use circuit_breaker::{
    Abandoned, CircuitBreaker, CircuitBreakerCalls, CircuitBreakerFuture, CircuitBreakerWith, CircuitSnapshot,
    CircuitState, Permit,
};
pub use coalesce::{Coalesce, CoalesceCalls, CoalesceWith, Coalesced, Sharable};
pub use context::{Context, Scoped};
pub use deadline::{Deadline, Under};
pub use error::Error;
pub use failover::{Among, Candidates, Failover, FailoverWith, Over, Prefer};
pub use fallback::{Fallback, FallbackCalls, FallbackWith};
pub use fault::{Fault, FaultKind};
pub use faults::FaultEntry;
pub use health::Health;
pub use hedge::{Hedge, HedgeCalls, HedgeWith, Hedging};
pub use keyed::{Keyed, Template};
pub use outcome::{Outcome, Refusable};
pub use pool::{AsPool, Pool, Target, Targets};
pub use rate_limiter::{RateLimiter, RateLimiterCalls, RateLimiterRun, RateLimiterWith};
pub use rejected::{FromRejected, Invalid, Rejected};
pub use retry::{Attempts, Hint, Retry, RetryWith};
pub use roster::{Roster, TargetStatus};
pub use shared::Shared;
pub use site::{Entered, Site, sites};
pub use timeout::{Timeout, TimeoutCalls, TimeoutWith, TimingOut};
pub use wait::{Wait, Waiting};

/// What `ft-tower` needs beyond the documented surface. Not for anybody else, and without any promise.
#[doc(hidden)]
pub mod door {
    pub use crate::coalesce::Shares;
    pub use crate::deadline::{under, under_blocking};
    pub use crate::hedge::{Again, Extra};
    pub use crate::observe::refused;
    pub use crate::retry::attempts;
    pub use crate::round::{Advance, Round};
    pub use crate::time::{Sleep, sleep};
}
