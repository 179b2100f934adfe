//! Retries that are cut short.

use std::cell::Cell;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

thread_local! {
    /// What holds for the code that this thread runs. Read off the success path only.
    static CURRENT: Cell<AttemptCap> = const { Cell::new(AttemptCap::NONE) };
}

/// Caps the attempts of every retry in a part of a test, whatever its policy says: so the path behind the last attempt
/// is tested without the delays that lead there, and without a word in the code under test.
///
/// Of nested caps the tighter one counts. It stays with the thread ([`start`](Self::start)) or with the future
/// ([`scope`](Self::scope)): work that is spawned on other threads does not see it.
///
/// ```
/// use ft_runtime::{retry, testing::AttemptCap};
/// use std::io;
///
/// #[retry(max_attempts = 10)]
/// fn load() -> io::Result<u32> {
///     Err(io::ErrorKind::TimedOut.into())
/// }
///
/// let capped = AttemptCap::at_most(2).without_waits().start();
/// assert!(load().is_err()); // two attempts, at once
/// drop(capped);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a cap does nothing until it is started, or given a future to run"]
pub struct AttemptCap {
    pub(crate) max_attempts: u32,
    pub(crate) longest_wait: Duration,
}

impl AttemptCap {
    const NONE: Self = Self { max_attempts: u32::MAX, longest_wait: Duration::MAX };

    /// No retry makes more attempts than this, the first call included.
    ///
    /// # Panics
    ///
    /// On zero: a call is always made once.
    #[track_caller]
    pub const fn at_most(max_attempts: u32) -> Self {
        assert!(max_attempts >= 1, "a cap must allow at least 1 attempt");
        Self { max_attempts, ..Self::NONE }
    }

    /// The waits between attempts take no time.
    pub const fn without_waits(self) -> Self {
        Self { longest_wait: Duration::ZERO, ..self }
    }

    /// Caps the retries on this thread until the answer is dropped. In `#[tokio::test]` that is the whole test, with
    /// what it spawns; on a runtime with several threads use [`scope`](Self::scope).
    pub fn start(self) -> Capped {
        Capped { previous: CURRENT.replace(current().and(self)), thread: PhantomData }
    }

    /// Runs `future` with its retries capped, on whatever thread it is polled.
    pub fn scope<F: Future>(self, future: F) -> UnderCap<F> {
        UnderCap { cap: self, future }
    }

    fn and(self, other: Self) -> Self {
        Self {
            max_attempts: self.max_attempts.min(other.max_attempts),
            longest_wait: self.longest_wait.min(other.longest_wait),
        }
    }
}

/// What holds for the code running now.
pub(crate) fn current() -> AttemptCap {
    CURRENT.get()
}

/// The retries of this thread are capped until it is dropped. See [`AttemptCap::start`].
#[derive(Debug)]
#[must_use = "the cap ends when this is dropped"]
pub struct Capped {
    previous: AttemptCap,
    /// Dropped on the thread that started it.
    thread: PhantomData<*const ()>,
}

impl Drop for Capped {
    fn drop(&mut self) {
        CURRENT.set(self.previous);
    }
}

pin_project! {
    /// A future whose retries are capped. See [`AttemptCap::scope`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct UnderCap<F> {
        cap: AttemptCap,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for UnderCap<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _capped = this.cap.start();
        this.future.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Script;
    use crate::{Backoff, Retry};
    use std::io;

    const HOURS: Retry = Retry::new().max_attempts(5).backoff(Backoff::fixed(Duration::from_secs(3600)));

    fn failing() -> Script<u32, io::Error> {
        Script::from_fn(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    #[test]
    fn inside_a_cap_no_retry_makes_more_attempts_and_waits_take_no_time() {
        let script = failing();
        let capped = AttemptCap::at_most(2).without_waits().start();
        let time = crate::testing::VirtualTime::start();
        HOURS.call_blocking(|| script.play()).unwrap_err();
        assert_eq!((script.calls(), time.elapsed()), (2, Duration::ZERO));
        drop(capped);
        HOURS.call_blocking(|| script.play()).unwrap_err();
        assert_eq!(script.calls(), 2 + 5, "the policy again");
        assert!(time.elapsed() > Duration::ZERO);
    }

    #[test]
    fn of_nested_caps_the_tighter_one_counts() {
        let tight = AttemptCap::at_most(2).without_waits().start();
        let wide = AttemptCap::at_most(9).start();
        assert_eq!(current(), AttemptCap::at_most(2).without_waits());
        drop(wide);
        drop(tight);
        assert_eq!(current(), AttemptCap::NONE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_capped_future_leaves_its_neighbours_alone() {
        let (capped, free) = (failing(), failing());
        let call = AttemptCap::at_most(1).scope(HOURS.call(|| capped.play_async()));
        let (first, second) = tokio::join!(call, HOURS.call(|| free.play_async()));
        assert!(first.is_err() && second.is_err());
        assert_eq!((capped.calls(), free.calls()), (1, 5));
    }
}
