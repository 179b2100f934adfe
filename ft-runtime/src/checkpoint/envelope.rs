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
//! reordered) and keeps what JSON loses (NaN, infinities, map keys of any type, bytes). `plain_len` is its length.
//!
//! With [`FLAG_ZSTD`] it is one zstd frame of `plain_len` bytes; it is only there if that made it smaller. With
//! [`FLAG_AEAD`] what there is by then, compressed or not, is encrypted and authenticated with XChaCha20-Poly1305:
//!
//! ```text
//! key id u32 | nonce, 24 random bytes | ciphertext | tag, 16 bytes
//! ```
//!
//! Its associated data are the first 24 bytes of the header, the key's id, and the bytes of the [`Place`]. So the
//! checksum, which needs no key, says whether a value is whole, and the tag whether somebody with the key wrote it for this
//! place. The header is readable without the key: an encrypted value still tells its length, its schema and whether it is an
//! error, and a compressed one how well it compressed.
//!
//! One checksum covers the whole payload, however large: a part of a value is of no use without the rest, and the time that
//! it takes is a small part of that for writing the value.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use super::place::Place;
use super::sealing::Sealing;
use super::self_describing::{Migrate, Value};

/// Length of the header in front of the payload, in bytes.
pub const HEADER_LEN: usize = 28;

/// The largest value that is recorded, as MessagePack and neither compressed nor encrypted: 64 MiB.
pub const MAX_LEN: u64 = 64 * 1024 * 1024;

/// The payload is compressed with zstd.
pub const FLAG_ZSTD: u8 = 1;

/// The payload is encrypted and authenticated.
pub const FLAG_AEAD: u8 = 2;

/// The value is the error that a step failed with, not its result.
pub const FLAG_ERROR: u8 = 4;

const MAGIC: [u8; 4] = *b"FTC1";
/// What a store reads in the place of a value that it has lost: it is never stored, and says why.
const LOST: [u8; 4] = *b"FTL1";
const CODEC_MESSAGE_PACK: u8 = 1;
pub(super) const CRC_AT: usize = 24;

/// What is wrong with a sealed value, or with a value to be sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The bytes are not those that were written.
    Corrupt {
        /// What gave it away.
        what: Cow<'static, str>,
    },
    /// The bytes are intact, and need something that this version does not have.
    Unsupported {
        /// What is needed.
        what: &'static str,
        /// The number found in the header.
        found: u8,
    },
    /// The bytes are intact, and need a feature that this build of ft-runtime is without.
    FeatureMissing {
        /// The Cargo feature.
        feature: &'static str,
    },
    /// The value is encrypted with a key that the reader was not given.
    KeyMissing {
        /// The id of the key.
        id: u32,
        /// The ids of those that it has.
        known: Vec<u32>,
    },
    /// The value is encrypted, and not with the key that the reader has under this id; or it was tampered with.
    WrongKey {
        /// The id of the key.
        id: u32,
    },
    /// The value is not encrypted, and the reader wants only such as are.
    NotEncrypted,
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
        /// What the deserialiser, or the migration, said.
        reason: String,
    },
    /// The value could not be serialised, or not be encrypted.
    Encode {
        /// What the serialiser said.
        reason: String,
    },
    /// The value is larger than [`MAX_LEN`].
    TooLarge,
}

impl EnvelopeError {
    pub(super) const fn corrupt(what: &'static str) -> Self {
        Self::Corrupt { what: Cow::Borrowed(what) }
    }
}

/// What can be said of a sealed value without a key: its header, once the checksum has been verified.
///
/// ```
/// use ft_runtime::checkpoint::envelope::{Header, Place, seal};
///
/// let place = Place::Output { run: "order-42" };
/// let sealed = seal(&"paid", 3, &place).unwrap();
/// let header = Header::read(&sealed, &place).unwrap();
/// assert_eq!((header.schema, header.plain_len, header.key), (3, 5, None));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// The schema version that the value was recorded with.
    pub schema: u16,
    /// Whether the value is the error that a step failed with, not its result.
    pub is_error: bool,
    /// Whether the value is compressed.
    pub is_compressed: bool,
    /// The id of the key that the value is encrypted with.
    pub key: Option<u32>,
    /// Length of the value as MessagePack, in bytes.
    pub plain_len: u64,
    /// Length of what is stored of it behind the header, in bytes.
    pub stored_len: u64,
}

impl Header {
    /// Verifies the sealed bytes that stand in a place, without looking into them.
    ///
    /// # Errors
    /// [`EnvelopeError::Corrupt`] if the bytes are not those that were sealed for this place,
    /// [`EnvelopeError::Unsupported`] if a newer version made them with a codec or a transformation that this one does
    /// not know.
    pub fn read(bytes: &[u8], place: &Place<'_>) -> Result<Self, EnvelopeError> {
        split(bytes, place).map(|(header, _)| header)
    }
}

/// A sealed value that has been opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope<'a> {
    schema: u16,
    is_error: bool,
    payload: Cow<'a, [u8]>,
}

