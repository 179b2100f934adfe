//! Waits that survive the process.

use std::fmt;
use std::future::Future;
use std::time::{Duration, UNIX_EPOCH};

use super::Checkpoint;
use super::around::Around;
use super::record::{UnixMillis, millis};
use super::step::StepSession;
use super::stop::Rest;
use crate::deadline::Deadline;
use crate::rejected::Rejected;
use crate::time;

/// What a wait is recorded as, which no function can be called.
const NAME: &str = "ft.sleep";

/// The clock of the system may be set, and a machine may be suspended: it is looked at again at least this often.
const LOOK: Duration = Duration::from_secs(60);

/// Waits in a run until a moment that is recorded: a process that dies meanwhile costs no time, and the run, when it is
/// executed again, waits for what is left.
///
/// The `key` tells this wait from the others of the run. The moment is that of the first execution, by the system's clock;
/// another `duration` given later changes nothing. While it waits, the run is held by this process. Outside of a run, and
/// inside a step, it waits without a record.
///
/// ```
/// use ft_runtime::checkpoint::{Checkpoint, Store, sleep};
/// use ft_runtime::Rejected;
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Rejected> {
/// let store = Store::open("memory:")?;
/// let reminder = Checkpoint::new().run("reminder-42").named("remind").calls::<Result<(), Rejected>>();
/// store.scope(reminder.run(async {
///     sleep("a week", Duration::from_secs(7 * 24 * 60 * 60)).await?;
///     Ok(())
/// })).await?;
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// Those of a step; and [`Rejected::DeadlinePassed`], at once, if the deadline of the caller comes before the moment.
///
/// # Cancel safety
///
/// Dropped, the moment stays recorded.
pub fn sleep(key: impl fmt::Display, duration: Duration) -> impl Future<Output = Result<(), Rejected>> {
    let step = step(&key);
    async move {
        let wake = step.run(async { Ok(later(duration)) }).await?;
        let _rest = Rest::here();
        while let Some(left) = left(wake)? {
            time::sleep(left).await;
        }
        Ok(())
    }
}

/// As [`sleep`], blocking the thread.
///
/// # Errors
///
/// As [`sleep`].
pub fn sleep_blocking(key: impl fmt::Display, duration: Duration) -> Result<(), Rejected> {
    let wake = step(&key).run_blocking(|| Ok(later(duration)))?;
    let run = Around::with(|around| around.run.clone().filter(|_| around.step.is_none()));
    let Some(run) = run else {
        while let Some(left) = left(wake)? {
            time::sleep_blocking(left);
        }
        return Ok(());
    };
    let _rest = Rest::of_thread(&run);
    while let Some(left) = left(wake)? {
        if run.stop.is_requested() {
            return Err(run.refuse().into());
        }
        time::park(Some(left));
    }
    Ok(())
}

fn step(key: &impl fmt::Display) -> StepSession<UnixMillis, Rejected> {
    Checkpoint::new().step(NAME).key(key).calls::<Result<UnixMillis, Rejected>>()
}

fn now() -> UnixMillis {
    time::of_day().duration_since(UNIX_EPOCH).map_or(0, millis)
}

fn later(duration: Duration) -> UnixMillis {
    now().saturating_add(millis(duration))
}

/// How long to wait before looking at the clock again; `None` when the moment has come.
fn left(wake: UnixMillis) -> Result<Option<Duration>, Rejected> {
    let left = Duration::from_millis(wake.saturating_sub(now()).try_into().unwrap_or(0));
    if left.is_zero() {
        return Ok(None);
    }
    match Deadline::current() {
        // A wait that cannot fit is not started.
        Some(deadline) if deadline.remaining() < left => Err(Rejected::DeadlinePassed),
        _ => Ok(Some(left.min(LOOK))),
    }
}
