//! The one place that names locks, parked threads and the atomics of state machines, so that a model checker can drive the state machines:
//! `RUSTFLAGS="--cfg ft_shuttle"` swaps in shuttle's, which explores interleavings.

#[cfg(not(ft_shuttle))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64},
};
#[cfg(not(ft_shuttle))]
pub(crate) use std::thread::{Thread, current, park, park_timeout};

#[cfg(ft_shuttle)]
pub(crate) use shuttle::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64},
};
#[cfg(ft_shuttle)]
pub(crate) use shuttle::thread::{Thread, current, park, park_timeout};

/// Locks, and goes on with what is there when another thread panicked while it held the lock: every critical section
/// in this crate leaves its data consistent at each step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
