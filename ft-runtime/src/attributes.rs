//! The attributes. Their grammar lives in `ft-macros`; what they mean is documented here, where examples compile.

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
