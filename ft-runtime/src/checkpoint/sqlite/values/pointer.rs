//! What stands in a row for a value that has a file.

use std::fmt::Write;

const MAGIC: [u8; 4] = *b"FTV1";
pub(super) const LEN: usize = 36;

/// Which file a value has, and what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::checkpoint::sqlite) struct Pointer {
    name: [u8; 16],
    /// Length of the file.
    pub(in crate::checkpoint::sqlite) len: u64,
    /// Checksum of its bytes.
    pub(super) crc: u32,
}

impl Pointer {
    pub(super) fn new(name: [u8; 16], value: &[u8]) -> Self {
        Self { name, len: value.len() as u64, crc: crc32fast::hash(value) }
    }

    /// Reads what stands in a row; `None` if it is a value itself, or damaged, which the value's reader finds out.
    pub(in crate::checkpoint::sqlite) fn parse(stored: &[u8]) -> Option<Self> {
        let stored: &[u8; LEN] = stored.try_into().ok()?;
        let (front, crc) = stored.split_last_chunk::<4>()?;
        let fields = front.strip_prefix(&MAGIC)?;
        if crc32fast::hash(front).to_le_bytes() != *crc {
            return None;
        }
        let (name, rest) = fields.split_first_chunk()?;
        let (len, crc) = rest.split_first_chunk()?;
        let crc = crc.first_chunk()?;
        Some(Self { name: *name, len: u64::from_le_bytes(*len), crc: u32::from_le_bytes(*crc) })
    }

    pub(super) fn to_bytes(self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..20].copy_from_slice(&self.name);
        bytes[20..28].copy_from_slice(&self.len.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..32]);
        bytes[32..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The file's name in its directory.
    pub(super) fn file(&self) -> String {
        self.name.iter().fold(String::with_capacity(32), |mut file, byte| {
            // Writing to a string does not fail.
            let _ = write!(file, "{byte:02x}");
            file
        })
    }
}

/// Whether a file is called as ours are.
pub(super) fn is_name(file: &str) -> bool {
    file.len() == 32 && file.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// A name that was read in the database, which somebody may have changed: nothing outside of the directory.
pub(super) fn checked(file: &str) -> &str {
    if is_name(file) { file } else { "no-such-file" }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pointer_is_read_back_and_no_flipped_bit_is_taken_for_one() {
        let pointer = Pointer::new([0xa5; 16], b"value");
        let bytes = pointer.to_bytes();
        assert_eq!(Pointer::parse(&bytes), Some(pointer));
        assert_eq!(pointer.file(), "a5".repeat(16));
        assert!(is_name(&pointer.file()));
        for bit in 0..LEN * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Pointer::parse(&flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        for name in ["../ft.db", "/etc/passwd", "", "a5", &"A5".repeat(16)] {
            assert_eq!(checked(name), "no-such-file");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..50)) {
            prop_assert_eq!(Pointer::parse(&bytes), None);
        }
    }
}
