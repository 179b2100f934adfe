//! Time that does not pass by itself.

use std::marker::PhantomData;
use std::time::Duration;

use crate::time;

/// Virtual time for the blocking doors, on this thread, until it is dropped: the clock stands still, and a wait moves it
/// instead of sleeping. Asynchronous code needs nothing of ours: `#[tokio::test(start_paused = true)]` drives it.
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

    /// Moves the clock of this thread, as work would that takes so long.
    pub fn advance(&self, duration: Duration) {
        time::advance(duration);
    }

    /// How far the clock of this thread has moved.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Deadline, RateLimiter, Rejected};

    #[test]
    fn time_passes_by_waiting_and_by_hand_and_not_by_itself() {
        let time = VirtualTime::start();
        let rate = RateLimiter::new(1).max_wait(Duration::from_secs(100));
        for _ in 0..5 {
            assert_eq!(rate.run_blocking(|| Ok::<_, Rejected>(7)), Ok(7));
        }
        assert_eq!(time.elapsed(), Duration::from_secs(4));
        let deadline = Deadline::after(Duration::from_secs(1));
        std::thread::yield_now();
        assert_eq!(deadline.remaining(), Duration::from_secs(1));
        time.advance(Duration::from_millis(300));
        assert_eq!(deadline.remaining(), Duration::from_millis(700));
    }
}
