//! So many in a time.
