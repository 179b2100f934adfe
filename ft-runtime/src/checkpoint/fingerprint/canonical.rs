//! The canonical form of a value, fed to a hash as it is serialised: nothing is kept but a digest for each entry of a
//! map.
//!
//! No two different values feed the same bytes: each begins with its kind, and either has a fixed length, or its length
//! in front, or an end mark behind.

use std::fmt;

use serde::ser::{self, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// Values may be nested so deep; beyond it the stack is at risk. As deep as values can be recorded.
const DEPTH: u16 = 1024;

/// Feeds one value to a hash.
pub(super) struct Canonical<'a> {
    hasher: &'a mut Sha256,
    depth: u16,
}

/// Why a value has no fingerprint.
#[derive(Debug)]
pub(super) struct Refused(String);

type Fed = Result<(), Refused>;

impl<'a> Canonical<'a> {
    pub(super) fn new(hasher: &'a mut Sha256) -> Self {
        Self { hasher, depth: DEPTH }
    }

    fn feed(self, kind: u8, bytes: &[u8]) -> Fed {
        self.hasher.update([kind]);
        self.hasher.update(bytes);
        Ok(())
    }

    fn feed_sized(self, kind: u8, bytes: &[u8]) -> Fed {
        self.hasher.update([kind]);
        self.hasher.update((bytes.len() as u64).to_le_bytes());
        self.hasher.update(bytes);
        Ok(())
    }

    /// One form for each number, whatever type it has; a byte is common enough for a short one.
    fn feed_integer(self, magnitude: u128, negative: bool) -> Fed {
        let sign = u8::from(negative);
        if let Ok(byte) = u8::try_from(magnitude) {
            return self.feed(b'0' + sign, &[byte]);
        }
        match u64::try_from(magnitude) {
            Ok(number) => self.feed(b'2' + sign, &number.to_le_bytes()),
            Err(_) => self.feed(b'4' + sign, &magnitude.to_le_bytes()),
        }
    }

    fn nested<T: Serialize + ?Sized>(&mut self, value: &T) -> Fed {
        let Some(depth) = self.depth.checked_sub(1) else {
            return Err(Refused(format!("it is nested deeper than {DEPTH} levels")));
        };
        value.serialize(Canonical { hasher: self.hasher, depth })
    }

    /// The name of a variant, in front of what is in it.
    fn variant(&mut self, name: &str) {
        self.hasher.update(b"v");
        self.hasher.update((name.len() as u64).to_le_bytes());
        self.hasher.update(name);
    }

    fn items(self) -> Items<'a> {
        self.hasher.update(b"a");
        Items(self)
    }

    fn entries(self) -> Entries<'a> {
        Entries { map: self, entry: Sha256::new(), digests: Vec::new() }
    }
}

macro_rules! integers {
    ($($method:ident $type:ty),*) => {
        $(fn $method(self, value: $type) -> Fed {
            #[allow(unused_comparisons, clippy::cast_lossless, reason = "one body for all integers")]
            let (magnitude, negative) = match u128::try_from(value) {
                Ok(magnitude) => (magnitude, false),
                Err(_) => ((value as i128).unsigned_abs(), true),
            };
            self.feed_integer(magnitude, negative)
        })*
    };
}

impl<'a> Serializer for Canonical<'a> {
    type Ok = ();
    type Error = Refused;
    type SerializeSeq = Items<'a>;
    type SerializeTuple = Items<'a>;
    type SerializeTupleStruct = Items<'a>;
    type SerializeTupleVariant = Items<'a>;
    type SerializeMap = Entries<'a>;
    type SerializeStruct = Entries<'a>;
    type SerializeStructVariant = Entries<'a>;

    integers!(
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64, serialize_i128 i128,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64, serialize_u128 u128
    );

    fn serialize_bool(self, value: bool) -> Fed {
        self.feed(b'b', &[u8::from(value)])
    }

