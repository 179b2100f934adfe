//! The data: Unicode's own table of characters, and what the enrichment service finds out about one of its records.

use std::fmt::{self, Write as _};
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

const TABLE: &str = include_str!("../data/unicode-data/UnicodeData.txt");
const BLOCKS: &str = include_str!("../data/unicode-data/Blocks.txt");

/// One line of `UnicodeData.txt`.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Record {
    /// The code point, unique in the table.
    pub(crate) code: u32,
    /// The record as it was shipped.
    pub(crate) line: &'static str,
}

impl Record {
    /// The general category as the table abbreviates it: `Lu`, `Nd`, ..
    pub(crate) fn category(&self) -> &'static str {
        self.line.split(';').nth(2).unwrap_or_default()
    }
}

/// Every record of the table, in its order.
pub(crate) fn table() -> Result<Vec<Record>, BadRecord> {
    TABLE
        .lines()
        .map(|line| {
            let code = code_of(line)?;
            Ok(Record { code, line })
        })
        .collect()
}

/// The code point of a record.
pub(crate) fn code_of(line: &str) -> Result<u32, BadRecord> {
    let field = line.split(';').next().unwrap_or_default();
    u32::from_str_radix(field, 16)
        .map_err(|_| BadRecord { line: line.into(), what: "the code point is not hexadecimal" })
}

/// What the service adds to a record.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Enriched {
    pub(crate) code: u32,
    pub(crate) name: String,
    pub(crate) category: String,
    pub(crate) category_name: String,
    pub(crate) plane: u32,
    pub(crate) block: String,
    /// Hexadecimal bytes; empty for a surrogate, which no UTF-8 text can hold.
    pub(crate) utf8: String,
    /// Hexadecimal units: one, or a surrogate pair.
    pub(crate) utf16: String,
    /// `compat` and the like in front of a compatibility decomposition.
    pub(crate) decomposition_kind: Option<String>,
    pub(crate) decomposition: Vec<u32>,
    pub(crate) upper: Option<char>,
    pub(crate) lower: Option<char>,
}

/// Knows the blocks; turns a record into an [`Enriched`] one.
pub(crate) struct Enricher {
    blocks: Vec<(RangeInclusive<u32>, &'static str)>,
}

impl Enricher {
    pub(crate) fn new() -> Self {
        let range = |range: &str| {
            let (first, last) = range.split_once("..")?;
            Some(u32::from_str_radix(first, 16).ok()?..=u32::from_str_radix(last, 16).ok()?)
        };
        let block = |line: &'static str| {
            let (codes, name) = line.split_once("; ")?;
            Some((range(codes)?, name))
        };
        Self { blocks: BLOCKS.lines().filter(|line| !line.starts_with('#')).filter_map(block).collect() }
    }

    pub(crate) fn enrich(&self, line: &str) -> Result<Enriched, BadRecord> {
        let bad = |what| BadRecord { line: line.into(), what };
        let code = code_of(line)?;
        let fields: Vec<&str> = line.split(';').collect();
        let &[_, name, category, _, _, decomposition, _, _, _, _, old_name, _, upper, lower, _] = fields.as_slice()
        else {
            return Err(bad("it does not have 15 fields"));
        };
        let category_name = category_name(category).ok_or_else(|| bad("its general category is unknown"))?;
        let (decomposition_kind, decomposition) =
            decompose(decomposition).ok_or_else(|| bad("its decomposition cannot be read"))?;
        Ok(Enriched {
            code,
            // Control characters have no name of their own: the table keeps what Unicode 1.0 called them.
            name: if name == "<control>" && !old_name.is_empty() { old_name } else { name }.to_owned(),
            category: category.to_owned(),
            category_name: category_name.to_owned(),
            plane: code >> 16,
            block: self.block(code).to_owned(),
            utf8: utf8(code),
            utf16: utf16(code),
            decomposition_kind,
            decomposition,
            upper: character(upper),
            lower: character(lower),
        })
    }

    fn block(&self, code: u32) -> &'static str {
        let after = self.blocks.partition_point(|(range, _)| *range.start() <= code);
        match after.checked_sub(1).map(|at| &self.blocks[at]) {
            Some((range, name)) if range.contains(&code) => name,
            _ => "No_Block",
        }
    }
}

/// A line that is not a record.
#[derive(Debug)]
pub(crate) struct BadRecord {
    line: String,
    what: &'static str,
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a record of UnicodeData.txt ({}): {:?}", self.what, self.line)
    }
}

impl std::error::Error for BadRecord {}

fn character(field: &str) -> Option<char> {
    u32::from_str_radix(field, 16).ok().and_then(char::from_u32)
}

fn utf8(code: u32) -> String {
    char::from_u32(code).map(|c| hex(c.encode_utf8(&mut [0; 4]).bytes().map(u32::from), 2)).unwrap_or_default()
}

