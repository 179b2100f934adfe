//! Bytes of futures and services.

use tokio::runtime::Runtime;

/// Prints a row for each of them.
pub(crate) struct Sizes(());

impl Sizes {
    /// The size of a future or a service as it is before it is used.
    pub(crate) fn of<T>(&mut self, what: &str, who: &str, value: &T) {
        println!("{what}\t{who}\t{}", size_of_val(value));
    }
}

/// Prints the table. Some services make a timer when they are made: it belongs to `runtime`.
pub(crate) fn run(runtime: &Runtime, sizes: impl FnOnce(&mut Sizes)) {
    let _timers = runtime.enter();
    println!("what\twho\tbytes");
    sizes(&mut Sizes(()));
}
