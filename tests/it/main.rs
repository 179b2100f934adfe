//! The integration tests, one binary: a module per capability.

mod matrix;
