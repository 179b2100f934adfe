//! Durations as people write them: `250ms`, `1.5s`, `5min`, anywhere in an attribute.

use proc_macro2::{Group, Literal, Span, TokenStream, TokenTree};
use quote::quote_spanned;

use crate::errors::Errors;

const UNITS: [(&str, u128); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", NANOS_PER_SEC),
    ("min", 60 * NANOS_PER_SEC),
    ("h", 3_600 * NANOS_PER_SEC),
    ("d", 86_400 * NANOS_PER_SEC),
];
const NANOS_PER_SEC: u128 = 1_000_000_000;
const RUST_SUFFIXES: [&str; 18] = [
    "", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f16", "f32", "f64",
    "f128", "_",
];

/// Replaces every duration, however deep, by a call of a `Duration` constructor.
///
/// Works on tokens, before anything is parsed: no grammar has to know where a duration may stand.
pub(crate) fn rewrite(tokens: TokenStream, errors: &mut Errors) -> TokenStream {
    tokens
        .into_iter()
        .flat_map(|token| match token {
            TokenTree::Group(group) => {
                let mut rewritten = Group::new(group.delimiter(), rewrite(group.stream(), errors));
                rewritten.set_span(group.span());
                TokenStream::from(TokenTree::Group(rewritten))
            }
            TokenTree::Literal(literal) => match constructor(&literal) {
                Ok(Some(call)) => call,
                Ok(None) => TokenTree::Literal(literal).into(),
                Err(message) => {
                    errors.at(literal.span(), message);
                    // Any duration will do: the rest of the attribute is checked all the same.
                    call("ZERO", None, literal.span())
                }
            },
            other => other.into(),
        })
        .collect()
}

/// `250ms` -> `::core::time::Duration::from_millis(250)`; `None` if it is not a number with a unit.
fn constructor(literal: &Literal) -> Result<Option<TokenStream>, String> {
    let (digits, unit) = match syn::Lit::new(literal.clone()) {
        syn::Lit::Int(int) => (int.base10_digits().to_owned(), int.suffix().to_owned()),
        syn::Lit::Float(float) => (float.base10_digits().to_owned(), float.suffix().to_owned()),
        _ => return Ok(None),
    };
    if RUST_SUFFIXES.contains(&unit.as_str()) {
        return Ok(None);
    }
    let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("`{unit}` is not a unit of time; write ns, us, ms, s, min, h or d"));
    };
    let nanos = nanos(&digits, *scale)?;
    let span = literal.span();
    let exact = [("from_secs", NANOS_PER_SEC), ("from_millis", 1_000_000), ("from_micros", 1_000), ("from_nanos", 1)];
    for (function, scale) in exact {
        if nanos.is_multiple_of(scale) {
            return match u64::try_from(nanos / scale) {
                Ok(amount) => Ok(Some(call(function, Some(amount), span))),
                Err(_) => Err(format!(
                    "`{literal}` is too long; with this precision a duration ends at {} {}",
                    u64::MAX,
                    &function[5..]
                )),
            };
        }
    }
    Ok(None) // unreachable in fact: every number is a whole number of nanoseconds
}

/// Exact integer arithmetic: 0.1 s is 100 ms, not what a float makes of it.
fn nanos(digits: &str, scale: u128) -> Result<u128, String> {
    let too_long = || "this duration is too long".to_owned();
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.bytes().chain(fraction.bytes()).any(|digit| !digit.is_ascii_digit()) {
        return Err("write a duration without an exponent".to_owned());
    }
    let whole: u128 = whole.parse().map_err(|_| too_long())?;
    let whole = whole.checked_mul(scale).ok_or_else(too_long)?;
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() {
        return Ok(whole);
    }
    let too_fine = || "a duration is a whole number of nanoseconds".to_owned();
    // 24 digits of a day, the longest unit, are below 2^128, and no unit has a nanosecond that far behind the point.
    let tenths = u32::try_from(fraction.len()).ok().filter(|digits| *digits <= 24).map(|digits| 10u128.pow(digits));
    let (tenths, fraction) = tenths.zip(fraction.parse::<u128>().ok()).ok_or_else(too_fine)?;
    if !(fraction * scale).is_multiple_of(tenths) {
        return Err(too_fine());
    }
    whole.checked_add(fraction * scale / tenths).ok_or_else(too_long)
}

/// The tokens stand where the literal stood, but count as generated: lints about how a duration is written are for
/// hands, not for macros.
fn call(function: &str, amount: Option<u64>, literal: Span) -> TokenStream {
    let span = Span::mixed_site().located_at(literal);
    let function = proc_macro2::Ident::new(function, span);
    let amount = amount.map(|amount| {
        let mut amount = Literal::u64_unsuffixed(amount);
        amount.set_span(span);
        let mut group = Group::new(proc_macro2::Delimiter::Parenthesis, TokenTree::Literal(amount).into());
        group.set_span(span);
        group
    });
    quote_spanned!(span=> ::core::time::Duration::#function #amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(source: &str) -> String {
        let mut errors = Errors::default();
        let tokens = rewrite(source.parse().unwrap(), &mut errors).to_string();
        let errors = errors.into_tokens().to_string();
        if errors.is_empty() { tokens.replace(' ', "").replace("::core::time::Duration::", "") } else { errors }
    }

    #[test]
    fn each_unit_becomes_its_largest_exact_constructor() {
        assert_eq!(
            rewritten("250ms 2s 1.5s 5min 1h 1d 7us 9ns"),
            "from_millis(250)from_secs(2)from_millis(1500)from_secs(300)from_secs(3600)from_secs(86400)from_micros(7)from_nanos(9)"
        );
        assert_eq!(rewritten("0s"), "from_secs(0)");
        assert_eq!(rewritten("1_000ms"), "from_secs(1)");
        assert_eq!(rewritten("0.1s 2.50h 0.000000001s"), "from_millis(100)from_secs(9000)from_nanos(1)");
    }

    #[test]
    fn durations_are_found_at_any_depth() {
        assert_eq!(rewritten("a(b[{1s}])"), "a(b[{from_secs(1)}])");
    }

    #[test]
    fn other_literals_stay() {
        assert_eq!(rewritten("5 5u32 1.5 1.5f64 0xd 'a' \"2s\" 1e3"), "55u321.51.5f640xd'a'\"2s\"1e3");
    }

    #[test]
    fn a_bad_duration_says_why() {
        assert!(rewritten("5sec").contains("`sec` is not a unit of time; write ns, us, ms, s, min, h or d"));
        assert!(rewritten("1.5ns").contains("whole number of nanoseconds"));
        assert!(
            rewritten("0.00000000000000000000000000000000000000000000000001d").contains("whole number of nanoseconds")
        );
        assert!(rewritten("1e3s").contains("without an exponent"));
        assert!(rewritten("99999999999999999999999999999999999999999s").contains("too long"));
        assert!(rewritten("18446744073709551616s").contains("too long"));
    }

    #[test]
    fn two_bad_durations_are_two_errors() {
        assert_eq!(rewritten("f(5sec, 6secs)").matches("compile_error").count(), 2);
    }
}
