//! The key of a request.

use ::http::HeaderMap;

/// The header that carries it.
pub(super) const HEADER: &str = "idempotency-key";

/// How long a key may be: it stands in the name of a run.
pub(super) const MAX_LEN: usize = 200;

/// What the client sent: none, one, or something else.
///
/// A key is a string of a structured field: in double quotes, printable ASCII, `\` before `"` and `\`. One that came
/// without its quotes is taken as it is, as clients of before the draft send it: `"a-1"` and `a-1` are the same key.
pub(super) fn of(headers: &HeaderMap) -> Result<Option<String>, Malformed> {
    let mut values = headers.get_all(HEADER).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return if headers.contains_key(HEADER) { Err(Malformed::Several) } else { Ok(None) };
    };
    let value = value.as_bytes().trim_ascii();
    let key = match value.strip_prefix(b"\"") {
        Some(rest) => quoted(rest)?,
        None => bare(value)?,
    };
    match key.len() {
        0 => Err(Malformed::Empty),
        len if len > MAX_LEN => Err(Malformed::TooLong),
        _ => Ok(Some(key)),
    }
}

/// Why it is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    Several,
    Empty,
    TooLong,
    Unclosed,
    Character,
}

impl Malformed {
    /// The end of a sentence that begins with the name of the header.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Several => "is there more than once",
            Self::Empty => "is empty",
            Self::TooLong => "is longer than 200 characters",
            Self::Unclosed => "does not end with the double quote that it begins with",
            Self::Character => "holds a character that a key must not have",
        }
    }
}

/// Behind the first quote.
fn quoted(mut rest: &[u8]) -> Result<String, Malformed> {
    let mut key = String::new();
    loop {
        let (byte, behind) = rest.split_first().ok_or(Malformed::Unclosed)?;
        rest = behind;
        let byte = match byte {
            b'"' if rest.is_empty() => return Ok(key),
            b'"' => return Err(Malformed::Unclosed),
            b'\\' => {
                let (escaped @ (b'"' | b'\\'), behind) = rest.split_first().ok_or(Malformed::Unclosed)? else {
                    return Err(Malformed::Character);
                };
                rest = behind;
                escaped
            }
            b' '..=b'~' => byte,
            _ => return Err(Malformed::Character),
        };
        key.push(char::from(*byte));
    }
}

/// Without quotes it has neither space in it nor what stands between the parts of a header.
fn bare(value: &[u8]) -> Result<String, Malformed> {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b',' | b';');
    if !value.iter().all(plain) {
        return Err(Malformed::Character);
    }
    Ok(value.iter().copied().map(char::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::HeaderValue;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_key_is_read_back_from_its_quotes_and_no_bytes_are_read_as_another_one(
            text in "[ -~]{1,200}",
            bytes in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
            prop_assert_eq!(one(&format!("\"{escaped}\"")), Ok(Some(text)));
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let headers = HeaderMap::from_iter([(::http::HeaderName::from_static(HEADER), value)]);
                if let Ok(Some(key)) = of(&headers) {
                    prop_assert!(!key.is_empty() && key.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
                }
            }
        }
    }

    fn key(values: &[&[u8]]) -> Result<Option<String>, Malformed> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_bytes(value).unwrap());
        }
        of(&headers)
    }

    fn one(value: &str) -> Result<Option<String>, Malformed> {
        key(&[value.as_bytes()])
    }

    #[test]
    fn a_key_is_read_with_its_quotes_and_without() {
        assert_eq!(key(&[]), Ok(None));
        for sent in ["\"8e03978e-40d5\"", "8e03978e-40d5", "  \"8e03978e-40d5\" "] {
            assert_eq!(one(sent), Ok(Some("8e03978e-40d5".into())), "{sent}");
        }
        assert_eq!(one(r#""a \"b\" \\ c; d, e""#), Ok(Some(r#"a "b" \ c; d, e"#.into())));
        let longest = "x".repeat(MAX_LEN);
        assert_eq!(one(&longest), Ok(Some(longest.clone())));
        assert_eq!(one(&format!("\"{longest}\"")), Ok(Some(longest)));
    }

    #[test]
    fn what_is_no_key_is_refused_with_the_reason() {
        assert_eq!(key(&[b"a", b"a"]), Err(Malformed::Several));
        for empty in ["", "  ", "\"\""] {
            assert_eq!(one(empty), Err(Malformed::Empty), "{empty:?}");
        }
        assert_eq!(one(&"x".repeat(MAX_LEN + 1)), Err(Malformed::TooLong));
        for unclosed in ["\"", "\"a", "\"a\" b", "\"a\"b\"", "\"a\\"] {
            assert_eq!(one(unclosed), Err(Malformed::Unclosed), "{unclosed}");
        }
        for odd in ["a b", "a,b", "a;b=1", "a\"b\"", "a\\b", "\"a\\b\"", "\"a\tb\""] {
            assert_eq!(one(odd), Err(Malformed::Character), "{odd}");
        }
        assert_eq!(key(&["\"ключ\"".as_bytes()]), Err(Malformed::Character));
        assert_eq!(key(&["ключ".as_bytes()]), Err(Malformed::Character));
    }
}
