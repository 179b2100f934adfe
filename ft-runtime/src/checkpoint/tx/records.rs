//! What a step asks of the caller's transaction. Public only as far as the compiler wants it to be.

use std::future::Future;
use std::pin::Pin;

use super::super::record::UnixMillis;
use super::error::TxError;

/// What identifies a record. `started_at` tells runs of two stores apart that count their incarnations alike.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    /// The run.
    pub run: &'a str,
    /// The token of the claim that started it.
    pub incarnation: u64,
    /// When that was.
    pub started_at: UnixMillis,
    /// Name and key of the step, behind those of the steps around it.
    pub key: &'a str,
}

/// A record.
#[derive(Debug)]
pub struct Row {
    /// The schema of the value, for those who read the table.
    pub schema: u16,
    /// Fingerprint of the arguments.
    pub input: Vec<u8>,
    /// The sealed value.
    pub value: Vec<u8>,
}

/// An answer of the database. Boxed, so that it is `Send` wherever the transaction lets it be.
pub(super) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, TxError>> + Send + 'a>>;

/// Reads and writes records in a transaction.
pub trait Records {
    /// The record of a step, if there is one.
    fn find<'a>(&'a self, at: &'a At<'a>) -> Answer<'a, Option<Row>>;

    /// Writes the record of a step.
    fn insert<'a>(&'a self, at: &'a At<'a>, row: &'a Row) -> Answer<'a, ()>;
}

/// As [`Records`], answering at once.
pub trait BlockingRecords {
    /// The record of a step, if there is one.
    fn find_blocking(&self, at: &At<'_>) -> Result<Option<Row>, TxError>;

    /// Writes the record of a step.
    fn insert_blocking(&self, at: &At<'_>, row: &Row) -> Result<(), TxError>;
}
