/// Makes the annotated function slow, fail or panic at a given rate: [`Chaos`](crate::Chaos) as an attribute.
///
/// ```
/// use ft_runtime::{Rejected, chaos, retry};
///
/// #[retry(max_attempts = 20, on = Rejected::Injected)]      // does the retry around it cope?
/// #[chaos(errors = 0.5, latency = 0.1, delay = 2ms, seed = 7)]
/// async fn load(id: u64) -> Result<String, Rejected> {
///     Ok(format!("row {id}"))
/// }
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// assert_eq!(load(7).await.unwrap(), "row 7");              // off: as if it were not there
///
/// let _on = ft_runtime::chaos::scoped();                    // or FT_CHAOS=1, or chaos::enable()
/// assert_eq!(load(7).await.unwrap(), "row 7");
/// # }
/// ```
///
/// # Keys
///
/// The setters of [`Chaos`](crate::Chaos): `errors`, `latency`, `panics` are shares of the calls between 0 and 1, `delay`
/// is how long slow calls wait, `seed` repeats the sequence of faults. An existing policy comes first: `#[chaos(FLAKY)]`, see
/// [`#[circuit_breaker]`](macro@crate::circuit_breaker#an-existing-policy).
/// `clone(..)`, `name` and `crate` are those of [`#[retry]`](macro@crate::retry).
///
/// Put it innermost, below the policies that are to be tried. The error type must be able to hold a
/// [`Rejected`](crate::Rejected).
pub use ft_macros::chaos;