impl<'a> Envelope<'a> {
    /// Opens the sealed bytes that stand in a place, without decoding the value. What is encrypted is opened by
    /// [`Store::unseal`](super::Store::unseal), which has the keys.
    ///
    /// # Errors
    /// Those of [`Header::read`]; [`EnvelopeError::FeatureMissing`] and [`EnvelopeError::KeyMissing`].
    pub fn parse(bytes: &'a [u8], place: &Place<'_>) -> Result<Self, EnvelopeError> {
        Self::open(bytes, place, &Sealing::default())
    }

    /// As [`parse`](Self::parse), with the keys of a store handle.
    pub(super) fn open(bytes: &'a [u8], place: &Place<'_>, sealing: &Sealing) -> Result<Self, EnvelopeError> {
        let (found, payload) = split(bytes, place)?;
        let payload = sealing.decrypted(&bytes[..CRC_AT], payload, found.key, place)?;
        let payload = if found.is_compressed {
            // `plain_len` is bounded, so this is.
            Cow::Owned(super::compression::decompress(&payload, found.plain_len as usize)?)
        } else {
            payload
        };
        if payload.len() as u64 != found.plain_len {
            return Err(EnvelopeError::corrupt("its plain length is not the one recorded"));
        }
        Ok(Self { schema: found.schema, is_error: found.is_error, payload })
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
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Decodes the value for code whose schema is `now`.
    ///
    /// An older value is read as far as its type allows (fields with a default).
    ///
    /// # Errors
    /// [`EnvelopeError::FutureSchema`] if the value is newer than `now`, [`EnvelopeError::Decode`] if it does not fit.
    pub fn decode<T: DeserializeOwned>(&self, now: u16) -> Result<T, EnvelopeError> {
        self.decode_with(now, None)
    }

    /// As [`decode`](Self::decode); an older value goes through the migration first, if there is one.
    pub(super) fn decode_with<T: DeserializeOwned>(
        &self,
        now: u16,
        migrate: Option<Migrate>,
    ) -> Result<T, EnvelopeError> {
        let recorded = self.schema;
        if recorded > now {
            return Err(EnvelopeError::FutureSchema { recorded, now });
        }
        let decode = |reason: String| EnvelopeError::Decode { recorded, reason };
        let decoded = match migrate {
            // An error that was recorded is not what the migration knows.
            Some(migrate) if recorded < now && !self.is_error => Value::from_payload(&self.payload)
                .and_then(|value| migrate(recorded, value)?.decode())
                .map_err(|reason| format!("its migration from schema {recorded} to {now}: {reason}")),
            _ => rmp_serde::from_slice(&self.payload).map_err(|error| error.to_string()),
        };
        decoded.map_err(decode)
    }
}

/// Serialises a value for its place, and puts the header in front of it: neither compressed nor encrypted.
///
/// # Errors
/// [`EnvelopeError::Encode`] if the value's `Serialize` refuses, [`EnvelopeError::TooLarge`] past [`MAX_LEN`].
pub fn seal<T: Serialize + ?Sized>(value: &T, schema: u16, place: &Place<'_>) -> Result<Vec<u8>, EnvelopeError> {
    seal_with(value, schema, place, &Sealing::default())
}

/// As [`seal`], as a store handle wants it.
pub(super) fn seal_with<T: Serialize + ?Sized>(
    value: &T,
    schema: u16,
    place: &Place<'_>,
    sealing: &Sealing,
) -> Result<Vec<u8>, EnvelopeError> {
    seal_as(value, 0, schema, place, sealing)
}

/// As [`seal_with`], for the error that a step failed with.
pub(super) fn seal_error<T: Serialize>(
    error: &T,
    schema: u16,
    place: &Place<'_>,
    sealing: &Sealing,
) -> Result<Vec<u8>, EnvelopeError> {
    seal_as(error, FLAG_ERROR, schema, place, sealing)
}

fn seal_as<T: Serialize + ?Sized>(
    value: &T,
    flags: u8,
    schema: u16,
    place: &Place<'_>,
    sealing: &Sealing,
) -> Result<Vec<u8>, EnvelopeError> {
    let mut bytes = vec![0; HEADER_LEN];
    let mut bounded = Bounded { bytes: &mut bytes, left: MAX_LEN, exceeded: false };
    let encoded = value.serialize(&mut rmp_serde::Serializer::new(&mut bounded).with_struct_map());
    if bounded.exceeded {
        return Err(EnvelopeError::TooLarge);
    }
    encoded.map_err(|error| EnvelopeError::Encode { reason: error.to_string() })?;

    let plain_len = (bytes.len() - HEADER_LEN) as u64;
    let mut flags = flags;
    if let Some(compressed) = sealing.compressed(&bytes[HEADER_LEN..]) {
        bytes.truncate(HEADER_LEN);
        bytes.extend_from_slice(&compressed);
        flags |= FLAG_ZSTD;
    }
    if sealing.encrypts() {
        flags |= FLAG_AEAD;
    }
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4] = CODEC_MESSAGE_PACK;
    bytes[5] = flags;
    bytes[6..8].copy_from_slice(&schema.to_le_bytes());
    bytes[8..16].copy_from_slice(&plain_len.to_le_bytes());
    close(bytes, place, sealing)
}

