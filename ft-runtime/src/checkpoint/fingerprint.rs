//! Fingerprints of a step's arguments, to notice when a recorded step is called with other ones.

use std::fmt;

use rmpv::Value;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Arguments of a step: anything that serialises.
///
/// Implemented for every `T: Serialize`. Maps count by their entries, whatever order a `HashMap` yields them in, and
/// struct fields by their names. Sets serialise as sequences and cannot be told from them: leave a `HashSet` out with
/// `skip(..)`, or pass a `BTreeSet`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be compared with what the step was recorded with, because it does not implement `Serialize`",
    label = "this argument is not `Serialize`",
    note = "leave it out of the comparison: `#[checkpoint(skip(argument))]`",
    note = "or derive it: `#[derive(serde::Serialize)]`"
)]
pub trait Fingerprint {
    /// The fingerprint of this value.
    ///
    /// # Errors
    /// What the value's `Serialize` said, if it refused.
    fn fingerprint(&self) -> Result<InputHash, String>;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + ?Sized> Fingerprint for T {
    fn fingerprint(&self) -> Result<InputHash, String> {
        let bytes = rmp_serde::to_vec_named(self).map_err(|error| error.to_string())?;
        let value = rmpv::decode::read_value(&mut bytes.as_slice()).map_err(|e| e.to_string())?;
        let mut hasher = Sha256::new();
        canonical(&value, &mut hasher);
        Ok(InputHash::from_digest(hasher))
    }
}

/// 128 bits of a SHA-256 over the canonical form of some arguments.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct InputHash([u8; 16]);

impl InputHash {
    /// The bytes that stand in the store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// From the bytes that stand in the store.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The fingerprint of arguments given one after the other.
    #[must_use]
    pub fn then(self, next: InputHash) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(self.0);
        hasher.update(next.0);
        Self::from_digest(hasher)
    }

    fn from_digest(hasher: Sha256) -> Self {
        let digest: [u8; 32] = hasher.finalize().into();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(bytes)
    }
}

impl fmt::Display for InputHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for InputHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Feeds a value so that no two different values feed the same bytes: each begins with its kind and its length.
fn canonical(value: &Value, hasher: &mut Sha256) {
    match value {
        Value::Nil => hasher.update(b"n"),
        Value::Boolean(b) => hasher.update([b'b', u8::from(*b)]),
        Value::Integer(i) => {
            // One form for each number, whether it was signed or not where it came from.
            hasher.update(b"i");
            let wide = i.as_i64().map(i128::from).or_else(|| i.as_u64().map(i128::from));
            hasher.update(wide.unwrap_or_default().to_le_bytes());
        }
        Value::F32(x) => {
            hasher.update(b"f");
            hasher.update(x.to_bits().to_le_bytes());
        }
        Value::F64(x) => {
            hasher.update(b"d");
            hasher.update(x.to_bits().to_le_bytes());
        }
        Value::String(s) => sized(b's', s.as_bytes(), hasher),
        Value::Binary(bytes) => sized(b'y', bytes, hasher),
        Value::Array(items) => {
            hasher.update(b"a");
            hasher.update((items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| canonical(item, hasher));
        }
        Value::Map(entries) => {
            hasher.update(b"m");
            hasher.update((entries.len() as u64).to_le_bytes());
            let mut digests: Vec<[u8; 32]> = entries
                .iter()
                .map(|(key, value)| {
                    let mut entry = Sha256::new();
                    canonical(key, &mut entry);
                    canonical(value, &mut entry);
                    entry.finalize().into()
                })
                .collect();
            digests.sort_unstable();
            digests.iter().for_each(|digest| hasher.update(digest));
        }
        Value::Ext(kind, bytes) => {
            hasher.update(kind.to_le_bytes());
            sized(b'x', bytes, hasher);
        }
    }
}

fn sized(kind: u8, bytes: &[u8], hasher: &mut Sha256) {
    hasher.update([kind]);
    hasher.update((bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn of(value: &(impl Fingerprint + ?Sized)) -> InputHash {
        value.fingerprint().unwrap()
    }

    #[test]
    fn equal_arguments_have_equal_fingerprints_by_value_or_reference() {
        let (a, b) = ("a".to_string(), vec![1u8, 2]);
        assert_eq!(of(&(&a, &b)), of(&(a.clone(), b.clone())));
        assert_eq!(of("text"), of(&"text".to_string()));
    }

    #[test]
    fn different_arguments_have_different_fingerprints() {
        assert_ne!(of(&("ab", "c")), of(&("a", "bc")));
        assert_ne!(of(&(1, 2)), of(&(2, 1)));
        assert_ne!(of(&vec![vec![1], vec![2]]), of(&vec![vec![1, 2], vec![]]));
        assert_ne!(of(&Some(0)), of(&None::<i32>));
        assert_ne!(of(&0.0f64), of(&-0.0f64));
        assert_ne!(of(&u64::MAX), of(&-1i64));
    }

    #[test]
    fn the_order_of_a_map_does_not_count() {
        // Two maps with their own hash seeds: with 64 keys they practically never iterate alike.
        let forward: HashMap<u32, u32> = (0..64).map(|i| (i, i * i)).collect();
        let backward: HashMap<u32, u32> = (0..64).rev().map(|i| (i, i * i)).collect();
        assert_eq!(of(&forward), of(&backward));
        let mut other = forward.clone();
        other.insert(3, 10);
        assert_ne!(of(&forward), of(&other));
    }

    #[test]
    fn arguments_given_one_by_one_keep_their_order() {
        let (a, b) = (of(&1), of(&2));
        assert_ne!(InputHash::default().then(a).then(b), InputHash::default().then(b).then(a));
    }

    #[test]
    fn a_value_that_refuses_to_serialise_says_why() {
        struct Refuses;
        impl Serialize for Refuses {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("not today"))
            }
        }
        assert!(Refuses.fingerprint().unwrap_err().contains("not today"));
    }
}
