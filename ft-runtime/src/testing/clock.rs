//! Time that does not pass by itself.

use std::marker::PhantomData;
use std::time::Duration;

use crate::time;

/// Virtual time for the blocking doors, on this thread, until it is dropped: a wait moves the clock instead of
/// sleeping. Asynchronous code needs nothing of ours: `#[tokio::test(start_paused = true)]` drives it.
///
/// ```
/// use ft_runtime::{Backoff, Jitter, Retry, testing::VirtualTime};
/// use std::time::Duration;
///
/// let time = VirtualTime::start();
/// let hour = Backoff::fixed(Duration::from_secs(3600)).jitter(Jitter::None);
/// let outcome: Result<(), _> = Retry::new().backoff(hour).call_blocking(|| Err(std::io::Error::from(std::io::ErrorKind::TimedOut)));
/// assert!(outcome.is_err());
/// assert_eq!(time.elapsed(), Duration::from_secs(2 * 3600)); // three attempts, two waits, no time
/// ```
#[derive(Debug)]
#[must_use = "virtual time ends when this is dropped"]
pub struct VirtualTime {
    /// Dropped on the thread that started it.
    thread: PhantomData<*const ()>,
    entered: bool,
}

impl VirtualTime {
    /// Moves this thread onto virtual time. Inside another `VirtualTime` it shares that one.
    pub fn start() -> Self {
        Self { thread: PhantomData, entered: time::enter_virtual() }
    }

    /// How far waiting has moved the clock of this thread.
    pub fn elapsed(&self) -> Duration {
        time::moved()
    }
}

impl Drop for VirtualTime {
    fn drop(&mut self) {
        if self.entered {
            time::leave_virtual();
        }
    }
}
