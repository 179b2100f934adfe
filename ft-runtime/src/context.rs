//! What a call inherits from the code around it.

use std::future::Future;
use std::pin::Pin;
use std::task::{self, Poll};

use pin_project_lite::pin_project;

use crate::deadline::{self, Bound, Deadline};

/// What the code running now inherited: its deadline and, with the feature `checkpoint`, its run and store.
///
/// It stays with the task. To give it to work on another task or thread, capture it there and then:
///
/// ```
/// use ft_runtime::{Context, Deadline};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let left = Deadline::after(Duration::from_secs(2)).scope(async {
///     let inherited = Context::current();
///     tokio::spawn(inherited.scope(async { Deadline::current().map(Deadline::remaining) })).await.unwrap()
/// });
/// assert_eq!(left.await, Some(Duration::from_secs(2)));
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Context {
    deadline: Bound,
    #[cfg(feature = "checkpoint")]
    around: crate::checkpoint::Around,
}

impl Context {
    /// What the code running now inherited.
    pub fn current() -> Self {
        Self {
            deadline: Bound::current(),
            #[cfg(feature = "checkpoint")]
            around: crate::checkpoint::Around::current(),
        }
    }

    /// This context with another checkpoint part.
    #[cfg(feature = "checkpoint")]
    pub(crate) fn with_around(mut self, change: impl FnOnce(&mut crate::checkpoint::Around)) -> Self {
        change(&mut self.around);
        self
    }

    /// The checkpoint part.
    #[cfg(feature = "checkpoint")]
    pub(crate) fn around(&self) -> &crate::checkpoint::Around {
        &self.around
    }

    /// This context, and under the deadline in force now where that is the earlier one.
    #[cfg(feature = "checkpoint")]
    pub(crate) fn under_current_deadline(self) -> Self {
        let deadline = match (self.deadline, Bound::current()) {
            (Bound::Until(own), Bound::Until(now)) => Bound::Until(own.min(now)),
            (Bound::None, now) => now,
            (own, _) => own,
        };
        Self { deadline, ..self }
    }

    /// The deadline in it.
    pub fn deadline(&self) -> Option<Deadline> {
        self.deadline.instant().map(Deadline::at)
    }

    /// Runs `future` with this context instead of the one around it.
    pub fn scope<F: Future>(self, future: F) -> Scoped<F> {
        Scoped { context: self, future }
    }

    /// Runs `call` with this context instead of the one around it.
    pub fn scope_blocking<R>(mut self, call: impl FnOnce() -> R) -> R {
        let _entered = Entered::swap(&mut self);
        call()
    }

    /// Exchanges this context with the one in force on this thread.
    fn exchange(&mut self) {
        deadline::exchange(&mut self.deadline);
        #[cfg(feature = "checkpoint")]
        self.around.exchange();
    }
}

pin_project! {
    /// A future with a context; see [`Context::scope`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Scoped<F> {
        context: Context,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = Entered::swap(this.context);
        this.future.poll(cx)
    }
}

/// While it lives, the context is in force; dropped, a panic included, what was around is again.
struct Entered<'a> {
    context: &'a mut Context,
}

impl<'a> Entered<'a> {
    fn swap(context: &'a mut Context) -> Self {
        context.exchange();
        Self { context }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.context.exchange();
    }
}
