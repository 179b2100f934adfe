//! Values that are compressed and encrypted, and whatever else claims to be a value.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::checkpoint::{Compression, Keys};

/// One of each kind of handle: compressing, encrypting, both and neither.
fn sealings() -> Vec<Sealing> {
    let keys = || Some(Keys::new(7, [7; 32]));
    let compression = || Some(Compression::zstd(3));
    vec![
        Sealing::default(),
        Sealing { compression: compression(), keys: None },
        Sealing { compression: None, keys: keys() },
        Sealing { compression: compression(), keys: keys() },
    ]
}

fn with(keys: Keys) -> Sealing {
    Sealing { keys: Some(keys), compression: None }
}

fn long() -> Receipt {
    Receipt { note: "paid ".repeat(1000), ..receipt() }
}

fn reopen(bytes: &[u8], place: &Place<'_>, sealing: &Sealing) -> Result<Receipt, EnvelopeError> {
    Envelope::open(bytes, place, sealing)?.decode(7)
}

#[test]
fn a_value_is_read_back_however_it_was_sealed() {
    for sealing in sealings() {
        for value in [receipt(), long()] {
            let bytes = seal_with(&value, 7, &PLACE, &sealing).unwrap();
            assert_eq!(reopen(&bytes, &PLACE, &sealing), Ok(value));
            let header = Header::read(&bytes, &PLACE).unwrap();
            assert_eq!(header.key, sealing.keys.as_ref().map(|_| 7));
            assert_eq!(header.stored_len as usize, bytes.len() - HEADER_LEN);
        }
    }
}

#[test]
fn every_flipped_bit_and_truncation_of_a_transformed_value_is_found() {
    for sealing in sealings() {
        let bytes = seal_with(&long(), 7, &PLACE, &sealing).unwrap();
        for bit in (0..bytes.len() * 8).step_by(7) {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let found = reopen(&flipped, &PLACE, &sealing);
            assert!(matches!(found, Err(EnvelopeError::Corrupt { .. })), "bit {bit} went unseen: {found:?}");
        }
        for len in 0..bytes.len() {
            assert!(matches!(reopen(&bytes[..len], &PLACE, &sealing), Err(EnvelopeError::Corrupt { .. })));
        }
    }
}

#[test]
fn a_value_is_compressed_only_where_that_makes_it_smaller() {
    let sealing = Sealing { compression: Some(Compression::zstd(3)), keys: None };
    let header = |value: &Receipt| {
        let bytes = seal_with(value, 7, &PLACE, &sealing).unwrap();
        Header::read(&bytes, &PLACE).unwrap()
    };
    assert!(!header(&receipt()).is_compressed);
    let header = header(&long());
    assert!(header.is_compressed && header.stored_len < header.plain_len / 10, "{header:?}");
    // Whoever does not compress himself reads it.
    let bytes = seal_with(&long(), 7, &PLACE, &sealing).unwrap();
    assert_eq!(read(&bytes), Ok(long()));
}

#[test]
fn a_frame_that_holds_more_or_less_than_its_header_says_is_damaged() {
    let sealing = Sealing { compression: Some(Compression::zstd(3)), keys: None };
    let bytes = seal_with(&long(), 7, &PLACE, &sealing).unwrap();
    let plain_len = Header::read(&bytes, &PLACE).unwrap().plain_len;
    for claimed in [0, plain_len - 1, plain_len + 1, MAX_LEN, MAX_LEN + 1, u64::MAX] {
        let mut bytes = bytes.clone();
        bytes[8..16].copy_from_slice(&claimed.to_le_bytes());
        forge(&mut bytes, &PLACE);
        let found = read(&bytes);
        assert!(matches!(found, Err(EnvelopeError::Corrupt { .. })), "{claimed}: {found:?}");
    }
}

#[test]
fn an_encrypted_value_is_bound_to_its_place_even_if_its_checksum_is_forged() {
    let sealing = with(Keys::new(7, [7; 32]));
    let mut bytes = seal_with(&receipt(), 7, &PLACE, &sealing).unwrap();
    let elsewhere = Place::Output { run: "s" };
    forge(&mut bytes, &elsewhere);
    assert!(Header::read(&bytes, &elsewhere).is_ok());
    assert_eq!(reopen(&bytes, &elsewhere, &sealing), Err(EnvelopeError::WrongKey { id: 7 }));
}

#[test]
fn an_encrypted_value_is_bound_to_its_header_even_if_its_checksum_is_forged() {
    let sealing = with(Keys::new(7, [7; 32]));
    let bytes = seal_with(&receipt(), 7, &PLACE, &sealing).unwrap();
    for (at, what) in [(5, "whether it is an error"), (6, "its schema"), (8, "its plain length")] {
        let mut bytes = bytes.clone();
        bytes[at] ^= FLAG_ERROR;
        forge(&mut bytes, &PLACE);
        assert_eq!(reopen(&bytes, &PLACE, &sealing), Err(EnvelopeError::WrongKey { id: 7 }), "{what}");
    }
}

