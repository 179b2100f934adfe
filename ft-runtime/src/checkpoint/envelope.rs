//! The bytes around every stored value.
//!
//! ```text
//! magic "FTC1" | codec u8 | flags u8 | schema u16 | plain_len u64 | stored_len u64 | crc32 u32 | payload
//! ```
//!
//! 28 bytes of header, all numbers little-endian, then `stored_len` bytes of payload. The checksum covers the first
//! 24 bytes of the header, the whole payload, and the [`Place`] where the value stands, which is not stored with it: a
//! value that was moved to another place, or whose place was renamed, is damaged. The same bytes stand in database rows,
//! files and objects, so a value can be moved between them with its place, and looked into without its type.
//!
//! The payload is MessagePack with field names: it evolves like JSON (fields may be added with a default and
//! reordered) and keeps what JSON loses (NaN, infinities, map keys of any type, bytes).

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use super::place::Place;

/// Length of the header in front of the payload, in bytes.
pub const HEADER_LEN: usize = 28;

/// The largest payload that is recorded: 64 MiB.
pub const MAX_LEN: u64 = 64 * 1024 * 1024;

/// The payload is compressed with zstd. Reserved: refused by this version.
pub const FLAG_ZSTD: u8 = 1;

/// The payload is encrypted and authenticated. Reserved: refused by this version.
pub const FLAG_AEAD: u8 = 2;

/// The value is the error that a step failed with, not its result.
pub const FLAG_ERROR: u8 = 4;

const MAGIC: [u8; 4] = *b"FTC1";
const CODEC_MESSAGE_PACK: u8 = 1;
const CRC_AT: usize = 24;

/// What is wrong with a sealed value, or with a value to be sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The bytes are not those that were written.
    Corrupt {
        /// What gave it away.
        what: &'static str,
    },
    /// The bytes are intact, and need something that this version does not have.
    Unsupported {
        /// What is needed.
        what: &'static str,
        /// The number found in the header.
        found: u8,
    },
    /// The value has a newer schema than the reader.
    FutureSchema {
        /// The schema recorded.
        recorded: u16,
        /// The schema of the reader.
        now: u16,
    },
    /// The bytes are intact, and do not fit the type that is asked for.
    Decode {
        /// The schema recorded.
        recorded: u16,
        /// What the deserialiser said.
        reason: String,
    },
    /// The value could not be serialised.
    Encode {
        /// What the serialiser said.
        reason: String,
    },
    /// The value is larger than [`MAX_LEN`].
    TooLarge,
}

/// A sealed value whose header and checksum have been verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'a> {
    schema: u16,
    is_error: bool,
    payload: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Verifies the sealed bytes that stand in a place, without decoding the value.
    ///
    /// # Errors
    /// [`EnvelopeError::Corrupt`] if the bytes are not those that [`seal`] made for this place,
    /// [`EnvelopeError::Unsupported`] if a newer version made them with a codec or a transformation that this one does
    /// not know.
    pub fn parse(bytes: &'a [u8], place: &Place<'_>) -> Result<Self, EnvelopeError> {
        let (header, payload) = bytes
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(EnvelopeError::Corrupt { what: "it is shorter than a header" })?;
        if header[..4] != MAGIC {
            return Err(EnvelopeError::Corrupt { what: "it does not start with FTC1" });
        }
        if u64_at(header, 16) != payload.len() as u64 {
            return Err(EnvelopeError::Corrupt { what: "its length is not the one recorded" });
        }
        verify_checksum(header, payload, place)?;
        // Only now do codec and flags mean anything: a flipped bit in them must not look like a newer version.
        if header[4] != CODEC_MESSAGE_PACK {
            return Err(EnvelopeError::Unsupported { what: "codec", found: header[4] });
        }
        if header[5] & !FLAG_ERROR != 0 {
            return Err(EnvelopeError::Unsupported { what: "flags", found: header[5] });
        }
        if u64_at(header, 8) != payload.len() as u64 {
            return Err(EnvelopeError::Corrupt { what: "its plain length differs although nothing transformed it" });
        }
        let is_error = header[5] & FLAG_ERROR != 0;
        Ok(Self { schema: u16::from_le_bytes([header[6], header[7]]), is_error, payload })
    }

    /// The schema version that the value was recorded with.
    #[must_use]
    pub fn schema(&self) -> u16 {
        self.schema
    }

    /// Whether the value is the error that a step failed with, not its result.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.is_error
    }

    /// The MessagePack bytes of the value.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Decodes the value for code whose schema is `now`.
    ///
    /// An older value is read as far as its type allows (fields with a default).
    ///
    /// # Errors
    /// [`EnvelopeError::FutureSchema`] if the value is newer than `now`, [`EnvelopeError::Decode`] if it does not fit.
    pub fn decode<T: DeserializeOwned>(&self, now: u16) -> Result<T, EnvelopeError> {
        if self.schema > now {
            return Err(EnvelopeError::FutureSchema { recorded: self.schema, now });
        }
        rmp_serde::from_slice(self.payload)
            .map_err(|error| EnvelopeError::Decode { recorded: self.schema, reason: error.to_string() })
    }
}

