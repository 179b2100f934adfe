//! A service by script.

use std::fmt;
use std::future::Ready;
use std::marker::PhantomData;
use std::task::{Context, Poll};

use ft_runtime::testing::Script;
use tower_service::Service;

/// Answers every request with the next outcome of its [`Script`]. It is always ready; put a
/// [`Probe`](super::Probe) around it to have the contract checked, too.
///
/// ```
/// use ft_runtime::testing::Script;
/// use ft_tower::testing::Scripted;
/// use tower::{Service, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let script = Script::new([Err("down"), Ok(7)]);
/// let mut service = Scripted::new(&script);
/// assert_eq!(service.ready().await.unwrap().call("any request").await, Err("down"));
/// assert_eq!(service.ready().await.unwrap().call("any request").await, Ok(7));
/// assert_eq!(script.calls(), 2);
/// # }
/// ```
pub struct Scripted<T, E, Req = ()> {
    script: Script<T, E>,
    request: PhantomData<fn(Req)>,
}

impl<T, E, Req> Scripted<T, E, Req> {
    /// A service that shares the script.
    pub fn new(script: &Script<T, E>) -> Self {
        Self { script: script.clone(), request: PhantomData }
    }
}

impl<T, E, Req> Clone for Scripted<T, E, Req> {
    fn clone(&self) -> Self {
        Self::new(&self.script)
    }
}

impl<T, E, Req> fmt::Debug for Scripted<T, E, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripted").field("script", &self.script).finish()
    }
}

impl<T, E, Req> Service<Req> for Scripted<T, E, Req> {
    type Response = T;
    type Error = E;
    type Future = Ready<Result<T, E>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Req) -> Self::Future {
        self.script.play_async()
    }
}
