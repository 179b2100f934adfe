//! `#[bulkhead]`.

/// Lets so many calls of the annotated function run at a time: [`Bulkhead`](crate::Bulkhead) as an attribute.
///
/// ```
/// use ft_runtime::{Bulkhead, bulkhead};
/// use std::io;
///
/// static DB: Bulkhead = Bulkhead::adaptive(4, 64);
///
/// #[bulkhead(DB)]                                          // a policy value, shared by several functions
/// async fn load(id: u64) -> io::Result<String> {
///     Ok(format!("row {id}"))
/// }
///
/// #[bulkhead(16, queue = 32, max_wait = 1s)]               // the function's own: a limit, and its setters
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
/// The limit comes first, then the setters of [`Bulkhead`](crate::Bulkhead): `queue`, `max_wait`. Or an existing bulkhead:
/// `#[bulkhead(DB)]`, `#[bulkhead(self.bulkhead)]`; it has its settings where it is made.
///
/// | key | meaning |
/// |---|---|
/// | `key = expr` | a bulkhead for each key, anything `Display`: `key = tenant` |
/// | `max_keys = n` | how many keys are remembered: 1,024 |
///
/// `clone(..)`, `name` and `crate` are those of [`#[retry]`](macro@crate::retry).
///
/// Without a policy value the limit belongs to the function: all its instances and generic parameters share it.
///
/// # What it works on
///
/// Sync and async functions that return a `Result` whose error can hold a [`Rejected`](crate::Rejected); see
/// [`#[retry]`](macro@crate::retry) for the kinds of functions. Put it innermost, below `#[retry]` and `#[timeout]`:
/// a wait between attempts then holds no permit.
pub use ft_macros::bulkhead;
