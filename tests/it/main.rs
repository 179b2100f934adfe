//! The integration tests, one binary: a module per capability.

mod events;
mod flaky;
mod http;
mod listed;
mod matrix;
mod parity;
mod retry;
mod tower_contract;
