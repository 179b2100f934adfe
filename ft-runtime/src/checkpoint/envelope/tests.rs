#[cfg(all(feature = "zstd", feature = "encryption"))]
mod transformed;

use serde::Deserialize;

use super::*;

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

/// Makes the checksum right: anybody can.
fn forge(bytes: &mut [u8], place: &Place<'_>) {
    let crc = checksum(&bytes[..CRC_AT], &bytes[HEADER_LEN..], place);
    bytes[CRC_AT..HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
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
        bytes[at] |= 0x40;
        forge(&mut bytes, &PLACE);
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

#[test]
fn what_is_lost_says_why() {
    let found = read(&lost("the file x is missing"));
    assert_eq!(found, Err(EnvelopeError::Corrupt { what: "the file x is missing".into() }));
}
