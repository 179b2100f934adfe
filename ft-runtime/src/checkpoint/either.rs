//! The first of two futures, without a macro.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// Waits for the first of two futures and drops the other one: `Ok` with the output of the first one given, also where both
/// are ready; `Err` with that of the second one.
pub(super) async fn either<A: Future, B: Future>(first: A, second: B) -> Result<A::Output, B::Output> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|cx| {
        if let Poll::Ready(output) = first.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        second.as_mut().poll(cx).map(Err)
    })
    .await
}
