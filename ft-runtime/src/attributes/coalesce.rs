/// Lets equal calls of the annotated function share one execution: [`Coalesce`](crate::Coalesce) as an attribute.
///
/// ```
/// use ft_runtime::{Coalesce, Error, coalesce};
///
/// #[coalesce(key = id)]
/// async fn load(id: u64) -> Result<String, Error<u32>> {
///     Ok(format!("row {id}"))
/// }
///
/// struct Rows { coalesce: Coalesce }
///
/// impl Rows {
///     #[coalesce(self.coalesce, key = format_args!("{tenant}/{id}"))]    // anything `Display`
///     async fn load(&self, tenant: &str, id: u64) -> Result<String, Error<u32>> {
///         Ok(format!("row {id} of {tenant}"))
///     }
/// }
///
/// #[coalesce]                                               // without arguments all calls are equal
/// async fn refresh() -> Result<u32, Error<u32>> {
///     Ok(7)
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// assert_eq!(load(7).await.unwrap(), "row 7");
/// assert_eq!(Rows { coalesce: Coalesce::new() }.load("a", 7).await.unwrap(), "row 7 of a");
/// assert_eq!(refresh().await.unwrap(), 7);
/// # }
/// ```
///
/// # Keys
///
/// | key | meaning |
/// |---|---|
/// | `key = expr` | what makes calls equal, anything `Display`; needed where there are arguments. Put all of them into it that the outcome depends on |
/// | `max_keys = n` | how many keys may be in flight at one time: 1024; beyond that a call runs alone |
///
/// An existing policy comes first, see [`#[circuit_breaker]`](macro@crate::circuit_breaker#an-existing-policy).
/// `clone(..)`, `name` and `crate` are those of [`#[retry]`](macro@crate::retry).
///
/// # What it works on
///
/// Async functions whose value and error are `Clone + Send + 'static`, and whose error can hold a
/// [`Rejected`](crate::Rejected). The state is one for each function, whatever `self` and the type parameters: where they
/// matter, put them into the key, or the state into `self`. A step of a run stands above it: each run has a record of its own.
pub use ft_macros::coalesce;
