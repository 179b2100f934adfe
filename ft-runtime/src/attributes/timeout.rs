//! `#[timeout]`.

/// Cuts the annotated function off when it takes too long: [`Timeout`](crate::Timeout) as an attribute.
///
/// ```
/// use ft_runtime::{Rejected, Timeout, timeout};
/// use std::{io, time::Duration};
/// # #[derive(Debug)] struct Client { limit: Timeout }
///
/// #[timeout(2s)]                                            // written as people write it
/// async fn load(id: u64) -> io::Result<String> {
///     Ok(format!("row {id}"))
/// }
///
/// const LIMIT: Duration = Duration::from_millis(50);
///
/// #[timeout(LIMIT)]                                         // a `Duration`, or a `Timeout`
/// async fn hangs() -> Result<(), Rejected> {
///     std::future::pending().await
/// }
///
/// impl Client {
///     #[timeout(self.limit)]                                // known at run time
///     async fn get(&self, id: u64) -> io::Result<String> {
///         load(id).await
///     }
/// }
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// assert_eq!(load(7).await.unwrap(), "row 7");
/// assert_eq!(hangs().await, Err(Rejected::TimedOut { limit: LIMIT }));
/// let client = Client { limit: Timeout::new(Duration::from_secs(1)) };
/// assert_eq!(client.get(8).await.unwrap(), "row 8");
/// # }
/// ```
///
/// # Keys
///
/// The limit comes first and has no default. Zero does not compile; where it is only known at run time, the call panics and
/// names the attribute's line.
///
/// `clone(..)`, `name` and `crate` are those of [`#[retry]`](macro@crate::retry).
///
/// # What it works on
///
/// Async functions that return a `Result` whose error can hold a [`Rejected`](crate::Rejected); see
/// [`#[retry]`](macro@crate::retry) for the kinds of functions. One that blocks cannot be cut off: run it with
/// `tokio::task::spawn_blocking`, and put the timeout on the async function that awaits it. Above `#[retry]` it limits the
/// whole call with its attempts and waits, below it each attempt.
pub use ft_macros::timeout;
