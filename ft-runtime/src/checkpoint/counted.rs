//! Numbers in sentences.

use std::fmt::Display;

/// So many of something, in the words for one and for any other number: `1 run ended`, `2 runs ended`.
pub(super) fn counted<N: Display + From<u8> + PartialEq>(number: N, one: &str, many: &str) -> String {
    let what = if number == N::from(1) { one } else { many };
    format!("{number} {what}")
}
