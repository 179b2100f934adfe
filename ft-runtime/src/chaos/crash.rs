//! Crashes on purpose.

use std::ffi::OsString;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// No crash point is asked for: known once the environment was read.
static NONE: AtomicBool = AtomicBool::new(false);

/// Aborts the process here when its environment says `FT_CRASH_POINT=name`: no destructor runs, nothing is flushed, as
/// when it is killed. Where the variable is not set it is one relaxed load.
///
/// Put one where a crash would hurt most, and let a test start the program as a child process with the variable set:
/// what was checkpointed before must be there afterwards.
///
/// ```
/// use ft_runtime::chaos::crash_point;
///
/// fn transfer() {
///     // take the money
///     crash_point("between the two halves");
///     // give the money
/// }
/// # transfer();
/// ```
#[inline]
pub fn crash_point(name: &str) {
    if !NONE.load(Ordering::Relaxed) {
        crash_if_asked(name);
    }
}

#[cold]
#[inline(never)]
fn crash_if_asked(name: &str) {
    static ASKED: OnceLock<Option<OsString>> = OnceLock::new();
    match ASKED.get_or_init(|| std::env::var_os("FT_CRASH_POINT")) {
        None => NONE.store(true, Ordering::Relaxed),
        Some(asked) if asked == name => {
            eprintln!("ft: crash point `{name}` reached, aborting");
            std::process::abort();
        }
        Some(_) => {}
    }
}
