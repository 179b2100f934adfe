//! Recorded values without their types: MessagePack, shown as JSON.

use std::fmt;

use ft_runtime::checkpoint::Store;
use ft_runtime::checkpoint::envelope::{EnvelopeError, Place};
use rmpv::Value;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

/// A recorded value, or what keeps it from being shown.
#[derive(Debug)]
pub(crate) enum Recorded {
    /// What was recorded; an error if the step failed and that was recorded.
    Value { value: Value, is_error: bool, schema: u16 },
    /// It is not what was written.
    Damaged(String),
    /// It may be intact, and cannot be read here.
    Unreadable(String),
}

impl Recorded {
    /// Opens the sealed value of a place, with the keys that were given.
    pub(crate) fn open(store: &Store, sealed: &[u8], place: &Place<'_>) -> Self {
        let envelope = match store.unseal(sealed, place) {
            Ok(envelope) => envelope,
            Err(EnvelopeError::Corrupt { what }) => return Self::Damaged(what.into()),
            Err(error) => return Self::Unreadable(why(&error)),
        };
        let mut payload = envelope.payload();
        match rmpv::decode::read_value(&mut payload) {
            Ok(value) if payload.is_empty() => {
                Self::Value { value, is_error: envelope.is_error(), schema: envelope.schema() }
            }
            Ok(_) => Self::Unreadable("there is more behind its MessagePack".into()),
            Err(error) => Self::Unreadable(format!("its MessagePack ends in {error}")),
        }
    }

    pub(crate) fn value(&self) -> Option<Shown<'_>> {
        match self {
            Self::Value { value, .. } => Some(Shown(value)),
            Self::Damaged(_) | Self::Unreadable(_) => None,
        }
    }

    pub(crate) fn problem(&self) -> Option<String> {
        match self {
            Self::Value { .. } => None,
            Self::Damaged(what) => Some(format!("damaged: {what}")),
            Self::Unreadable(why) => Some(format!("cannot be shown: {why}")),
        }
    }

    pub(crate) fn outcome(&self) -> Option<&'static str> {
        match self {
            Self::Value { is_error: true, .. } => Some("error"),
            Self::Value { is_error: false, .. } => Some("ok"),
            Self::Damaged(_) | Self::Unreadable(_) => None,
        }
    }

    pub(crate) fn schema(&self) -> Option<u16> {
        match self {
            Self::Value { schema, .. } => Some(*schema),
            Self::Damaged(_) | Self::Unreadable(_) => None,
        }
    }

    /// On one line, for people.
    pub(crate) fn to_line(&self) -> String {
        match (self.value(), self.problem()) {
            (Some(value), _) if self.outcome() == Some("error") => format!("error {value}"),
            (Some(value), _) => value.to_string(),
            (None, problem) => problem.unwrap_or_default(),
        }
    }
}

/// A value as JSON, its maps in the order in which they were recorded. What JSON does not have is an object with one
/// name that begins with `$`: `$float`, `$bytes`, `$ext`, `$map`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'a>(&'a Value);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Nil => serializer.serialize_unit(),
            Value::Boolean(value) => serializer.serialize_bool(*value),
            Value::Integer(value) => match (value.as_u64(), value.as_i64()) {
                (Some(value), _) => serializer.serialize_u64(value),
                (None, Some(value)) => serializer.serialize_i64(value),
                (None, None) => serializer.serialize_unit(),
            },
            // As it is written: as an f64 it would show digits that were never there.
            Value::F32(value) if value.is_finite() => serializer.serialize_f32(*value),
            Value::F64(value) if value.is_finite() => serializer.serialize_f64(*value),
            Value::F32(value) => special(serializer, "$float", &float(f64::from(*value))),
            Value::F64(value) => special(serializer, "$float", &float(*value)),
            Value::String(text) => match text.as_str() {
                Some(text) => serializer.serialize_str(text),
                None => special(serializer, "$bytes", &hex(text.as_bytes())),
            },
            Value::Binary(bytes) => special(serializer, "$bytes", &hex(bytes)),
            Value::Ext(kind, bytes) => special(serializer, "$ext", &(kind, hex(bytes))),
            Value::Array(values) => {
                let mut sequence = serializer.serialize_seq(Some(values.len()))?;
                values.iter().try_for_each(|value| sequence.serialize_element(&Shown(value)))?;
                sequence.end()
            }
            Value::Map(entries) => match names(entries) {
                Some(names) => {
                    let mut map = serializer.serialize_map(Some(entries.len()))?;
                    let mut entries = names.into_iter().zip(entries);
                    entries.try_for_each(|(name, (_, value))| map.serialize_entry(name, &Shown(value)))?;
                    map.end()
                }
                None => {
                    let pairs: Vec<_> = entries.iter().map(|(key, value)| (Shown(key), Shown(value))).collect();
                    special(serializer, "$map", &pairs)
                }
            },
        }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// The keys of a map that can be an object: texts, each once, and none that could be taken for a special form.
