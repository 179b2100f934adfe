//! Runs, steps and saved state that survive `kill -9` and power cuts, without a server.
//!
//! A *run* is a named execution. A *step* is a call inside of it whose result is recorded once: when the run is executed
//! again, after a failure or a crash, in this process or the next one, the step answers from its record. A *saved state*
//! is a value whose latest durable version is loaded again. All of them live in a [`Store`].
//!
//! ```
//! use ft_runtime::{Checkpoint, Error, Store, checkpoint::RunSession, idempotency_key, site};
//! use std::sync::atomic::{AtomicU32, Ordering};
//!
//! type Paid = Result<String, Error<&'static str>>;
//! static CHARGED: AtomicU32 = AtomicU32::new(0);
//!
//! async fn charge(order: u32) -> Paid {
//!     let step = Checkpoint::new().step("charge").key(&order).input(&order).at(site!().enter());
//!     step.calls::<Paid>().run(async {
//!         CHARGED.fetch_add(1, Ordering::Relaxed);
//!         Ok(format!("paid with {}", idempotency_key().unwrap()))
//!     }).await
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let store = Store::open("memory:").unwrap();
//! let order = || Checkpoint::new().run("order-42").named("place_order").calls::<Paid>();
//!
//! // The first attempt fails after the charge ..
//! let first = store.scope(order().run(async { charge(42).await?; Err(Error::Failed("no parcel left")) }));
//! assert!(first.await.is_err());
//! // .. and the second one goes on where it stopped.
//! let receipt = store.scope(order().run(async { charge(42).await })).await.unwrap();
//! assert_eq!(CHARGED.load(Ordering::Relaxed), 1);
//! # assert!(receipt.starts_with("paid with "));
//! # }
//! ```
//!
//! # What is promised
//!
//! - What was acknowledged is durable: a step returns, a commit returns and a run returns only when its record would
//!   survive a power cut.
//! - Nobody writes to a run that another one executes: a claim raises the run's token, and every write is checked against
//!   it in its own transaction.
//! - A recorded step is never executed again on its own: a record that is damaged, or does not fit, is an error.
//! - What happened after the last record is executed again. Give the other side the [`idempotency_key`], so that it
//!   recognises what it has seen.
//!
//! The newest records stand in SQLite's log (`ft.db-wal`) until they are folded into the database. A log that was damaged,
//! or left behind when the file was copied, reads as if they had never been written; so `ft.db.mark` says how many
//! commits were acknowledged, and a store that has fewer is refused. Two limits remain: a copy of `ft.db` without both
//! files looks like a whole older store (copy with `sqlite3 ft.db ".backup copy.db"`), and the mark is not synced, so
//! after a power cut it may not know of the last seconds.
//!
//! Values above 256 KiB stand in files of their own, in `ft.db.values`. A copy of the store needs a copy of that directory,
//! under the copy's name (`copy.db.values`), made after that of the database; a value whose file is missing is damaged.
//!
//! # Smaller, and secret
//!
//! [`Store`]`::compress` (feature `zstd`) and [`Store`]`::encrypt` (feature `encryption`) say what a handle does with what is
//! recorded through it: results of steps and runs, saved states and recorded arguments. What the bytes are is written down in
//! [`envelope`].
//!
//! # When not to use it
//!
//! Around calls that are cheaper to make again than to record: each step costs a sync of the disk (steps that are called
//! at the same time share one). And where the code between steps is not deterministic: what it decides must follow from
//! its arguments and from what its steps return. `select!` and time-outs over steps decide by the clock, so give such
//! steps a `key`. So does a branch that is taken because a step failed: only an `Ok` is recorded, and at the next
//! execution the step may succeed and the branch not be taken. Give a `key` to the steps in such a branch, and to a step
//! that fails without ending the run.
//!
//! The records of a run are read at once when it is opened, so a run should not have more of them than fit in memory.
//! SQLite's log needs a local file system; a network one is not supported.

mod active;
mod arguments;
mod around;
mod backend;
mod compression;
mod counted;
mod either;
pub mod envelope;
mod error;
mod failpoint;
mod fingerprint;
mod giving_back;
mod inputs;
mod inside;
mod keys;
mod memory;
mod numbers;
mod owner;
mod place;
mod policy;
#[cfg(feature = "postgres")]
mod postgres;
mod record;
mod recover;
mod run;
mod saved;
#[cfg(test)]
mod scratch;
mod sealing;
mod select;
mod self_describing;
mod shutdown;
mod sleep;
mod sqlite;
mod step;
mod stop;
mod store;
#[cfg(test)]
mod tests;
mod ticket;
pub mod tx;
mod url;
mod value;

pub use self::arguments::{Arguments, probe};
pub(crate) use self::around::Around;
pub use self::backend::Backend;
#[cfg(feature = "zstd")]
pub use self::compression::Compression;
pub use self::error::{CheckpointError, StoreError};
pub use self::fingerprint::{Fingerprint, InputHash};
pub use self::inputs::Inputs;
pub use self::inside::{IdempotencyKey, idempotency_key};
#[cfg(feature = "encryption")]
pub use self::keys::Keys;
pub use self::policy::{Again, Checkpoint, Every};
pub use self::record::{
    Abandoned, Appended, Claim, Claimed, Collected, Excess, Filter, Finding, Finish, Forgotten, Fork, Gc, Granted,
    Holder, Import, Lease, Left, Newest, Renewed, RunCopy, RunRecord, RunStatus, SaveState, StateRecord, Step,
    StepRecord, UnixMillis,
};
pub use self::recover::{LeftRun, LeftToGo, Recoverable, Recovered, Recovery, Start, WhyLeft, recover, recoverable};
pub use self::run::{RunCall, RunSession};
pub use self::saved::Saved;
pub use self::select::select;
pub use self::self_describing::{Migrate, Value, ValueError};
pub use self::shutdown::{Readiness, Shutdown, ShutdownReport, StillRunning, readiness, shutdown};
pub use self::sleep::{sleep, sleep_blocking};
pub use self::step::{StepCall, StepSession};
pub(crate) use self::stop::Rest;
pub use self::store::Store;
pub use self::ticket::{Reply, Ticket, ticket};
#[doc(no_inline)]
pub use self::tx::{TxSession, TxStep};
pub use self::value::Recorded;
#[doc(hidden)]
pub use inventory::submit as __submit;

/// The function of a run that is an HTTP request under its key, as a layer in front of a service opens it.
///
/// Its arguments are not recorded: what lets it go on is its client, who sends it again. Do not name a function of your
/// own so.
pub const HTTP_FUNCTION: &str = "http";

/// How events name this policy.
const POLICY: &str = "checkpoint";

/// Ended runs that are kept, and as many that are not finished; beyond it the oldest are forgotten before their time.
const KEPT_RUNS: usize = if cfg!(test) { 8 } else { 100_000 };

/// Runs of either kind that one claim forgets at most.
const PRUNED_AT_ONCE: usize = if cfg!(test) { 4 } else { 64 };
