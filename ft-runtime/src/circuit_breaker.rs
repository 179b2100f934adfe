//! No calls to what fails.
