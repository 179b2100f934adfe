//! One state for each key.
