//! Randomness that repeats.

use std::marker::PhantomData;

use crate::random;

/// Repeatable jitter on this thread, until it is dropped: every delay is drawn from a generator with this seed.
///
/// Two calls still draw different delays; two runs of the same test draw the same ones.
#[derive(Debug)]
#[must_use = "the seed is in force until this is dropped"]
pub struct Seed {
    thread: PhantomData<*const ()>,
    previous: Option<fastrand::Rng>,
}

impl Seed {
    /// Seeds the jitter of this thread.
    pub fn fix(seed: u64) -> Self {
        Self { thread: PhantomData, previous: random::replace(Some(fastrand::Rng::with_seed(seed))) }
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        random::replace(self.previous.take());
    }
}
