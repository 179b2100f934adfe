//! A dependency that fails as it is told to.

use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Answers the outcomes of its script one after the other, the last one again and again, and counts its calls.
///
/// Copies share the script and the count, so one can be moved into the code under test. As a tower service it is
/// `ft_tower::testing::Scripted`.
///
/// ```
/// use ft_runtime::{Retry, testing::{AttemptCap, Script}};
/// use std::io;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let database = Script::from_fn(|call| if call < 3 { Err(io::Error::from(io::ErrorKind::TimedOut)) } else { Ok("row") });
/// let retry = Retry::new();
/// let call = retry.call(|| database.play_async());
/// assert_eq!(AttemptCap::at_most(3).without_waits().scope(call).await.unwrap(), "row");
/// assert_eq!(database.calls(), 3);
/// # }
/// ```
pub struct Script<T, E> {
    shared: Arc<Shared<T, E>>,
}

struct Shared<T, E> {
    outcome: Outcome<T, E>,
    calls: AtomicU32,
}

type Outcome<T, E> = Box<dyn Fn(u32) -> Result<T, E> + Send + Sync>;

impl<T, E> Script<T, E> {
    /// The outcomes of the calls in order; the last one is repeated.
    ///
    /// # Panics
    ///
    /// Without any outcome: there would be nothing to answer.
    #[track_caller]
    pub fn new(outcomes: impl IntoIterator<Item = Result<T, E>>) -> Self
    where
        T: Clone + Send + Sync + 'static,
        E: Clone + Send + Sync + 'static,
    {
        let outcomes: Vec<_> = outcomes.into_iter().collect();
        assert!(!outcomes.is_empty(), "a script needs at least one outcome");
        Self::from_fn(move |call| outcomes[(call as usize).min(outcomes.len()) - 1].clone())
    }

    /// The outcome of each call as `outcome` says it, who is told the number of the call, from 1: for errors that cannot
    /// be cloned.
    pub fn from_fn(outcome: impl Fn(u32) -> Result<T, E> + Send + Sync + 'static) -> Self {
        Self { shared: Arc::new(Shared { outcome: Box::new(outcome), calls: AtomicU32::new(0) }) }
    }

    /// The next outcome.
    ///
    /// # Errors
    ///
    /// Those of the script.
    pub fn play(&self) -> Result<T, E> {
        let call = self.shared.calls.fetch_add(1, Ordering::SeqCst) + 1;
        (self.shared.outcome)(call)
    }

    /// The next outcome, as a future that is ready; it is counted when it is made.
    pub fn play_async(&self) -> Ready<Result<T, E>> {
        ready(self.play())
    }

    /// How often it was asked.
    pub fn calls(&self) -> u32 {
        self.shared.calls.load(Ordering::SeqCst)
    }
}

impl<T, E> Clone for Script<T, E> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T, E> fmt::Debug for Script<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("calls", &self.calls()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_come_in_order_and_the_last_one_again_and_again() {
        let script = Script::new([Err("down"), Ok(1)]);
        let copy = script.clone();
        assert_eq!([script.play(), copy.play(), script.play()], [Err("down"), Ok(1), Ok(1)]);
        assert_eq!((script.calls(), copy.calls()), (3, 3));
    }

    #[test]
    #[should_panic(expected = "at least one outcome")]
    fn a_script_without_outcomes_is_refused() {
        let _ = Script::<u32, u32>::new([]);
    }
}
