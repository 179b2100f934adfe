//! Whether chaos is on in this process.

use std::sync::atomic::{AtomicU32, Ordering};

/// Zero while chaos is off, so that one relaxed load answers the usual question. Bit 0: the environment was not read yet.
/// Bit 1: switched on. The rest counts the scopes.
static SWITCH: AtomicU32 = AtomicU32::new(UNREAD);

const UNREAD: u32 = 1;
const ON: u32 = 2;
const SCOPE: u32 = 4;

/// Switches chaos on for the process, until [`disable`].
pub fn enable() {
    read_environment();
    SWITCH.fetch_or(ON, Ordering::Relaxed);
}

/// Switches chaos off for the process, `FT_CHAOS` included. Scopes keep it on as long as they live.
pub fn disable() {
    SWITCH.fetch_and(!(ON | UNREAD), Ordering::Relaxed);
}

/// Switches chaos on for the process until the answer is dropped. Scopes nest.
///
/// ```
/// use ft_runtime::{Chaos, Rejected, chaos};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// static ALWAYS: Chaos = Chaos::new().errors(1.0);
/// let on = chaos::scoped();
/// assert_eq!(ALWAYS.run(async { Ok(7) }).await, Err(Rejected::Injected));
/// drop(on);
/// assert_eq!(ALWAYS.run(async { Ok::<_, Rejected>(7) }).await, Ok(7));
/// # }
/// ```
pub fn scoped() -> Scoped {
    SWITCH.fetch_add(SCOPE, Ordering::Relaxed);
    Scoped { _private: () }
}

/// Chaos is on while this lives; see [`scoped`].
#[derive(Debug)]
#[must_use = "chaos is on until this is dropped"]
pub struct Scoped {
    _private: (),
}

impl Drop for Scoped {
    fn drop(&mut self) {
        SWITCH.fetch_sub(SCOPE, Ordering::Relaxed);
    }
}

/// Is chaos on? `FT_CHAOS=1` in the environment of the process counts, read once.
#[inline]
pub fn is_enabled() -> bool {
    SWITCH.load(Ordering::Relaxed) != 0 && is_on()
}

#[cold]
fn is_on() -> bool {
    read_environment();
    SWITCH.load(Ordering::Relaxed) != 0
}

fn read_environment() {
    if SWITCH.load(Ordering::Relaxed) & UNREAD == 0 {
        return;
    }
    let on = std::env::var_os("FT_CHAOS").is_some_and(|value| value == "1");
    // Only the one that takes the mark away may act on it, or it would undo a `disable` that came between.
    let _ = SWITCH.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |switch| {
        (switch & UNREAD != 0).then_some(switch & !UNREAD | if on { ON } else { 0 })
    });
}
