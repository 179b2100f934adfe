//! What a database says when it cannot look for a record, or write one.

/// Why a record could not be read or written.
#[derive(Debug)]
pub enum TxError {
    /// There is a record already, which was not there when it was looked for.
    Conflict,
    /// The table is missing.
    NoTable,
    /// There is no transaction.
    Ended,
    /// Anything else.
    Failed {
        /// What the database said.
        reason: String,
        /// Whether it may go well at another time.
        transient: bool,
    },
}