/// Encrypts what stands behind the header, if it is to be, and completes the header: its length and its checksum.
fn close(mut bytes: Vec<u8>, place: &Place<'_>, sealing: &Sealing) -> Result<Vec<u8>, EnvelopeError> {
    let overhead = if bytes[5] & FLAG_AEAD == 0 { 0 } else { super::keys::OVERHEAD };
    let stored_len = (bytes.len() - HEADER_LEN + overhead) as u64;
    bytes[16..24].copy_from_slice(&stored_len.to_le_bytes());
    if overhead > 0 {
        sealing.encrypt(&mut bytes, place)?;
    }
    let crc = checksum(&bytes[..CRC_AT], &bytes[HEADER_LEN..], place);
    bytes[CRC_AT..HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
    Ok(bytes)
}

/// Seals a value for another place, with all else as it was, but for the key: what was encrypted is encrypted with the
/// key of now.
///
/// # Errors
/// That it cannot be opened where it stands; nothing is changed then.
pub(super) fn relocate(
    bytes: &[u8],
    from: &Place<'_>,
    to: &Place<'_>,
    sealing: &Sealing,
) -> Result<Vec<u8>, EnvelopeError> {
    let (found, payload) = split(bytes, from)?;
    let payload = match found.key {
        Some(_) => sealing.decrypted(&bytes[..CRC_AT], payload, found.key, from)?,
        // Whoever reads it there says whether that may be.
        None => Cow::Borrowed(payload),
    };
    let mut moved = Vec::with_capacity(bytes.len());
    moved.extend_from_slice(&bytes[..HEADER_LEN]);
    moved.extend_from_slice(&payload);
    close(moved, to, sealing)
}

/// What stands for a value that the store has lost: it reads as damaged, for this reason.
pub(super) fn lost(reason: &str) -> Vec<u8> {
    [&LOST, reason.as_bytes()].concat()
}

/// Header and payload of a value that is whole and in its place.
fn split<'a>(bytes: &'a [u8], place: &Place<'_>) -> Result<(Header, &'a [u8]), EnvelopeError> {
    if let Some(reason) = bytes.strip_prefix(&LOST) {
        return Err(EnvelopeError::Corrupt { what: String::from_utf8_lossy(reason).into_owned().into() });
    }
    let (header, payload) =
        bytes.split_first_chunk::<HEADER_LEN>().ok_or(EnvelopeError::corrupt("it is shorter than a header"))?;
    if header[..4] != MAGIC {
        return Err(EnvelopeError::corrupt("it does not start with FTC1"));
    }
    if u64_at(header, 16) != payload.len() as u64 {
        return Err(EnvelopeError::corrupt("its length is not the one recorded"));
    }
    verify_checksum(header, payload, place)?;
    // Only now do codec and flags mean anything: a flipped bit in them must not look like a newer version.
    if header[4] != CODEC_MESSAGE_PACK {
        return Err(EnvelopeError::Unsupported { what: "codec", found: header[4] });
    }
    let flags = header[5];
    if flags & !(FLAG_ZSTD | FLAG_AEAD | FLAG_ERROR) != 0 {
        return Err(EnvelopeError::Unsupported { what: "flags", found: flags });
    }
    let plain_len = u64_at(header, 8);
    if plain_len > MAX_LEN {
        return Err(EnvelopeError::corrupt("its plain length is more than any value has"));
    }
    if flags & (FLAG_ZSTD | FLAG_AEAD) == 0 && plain_len != payload.len() as u64 {
        return Err(EnvelopeError::corrupt("its plain length differs although nothing transformed it"));
    }
    let key = match flags & FLAG_AEAD {
        0 => None,
        _ => {
            let id = payload.first_chunk().filter(|_| payload.len() >= super::keys::OVERHEAD);
            let id = id.ok_or(EnvelopeError::corrupt("it is shorter than a key's id, a nonce and a tag"))?;
            Some(u32::from_le_bytes(*id))
        }
    };
    let found = Header {
        schema: u16::from_le_bytes([header[6], header[7]]),
        is_error: flags & FLAG_ERROR != 0,
        is_compressed: flags & FLAG_ZSTD != 0,
        key,
        plain_len,
        stored_len: payload.len() as u64,
    };
    Ok((found, payload))
}

/// The one place that decides whether stored bytes are those that were written.
fn verify_checksum(header: &[u8; HEADER_LEN], payload: &[u8], place: &Place<'_>) -> Result<(), EnvelopeError> {
    let recorded = u32::from_le_bytes([header[24], header[25], header[26], header[27]]);
    if checksum(&header[..CRC_AT], payload, place) != recorded {
        return Err(EnvelopeError::corrupt("its checksum is not that of these bytes in this place"));
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
