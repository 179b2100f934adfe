//! The integration tests, one binary: a module per capability.

mod events;
mod flaky;
mod http;
mod listed;
mod matrix;
mod order;
mod matrix_alternatives;
mod parity;
mod parity_bulkhead;
mod parity_circuit_breaker;
mod parity_rate_limiter;
mod retry;
mod tower_contract;
mod tower_contract_circuit_breaker;
mod tower_contract_limits;
