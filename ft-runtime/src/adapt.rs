//! Other crates' errors and policies, a feature each.

#[cfg(feature = "anyhow")]
mod anyhow;
#[cfg(feature = "backoff")]
mod backoff;
#[cfg(feature = "hyper")]
mod hyper;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "tonic")]
mod tonic;
