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
/// `slow_rate`, `open`, `max_open`, `probes`, `abandoned` (also as the bare words `ignore` and `failure`), `shadow`. Or an
/// existing breaker: `#[circuit_breaker(PAYMENTS)]`, `#[circuit_breaker(self.breaker)]`; it has its settings where it is made.
///
/// | key | meaning |
/// |---|---|
/// | `key = expr` | a breaker for each key, anything `Display`: `key = host` |
/// | `max_keys = n` | how many keys are remembered: 1,024 |
/// | `on`, `unless`, `when`, `until` | which outcomes are failures, as in [`#[retry]`](macro@crate::retry); they are asked about refusals of policies below as well |
///
/// `clone(..)`, `name` and `crate` are those of [`#[retry]`](macro@crate::retry).
///
/// # An existing policy
///
/// It comes first, has its settings where it is made, and is the same for every attribute whose policy has state:
///
/// | written | what it is |
/// |---|---|
/// | `PAYMENTS` | a `static`, also a `LazyLock`; a `const` does not compile, since each use of it would be a fresh one |
/// | `self.breaker`, `BREAKERS[0]` | a place: the policy, or an `Arc` of it |
/// | `self.breaker()`, `Arc::clone(&self.breaker)` | what code answers with: a reference or a pointer. A clone of the pointer leaves `self` to a body that needs `&mut self` |
/// | `HOSTS, key = host` | a [`Keyed`](crate::Keyed) |
/// | `CircuitBreaker::new().rate(0.3)` | made here: one for the function, as with keys. It is a `static`, so only constants make it |
///
/// Without a policy value the breaker belongs to the function: all its instances and generic parameters share it, and two
/// functions of one name in two modules have two.
///
/// # What it works on
///
/// Sync and async functions that return a `Result` whose error can hold a [`Rejected`](crate::Rejected) and, without `on`,
/// `unless` and `when`, is a [`Fault`](trait@crate::Fault); see [`#[retry]`](macro@crate::retry) for the kinds of functions.
/// Below `#[retry]` each attempt counts, and a refusal makes the retry wait until the breaker lets a probe through; above it
/// only what all attempts came to.
pub use ft_macros::circuit_breaker;
