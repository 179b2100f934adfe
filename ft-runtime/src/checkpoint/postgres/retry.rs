//! Waiting for a server that is away.

use std::time::{Duration, Instant};

use crate::time;

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Attempts with growing, jittered pauses, up to a moment.
pub(super) struct Retry {
    until: Instant,
    pause: Duration,
}

impl Retry {
    pub(super) fn new(limit: Duration) -> Self {
        Self { until: time::now() + limit, pause: FIRST_PAUSE }
    }

    /// How long an attempt that begins now may take.
    pub(super) fn left(&self) -> Duration {
        self.until.saturating_duration_since(time::now())
    }

    /// Waits before the next attempt. `false` if there is no time for one.
    pub(super) async fn wait(&mut self) -> bool {
        // Processes that have lost the same server do not come back in step.
        let pause = self.pause.mul_f64(0.5 + fastrand::f64() / 2.0);
        if self.left() <= pause {
            return false;
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        tokio::time::sleep(pause).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn attempts_come_with_growing_pauses_and_end_in_time() {
        let began = time::now();
        let mut retry = Retry::new(Duration::from_secs(60));
        let mut attempts = 1;
        while retry.wait().await {
            attempts += 1;
        }
        assert!((60..130).contains(&attempts), "{attempts} attempts");
        let took = time::now() - began;
        assert!(took > Duration::from_secs(58) && took < Duration::from_secs(60), "{took:?}");
    }
}
