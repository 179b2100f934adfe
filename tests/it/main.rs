//! The integration tests, one binary: a module per capability.

mod events;
mod flaky;
mod listed;
mod matrix;
mod matrix_alternatives;
mod parity;
mod parity_chaos;
mod parity_coalesce;
mod parity_fallback;
mod parity_hedge;
mod retry;
mod tower_contract;
mod tower_contract_alternatives;
