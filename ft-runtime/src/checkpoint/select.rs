//! A race whose winner is recorded.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use super::Checkpoint;
use super::around::Around;
use super::error::CheckpointError;
use crate::context::{Context, Scoped};
use crate::rejected::{Invalid, Rejected};

/// What a race is recorded as, which no function can be called.
const NAME: &str = "ft.select";

/// Waits for the first of several futures, and records which one it was: when the run is executed again, the same one wins,
/// and the others are not even begun. Which of two steps is faster is nothing that a run could compute twice.
///
/// The `key` tells this race from the others of the run. Futures of different types go in as
/// `Pin<Box<dyn Future<Output = ..>>>`; of several that are ready at once, the one given first wins. The others are
/// dropped when there is a winner. Outside of a run, and inside a step, it is a race without a record.
///
/// ```
/// use ft_runtime::checkpoint::{Checkpoint, Store, select, sleep};
/// use ft_runtime::Rejected;
/// use std::{pin::Pin, time::Duration};
///
/// type Answer = Pin<Box<dyn Future<Output = Result<&'static str, Rejected>>>>;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Rejected> {
/// let store = Store::open("memory:")?;
/// let offer = Checkpoint::new().run("offer-42").named("offer").calls::<Result<bool, Rejected>>();
/// let accepted = store.scope(offer.run(async {
///     let accepted: Answer = Box::pin(async { Ok("accepted") });
///     let expired: Answer = Box::pin(async { sleep("a day", Duration::from_secs(86_400)).await.map(|()| "expired") });
///     let (winner, answer) = select("answer", [accepted, expired]).await?;
///     assert_eq!(answer?, "accepted");
///     Ok(winner == 0)
/// }));
/// assert!(accepted.await?);
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// Those of a step; and [`CheckpointError::Decode`] if the recorded winner is not among the futures any more;
/// [`Rejected::Invalid`] for a race of none.
///
/// # Cancel safety
///
/// Dropped before there is a winner, nothing is recorded. Steps among the futures keep what they have recorded.
pub fn select<F: Future>(
    key: impl fmt::Display,
    futures: impl IntoIterator<Item = F>,
) -> impl Future<Output = Result<(usize, F::Output), Rejected>> {
    let step = Checkpoint::new().step(NAME).key(&key).calls::<Result<u64, Rejected>>();
    // They stand in the run, not in the step that records who was first.
    let mut futures: Vec<Racing<F>> =
        futures.into_iter().map(|future| Box::pin(Context::current().scope(future))).collect();
    let run = Around::with(|around| around.run.as_ref().map(|run| run.id().to_owned()));
    let key = key.to_string();
    async move {
        let mut first = None;
        let winner = step.run(async {
            if futures.is_empty() {
                return Err(Rejected::Invalid(Invalid::new("`select` was given no futures, so none can be the first")));
            }
            let (winner, output) = race(&mut futures).await;
            first = Some(output);
            Ok(winner as u64)
        });
        let winner = winner.await? as usize;
        if let Some(output) = first {
            return Ok((winner, output));
        }
        if winner >= futures.len() {
            return Err(CheckpointError::Decode {
                run: run.unwrap_or_default(),
                what: format!("the winner of `{key}`"),
                recorded: format!("number {winner}"),
                now: format!("one of {} futures", futures.len()),
                reason: "there are fewer by now".into(),
            }
            .into());
        }
        Ok((winner, futures.swap_remove(winner).await))
    }
}

type Racing<F> = Pin<Box<Scoped<F>>>;

/// The first one that is ready.
async fn race<F: Future>(futures: &mut [Racing<F>]) -> (usize, F::Output) {
    poll_fn(|cx| {
        for (number, future) in futures.iter_mut().enumerate() {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready((number, output));
            }
        }
        Poll::Pending
    })
    .await
}
