//! The randomness seam: the only file that draws from the thread's generator.

use std::cell::RefCell;

thread_local! {
    /// The seeded generator of a test on this thread.
    static SEEDED: RefCell<Option<fastrand::Rng>> = const { RefCell::new(None) };
}

/// Runs `draw` with this thread's generator: the seeded one of a test, or a fresh one.
pub(crate) fn with<R>(draw: impl FnOnce(&mut fastrand::Rng) -> R) -> R {
    SEEDED.with_borrow_mut(|seeded| match seeded {
        Some(rng) => draw(rng),
        None => draw(&mut fastrand::Rng::new()),
    })
}

/// Puts a seeded generator in place, or takes it away; answers the one before.
pub(crate) fn replace(rng: Option<fastrand::Rng>) -> Option<fastrand::Rng> {
    SEEDED.replace(rng)
}
