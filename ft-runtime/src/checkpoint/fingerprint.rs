//! Fingerprints of a step's arguments, to notice when a recorded step is called with other ones.

mod canonical;

use std::fmt;

use serde::Serialize;
use sha2::{Digest, Sha256};

use self::canonical::Canonical;

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
        let mut hasher = Sha256::new();
        self.serialize(Canonical::new(&mut hasher)).map_err(|error| error.to_string())?;
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

    #[test]
    fn a_number_counts_by_its_value_whatever_its_type() {
        assert_eq!(of(&7u8), of(&7i64));
        assert_eq!(of(&-7i8), of(&-7i128));
        assert_eq!(of(&300u16), of(&300u128));
        let numbers = [i128::MIN, i64::MIN.into(), -256, -255, -1, 0, 1, 255, 256, u64::MAX.into(), i128::MAX];
        let different: std::collections::HashSet<_> = numbers.iter().map(of).collect();
        assert_eq!(different.len(), numbers.len());
    }

    #[test]
    fn variants_and_what_is_in_them_count() {
        #[derive(Serialize)]
        enum Shape {
            Empty,
            Other,
            One(u8),
            Two(u8, u8),
            Named { a: u8, b: u8 },
        }
        use Shape::{Empty, Named, One, Other, Two};
        let shapes = [Empty, Other, One(1), One(2), Two(1, 2), Two(2, 1), Named { a: 1, b: 2 }, Named { a: 2, b: 1 }];
        let different: std::collections::HashSet<_> = shapes.iter().map(of).collect();
        assert_eq!(different.len(), shapes.len());
    }

    #[test]
    fn a_value_that_is_nested_too_deep_is_refused_before_the_stack_is_full() {
        #[derive(Serialize)]
        struct Link(Option<Box<Link>>);
        let chain = |len| (0..len).fold(Link(None), |link, _| Link(Some(Box::new(link))));
        assert!(chain(400).fingerprint().is_ok());
        assert!(chain(2000).fingerprint().unwrap_err().contains("deeper than 1024 levels"));
    }
}
