//! Bytes of futures and services.

/// Prints a row for each of them.
pub(crate) struct Sizes(());

impl Sizes {
    /// The size of a future or a service as it is before it is used.
    pub(crate) fn of<T>(&mut self, what: &str, who: &str, value: &T) {
        println!("{what}\t{who}\t{}", size_of_val(value));
    }
}

/// Prints the table.
pub(crate) fn run(sizes: impl FnOnce(&mut Sizes)) {
    println!("what\twho\tbytes");
    sizes(&mut Sizes(()));
}