    fn serialize_f32(self, value: f32) -> Fed {
        self.feed(b'f', &value.to_bits().to_le_bytes())
    }

    fn serialize_f64(self, value: f64) -> Fed {
        self.feed(b'd', &value.to_bits().to_le_bytes())
    }

    fn serialize_char(self, value: char) -> Fed {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Fed {
        self.feed_sized(b's', value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> Fed {
        self.feed_sized(b'y', value)
    }

    fn serialize_none(self) -> Fed {
        self.feed(b'n', &[])
    }

    fn serialize_some<T: Serialize + ?Sized>(mut self, value: &T) -> Fed {
        self.hasher.update(b"o");
        self.nested(value)
    }

    fn serialize_unit(self) -> Fed {
        self.feed(b'u', &[])
    }

    fn serialize_unit_struct(self, _: &'static str) -> Fed {
        self.serialize_unit()
    }

    fn serialize_unit_variant(mut self, _: &'static str, _: u32, variant: &'static str) -> Fed {
        self.variant(variant);
        self.serialize_unit()
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(mut self, _: &'static str, value: &T) -> Fed {
        self.nested(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Fed {
        self.variant(variant);
        self.nested(value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'a>, Refused> {
        Ok(self.items())
    }

    fn serialize_tuple(self, _: usize) -> Result<Items<'a>, Refused> {
        Ok(self.items())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items<'a>, Refused> {
        Ok(self.items())
    }

    fn serialize_tuple_variant(
        mut self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items<'a>, Refused> {
        self.variant(variant);
        Ok(self.items())
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Entries<'a>, Refused> {
        Ok(self.entries())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Entries<'a>, Refused> {
        Ok(self.entries())
    }

    fn serialize_struct_variant(
        mut self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Entries<'a>, Refused> {
        self.variant(variant);
        Ok(self.entries())
    }

    /// As values are recorded.
    fn is_human_readable(&self) -> bool {
        false
    }
}

/// Feeds the items of a sequence, and an end mark.
pub(super) struct Items<'a>(Canonical<'a>);

impl Items<'_> {
    fn finish(self) -> Fed {
        self.0.feed(b'e', &[])
    }
}

/// Collects the digests of a map's entries, and feeds them in their own order.
pub(super) struct Entries<'a> {
    map: Canonical<'a>,
    /// The entry that has its key and waits for its value.
    entry: Sha256,
    digests: Vec<[u8; 32]>,
}

impl Entries<'_> {
    fn part<T: Serialize + ?Sized>(&mut self, part: &T) -> Fed {
        Canonical { hasher: &mut self.entry, depth: self.map.depth }.nested(part)
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Fed {
        self.part(value)?;
        let entry = std::mem::replace(&mut self.entry, Sha256::new());
        self.digests.push(entry.finalize().into());
        Ok(())
    }

    fn finish(mut self) -> Fed {
        self.digests.sort_unstable();
        self.map.feed_sized(b'm', self.digests.as_flattened())
    }
}

macro_rules! compound {
    ($type:ident: $($trait:ident $method:ident),*) => {
        $(impl ser::$trait for $type<'_> {
            type Ok = ();
            type Error = Refused;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Fed {
                self.0.nested(value)
            }

            fn end(self) -> Fed {
                self.finish()
            }
        })*
    };
    ($type:ident by field: $($trait:ident),*) => {
        $(impl ser::$trait for $type<'_> {
            type Ok = ();
            type Error = Refused;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Fed {
                self.part(key)?;
                self.value(value)
            }

            fn end(self) -> Fed {
                self.finish()
            }
        })*
    };
}

compound!(Items: SerializeSeq serialize_element, SerializeTuple serialize_element, SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field);
compound!(Entries by field: SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Entries<'_> {
    type Ok = ();
    type Error = Refused;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Fed {
        self.part(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Fed {
        self.value(value)
    }

    fn end(self) -> Fed {
        self.finish()
    }
}

impl ser::Error for Refused {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}
