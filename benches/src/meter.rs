//! Measures cases, in the process that valgrind watches.

use std::io::Write as _;

use crate::alloc;

/// How many calls are counted, and once more twice as many.
pub(crate) const CALLS: u64 = 500;
/// Calls before the first one that is counted: sites register, pages and lazy values come into being.
const WARM_UP: u64 = 50;

/// Runs cases, and writes a line for each to standard output: `case who bare allocations`.
pub(crate) struct Meter {
    pattern: String,
}

/// What a case is measured against: a case that is measured itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// The count in full.
    Nothing,
    /// This bare case.
    Bare(&'static str),
}

impl Meter {
    /// One way to do what the case is called after. `call` is one call, its result given to `black_box`.
    pub(crate) fn case(&mut self, case: &str, who: &str, over: Over, mut call: impl FnMut()) {
        if !case.contains(&self.pattern) && over != Over::Nothing {
            return;
        }
        (0..WARM_UP).for_each(|_| call());
        let before = alloc::allocations();
        (0..CALLS).for_each(|_| call());
        let allocations = alloc::allocations() - before;
        let over = match over {
            Over::Nothing => "",
            Over::Bare(bare) => bare,
        };
        println!("{case}\t{who}\t{over}\t{allocations}");
        counted(CALLS, &mut call);
        counted(2 * CALLS, &mut call);
    }
}

/// Measures all cases whose name holds the pattern, and the bare ones. Timers work; nothing drives them.
pub(crate) fn run(pattern: &str, cases: impl FnOnce(&mut Meter)) {
    let runtime = runtime();
    let _timers = runtime.enter();
    cases(&mut Meter { pattern: pattern.to_owned() });
    let _ = std::io::stdout().flush();
}

/// A runtime that gives timers to those who ask for one, and that nobody turns.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    // Building a runtime fails where the system gives no more file descriptors.
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

/// The one function inside which instructions are counted. It goes by this name in `callgrind`, and is not generic, so
/// that this is all of its name.
#[inline(never)]
fn counted(calls: u64, call: &mut dyn FnMut()) {
    for _ in 0..calls {
        call();
    }
}
