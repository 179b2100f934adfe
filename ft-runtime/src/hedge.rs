//! Another one beside a slow one.
