//! The recorded arguments of a run: what it is started with again when nobody is left to call it.

use serde::de::value::Error as Missing;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::{Serialize, Serializer, forward_to_deserialize_any};

use super::envelope::{self, Envelope, EnvelopeError, Place};
use super::error::CheckpointError;
use super::sealing::Sealing;

/// The arguments of a run by their names, as they are recorded, and as they are read again.
///
/// `#[checkpoint(run = .., recover)]` writes this by itself. They are one MessagePack map in the store, so parameters may
/// change their order, and one that was added while runs are in flight is read as `None` if it is an `Option`.
///
/// ```
/// use ft_runtime::checkpoint::Inputs;
///
/// let inputs = Inputs::new().with("order", &42).with("note", "in a hurry");
/// assert_eq!(inputs.get::<u32>("order"), Ok(42));
/// assert_eq!(inputs.get::<String>("note").unwrap(), "in a hurry");
/// assert_eq!(inputs.get::<Option<String>>("added_since"), Ok(None));
/// assert!(inputs.get::<String>("order").is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// The run that they were recorded for, for errors.
    run: String,
    values: Vec<(String, Vec<u8>)>,
    /// The first one that did not serialise, and why.
    refused: Option<(String, String)>,
}

impl Inputs {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more. That it does not serialise is an error of the run that they are recorded for.
    #[must_use]
    pub fn with<T: Serialize + ?Sized>(mut self, name: &str, value: &T) -> Self {
        match rmp_serde::to_vec_named(value) {
            Ok(bytes) => self.values.push((name.to_owned(), bytes)),
            Err(error) => {
                self.refused.get_or_insert_with(|| (name.to_owned(), error.to_string()));
            }
        }
        self
    }

    /// The names, in the order in which they were recorded.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(|(name, _)| &**name)
    }

    /// One of them, as an owned value.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Decode`] if there is none of this name, unless `T` is an `Option`; or if it is no `T`.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<T, CheckpointError> {
        let found = self.values.iter().find(|(known, _)| known == name);
        let read = match found {
            Some((_, bytes)) => rmp_serde::from_slice(bytes).map_err(|error| error.to_string()),
            None => T::deserialize(Absent).map_err(|error| error.to_string()),
        };
        read.map_err(|reason| CheckpointError::Decode {
            run: self.run.clone(),
            what: format!("argument `{name}`"),
            recorded: match found {
                Some(_) => "what it was started with".into(),
                None => format!("the arguments `{}`", self.names().collect::<Vec<_>>().join("`, `")),
            },
            now: format!("a `{}`", std::any::type_name::<T>()),
            reason,
        })
    }

    pub(super) fn seal(&self, run: &str, version: u16, sealing: &Sealing) -> Result<Vec<u8>, CheckpointError> {
        if let Some((name, reason)) = &self.refused {
            let (run, what) = (run.to_owned(), format!("argument `{name}`, which is recorded to start the run again,"));
            return Err(CheckpointError::Encode { run, what, reason: reason.clone() });
        }
        envelope::seal_with(self, version, &Place::Input { run }, sealing)
            .map_err(|error| error.about(run, WHAT.into(), version))
    }

    /// Reads what was recorded by whatever version of the code.
    pub(super) fn open(sealed: &[u8], run: &str, sealing: &Sealing) -> Result<Self, CheckpointError> {
        let read = || {
            let envelope = Envelope::open(sealed, &Place::Input { run }, sealing)?;
            let not_ours = |reason: String| EnvelopeError::Decode { recorded: envelope.schema(), reason };
            let rmpv::Value::Map(values) = envelope.decode(u16::MAX)? else {
                return Err(not_ours("they are no map".into()));
            };
            let values = values.into_iter().map(|(name, value)| {
                let name = name.as_str().ok_or_else(|| not_ours("one of them has no name".into()))?;
                let mut bytes = Vec::new();
                rmpv::encode::write_value(&mut bytes, &value).map_err(|error| not_ours(error.to_string()))?;
                Ok((name.to_owned(), bytes))
            });
            values.collect()
        };
        let values: Result<_, EnvelopeError> = read();
        let values = values.map_err(|error| error.about(run, WHAT.into(), u16::MAX))?;
        Ok(Self { run: run.to_owned(), values, refused: None })
    }
}

const WHAT: &str = "the recorded arguments";

impl Serialize for Inputs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.values.iter().map(|(name, bytes)| (name, Whole(bytes))))
    }
}

/// MessagePack that stands for a value.
struct Whole<'a>(&'a [u8]);

impl Serialize for Whole<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = self.0;
        let value = rmpv::decode::read_value(&mut bytes).map_err(serde::ser::Error::custom)?;
        value.serialize(serializer)
    }
}

/// What is not there: a value only where a type says what its absence means.
struct Absent;

impl<'de> Deserializer<'de> for Absent {
    type Error = Missing;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Missing> {
        Err(Missing::custom("it was not recorded"))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Missing> {
        visitor.visit_none()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Pay {
        Card { cents: u64, rate: f64 },
        Voucher(String),
        Cash,
    }

    #[test]
    fn arguments_of_any_shape_are_read_as_they_were_recorded() {
        let pays = vec![Pay::Card { cents: u64::MAX, rate: f64::NEG_INFINITY }, Pay::Voucher("x".into()), Pay::Cash];
        let map: BTreeMap<(u8, char), Option<i64>> = [((1, 'a'), Some(-1)), ((2, 'b'), None)].into();
        let inputs = Inputs::new().with("pays", &pays).with("map", &map).with("small", &0.1f32).with("big", &i128::MIN);
        let sealed = inputs.seal("r", 7, &Sealing::default()).unwrap();
        let read = Inputs::open(&sealed, "r", &Sealing::default()).unwrap();
        assert_eq!(read.get::<Vec<Pay>>("pays"), Ok(pays));
        assert_eq!(read.get::<BTreeMap<(u8, char), Option<i64>>>("map"), Ok(map));
        assert_eq!(read.get::<f32>("small"), Ok(0.1));
        assert_eq!(read.get::<i128>("big"), Ok(i128::MIN));
        assert_eq!(read.names().collect::<Vec<_>>(), ["pays", "map", "small", "big"]);
    }

    #[test]
    fn what_cannot_be_recorded_or_read_names_the_run_and_the_argument() {
        struct Refuses;
        impl Serialize for Refuses {
            fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("not today"))
            }
        }
        let refused = Inputs::new()
            .with("a", &1)
            .with("bad", &Refuses)
            .seal("r", 0, &Sealing::default())
            .unwrap_err()
            .to_string();
        assert!(["`r`", "`bad`", "not today"].iter().all(|part| refused.contains(part)), "{refused}");

        let sealed = Inputs::new().with("a", &1).seal("r", 0, &Sealing::default()).unwrap();
        let read = Inputs::open(&sealed, "r", &Sealing::default()).unwrap();
        let missing = read.get::<u32>("b").unwrap_err().to_string();
        assert!(["`r`", "argument `b`", "`a`", "not recorded"].iter().all(|part| missing.contains(part)), "{missing}");
        let other = read.get::<String>("a").unwrap_err().to_string();
        assert!(["`r`", "argument `a`", "String"].iter().all(|part| other.contains(part)), "{other}");
        assert!(matches!(Inputs::open(&sealed, "other", &Sealing::default()), Err(CheckpointError::Corrupt { .. })));
    }
}
