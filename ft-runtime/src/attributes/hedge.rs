/// Makes the call a second time when the first one takes unusually long: [`Hedge`](crate::Hedge) as an attribute.
///
/// ```
/// use ft_runtime::{Hedge, RetryBudget, hedge};
/// use std::io;
///
/// static BUDGET: RetryBudget = RetryBudget::new();
///
/// #[hedge]                                                  // slower than 95 % of the calls before it
/// async fn read(key: &str) -> io::Result<String> {
///     Ok(format!("value of {key}"))
/// }
///
/// #[hedge(after = 50ms, max_extra = 2, budget = &BUDGET, clone(key))]
/// async fn read_owned(key: String) -> io::Result<String> {
///     Ok(key + ", read")
/// }
///
/// struct Reader { hedge: Hedge }
///
/// impl Reader {
///     #[hedge(self.hedge)]                                  // a policy of its own for each reader
///     async fn read(&self, key: &str) -> io::Result<String> {
///         Ok(format!("value of {key}"))
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> io::Result<()> {
/// assert_eq!(read("a").await?, "value of a");
/// assert_eq!(read_owned("a".to_owned()).await?, "a, read");
/// assert_eq!(Reader { hedge: Hedge::new() }.read("a").await?, "value of a");
/// # Ok(()) }
/// ```
///
/// # Keys
///
/// An existing policy comes first, see [`#[circuit_breaker]`](macro@crate::circuit_breaker#an-existing-policy). Else the
/// setters of [`Hedge`](crate::Hedge): `after`, `quantile`, `warm_up`, `max_extra`, `budget`. `on`, `unless`, `when` and
/// `until` say what a failure is, which starts the next call at once; all else is an answer. `clone(..)`, `name` and `crate`
/// are those of [`#[retry]`](macro@crate::retry).
///
/// # What it works on
///
/// Async functions whose calls may run side by side: the body borrows its arguments, so `&mut` ones are refused, and one that
/// is moved needs `clone(..)`. The outcome of a failed call is kept while others run, so the future is `Send` only where the
/// value and the error are. One latency for each function, whatever its type parameters.
pub use ft_macros::hedge;
