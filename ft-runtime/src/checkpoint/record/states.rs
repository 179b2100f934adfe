//! Saved states, on their way into the store and in it.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Lease, UnixMillis, unix_now};

/// The newest value of a saved state, shared between the one who saves and the store that writes.
///
/// While a write waits for its turn, a newer value replaces the waiting one: the newest wins, and no queue builds up.
///
/// Each value has the number of its version, larger than every one before, under which it was sealed.
#[derive(Debug, Default)]
pub struct Newest(Mutex<Option<(u64, Arc<[u8]>)>>);

impl Newest {
    /// Puts a version in. Returns `true` if none was waiting, so that a write must be asked for.
    pub fn put(&self, generation: u64, value: Arc<[u8]>) -> bool {
        self.lock().replace((generation, value)).is_none()
    }

    /// Takes the newest version out, to write it: its number and its value.
    pub fn take(&self) -> Option<(u64, Arc<[u8]>)> {
        self.lock().take()
    }

    /// Whether a value is waiting to be written.
    pub fn is_waiting(&self) -> bool {
        self.lock().is_some()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(u64, Arc<[u8]>)>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A version of a saved state on its way into the store.
///
/// The store keeps it and the newest older version that is not `bad`, and deletes the others.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SaveState {
    /// Who writes.
    pub lease: Lease,
    /// The state's name in its run.
    pub name: Arc<str>,
    /// A version found damaged, not worth keeping.
    pub bad: Option<u64>,
    /// Name of the type, to tell the user when it changes.
    pub type_name: &'static str,
    /// The sealed value and its number. If it was taken out already, a later write has it and there is nothing to do.
    pub value: Arc<Newest>,
    /// Version of the code that executes the run.
    pub version: u32,
    /// When it was marked.
    pub at: UnixMillis,
}

impl SaveState {
    /// A version marked now, by version 0 of the code; no version before it is bad.
    pub fn new(lease: Lease, name: impl Into<Arc<str>>, type_name: &'static str, value: Arc<Newest>) -> Self {
        Self { lease, name: name.into(), bad: None, type_name, value, version: 0, at: unix_now() }
    }
}

/// A stored version of a saved state.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateRecord {
    /// The state's name in its run.
    pub name: Arc<str>,
    /// The number of this version.
    pub generation: u64,
    /// Name of the type that was saved.
    pub type_name: String,
    /// The sealed value.
    pub value: Arc<[u8]>,
    /// How many steps of the run had been recorded.
    pub steps: u64,
    /// Token of the claim that saved it.
    pub token: u64,
    /// Version of the code that executed the run.
    pub version: u32,
    /// When it was saved.
    pub recorded_at: UnixMillis,
}

impl StateRecord {
    /// What is stored of `state`: the version that was taken out of it, when `steps` steps of the run had been recorded.
    #[must_use]
    pub fn new(state: SaveState, (generation, value): (u64, Arc<[u8]>), steps: u64) -> Self {
        let SaveState { lease, name, type_name, version, at, .. } = state;
        let type_name = type_name.to_owned();
        Self { name, generation, type_name, value, steps, token: lease.token, version, recorded_at: at }
    }
}
