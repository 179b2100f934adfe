//! Moments inside the engine at which a test crashes the process, fails what is being done, or holds it up.
//!
//! `FT_FAIL_POINT=POINT=WHAT@N` does so when the process passes `POINT` for the `N`-th time: `crash` aborts it, `error`
//! fails with [`StoreError::Failed`], `stall:MS` keeps the thread for so many milliseconds. Builds without debug
//! assertions have no such moments. `tests/crash/failpoints.rs` lists the points and passes each of them.

use super::error::StoreError;

/// Passes a point.
#[cfg(not(debug_assertions))]
#[inline]
pub(super) fn pass(_: &'static str) -> Result<(), StoreError> {
    Ok(())
}

#[cfg(debug_assertions)]
pub(super) use self::asked::pass;

#[cfg(debug_assertions)]
mod asked {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::StoreError;

    /// Passes a point.
    pub(in crate::checkpoint) fn pass(point: &'static str) -> Result<(), StoreError> {
        static ASKED: OnceLock<Option<Asked>> = OnceLock::new();
        let asked = ASKED.get_or_init(|| std::env::var("FT_FAIL_POINT").ok().map(|text| Asked::read(&text)));
        match asked {
            Some(asked) if asked.point == point => asked.pass(point),
            _ => Ok(()),
        }
    }

    struct Asked {
        point: String,
        what: What,
        nth: u32,
        passed: AtomicU32,
    }

    enum What {
        Crash,
        Error,
        Stall(Duration),
    }

    impl Asked {
        /// A test that asks for nonsense has to be told, and nobody else asks.
        fn read(text: &str) -> Self {
            let read = || {
                let (point, rest) = text.split_once('=')?;
                let (what, nth) = rest.split_once('@')?;
                let what = match what.split_once(':') {
                    None if what == "crash" => What::Crash,
                    None if what == "error" => What::Error,
                    Some(("stall", millis)) => What::Stall(Duration::from_millis(millis.parse().ok()?)),
                    _ => return None,
                };
                Some(Self { point: point.into(), what, nth: nth.parse().ok()?, passed: AtomicU32::new(0) })
            };
            read().unwrap_or_else(|| panic!("FT_FAIL_POINT={text:?} is not POINT=crash|error|stall:MS@N"))
        }

        fn pass(&self, point: &'static str) -> Result<(), StoreError> {
            if self.passed.fetch_add(1, Ordering::Relaxed) + 1 != self.nth {
                return Ok(());
            }
            match self.what {
                What::Crash => std::process::abort(),
                What::Error => {
                    let reason = "FT_FAIL_POINT asked for it".into();
                    Err(StoreError::Failed { store: "of a test".into(), doing: point, reason })
                }
                What::Stall(time) => {
                    std::thread::sleep(time);
                    Ok(())
                }
            }
        }
    }
}