fn utf16(code: u32) -> String {
    match char::from_u32(code) {
        Some(c) => hex(c.encode_utf16(&mut [0; 2]).iter().map(|&unit| u32::from(unit)), 4),
        None => hex([code], 4),
    }
}

fn hex(values: impl IntoIterator<Item = u32>, width: usize) -> String {
    let mut text = String::new();
    for value in values {
        let gap = if text.is_empty() { "" } else { " " };
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{gap}{value:0width$X}");
    }
    text
}

/// `<compat> 0020 0308` or `0041 0300`, or nothing.
fn decompose(field: &str) -> Option<(Option<String>, Vec<u32>)> {
    let (kind, codes) = match field.strip_prefix('<') {
        Some(rest) => rest.split_once('>').map(|(kind, codes)| (Some(kind.to_owned()), codes))?,
        None => (None, field),
    };
    let codes = codes.split_whitespace().map(|code| u32::from_str_radix(code, 16).ok());
    Some((kind, codes.collect::<Option<_>>()?))
}

fn category_name(short: &str) -> Option<&'static str> {
    Some(match short {
        "Lu" => "uppercase letter",
        "Ll" => "lowercase letter",
        "Lt" => "titlecase letter",
        "Lm" => "modifier letter",
        "Lo" => "other letter",
        "Mn" => "nonspacing mark",
        "Mc" => "spacing mark",
        "Me" => "enclosing mark",
        "Nd" => "decimal number",
        "Nl" => "letter number",
        "No" => "other number",
        "Pc" => "connector punctuation",
        "Pd" => "dash punctuation",
        "Ps" => "open punctuation",
        "Pe" => "close punctuation",
        "Pi" => "initial punctuation",
        "Pf" => "final punctuation",
        "Po" => "other punctuation",
        "Sm" => "math symbol",
        "Sc" => "currency symbol",
        "Sk" => "modifier symbol",
        "So" => "other symbol",
        "Zs" => "space separator",
        "Zl" => "line separator",
        "Zp" => "paragraph separator",
        "Cc" => "control",
        "Cf" => "format",
        "Cs" => "surrogate",
        "Co" => "private use",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enriched(code: u32) -> Enriched {
        let record = *table().unwrap().iter().find(|record| record.code == code).unwrap();
        Enricher::new().enrich(record.line).unwrap()
    }

    #[test]
    fn every_record_of_the_table_can_be_enriched_and_has_a_code_of_its_own() {
        let (table, enricher) = (table().unwrap(), Enricher::new());
        assert_eq!(table.len(), 34_924);
        assert!(table.is_sorted_by(|a, b| a.code < b.code));
        for record in table {
            let enriched = enricher.enrich(record.line).unwrap();
            assert_eq!((enriched.code, &*enriched.category), (record.code, record.category()));
            assert_ne!(enriched.block, "No_Block", "{}", record.line);
        }
    }

    #[test]
    fn an_enriched_record_says_what_the_standard_library_says() {
        let e_acute = enriched(0xE9);
        assert_eq!(e_acute.name, "LATIN SMALL LETTER E WITH ACUTE");
        assert_eq!((&*e_acute.category_name, &*e_acute.block), ("lowercase letter", "Latin-1 Supplement"));
        assert_eq!((&*e_acute.utf8, &*e_acute.utf16), ("C3 A9", "00E9"));
        assert_eq!((e_acute.decomposition_kind, e_acute.decomposition), (None, vec![0x65, 0x301]));
        assert_eq!(e_acute.upper, Some('É'));
    }

    #[test]
    fn beyond_the_first_plane_utf16_takes_a_pair_and_a_surrogate_has_no_utf8() {
        let face = enriched(0x1F600);
        assert_eq!((face.plane, &*face.utf8, &*face.utf16), (1, "F0 9F 98 80", "D83D DE00"));
        let surrogate = enriched(0xD800);
        assert_eq!((&*surrogate.utf8, &*surrogate.utf16), ("", "D800"));
        let ligature = enriched(0xFB01);
        assert_eq!(
            (ligature.decomposition_kind.as_deref(), ligature.decomposition),
            (Some("compat"), vec![0x66, 0x69])
        );
    }

    #[test]
    fn a_line_that_is_no_record_is_refused_with_what_is_wrong_in_it() {
        for (line, wrong) in [
            ("", "hexadecimal"),
            ("0041;LATIN CAPITAL LETTER A;Lu", "15 fields"),
            ("0041;A;Xx;0;L;;;;;N;;;;0061;", "category"),
            ("0041;A;Lu;0;L;<compat 0020;;;;N;;;;0061;", "decomposition"),
        ] {
            let error = Enricher::new().enrich(line).unwrap_err().to_string();
            assert!(error.contains(wrong), "{error}");
        }
    }
}
