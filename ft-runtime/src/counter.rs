//! A counter that many threads bump without waiting for each other.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Stripes of one counter. Four keep two to eight cores apart; a site pays 256 bytes for it.
pub(crate) const STRIPES: usize = 4;
/// The words of a stripe: it fills a cache line, so that no two threads write to the same one.
pub(crate) const WORDS: usize = 8;

/// A monotonic count, striped over cache lines: bumping it from several threads costs what it costs from one.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Counter {
    /// The first word of each stripe counts.
    words: [AtomicU64; STRIPES * WORDS],
}

impl Counter {
    pub(crate) const fn new() -> Self {
        Self { words: [const { AtomicU64::new(0) }; STRIPES * WORDS] }
    }

    #[inline]
    pub(crate) fn bump(&self) {
        if !self.bump_unless(0) {
            self.bump_first();
        }
    }

    /// Counts if `obstacle` is zero and this thread has counted before. A caller who has something else to do at its
    /// first time learns of both with one comparison; whether it counted is the answer. `obstacle` is 0 or `usize::MAX`.
    #[inline]
    #[must_use = "it may not have counted"]
    pub(crate) fn bump_unless(&self, obstacle: usize) -> bool {
        match self.words.get(MINE.get() | obstacle) {
            Some(word) => {
                word.fetch_add(1, Ordering::Relaxed);
                true
            }
            None => false,
        }
    }

    /// Counts, on a thread that may never have counted.
    #[cold]
    #[inline(never)]
    pub(crate) fn bump_first(&self) {
        let _ = stripe();
        // In bounds since it was assigned.
        let _ = self.bump_unless(0);
    }

    pub(crate) fn get(&self) -> u64 {
        self.stripes().map(|stripe| stripe.load(Ordering::Relaxed)).sum()
    }

    /// Takes what was counted so far; what is counted meanwhile stays for the next one.
    pub(crate) fn take(&self) -> u64 {
        self.stripes().map(|stripe| stripe.swap(0, Ordering::Relaxed)).sum()
    }

    fn stripes(&self) -> impl Iterator<Item = &AtomicU64> {
        self.words.iter().step_by(WORDS)
    }
}

/// The stripe of this thread, for those who stripe other things.
#[inline]
pub(crate) fn stripe() -> usize {
    let mine = MINE.get();
    if mine == UNASSIGNED { assign() } else { mine / WORDS }
}

/// The first word of this thread's stripe, for those who stripe other things in [`STRIPES`] times [`WORDS`] words; out of their
/// bounds until [`stripe`] was asked.
#[inline]
pub(crate) fn first_word() -> usize {
    MINE.get()
}

/// Threads take turns.
#[cold]
#[inline(never)]
fn assign() -> usize {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let stripe = NEXT.fetch_add(1, Ordering::Relaxed) as usize % STRIPES;
    MINE.set(stripe * WORDS);
    stripe
}

/// `MINE` of a thread that has not counted yet.
const UNASSIGNED: usize = usize::MAX;

thread_local! {
    /// The word that this thread counts in.
    static MINE: Cell<usize> = const { Cell::new(UNASSIGNED) };
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
