/// Answers in another way when the annotated function fails: [`Fallback`](crate::Fallback) as an attribute.
///
/// ```
/// use ft_runtime::{Fault, fallback};
///
/// #[derive(Debug, Fault)]
/// enum DbError {
///     #[fault(transient)]
///     Down,
///     #[fault(permanent)]
///     NoSuchRow,
/// }
///
/// #[fallback(to = cached)]                                  // a function: the same arguments, the same return type
/// async fn load(id: u64) -> Result<String, DbError> {
///     if id == 0 { Err(DbError::NoSuchRow) } else { Err(DbError::Down) }
/// }
/// async fn cached(id: u64) -> Result<String, DbError> {
///     Ok(format!("row {id} of yesterday"))
/// }
///
/// #[fallback(with = |error| match error {                   // whatever can be made of the error
///     DbError::Down => cached(id).await,
///     other => Err(other),
/// }, on = _)]
/// async fn load_too(id: u64) -> Result<String, DbError> {
///     Err(if id == 0 { DbError::NoSuchRow } else { DbError::Down })
/// }
///
/// #[fallback(value = Vec::new(), unless = DbError::NoSuchRow)]   // a success value
/// fn related(id: u64) -> Result<Vec<u64>, DbError> {
///     if id == 0 { Err(DbError::NoSuchRow) } else { Err(DbError::Down) }
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// assert_eq!(load(7).await.unwrap(), "row 7 of yesterday");
/// assert!(matches!(load(0).await, Err(DbError::NoSuchRow)));   // permanent: an answer
/// assert_eq!(load_too(7).await.unwrap(), "row 7 of yesterday");
/// assert!(related(7).unwrap().is_empty());
/// # assert!(load_too(0).await.is_err() && related(0).is_err());
/// # }
/// ```
///
/// # Keys
///
/// One of these is needed:
///
/// | key | meaning |
/// |---|---|
/// | `to = function` | a function with the same arguments and return type, async where this one is; `Self::method` gets `self` |
/// | `with = \|error\| ..` | the outcome, made of the error. It stands in the function: it sees the arguments, and may `.await` in an async one |
/// | `with = function` | a function of the error, async where this one is |
/// | `value = expr` | a success value, made when it is needed |
///
/// `on`, `unless` and `when` choose the errors that have a fallback; without them it is everything but a permanent one, and
/// every refusal of our own policies. `clone(..)`, `name` and `crate` are those of [`#[retry]`](macro@crate::retry).
///
/// Arguments that the fallback needs must still be there when the body has failed: `clone(name)` gives the body a copy. It
/// is outermost in the recommended order: above the timeout and the retry, whose failures it answers. It works on sync
/// functions as well.
pub use ft_macros::fallback;
