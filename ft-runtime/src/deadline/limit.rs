//! The limit of one call.

use std::time::{Duration, Instant};

use super::mark::{self, Entered, Mark};

/// How long one call may take, and by when it ends once that is known.
///
/// The clock is read when it must be: where a deadline is around, to see whether it has passed; else when the call
/// suspends, or something inside asks for its deadline. A call that is ready at once costs none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// The limit, or the moment at which it ends.
    ends: Mark,
    /// The limit that is kept: a shorter one around it counts.
    kept: Mark,
}

/// The deadline around the call had passed before it began.
#[derive(Debug)]
pub(crate) struct Passed;

impl Limit {
    #[inline]
    pub(crate) const fn new(limit: Mark) -> Self {
        Self { ends: limit, kept: limit }
    }

    /// Runs a part of the call (makes it, polls it) under its limit.
    #[inline]
    pub(crate) fn within<R>(&mut self, part: impl FnOnce() -> R) -> Result<R, Passed> {
        let around = mark::in_force();
        if !(self.ends.is_open() && around.is_open()) {
            self.begin(around)?;
            let _entered = Entered::nearer(self.ends);
            return Ok(part());
        }
        let entered = Entered::shorter(self.ends, around);
        let result = part();
        if let Some((end, kept)) = entered.began() {
            *self = Self { ends: end, kept };
        }
        Ok(result)
    }

    /// With a moment on either side: begins to run, unless it has begun.
    #[cold]
    fn begin(&mut self, around: Mark) -> Result<(), Passed> {
        if self.ends.is_open() {
            let now = Mark::now();
            if around <= now {
                return Err(Passed);
            }
            self.run(now, around);
        }
        Ok(())
    }

    /// The call waits: begins to run, unless it has begun, and answers when it ends.
    pub(crate) fn end(&mut self) -> Instant {
        if self.ends.is_open() {
            let now = Mark::now();
            self.run(now, mark::resolve(now));
        }
        self.ends.instant().unwrap_or_else(crate::time::now)
    }

    fn run(&mut self, now: Mark, around: Mark) {
        self.ends = self.ends.from(now).min(around);
        self.kept = self.ends.since(now);
    }

    /// How long the call had.
    pub(crate) const fn length(&self) -> Duration {
        self.kept.length()
    }
}
