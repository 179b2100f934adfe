//! So many at a time.
