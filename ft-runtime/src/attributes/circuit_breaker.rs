//! `#[circuit_breaker]`.

/// Leaves the other side alone while it fails: [`CircuitBreaker`](crate::CircuitBreaker) as an attribute.
///
/// ```
/// use ft_runtime::{CircuitBreaker, circuit_breaker};
/// use std::io;
///
/// static PAYMENTS: CircuitBreaker = CircuitBreaker::new().rate(0.3);
///
/// #[circuit_breaker(PAYMENTS)]                                           // shared by all who pay
/// async fn pay(cents: u64) -> io::Result<String> {
///     Ok(format!("paid {cents}"))
/// }
///
/// #[circuit_breaker(rate = 0.5, window = 10s, open = 2s)]                // one of this function's own
/// fn look_up(name: &str) -> io::Result<u32> {
///     Ok(name.len() as u32)
/// }
///
/// #[circuit_breaker(consecutive = 5, key = host, max_keys = 500)]        // one for each host
/// async fn fetch(host: &str, path: &str) -> io::Result<String> {
///     Ok(format!("{host}/{path}"))
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> io::Result<()> {
/// # pay(1).await?; look_up("a")?;
/// assert_eq!(fetch("a.example", "b").await?, "a.example/b");
/// # Ok(()) }
/// ```
///
/// # Keys
///
/// Every setter of [`CircuitBreaker`](crate::CircuitBreaker) is a key: `rate`, `last_calls`, `window`, `min_calls`, `consecutive`, `slow`,
/// `slow_rate`, `open`, `max_open`, `probes`, `abandoned` (also as the bare words `ignore` and `failure`), `shadow`.
///
/// | key | meaning |
/// |---|---|
/// | `key = expr` | one breaker for each value of it, anything `Display`; the arguments are in scope |
/// | `max_keys = n` | how many of them are remembered: 1,024 |
/// | `on`, `unless`, `when`, `until` | which outcomes are failures, as in [`#[retry]`](macro@crate::retry) |
/// | `name = ".."`, `crate = path` | as in [`#[retry]`](macro@crate::retry) |
///
/// # What to know
///
/// - **One state for each function**, shared by all instances and all type parameters: two functions of one name in two
///   modules have two. To share one, make it a `static` and name it in both.
/// - **The error can hold a [`Rejected`](crate::Rejected)**, and without `on`, `unless` and `when` it is a
///   [`Fault`](trait@crate::Fault).
/// - **Below `#[retry]`** each attempt counts, and a refusal makes the retry wait until the breaker lets a probe through;
///   above it only what all attempts came to.
pub use ft_macros::circuit_breaker;
