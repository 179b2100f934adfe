//! Something else instead.