fn names(entries: &[(Value, Value)]) -> Option<Vec<&str>> {
    let names: Vec<&str> = entries.iter().map(|(key, _)| key.as_str()).collect::<Option<_>>()?;
    let mut sorted = names.clone();
    sorted.sort_unstable();
    let once = sorted.windows(2).all(|pair| pair[0] != pair[1]);
    (once && !names.iter().any(|name| name.starts_with('$'))).then_some(names)
}

fn special<S: Serializer>(serializer: S, name: &str, value: &impl Serialize) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(name, value)?;
    map.end()
}

fn float(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// Why a value that is whole cannot be opened.
pub(crate) fn why(error: &EnvelopeError) -> String {
    match error {
        EnvelopeError::KeyMissing { id, .. } => format!("it is encrypted with key {id}; give it in FT_STORE_KEY"),
        EnvelopeError::WrongKey { id } => format!("it is encrypted, and not with the key {id} in FT_STORE_KEY"),
        EnvelopeError::NotEncrypted => "it is not encrypted, and a store with keys has no such values".into(),
        EnvelopeError::Unsupported { what, found } => format!("it has {what} {found} of a newer ft"),
        other => format!("{other:?}"),
    }
}

/// Bytes as JSON has them: two lower-case hexadecimal digits for each.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ft_runtime::checkpoint::envelope::seal;

    fn shown(value: &Value) -> String {
        Shown(value).to_string()
    }

    #[test]
    fn what_json_has_is_shown_as_it_is_and_in_its_order() {
        let map = Value::Map(vec![("z".into(), Value::Nil), ("a".into(), Value::Array(vec![true.into(), 0.5.into()]))]);
        assert_eq!(shown(&map), r#"{"z":null,"a":[true,0.5]}"#);
        assert_eq!(shown(&u64::MAX.into()), "18446744073709551615");
        assert_eq!(shown(&i64::MIN.into()), "-9223372036854775808");
        assert_eq!(shown(&0.1f32.into()), "0.1");
    }

    #[test]
    fn what_json_does_not_have_has_a_form_of_its_own() {
        for (value, json) in [
            (f64::NAN.into(), r#"{"$float":"NaN"}"#),
            (f32::INFINITY.into(), r#"{"$float":"Infinity"}"#),
            (f64::NEG_INFINITY.into(), r#"{"$float":"-Infinity"}"#),
            (Value::Binary(vec![0, 255]), r#"{"$bytes":"00ff"}"#),
            (Value::Ext(-1, vec![7]), r#"{"$ext":[-1,"07"]}"#),
            (Value::Map(vec![(1.into(), "one".into())]), r#"{"$map":[[1,"one"]]}"#),
            (Value::Map(vec![("a".into(), 1.into()), ("a".into(), 2.into())]), r#"{"$map":[["a",1],["a",2]]}"#),
            (Value::Map(vec![("$bytes".into(), "00".into())]), r#"{"$map":[["$bytes","00"]]}"#),
        ] {
            assert_eq!(shown(&value), json);
        }
    }

    #[test]
    fn a_value_that_was_moved_or_holds_more_than_a_value_is_not_shown() {
        let (here, there) = (Place::Output { run: "here" }, Place::Output { run: "there" });
        let store = Store::open("memory:").unwrap();
        let sealed = seal(&("text", 7), 3, &here).unwrap();
        assert_eq!(Recorded::open(&store, &sealed, &here).to_line(), r#"["text",7]"#);
        assert_eq!(Recorded::open(&store, &sealed, &here).schema(), Some(3));
        assert!(Recorded::open(&store, &sealed, &there).to_line().starts_with("damaged: "));
    }
}
