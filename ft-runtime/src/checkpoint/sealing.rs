//! What a store handle does to values on their way in and out.

use std::borrow::Cow;

#[cfg(feature = "zstd")]
use super::compression::Compression;
use super::envelope::{EnvelopeError, Place};
#[cfg(feature = "encryption")]
use super::keys::Keys;

/// What a store handle does to values: by default nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sealing {
    #[cfg(feature = "zstd")]
    pub(super) compression: Option<Compression>,
    #[cfg(feature = "encryption")]
    pub(super) keys: Option<Keys>,
}

impl Sealing {
    /// What is stored instead of `plain`, if that is smaller.
    pub(super) fn compressed(&self, plain: &[u8]) -> Option<Vec<u8>> {
        #[cfg(feature = "zstd")]
        return self.compression.and_then(|compression| compression.compress(plain));
        #[cfg(not(feature = "zstd"))]
        {
            let _ = plain;
            None
        }
    }

    /// Whether values are encrypted.
    pub(super) fn encrypts(&self) -> bool {
        #[cfg(feature = "encryption")]
        return self.keys.is_some();
        #[cfg(not(feature = "encryption"))]
        return false;
    }

    /// Encrypts what stands behind a complete header, but for its checksum.
    pub(super) fn encrypt(&self, bytes: &mut Vec<u8>, place: &Place<'_>) -> Result<(), EnvelopeError> {
        #[cfg(feature = "encryption")]
        if let Some(keys) = &self.keys {
            return keys.encrypt(bytes, place);
        }
        let _ = (bytes, place);
        Err(EnvelopeError::Encode { reason: "it is to be encrypted, and there is no key".into() })
    }

    /// The payload as it was before it was encrypted with this key, if it was.
    pub(super) fn decrypted<'a>(
        &self,
        header: &[u8],
        payload: &'a [u8],
        key: Option<u32>,
        place: &Place<'_>,
    ) -> Result<Cow<'a, [u8]>, EnvelopeError> {
        let Some(id) = key else {
            #[cfg(feature = "encryption")]
            if self.keys.as_ref().is_some_and(|keys| !keys.reads_plain()) {
                return Err(EnvelopeError::NotEncrypted);
            }
            return Ok(Cow::Borrowed(payload));
        };
        #[cfg(feature = "encryption")]
        return match &self.keys {
            Some(keys) => keys.decrypt(header, payload, id, place).map(Cow::Owned),
            None => Err(EnvelopeError::KeyMissing { id, known: Vec::new() }),
        };
        #[cfg(not(feature = "encryption"))]
        {
            let _ = (header, place, id);
            Err(EnvelopeError::FeatureMissing { feature: "encryption" })
        }
    }
}
