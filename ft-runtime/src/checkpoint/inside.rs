//! The inside of a step that is being executed: where it stands in its run, for the keys that it gives to other sides.

use std::fmt;
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

use super::around::Around;
use super::fingerprint::InputHash;
use super::numbers::Numbers;
use super::owner::uuid;
use crate::sync::lock;

/// Stands between the keys of a path; names and keys are free of it, so no two paths are the same.
const SEPARATOR: char = '\0';

/// The inside of a step.
#[derive(Debug)]
pub(crate) struct Inside {
    /// The step's key, behind those of the steps around it.
    path: String,
    /// Of the steps inside.
    numbers: Mutex<Numbers>,
}

impl Inside {
    pub(super) fn new(path: &str) -> Arc<Self> {
        Arc::new(Self { path: path.to_owned(), numbers: Mutex::default() })
    }

    /// A step inside of this one. It is numbered as the steps of a run are, so that it has the same place whenever this
    /// one is executed.
    pub(super) fn nest(self: &Arc<Self>, name: &'static str, key: Option<&str>, input: InputHash) -> Nested {
        let (key, number) = match key {
            Some(key) => (format!("{name}({key})"), None),
            None => {
                let number = lock(&self.numbers).take(name, input);
                (format!("{name}#{number}"), Some(number))
            }
        };
        let inside = Self::new(&format!("{}{SEPARATOR}{key}", self.path));
        Nested { outer: Arc::clone(self), inside, name, number, input, ended: false }
    }
}

/// One call of a step inside another one. Dropped before it has ended well, its number goes to the next try.
#[derive(Debug)]
pub(super) struct Nested {
    outer: Arc<Inside>,
    inside: Arc<Inside>,
    name: &'static str,
    number: Option<u64>,
    input: InputHash,
    ended: bool,
}

impl Nested {
    pub(super) fn inside(&self) -> Arc<Inside> {
        Arc::clone(&self.inside)
    }

    /// Its key, behind those of the steps around it; a control character, which is in no key, stands between them.
    pub(super) fn path(&self) -> String {
        self.inside.path.replace(SEPARATOR, "\u{1f}")
    }

    pub(super) fn input(&self) -> InputHash {
        self.input
    }

    /// Whether it has a number, and no key.
    pub(super) fn is_counted(&self) -> bool {
        self.number.is_some()
    }

    pub(super) fn end<T, E>(mut self, outcome: Result<T, E>) -> Result<T, E> {
        self.ended = outcome.is_ok();
        outcome
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        if let (false, Some(number)) = (self.ended, self.number) {
            lock(&self.outer.numbers).give_back(self.name, number, self.input);
        }
    }
}

/// A key that is the same in every attempt at a step, in this process and after a crash.
///
/// Give it to the other side, so that a request that is sent again is recognised. It prints as a UUID.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdempotencyKey([u8; 32]);

/// The key of the step that is being executed; `None` outside of a step.
///
/// One rule: it belongs to a step of one *started* run, and lives as long as the run's record. Every attempt at the run
/// makes the same key; a run that is started anew under its id, because it starts again (`again`), was deleted, or was
/// forgotten when its time was over, makes keys that were never made before. So work that must be done once should have
/// been answered before its record is forgotten (`keep`).
///
/// A step inside another step has a key of its own, made of the keys of both. It is not recorded: when the outer step is
/// executed again, it is too, with the key that it had. So two requests that one step makes want a step each around
/// them, or they go out under one key.
///
/// ```
/// use ft_runtime::checkpoint::idempotency_key;
/// assert_eq!(idempotency_key(), None);
/// ```
#[must_use]
pub fn idempotency_key() -> Option<IdempotencyKey> {
    Around::with(|around| {
        let (run, step) = (around.run.as_ref()?, around.step.as_ref()?);
        let mut hasher = Sha256::new();
        hasher.update((run.id().len() as u64).to_le_bytes());
        hasher.update(run.id());
        hasher.update(run.incarnation.to_le_bytes());
        hasher.update(step.path.as_bytes());
        Some(IdempotencyKey(hasher.finalize().into()))
    })
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&uuid(&self.0))
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
