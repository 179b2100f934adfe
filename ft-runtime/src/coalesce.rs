//! One execution for all who ask at once.
