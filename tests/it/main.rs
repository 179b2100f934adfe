//! The integration tests, one binary: a module per capability.

mod deadline;
mod events;
mod flaky;
mod http;
mod listed;
mod matrix;
mod parity;
mod parity_timeout;
mod retry;
mod tower_contract;
mod tower_contract_timeout;