/// Serialises a value for its place, and puts the header in front of it.
///
/// # Errors
/// [`EnvelopeError::Encode`] if the value's `Serialize` refuses, [`EnvelopeError::TooLarge`] past [`MAX_LEN`].
pub fn seal<T: Serialize + ?Sized>(value: &T, schema: u16, place: &Place<'_>) -> Result<Vec<u8>, EnvelopeError> {
    seal_as(value, 0, schema, place)
}

/// As [`seal`], for the error that a step failed with.
pub(super) fn seal_error<T: Serialize>(error: &T, schema: u16, place: &Place<'_>) -> Result<Vec<u8>, EnvelopeError> {
    seal_as(error, FLAG_ERROR, schema, place)
}

fn seal_as<T: Serialize + ?Sized>(
    value: &T,
    flags: u8,
    schema: u16,
    place: &Place<'_>,
) -> Result<Vec<u8>, EnvelopeError> {
    let mut bytes = vec![0; HEADER_LEN];
    let mut bounded = Bounded { bytes: &mut bytes, left: MAX_LEN, exceeded: false };
    let encoded = value.serialize(&mut rmp_serde::Serializer::new(&mut bounded).with_struct_map());
    if bounded.exceeded {
        return Err(EnvelopeError::TooLarge);
    }
    encoded.map_err(|error| EnvelopeError::Encode { reason: error.to_string() })?;

    let len = (bytes.len() - HEADER_LEN) as u64;
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4] = CODEC_MESSAGE_PACK;
    bytes[5] = flags;
    bytes[6..8].copy_from_slice(&schema.to_le_bytes());
    bytes[8..16].copy_from_slice(&len.to_le_bytes());
    bytes[16..24].copy_from_slice(&len.to_le_bytes());
    let crc = checksum(&bytes[..CRC_AT], &bytes[HEADER_LEN..], place);
    bytes[CRC_AT..HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
    Ok(bytes)
}

/// Seals a value for another place, with all else as it was. `None`, and nothing is changed, if it is damaged where it
/// stands.
pub(super) fn relocate(bytes: &[u8], from: &Place<'_>, to: &Place<'_>) -> Option<Vec<u8>> {
    let (header, payload) = bytes.split_first_chunk::<HEADER_LEN>()?;
    verify_checksum(header, payload, from).ok()?;
    let mut bytes = bytes.to_vec();
    let crc = checksum(&header[..CRC_AT], payload, to);
    bytes[CRC_AT..HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
    Some(bytes)
}

/// The one place that decides whether stored bytes are those that were written.
fn verify_checksum(header: &[u8; HEADER_LEN], payload: &[u8], place: &Place<'_>) -> Result<(), EnvelopeError> {
    let recorded = u32::from_le_bytes([header[24], header[25], header[26], header[27]]);
    if checksum(&header[..CRC_AT], payload, place) != recorded {
        return Err(EnvelopeError::Corrupt { what: "its checksum is not that of these bytes in this place" });
    }
    Ok(())
}

fn checksum(header: &[u8], payload: &[u8], place: &Place<'_>) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(header);
    crc.update(payload);
    place.feed(|bytes| crc.update(bytes));
    crc.finalize()
}

fn u64_at(header: &[u8; HEADER_LEN], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&header[at..at + 8]);
    u64::from_le_bytes(bytes)
}

