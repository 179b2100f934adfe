//! What a run was started with, to notice when it is asked for something else.

use super::fingerprint::{Fingerprint, InputHash};

/// The arguments of a run: a name and a fingerprint for each that can be compared.
///
/// Two calls are compared by the names that they share, so that a parameter may be added, removed or left out (`skip`)
/// while runs are in flight.
///
/// ```
/// use ft_runtime::checkpoint::{Arguments, Fingerprint};
///
/// let of = |cents: u32| Arguments::default().with("order", 42.fingerprint().ok()).with("cents", cents.fingerprint().ok());
/// assert_eq!(of(500).differing(&of(700)), ["cents"]);
/// assert!(of(500).differing(&Arguments::default().with("order", 42.fingerprint().ok())).is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arguments(Vec<(String, InputHash)>);

impl Arguments {
    /// With one more. Without a fingerprint it is not compared; so are names longer than 255 bytes.
    #[must_use]
    pub fn with(mut self, name: &str, fingerprint: Option<InputHash>) -> Self {
        if let Some(fingerprint) = fingerprint.filter(|_| name.len() <= usize::from(u8::MAX)) {
            self.0.push((name.to_owned(), fingerprint));
        }
        self
    }

    /// Whether there is nothing to compare.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of the arguments that are others now.
    ///
    /// Where no name is shared, a value is: parameters that were all renamed are the same. Where none is either, all
    /// differ, as those of another function of the same name do.
    #[must_use]
    pub fn differing<'a>(&self, now: &'a Self) -> Vec<&'a str> {
        let recorded = |name: &str| self.0.iter().find(|(known, _)| known == name).map(|(_, fingerprint)| fingerprint);
        let shared = now.0.iter().any(|(name, _)| recorded(name).is_some());
        let other = |(name, fingerprint): &&(String, InputHash)| match recorded(name) {
            Some(recorded) => recorded != fingerprint,
            None => !shared && !self.is_empty(),
        };
        if !shared && now.0.iter().any(|(_, now)| self.0.iter().any(|(_, recorded)| recorded == now)) {
            return Vec::new();
        }
        now.0.iter().filter(other).map(|(name, _)| &**name).collect()
    }

    /// The bytes that stand in a store: for each a byte of length, the name, and the fingerprint.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, fingerprint) in &self.0 {
            // `with` has looked at the length.
            bytes.push(name.len() as u8);
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(fingerprint.as_bytes());
        }
        bytes
    }

    /// From the bytes that stand in a store; `None` if nothing like that was ever written.
    #[must_use]
    pub fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let mut arguments = Vec::new();
        while let Some((len, rest)) = bytes.split_first() {
            let (name, rest) = rest.split_at_checked((*len).into())?;
            let (fingerprint, rest) = rest.split_first_chunk::<16>()?;
            arguments.push((std::str::from_utf8(name).ok()?.to_owned(), InputHash::from_bytes(*fingerprint)));
            bytes = rest;
        }
        Some(Self(arguments))
    }
}

/// The fingerprint of a value whose type serialises: `Some`. Of any other value, and of one that refuses to: `None`.
///
/// What `#[checkpoint(run = ..)]` writes for each argument of a function. Under a generic parameter that does not say
/// `Serialize` it is `None`. So it is where the type names a lock, a cell or an atomic, which serialise as what they hold
/// at the moment, or a `HashSet`, which has no order: they differ while the argument is the same.
///
/// ```
/// struct Client;
/// assert!(ft_runtime::fingerprint_of!(42).is_some());
/// assert!(ft_runtime::fingerprint_of!(Client).is_none());
/// ```
#[macro_export]
macro_rules! fingerprint_of {
    ($value:expr) => {{
        #[allow(unused_imports)]
        use $crate::checkpoint::probe::{Compared as _, LeftOut as _};
        (&$crate::checkpoint::probe::Probe(&$value)).fingerprint()
    }};
}

