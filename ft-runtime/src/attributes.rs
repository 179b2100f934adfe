//! The attributes. Their grammar lives in `ft-macros`; what they mean is documented here, where examples compile.

mod bulkhead;
mod chaos;
mod circuit_breaker;
mod coalesce;
mod fallback;
mod hedge;
mod rate_limiter;
mod timeout;

pub use bulkhead::bulkhead;
pub use chaos::chaos;
pub use circuit_breaker::circuit_breaker;
pub use coalesce::coalesce;
pub use fallback::fallback;
pub use hedge::hedge;
pub use rate_limiter::rate_limiter;
pub use timeout::timeout;

/// Retries the annotated function: [`Retry`](crate::Retry) as an attribute.
///
/// ```
/// use ft_runtime::{Backoff, Fault, Retry, retry};
///
/// #[derive(Debug, Fault)]
/// enum DbError {
///     #[fault(transient)]
///     Locked,
///     #[fault(permanent)]
///     NoSuchRow,
/// }
///
/// static DB: Retry = Retry::new().max_attempts(4);
///
/// #[retry(DB)]                                                       // a policy value
/// async fn load(id: u64) -> Result<String, DbError> {
///     if id == 0 { Err(DbError::NoSuchRow) } else { Ok(format!("row {id}")) }
/// }
///
/// #[retry(max_attempts = 5, backoff = Backoff::exponential(50ms).max_delay(2s), deadline = 30s)]   // its setters
/// fn store(row: &str) -> Result<(), DbError> {
///     if row.is_empty() { Err(DbError::Locked) } else { Ok(()) }
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// assert_eq!(load(7).await.unwrap(), "row 7");
/// assert!(store("row").is_ok());
/// # }
/// ```
///
/// # Keys
///
/// Every setter of [`Retry`](crate::Retry) is a key: `max_attempts`, `backoff`, `deadline`, `budget`, `hint`,
/// `before_retry`. Durations are written as people write them: `250ms`, `1.5s`, `5min`. An existing policy comes first:
/// `#[retry(DB)]`, `#[retry(self.retry, max_attempts = 2)]`.
///
/// | key | meaning |
/// |---|---|
/// | `on = PATTERN` | only errors that match are tried again; `on = _` is every error |
/// | `unless = PATTERN` | errors that match never are; beats `on` |
/// | `when = predicate` | only errors that the predicate says yes to: `when = Fault::is_transient` |
/// | `until = predicate` | a value that the predicate says no to is asked for again |
/// | `classify = function` | some values are failures, of a kind and with a hint: see [`Classify`](crate::judge::Classify) |
/// | `retry_after = function` | where the hint of the other side is found in the error |
/// | `clone(a, b)` | clones these by-value arguments for each attempt |
/// | `name = ".."` | the name of the [`Site`](crate::Site) |
/// | `crate = path` | where `ft_runtime` is found |
///
/// Without `on`, `unless` and `when` the error's [`Fault`](crate::Fault) judges.
///
/// # What it works on
///
/// Sync and async functions that return a `Result`: free ones, methods, trait-impl methods, under `#[async_trait]`,
/// returning `impl Future`. The body stays where it is; `?`, `return` and borrows mean what they meant. A parameter
/// `attempt: Attempt` is supplied, not passed. In a function that returns a future by hand, code before its `async` block runs
/// once for each attempt, at the first poll.
///
/// # Order
///
/// The top attribute is the outermost, as in tower's `ServiceBuilder`. Siblings are recognised by their names: an
/// attribute imported under another name (`use ft_runtime::retry as again`) wraps in the order of expansion, which is the
/// reverse; so does one with a foreign attribute that rewrites the body (`#[tracing::instrument]`) between.
pub use ft_macros::retry;