#[test]
fn nothing_of_an_encrypted_value_is_readable_and_no_two_look_alike() {
    let sealing = with(Keys::new(7, [7; 32]));
    let [one, two] = [(); 2].map(|()| seal_with(&long(), 7, &PLACE, &sealing).unwrap());
    assert_ne!(one[HEADER_LEN + 4..], two[HEADER_LEN + 4..]);
    assert!(!one.windows(4).any(|four| four == b"paid"));
}

#[test]
fn a_value_opens_with_its_own_key_alone_and_the_error_names_it() {
    let old = seal_with(&receipt(), 7, &PLACE, &with(Keys::new(1, [1; 32]))).unwrap();
    let open = |keys| reopen(&old, &PLACE, &with(keys));
    assert_eq!(open(Keys::new(2, [2; 32]).and(1, [1; 32])), Ok(receipt()));
    assert_eq!(open(Keys::new(2, [1; 32])), Err(EnvelopeError::KeyMissing { id: 1, known: vec![2] }));
    assert_eq!(open(Keys::new(1, [2; 32])), Err(EnvelopeError::WrongKey { id: 1 }));
    assert_eq!(read(&old), Err(EnvelopeError::KeyMissing { id: 1, known: vec![] }));
}

#[test]
fn a_reader_with_keys_takes_nothing_that_is_not_encrypted_unless_told_so() {
    let plain = seal(&receipt(), 7, &PLACE).unwrap();
    let keys = Keys::new(1, [1; 32]);
    assert_eq!(reopen(&plain, &PLACE, &with(keys.clone())), Err(EnvelopeError::NotEncrypted));
    assert_eq!(reopen(&plain, &PLACE, &with(keys.and_plain())), Ok(receipt()));
}

#[test]
fn a_value_is_relocated_with_all_it_is_and_with_the_key_of_now() {
    let to = Place::Output { run: "s" };
    for sealing in sealings() {
        let bytes = seal_as(&long(), FLAG_ERROR, 5, &PLACE, &sealing).unwrap();
        let rotated =
            Sealing { keys: sealing.keys.clone().map(|_| Keys::new(8, [8; 32]).and(7, [7; 32])), compression: None };
        let moved = relocate(&bytes, &PLACE, &to, &rotated).unwrap();
        assert_eq!(reopen(&moved, &to, &rotated), Ok(long()));
        let (before, after) = (Header::read(&bytes, &PLACE).unwrap(), Header::read(&moved, &to).unwrap());
        assert_eq!(after, Header { key: before.key.map(|_| 8), ..before });
        assert!(matches!(relocate(&bytes, &to, &PLACE, &rotated), Err(EnvelopeError::Corrupt { .. })));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in vec(any::<u8>(), 0..200)) {
        for sealing in sealings() {
            prop_assert!(reopen(&bytes, &PLACE, &sealing).is_err());
        }
    }

    /// Past the checksum, which anybody can make: every header and payload is read or refused, within its bounds.
    #[test]
    fn no_forged_header_makes_the_decoder_panic(
        codec in 0u8..3,
        flags in 0u8..16,
        schema in 0u16..9,
        plain_len in prop_oneof![0u64..80, any::<u64>()],
        payload in vec(any::<u8>(), 0..80),
    ) {
        let mut bytes = vec![0; HEADER_LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = codec;
        bytes[5] = flags;
        bytes[6..8].copy_from_slice(&schema.to_le_bytes());
        bytes[8..16].copy_from_slice(&plain_len.to_le_bytes());
        bytes[16..24].copy_from_slice(&(payload.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&payload);
        forge(&mut bytes, &PLACE);
        for sealing in sealings() {
            let opened = Envelope::open(&bytes, &PLACE, &sealing);
            // Without the key nobody makes an encrypted value.
            prop_assert!(flags & FLAG_AEAD == 0 || opened.is_err());
            if let Ok(opened) = opened {
                prop_assert_eq!(opened.payload().len() as u64, plain_len);
                let _ = opened.decode::<Receipt>(7);
                let _ = Value::from_payload(opened.payload());
            }
        }
    }

    #[test]
    fn any_bytes_survive_any_sealing(value in vec(any::<u8>(), 0..300), schema: u16, flipped in any::<prop::sample::Index>()) {
        for sealing in sealings() {
            let mut bytes = seal_with(&value, schema, &PLACE, &sealing).unwrap();
            let opened = Envelope::open(&bytes, &PLACE, &sealing).unwrap();
            prop_assert_eq!(opened.decode::<Vec<u8>>(schema).unwrap(), value.clone());
            let at = flipped.index(bytes.len());
            bytes[at] ^= 1;
            prop_assert!(Envelope::open(&bytes, &PLACE, &sealing).is_err());
        }
    }
}
