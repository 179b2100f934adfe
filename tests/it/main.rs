//! The integration tests, one binary: a module per capability.

mod cancel;
mod deadline;
mod defaults;
mod events;
mod flaky;
mod http;
mod listed;
mod load;
mod matrix;
mod matrix_alternatives;
mod order;
mod parity;
mod parity_bulkhead;
mod parity_chaos;
mod parity_circuit_breaker;
mod parity_coalesce;
mod parity_fallback;
mod parity_hedge;
mod parity_rate_limiter;
mod parity_timeout;
mod retry;
mod tower_contract;
mod tower_contract_alternatives;
mod tower_contract_circuit_breaker;
mod tower_contract_limits;
mod tower_contract_timeout;
