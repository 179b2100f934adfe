//! `#[rate_limiter]`.

/// Lets so many calls of the annotated function begin in a time: [`RateLimiter`](crate::RateLimiter) as an attribute.
///
/// ```
/// use ft_runtime::{RateLimiter, rate_limiter};
/// use std::io;
///
/// static PARTNER: RateLimiter = RateLimiter::new(100).burst(10);
///
/// #[rate_limiter(PARTNER)]                                 // a policy value, shared by several functions
/// async fn load(id: u64) -> io::Result<String> {
///     Ok(format!("row {id}"))
/// }
///
/// #[rate_limiter(600, per = 1min, max_wait = 250ms)]       // the function's own: a rate, and its setters
/// fn store(row: &str) -> io::Result<()> {
///     Ok(())
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> io::Result<()> {
/// assert_eq!(load(7).await?, "row 7");
/// store("row")
/// # }
/// ```
///
/// # Keys
///
/// The rate comes first, then the setters of [`RateLimiter`](crate::RateLimiter): `per`, `burst`, `max_wait`. Or an existing
/// limiter: `#[rate_limiter(PARTNER)]`, `#[rate_limiter(self.limiter)]`; it has its settings where it is made.
///
/// | key | meaning |
/// |---|---|
/// | `key = expr` | a rate for each key, anything `Display`: `key = tenant` |
/// | `max_keys = n` | how many keys are remembered: 1,024 |
///
/// `clone(..)`, `name` and `crate` are those of [`#[retry]`](macro@crate::retry).
///
/// Without a policy value the rate belongs to the function: all its instances and generic parameters share it.
///
/// # What it works on
///
/// Sync and async functions that return a `Result` whose error can hold a [`Rejected`](crate::Rejected); see
/// [`#[retry]`](macro@crate::retry) for the kinds of functions. Put it below `#[retry]`: each attempt is then held to the rate,
/// and one that is refused comes back exactly when it fits.
pub use ft_macros::rate_limiter;