/// Stops an oversized value while it is being encoded, before it fills the memory.
struct Bounded<'a> {
    bytes: &'a mut Vec<u8>,
    left: u64,
    exceeded: bool,
}

impl io::Write for Bounded<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let Some(left) = self.left.checked_sub(buf.len() as u64) else {
            self.exceeded = true;
            return Err(io::Error::other("too large"));
        };
        self.left = left;
        self.bytes.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    const PLACE: Place<'_> = Place::Output { run: "r" };

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Receipt {
        cents: u64,
        note: String,
        rate: f64,
    }

    fn receipt() -> Receipt {
        Receipt { cents: 500, note: "paid".into(), rate: f64::INFINITY }
    }

    fn read(bytes: &[u8]) -> Result<Receipt, EnvelopeError> {
        Envelope::parse(bytes, &PLACE)?.decode(7)
    }

    #[test]
    fn a_sealed_value_is_read_back() {
        let bytes = seal(&receipt(), 7, &PLACE).unwrap();
        assert_eq!(&bytes[..4], b"FTC1");
        assert_eq!(Envelope::parse(&bytes, &PLACE).unwrap().schema(), 7);
        assert_eq!(read(&bytes), Ok(receipt()));
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let bytes = seal(&receipt(), 7, &PLACE).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(read(&flipped), Err(EnvelopeError::Corrupt { .. })), "bit {bit} went unseen");
        }
    }

    #[test]
    fn every_truncation_is_found() {
        let bytes = seal(&receipt(), 7, &PLACE).unwrap();
        for len in 0..bytes.len() {
            assert!(matches!(read(&bytes[..len]), Err(EnvelopeError::Corrupt { .. })), "length {len} went unseen");
        }
    }

    #[test]
    fn an_intact_value_of_a_newer_version_is_refused_by_what_it_needs() {
        for (at, what) in [(4, "codec"), (5, "flags")] {
            let mut bytes = seal(&receipt(), 7, &PLACE).unwrap();
            bytes[at] |= FLAG_AEAD;
            let crc = checksum(&bytes[..CRC_AT], &bytes[HEADER_LEN..], &PLACE);
            bytes[CRC_AT..HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
            assert!(matches!(read(&bytes), Err(EnvelopeError::Unsupported { what: w, .. }) if w == what));
        }
    }

    #[test]
    fn a_newer_schema_is_refused_and_an_older_one_is_read() {
        let newer = seal(&receipt(), 8, &PLACE).unwrap();
        assert_eq!(read(&newer), Err(EnvelopeError::FutureSchema { recorded: 8, now: 7 }));
        assert_eq!(read(&seal(&receipt(), 1, &PLACE).unwrap()), Ok(receipt()));
    }

    #[test]
    fn a_value_of_another_shape_is_a_decode_error() {
        let bytes = seal(&"text", 7, &PLACE).unwrap();
        assert!(matches!(read(&bytes), Err(EnvelopeError::Decode { recorded: 7, .. })));
    }

    #[test]
    fn a_value_past_the_limit_is_refused_and_one_at_the_limit_is_sealed() {
        // 5 bytes are MessagePack's own in front of a string of this length.
        let at_limit = "x".repeat(MAX_LEN as usize - 5);
        assert_eq!(seal(&at_limit, 0, &PLACE).map(|bytes| bytes.len()), Ok(HEADER_LEN + MAX_LEN as usize));
        assert_eq!(seal(&(at_limit + "x"), 0, &PLACE), Err(EnvelopeError::TooLarge));
    }
}
