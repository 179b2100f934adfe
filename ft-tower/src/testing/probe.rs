//! A service that insists on the contract.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower_service::Service;

/// Stands around a service and panics when the contract of tower is broken:
///
/// - a call without readiness: `poll_ready` must have answered `Ready(Ok)` on this very instance, since the last call;
/// - a call on a clone of the instance that was made ready: a clone is not ready;
/// - a response future that is polled after it was ready.
///
/// It also counts what breaks no rule at once and starves others later: readiness that was obtained and neither used nor
/// given up, [`ProbeCounts::reserved`]. Its clones count together.
///
/// ```should_panic
/// use ft_runtime::testing::Script;
/// use ft_tower::testing::{Probe, Scripted};
/// use tower::{Service, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let mut service = Probe::new(Scripted::new(&Script::<_, std::io::Error>::from_fn(|_| Ok(1))));
/// service.ready().await.unwrap();
/// let _ = service.clone().call(()).await; // the clone is not ready
/// # }
/// ```
#[derive(Debug)]
pub struct Probe<S> {
    inner: S,
    counts: Arc<ProbeCounts>,
    ready: bool,
}

/// What a [`Probe`] and its clones counted.
#[derive(Debug, Default)]
pub struct ProbeCounts {
    polls: AtomicU64,
    calls: AtomicU64,
    reserved: AtomicU64,
}

impl ProbeCounts {
    /// How often readiness was asked for.
    pub fn polls(&self) -> u64 {
        self.polls.load(Ordering::SeqCst)
    }

    /// How many calls were made.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// How many instances are ready now, and neither called nor dropped: each holds what readiness reserves.
    pub fn reserved(&self) -> u64 {
        self.reserved.load(Ordering::SeqCst)
    }
}

impl<S> Probe<S> {
    /// Watches over `inner`.
    pub fn new(inner: S) -> Self {
        Self { inner, counts: Arc::default(), ready: false }
    }

    /// What it and its clones counted: to look at when it was moved into the code under test.
    pub fn counts(&self) -> Arc<ProbeCounts> {
        Arc::clone(&self.counts)
    }

    /// This instance is ready, or no longer.
    fn set_ready(&mut self, ready: bool) {
        if ready && !self.ready {
            self.counts.reserved.fetch_add(1, Ordering::SeqCst);
        } else if !ready && self.ready {
            self.counts.reserved.fetch_sub(1, Ordering::SeqCst);
        }
        self.ready = ready;
    }
}

/// A clone is not ready.
impl<S: Clone> Clone for Probe<S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), counts: Arc::clone(&self.counts), ready: false }
    }
}

impl<S> Drop for Probe<S> {
    fn drop(&mut self) {
        self.set_ready(false);
    }
}

impl<S: Service<Req>, Req> Service<Req> for Probe<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = ProbeFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.counts.polls.fetch_add(1, Ordering::SeqCst);
        let polled = self.inner.poll_ready(cx);
        self.set_ready(matches!(polled, Poll::Ready(Ok(()))));
        polled
    }

    #[track_caller]
    fn call(&mut self, request: Req) -> Self::Future {
        if !self.ready {
            // What users test with: it exists to panic.
            match self.counts.reserved() {
                0 => panic!("called without readiness: poll_ready must answer Ready(Ok) before each call"),
                _ => panic!(
                    "called without readiness, which another clone has: the instance made ready must make the call"
                ),
            }
        }
        self.set_ready(false);
        self.counts.calls.fetch_add(1, Ordering::SeqCst);
        ProbeFuture { future: self.inner.call(request), answered: false }
    }
}

pin_project! {
    /// The answer of a [`Probe`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ProbeFuture<F> {
        #[pin]
        future: F,
        answered: bool,
    }
}

impl<F: Future> Future for ProbeFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        assert!(!*this.answered, "polled after it was ready");
        let polled = this.future.poll(cx);
        *this.answered = polled.is_ready();
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scripted;
    use ft_runtime::testing::Script;
    use tower::ServiceExt;

    fn probe() -> Probe<Scripted<u32, ()>> {
        Probe::new(Scripted::new(&Script::new([Ok(1)])))
    }

    #[tokio::test]
    #[should_panic(expected = "called without readiness: poll_ready must answer")]
    async fn a_call_without_readiness_is_reported() {
        let _ = probe().call(()).await;
    }

    #[tokio::test]
    #[should_panic(expected = "called without readiness: poll_ready must answer")]
    async fn readiness_is_good_for_one_call() {
        let mut service = probe();
        let _ = service.ready().await.unwrap().call(()).await;
        let _ = service.call(()).await;
    }

    #[tokio::test]
    #[should_panic(expected = "which another clone has")]
    async fn a_call_with_the_readiness_of_another_clone_is_reported() {
        let mut service = probe();
        service.ready().await.unwrap();
        let _ = service.clone().call(()).await;
    }

    #[tokio::test]
    #[should_panic(expected = "polled after it was ready")]
    async fn an_answer_that_is_polled_again_is_reported() {
        let mut answer = std::pin::pin!(probe().oneshot(()));
        let _ = answer.as_mut().await;
        let mut service = probe();
        let mut answer = service.ready().await.unwrap().call(());
        let _ = (&mut answer).await;
        let _ = (&mut answer).await;
    }

    #[tokio::test]
    async fn reservations_are_counted_until_they_are_used_or_dropped() {
        let mut service = probe();
        let counts = service.counts();
        service.ready().await.unwrap();
        service.ready().await.unwrap();
        assert_eq!((counts.polls(), counts.reserved()), (2, 1));
        let mut clone = service.clone();
        clone.ready().await.unwrap();
        assert_eq!(counts.reserved(), 2);
        drop(clone);
        let _ = service.call(()).await;
        assert_eq!((counts.calls(), counts.reserved()), (1, 0));
    }
}
