//! So long and no longer.
