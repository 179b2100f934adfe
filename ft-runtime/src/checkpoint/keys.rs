//! Keys that values are encrypted with.

/// Bytes by which an encrypted value is longer: the key's id, the nonce and the tag.
pub(super) const OVERHEAD: usize = ID_LEN + NONCE_LEN + TAG_LEN;

const ID_LEN: usize = 4;
const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;

#[cfg(feature = "encryption")]
pub use self::with_keys::Keys;

#[cfg(feature = "encryption")]
mod with_keys {
    use std::fmt;
    use std::str::FromStr;
    use std::sync::Arc;

    use chacha20poly1305::aead::{AeadInOut, Generate, KeyInit};
    use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};

    use super::{ID_LEN, NONCE_LEN, TAG_LEN};
    use crate::checkpoint::envelope::{CRC_AT, EnvelopeError, HEADER_LEN, Place};

    /// Keys for the values of a [`Store`](crate::checkpoint::Store): one to encrypt with, and those of earlier times to read
    /// with.
    ///
    /// Each has an id, which stands beside every value that it encrypts. Give a new key a new id, and keep the old one
    /// (`and`) until all that it encrypted is forgotten. A key is 32 random bytes, not a password.
    ///
    /// ```
    /// use ft_runtime::checkpoint::{Keys, Store};
    ///
    /// # fn main() -> Result<(), ft_runtime::StoreError> {
    /// # let (of_2026, of_2025) = ([1; 32], [2; 32]);
    /// let keys = Keys::new(2026, of_2026).and(2025, of_2025);
    /// let store = Store::open("memory:")?.encrypt(keys);
    /// # Ok(()) }
    /// ```
    ///
    /// # What is encrypted
    ///
    /// What steps and runs return, saved states, and recorded arguments: XChaCha20-Poly1305 with a random nonce, and the
    /// place where the value stands as associated data. So whoever can write to the store, and has no key, can neither read
    /// a value nor make one up nor put one in the place of another. He can put an older version of a store back.
    ///
    /// Not encrypted are the names of runs, functions, steps, states and types, fingerprints of arguments, times, and how
    /// long values are.
    #[derive(Clone)]
    pub struct Keys {
        /// The first one encrypts.
        keys: Arc<[(u32, XChaCha20Poly1305)]>,
        plain: bool,
    }

    impl Keys {
        /// A key to encrypt and to read with.
        #[must_use]
        pub fn new(id: u32, key: [u8; 32]) -> Self {
            Self { keys: Arc::new([(id, XChaCha20Poly1305::new(&key.into()))]), plain: false }
        }

        /// An older key, to read with. One with an id that is there already takes its place.
        #[must_use]
        pub fn and(self, id: u32, key: [u8; 32]) -> Self {
            let mut keys: Vec<_> = self.keys.to_vec();
            let cipher = XChaCha20Poly1305::new(&key.into());
            match keys.iter_mut().find(|(known, _)| *known == id) {
                Some((_, known)) => *known = cipher,
                None => keys.push((id, cipher)),
            }
            Self { keys: keys.into(), ..self }
        }

        /// Also reads what is not encrypted: for a store that has such values from before it had keys. Whoever can write to
        /// the store can then make values up, so leave it out when they are forgotten.
        #[must_use]
        pub fn and_plain(self) -> Self {
            Self { plain: true, ..self }
        }

        pub(in crate::checkpoint) fn reads_plain(&self) -> bool {
            self.plain
        }

        /// Encrypts what stands behind a header that says how long it will be by then, in its place.
        pub(in crate::checkpoint) fn encrypt(
            &self,
            bytes: &mut Vec<u8>,
            place: &Place<'_>,
        ) -> Result<(), EnvelopeError> {
            // There is always a first one.
            let (id, cipher) = &self.keys[0];
            let failed = |error: String| EnvelopeError::Encode { reason: format!("it cannot be encrypted: {error}") };
            let nonce = XNonce::try_generate().map_err(|error| failed(error.to_string()))?;
            let mut front = [0; ID_LEN + NONCE_LEN];
            front[..ID_LEN].copy_from_slice(&id.to_le_bytes());
            front[ID_LEN..].copy_from_slice(&nonce);
            bytes.splice(HEADER_LEN..HEADER_LEN, front);
            let associated = associated(&bytes[..CRC_AT], *id, place);
            let message = &mut bytes[HEADER_LEN + front.len()..];
            let tag = cipher
                .encrypt_inout_detached(&nonce, &associated, message.into())
                .map_err(|error| failed(error.to_string()))?;
            bytes.extend_from_slice(&tag);
            Ok(())
        }

        /// What was encrypted with the key of this id.
        pub(in crate::checkpoint) fn decrypt(
            &self,
            header: &[u8],
            payload: &[u8],
            id: u32,
            place: &Place<'_>,
        ) -> Result<Vec<u8>, EnvelopeError> {
            let Some((_, cipher)) = self.keys.iter().find(|(known, _)| *known == id) else {
                return Err(EnvelopeError::KeyMissing { id, known: self.keys.iter().map(|(id, _)| *id).collect() });
            };
            let (nonce, message) = payload[ID_LEN..].split_at(NONCE_LEN);
            let (message, tag) = message.split_at(message.len() - TAG_LEN);
            let wrong = |_| EnvelopeError::WrongKey { id };
            let nonce = XNonce::try_from(nonce).map_err(|_| EnvelopeError::WrongKey { id })?;
            let tag = Tag::try_from(tag).map_err(|_| EnvelopeError::WrongKey { id })?;
            let mut plain = message.to_vec();
            let associated = associated(header, id, place);
            cipher.decrypt_inout_detached(&nonce, &associated, plain.as_mut_slice().into(), &tag).map_err(wrong)?;
            Ok(plain)
        }
    }

    /// What a value is encrypted for, beside what it says: all of its header, its key and its place.
    fn associated(header: &[u8], id: u32, place: &Place<'_>) -> Vec<u8> {
        let mut bytes = header.to_vec();
        bytes.extend_from_slice(&id.to_le_bytes());
        place.feed(|more| bytes.extend_from_slice(more));
        bytes
    }

    /// As `FT_STORE_KEY` has them: `2026:<64 hexadecimal digits>`, several behind commas, the one to encrypt with first;
    /// `plain` among them is [`and_plain`](Keys::and_plain).
    ///
    /// ```
    /// use ft_runtime::checkpoint::Keys;
    ///
    /// let keys: Keys = format!("2:{},1:{},plain", "5f".repeat(32), "a0".repeat(32)).parse()?;
    /// assert!("1:secret".parse::<Keys>().is_err());
    /// # Ok::<(), String>(())
    /// ```
    impl FromStr for Keys {
        /// What is wrong, without the key itself.
        type Err = String;

        fn from_str(text: &str) -> Result<Self, String> {
            let mut keys: Option<Keys> = None;
            let mut plain = false;
            for (number, part) in text.split(',').map(str::trim).enumerate() {
                if part == "plain" {
                    plain = true;
                    continue;
                }
                let wrong = || format!("key number {} is not `id:` and 64 hexadecimal digits", number + 1);
                let (id, key) = part.split_once(':').ok_or_else(wrong)?;
                let id = id.parse().map_err(|_| wrong())?;
                let key = bytes_of(key).ok_or_else(wrong)?;
                keys = Some(match keys {
                    None => Keys::new(id, key),
                    Some(keys) => keys.and(id, key),
                });
            }
            let keys = keys.ok_or("it holds no key; write `id:` and 64 hexadecimal digits")?;
            Ok(Self { plain, ..keys })
        }
    }

    fn bytes_of(hex: &str) -> Option<[u8; 32]> {
        let mut key = [0; 32];
        if hex.len() != 64 || !hex.is_ascii() {
            return None;
        }
        for (byte, digits) in key.iter_mut().zip(hex.as_bytes().chunks(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            *byte = (digit(digits[0])? * 16 + digit(digits[1])?) as u8;
        }
        Some(key)
    }

    /// The ids alone.
    impl fmt::Debug for Keys {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let ids: Vec<u32> = self.keys.iter().map(|(id, _)| *id).collect();
            f.debug_struct("Keys").field("ids", &ids).field("plain", &self.plain).finish_non_exhaustive()
        }
    }
}
