//! The integration tests, one binary: a module per capability.

mod events;
mod flaky;
mod listed;
mod matrix;
mod matrix_alternatives;
mod parity;
mod retry;
mod tower_contract;
