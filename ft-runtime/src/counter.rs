//! A counter that many threads bump without waiting for each other.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Stripes of one counter. Four keep two to eight cores apart; a site pays 256 bytes for it.
pub(crate) const STRIPES: usize = 4;

/// A monotonic count, striped over cache lines: bumping it from several threads costs what it costs from one.
#[derive(Debug)]
pub(crate) struct Counter {
    stripes: [Stripe; STRIPES],
}

#[derive(Debug)]
#[repr(align(64))]
struct Stripe(AtomicU64);

impl Counter {
    pub(crate) const fn new() -> Self {
        Self { stripes: [const { Stripe(AtomicU64::new(0)) }; STRIPES] }
    }

    #[inline]
    pub(crate) fn bump(&self) {
        self.stripes[stripe()].0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.stripes.iter().map(|stripe| stripe.0.load(Ordering::Relaxed)).sum()
    }

    /// Takes what was counted so far; what is counted meanwhile stays for the next one.
    pub(crate) fn take(&self) -> u64 {
        self.stripes.iter().map(|stripe| stripe.0.swap(0, Ordering::Relaxed)).sum()
    }
}

/// The stripe of this thread: threads take turns.
#[inline]
pub(crate) fn stripe() -> usize {
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    let mine = MINE.get();
    if mine < STRIPES { mine } else { assign(&MINE) }
}

#[cold]
fn assign(mine: &'static std::thread::LocalKey<Cell<usize>>) -> usize {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed) as usize % STRIPES;
    mine.set(next);
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bump_of_every_thread_counts_once() {
        static COUNTER: Counter = Counter::new();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..1_000).for_each(|_| COUNTER.bump()));
            }
        });
        assert_eq!(COUNTER.get(), 8_000);
        assert_eq!(COUNTER.take(), 8_000);
        assert_eq!(COUNTER.get(), 0);
    }
}
