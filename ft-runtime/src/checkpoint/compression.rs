//! Values made smaller before they are stored.

use super::envelope::EnvelopeError;

/// How the values of a [`Store`](super::Store) are compressed: [`Store::compress`](super::Store::compress).
///
/// ```
/// use ft_runtime::checkpoint::{Compression, Store};
///
/// # fn main() -> Result<(), ft_runtime::StoreError> {
/// let store = Store::open("memory:")?.compress(Compression::zstd(3));
/// # Ok(()) }
/// ```
#[cfg(feature = "zstd")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Compression {
    level: i32,
}

#[cfg(feature = "zstd")]
impl Compression {
    /// zstd of a level from 1, the fastest, to 19, the smallest; any other is taken for the nearest of them. 3 is a good
    /// choice for most.
    #[must_use]
    pub const fn zstd(level: i32) -> Self {
        // Above 19 a single value may take hundreds of megabytes of memory.
        let level = if level < 1 { 1 } else { level };
        Self { level: if level > 19 { 19 } else { level } }
    }

    /// What is stored instead of `plain`; `None` if that would not be smaller.
    pub(super) fn compress(self, plain: &[u8]) -> Option<Vec<u8>> {
        /// Below this a frame's own bytes eat up what there is to win.
        const WORTHWHILE: usize = 64;
        if plain.len() < WORTHWHILE {
            return None;
        }
        // It fails for want of memory only, and then the value is stored as it is.
        zstd::bulk::compress(plain, self.level).ok().filter(|compressed| compressed.len() < plain.len())
    }
}

/// The `len` bytes that were compressed.
#[cfg(feature = "zstd")]
pub(super) fn decompress(compressed: &[u8], len: usize) -> Result<Vec<u8>, EnvelopeError> {
    // A frame that holds more does not fit, and fails; one that holds less is found by its length.
    zstd::bulk::decompress(compressed, len)
        .map_err(|error| EnvelopeError::Corrupt { what: format!("zstd: {error}").into() })
}

/// The `len` bytes that were compressed.
#[cfg(not(feature = "zstd"))]
pub(super) fn decompress(_: &[u8], _: usize) -> Result<Vec<u8>, EnvelopeError> {
    Err(EnvelopeError::FeatureMissing { feature: "zstd" })
}
