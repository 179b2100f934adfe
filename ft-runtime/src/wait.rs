//! The wait between two attempts.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::budget::Charge;
use crate::time;

/// The wait before the next attempt: `.await` it, or [`block`](Self::block). A zero wait never touches a timer.
///
/// Dropped before it has ended, the attempt will not be made and its charge is refunded.
///
/// # Panics
///
/// When it is awaited outside a tokio runtime with time enabled, as every tokio timer does.
#[derive(Debug)]
#[must_use = "the next attempt starts when the wait is over"]
pub struct Wait {
    delay: Duration,
    charge: Option<Charge<'static>>,
}

impl Wait {
    pub(crate) fn new(delay: Duration, charge: Option<Charge<'static>>) -> Self {
        Self { delay, charge }
    }

    /// How long it takes.
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// Blocks the thread for the wait.
    pub fn block(self) {
        if !self.delay.is_zero() {
            time::sleep_blocking(self.delay);
        }
        if let Some(charge) = self.charge {
            charge.spend();
        }
    }
}

impl IntoFuture for Wait {
    type Output = ();
    type IntoFuture = Waiting;

    fn into_future(self) -> Waiting {
        Waiting {
            sleep: time::sleep(self.delay),
            charge: self.charge,
            #[cfg(feature = "checkpoint")]
            rest: None,
        }
    }
}

/// A [`Wait`] that is being awaited.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Waiting {
    sleep: time::Sleep,
    charge: Option<Charge<'static>>,
    /// While it waits, the run around it may be stopped.
    #[cfg(feature = "checkpoint")]
    rest: Option<crate::checkpoint::Rest>,
}

impl Future for Waiting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Pin::new(&mut self.sleep).poll(cx).is_pending() {
            #[cfg(feature = "checkpoint")]
            if self.rest.is_none() {
                self.rest = crate::checkpoint::Rest::here();
            }
            return Poll::Pending;
        }
        #[cfg(feature = "checkpoint")]
        drop(self.rest.take());
        if let Some(charge) = self.charge.take() {
            charge.spend();
        }
        Poll::Ready(())
    }
}