/// How [`fingerprint_of!`](crate::fingerprint_of) tells a type that serialises from one that does not.
pub mod probe {
    use super::{Fingerprint, InputHash};

    /// In the names of types whose values serialise to something else although they are the same.
    const CHANGING: [&str; 6] = ["Mutex<", "RwLock<", "Cell<", "OnceLock<", "::Atomic", "HashSet<"];

    /// A value to look at.
    #[derive(Debug)]
    pub struct Probe<'a, T: ?Sized>(pub &'a T);

    /// Found for types that serialise.
    pub trait Compared {
        /// The fingerprint; `None` if the value refuses to serialise.
        fn fingerprint(&self) -> Option<InputHash>;
    }

    impl<T: Fingerprint + ?Sized> Compared for Probe<'_, T> {
        fn fingerprint(&self) -> Option<InputHash> {
            // Only ever leaves something out, so nothing depends on how a compiler spells it.
            let changes = CHANGING.iter().any(|name| std::any::type_name::<T>().contains(name));
            if changes { None } else { self.0.fingerprint().ok() }
        }
    }

    /// Found, one reference further away, for all others.
    pub trait LeftOut {
        /// `None`.
        fn fingerprint(&self) -> Option<InputHash>;
    }

    impl<T: ?Sized> LeftOut for &Probe<'_, T> {
        fn fingerprint(&self) -> Option<InputHash> {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arguments: &[(&str, u32)]) -> Arguments {
        arguments.iter().fold(Arguments::default(), |all, (name, value)| all.with(name, value.fingerprint().ok()))
    }

    #[test]
    fn what_is_shared_is_compared_and_the_rest_may_come_and_go() {
        let started = of(&[("order", 1), ("limit", 2)]);
        assert!(started.differing(&of(&[("limit", 2), ("order", 1)])).is_empty());
        assert_eq!(started.differing(&of(&[("order", 9), ("limit", 2)])), ["order"]);
        assert!(started.differing(&of(&[("order", 1), ("new", 5)])).is_empty());
        assert!(started.differing(&of(&[])).is_empty());
        assert!(of(&[]).differing(&started).is_empty());
    }

    #[test]
    fn renamed_parameters_are_the_same_and_those_of_another_function_are_not() {
        assert!(of(&[("order", 1)]).differing(&of(&[("o", 1)])).is_empty());
        assert_eq!(of(&[("order", 1)]).differing(&of(&[("user", 7), ("days", 3)])), ["user", "days"]);
    }

    #[test]
    fn they_are_read_back_from_their_bytes_and_from_no_others() {
        let arguments = of(&[("order", 1), ("", 2)]).with(&"x".repeat(256), 1.fingerprint().ok());
        let bytes = arguments.to_bytes();
        assert_eq!(Arguments::from_bytes(&bytes), Some(arguments));
        assert_eq!(Arguments::from_bytes(&bytes[..bytes.len() - 1]), None);
    }

    #[test]
    fn a_type_that_does_not_serialise_is_left_out() {
        struct Client;
        fn generic<T, S: serde::Serialize>(any: T, serialises: S) -> (bool, bool) {
            (fingerprint_of!(any).is_some(), fingerprint_of!(serialises).is_some())
        }
        let (client, text) = (&Client, "text");
        assert!(fingerprint_of!(client).is_none());
        assert_eq!(fingerprint_of!(text), "text".fingerprint().ok());
        assert_eq!(generic(1, 1), (false, true));
    }

    #[test]
    fn what_changes_by_itself_is_left_out() {
        let counted = std::sync::Mutex::new(1);
        let reference = &counted;
        assert!(fingerprint_of!(counted).is_none() && fingerprint_of!(reference).is_none());
        assert!(fingerprint_of!(std::sync::atomic::AtomicU32::new(1)).is_none());
        assert!(fingerprint_of!(std::collections::HashSet::from([1, 2])).is_none());
        assert!(fingerprint_of!(std::collections::HashMap::from([(1, 2)])).is_some(), "its order does not count");
    }
}