/// Moves the call on to another target when one fails: [`Failover`](crate::Failover) as an attribute.
///
/// ```
/// use ft_runtime::{Pool, failover};
/// # use std::io;
/// # #[derive(Debug)] struct Replica(u16);
/// # impl Replica { async fn get(&self, key: &str) -> io::Result<String> { if self.0 == 1 { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok(format!("{key} from {}", self.0)) } } }
/// struct Reader { replicas: Pool<Replica> }
///
/// impl Reader {
///     #[failover(replica in &self.replicas)]                         // a pool: the body is written for one target
///     async fn read(&self, key: &str) -> io::Result<String> {
///         replica.get(key).await
///     }
/// }
///
/// #[failover(to = [from_cache])]                                     // other functions, same signature, in order
/// async fn from_primary(id: u64) -> io::Result<String> {
///     Err(io::ErrorKind::ConnectionRefused.into())
/// }
/// async fn from_cache(id: u64) -> io::Result<String> {
///     Ok(format!("{id} from the cache"))
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> io::Result<()> {
/// # let reader = Reader { replicas: Pool::of([("one", Replica(1)), ("two", Replica(2))]) };
/// assert_eq!(reader.read("key").await?, "key from 2");
/// assert_eq!(from_primary(7).await?, "7 from the cache");
/// # Ok(()) }
/// ```
///
/// Annotating a function says that it may be repeated on another target: everything but a permanent failure moves on;
/// `idempotent = false` moves on only when the call provably never ran. Put it above `#[retry]`: retry is the same target
/// again, failover another one. The keys of the judgement, `clone(..)`, `name` and `crate` are those of
/// [`#[retry]`](macro@crate::retry); the setters are those of [`Failover`](crate::Failover), and `prefer` also takes the bare
/// words `order` and `sticky`.
pub use ft_macros::failover;

/// Records what the annotated function does, so that it goes on after a crash where it stopped:
/// [`Checkpoint`](crate::Checkpoint) as an attribute.
///
/// With `run` the function *is* a run: opened the first time, resumed after that. Without, it is a *step*: recorded once in
/// the run around it, and answered from its record when the run is executed again.
///
/// ```
/// use ft_runtime::{Error, Store, checkpoint, idempotency_key, retry};
/// use serde::{Deserialize, Serialize};
/// use std::io;
///
/// #[derive(Serialize)]
/// struct Order { id: u64, cents: u64 }
/// #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
/// struct Receipt { order: u64 }
///
/// #[retry]                                                  // a failure goes on from the recorded steps, too
/// #[checkpoint(run = format!("order-{}", order.id))]        // the id of the run holds what tells it from others
/// async fn place(order: &Order) -> Result<Receipt, Error<io::Error>> {
///     let receipt = charge(order).await?;
///     Ok(receipt)
/// }
///
/// #[checkpoint(key = order.id)]
/// #[retry(max_attempts = 5)]                                // retries of a step belong inside its one record
/// async fn charge(order: &Order) -> Result<Receipt, Error<io::Error>> {
///     let _give_this_to_the_bank = idempotency_key();       // stable across attempts and crashes
///     Ok(Receipt { order: order.id })
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// Store::open("memory:").unwrap().install();                // or FT_STORE=sqlite:PATH; default sqlite:.ft/ft.db
/// let receipt = place(&Order { id: 42, cents: 500 }).await.unwrap();
/// assert_eq!(receipt, Receipt { order: 42 });
/// # }
/// ```
///
/// A long loop keeps a state instead. The parameter `&mut Saved<..>` is supplied, the caller leaves it out:
///
/// ```
/// use ft_runtime::{Rejected, Saved, Store, checkpoint};
///
/// #[checkpoint(run = "sum", every = 1000)]
/// async fn sum(state: &mut Saved<(usize, u64)>, rows: &[u64]) -> Result<u64, Rejected> {
///     while let Some(row) = rows.get(state.0) {
///         state.1 += row;
///         state.0 += 1;
///         state.mark().await?;                              // a consistent point: saved when due
///     }
///     Ok(state.1)
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # Store::open("memory:").unwrap().install();
/// assert_eq!(sum(&[1, 2, 3]).await.unwrap(), 6);
/// # }
/// ```
///
/// What writes to a database of yours is done exactly once, if it is recorded in the same transaction:
///
/// ```
/// use ft_runtime::checkpoint::tx::sqlite;                   // or `postgres`, with the feature of that name
/// use ft_runtime::{Error, checkpoint};
/// use rusqlite::{Connection, Transaction};
///
/// #[checkpoint(tx, key = order)]
/// fn debit(tx: &Transaction<'_>, order: u64, cents: i64) -> Result<(), Error<rusqlite::Error>> {
///     tx.execute("UPDATE account SET cents = cents - ?1", [cents]).map_err(Error::Failed)?;
///     Ok(())
/// }
///
/// # #[checkpoint(run = format!("order-{order}"), skip(bank))]
/// fn pay(bank: &mut Connection, order: u64) -> Result<(), Error<rusqlite::Error>> {
///     let tx = bank.transaction().map_err(Error::Failed)?;
///     debit(&tx, order, 500)?;
///     tx.commit().map_err(Error::Failed)                    // from here on it is done and recorded, or neither
/// }
/// # let mut bank = Connection::open_in_memory().unwrap();
/// # bank.execute_batch("CREATE TABLE account (cents INTEGER); INSERT INTO account VALUES (500)").unwrap();
/// # sqlite::create_table(&bank).unwrap();
/// # ft_runtime::Store::open("memory:").unwrap().scope_blocking(|| pay(&mut bank, 1)).unwrap();
/// # assert_eq!(bank.query_row("SELECT cents FROM account", [], |row| row.get::<_, i64>(0)), Ok(0));
/// ```
///
/// # Keys
///
/// | key | on | meaning |
/// |---|---|---|
/// | `run = expr` | a run | its id, anything `Into<String>`, at most 255 bytes. One id is one execution: put the input into it |
/// | `key = expr` | a step | what tells this call from others of its name, anything `Display`; without it calls are counted |
/// | `skip(a, b)` | all | these arguments are not compared with the recorded ones; those of a step need not be `Serialize` then |
/// | `every = 10s`, `every = 1000` | a saved state | how often `mark` saves: by time or by marks; without it, by itself |
/// | `state = parameter` | a saved state | names the supplied parameter where its type is an alias of `Saved<..>` |
/// | `again = always` | a run | a finished run starts again at the next call, for periodic jobs |
/// | `keep = 1d` | a run | how long a finished run answers with its result: 7 days |
/// | `keep_unfinished = 30d` | a run | how long a run that failed or died is kept since it was last touched: 90 days |
/// | `max_recoveries = 3` | a run | how often a run that dies is begun again before it is parked: 10 |
/// | `recover` | a run | its arguments are recorded, and [`recover()`](crate::checkpoint::recover()) goes on with it after a crash |
/// | `record_err = true` | a step | its `Err` is recorded as well, and answered again |
/// | `tx`, `tx = parameter` | a step | it is recorded in the transaction that is passed as `tx`, or as that parameter; needs `key`. See [`checkpoint::tx`](crate::checkpoint::tx) |
/// | `version = 2` | all | the version of the code; a run of another version is refused |
/// | `migrate = path` | all | makes what an older version recorded into a value of this one: `fn(from: u16, Value) -> Result<Value, ValueError>`; a run takes over what an older version left unfinished |
/// | `require_run = true` | a step | outside of a run it is an error instead of a plain call |
/// | `name = ".."` | all | what the run or step is recorded as, in place of the function's name: survives a renaming |
/// | `crate = path` | all | where `ft_runtime` is found |
///
/// # What to know
///
/// - **A finished run answers with its result** until `keep` is over. A run that is asked for with other arguments than it
///   was started with is refused (`RunInputChanged`); arguments that cannot be serialised, and those in `skip`, are not compared.
/// - **A step is recorded under the function's name** and its key, without module or type: a moved function finds its
///   records, a renamed one does not (keep the old `name`), and two functions of one name share their keys in a run. A state
///   is recorded under the name of its parameter.
/// - **Only `Ok` is recorded**, unless `record_err = true` says otherwise: an `Err` is executed again, so what the run decides
///   on it may come out otherwise.
/// - **A new `version` with `migrate`** reads what an older one recorded (steps, results, states) through its function, which
///   gets the version that recorded it and a [`Value`](crate::checkpoint::Value) that describes itself. It has to know every
///   version that still has values in the store; what it returns is not written back.
/// - **Waits and races**: [`checkpoint::sleep`](crate::checkpoint::sleep()) waits until a recorded moment, across restarts;
///   [`checkpoint::select`](crate::checkpoint::select()) records who won.
/// - **After a crash** a run goes on when its function is called again, or by itself: [`recover()`](crate::checkpoint::recover()),
///   called when the program starts, calls the functions that say `recover`. Their arguments are owned or `&T` and serialise
///   (`&str`, `&[T]` and `&Path` as well); methods, generic functions and those with `skip(..)` have a
///   [factory](crate::checkpoint::Recovery::factory) instead.
/// - **When the process is told to end**, [`shutdown()`](crate::shutdown()) stops its runs where nothing is lost and hands them
///   over to the next one.
/// - **By hand**: [`Store`](crate::Store) lists, cancels, resumes, forks and deletes runs.
/// - **Types**: a step's arguments are `Serialize` (never `self`, which is not compared), its value and that of a run
///   `Serialize + DeserializeOwned`, a state `Default` as well. The error can hold a [`Rejected`](crate::Rejected).
/// - **A step takes its run when it is called**, not when it is polled: `join!(a(), b())` is deterministic and
///   `tokio::spawn(step())` stays in its run. `tokio::spawn(async { step().await })` and `spawn_blocking` call it
///   elsewhere, as a plain call: carry the run over with [`Context::current`](crate::Context::current).
/// - **Inside a step, steps are plain calls**, recorded with it, unless they are recorded in a transaction. `#[retry]` around several steps calls them again under
///   the same keys, which is refused: put it on each step, or on the run.
#[cfg(feature = "checkpoint")]
pub use ft_macros::checkpoint;

/// Needs the feature `checkpoint`: `cargo add ft-runtime --features checkpoint`.
#[cfg(not(feature = "checkpoint"))]
pub use ft_macros::checkpoint_without_feature as checkpoint;

/// Writes [`Fault`](trait@crate::Fault) for an error: `#[fault(..)]` on each variant says what may be tried again.
///
/// | written on a variant, or on the type as its default | kind |
/// |---|---|
/// | `#[fault(permanent)]` | never tried again |
/// | `#[fault(transient)]` | may have run; worth trying again |
/// | `#[fault(unsent)]` | never ran; safe to repeat |
/// | `#[fault(throttled)]`, `#[fault(throttled, retry_after = field)]` | asks for patience; the field is a `Duration` or an `Option<Duration>` |
/// | `#[fault(transparent)]` | asks the single field |
///
/// Reports show the names of type and variant; `#[fault(display)]` shows the `Display` text instead.
pub use ft_macros::Fault;
