//! `Retry-After`.

use std::time::{Duration, SystemTime};

use ::http::HeaderMap;
use ::http::header::{DATE, RETRY_AFTER};

/// How long the server asked to be left alone, in its `Retry-After` header: seconds, or a date.
///
/// A date is compared with the `Date` of the same answer, so that the two clocks need not agree; without one, with ours. A
/// date that has passed is zero. A number beyond all bounds is the longest `Duration` of whole seconds: what to do about so
/// much patience is for the policy to say ([`Hint`](ft_runtime::Hint)). What is neither is no hint.
///
/// ```
/// use ft_tower::http::retry_after;
/// use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};
/// use std::time::Duration;
///
/// let mut headers = HeaderMap::new();
/// headers.insert(RETRY_AFTER, HeaderValue::from_static("120"));
/// assert_eq!(retry_after(&headers), Some(Duration::from_secs(120)));
/// ```
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, RETRY_AFTER.as_str())?;
    if is_number(value) {
        // Only digits: what does not fit is too large.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let now = text(headers, DATE.as_str()).and_then(|date| httpdate::parse_http_date(date).ok());
    Some(until.duration_since(now.unwrap_or_else(SystemTime::now)).unwrap_or_default())
}

/// The first value of a header, without the space around it; `None` where it is not text.
pub(super) fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// Digits, and nothing else.
pub(super) fn is_number(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::HeaderValue;

    fn hint(retry_after_: &'static str, date: Option<&'static str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(retry_after_));
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_static(date));
        }
        retry_after(&headers)
    }

    const NOON: Option<&str> = Some("Sun, 06 Nov 1994 12:00:00 GMT");

    #[test]
    fn case_11_a_hint_is_seconds_or_a_date_and_a_date_that_has_passed_is_zero() {
        assert_eq!(hint("7", None), Some(Duration::from_secs(7)));
        assert_eq!(hint(" 0 ", None), Some(Duration::ZERO));
        assert_eq!(hint("Sun, 06 Nov 1994 12:01:30 GMT", NOON), Some(Duration::from_secs(90)));
        assert_eq!(hint("Sunday, 06-Nov-94 12:00:05 GMT", NOON), Some(Duration::from_secs(5)));
        assert_eq!(hint("Sun, 06 Nov 1994 11:59:59 GMT", NOON), Some(Duration::ZERO));
        assert_eq!(hint("Sun, 06 Nov 1994 12:01:30 GMT", None), Some(Duration::ZERO), "by our clock, long ago");
    }

    #[test]
    fn case_11_a_hint_that_cannot_be_read_is_none_and_a_huge_one_is_huge() {
        for odd in ["", "-5", "+5", "1.5", "1e3", "soon", "5 s", "Sun, 06 Nov 1994", "٣"] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_bytes(odd.as_bytes()).unwrap());
            assert_eq!(retry_after(&headers), None, "{odd:?}");
        }
        assert_eq!(hint("99999999999999999999999999", None), Some(Duration::from_secs(u64::MAX)));
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn a_date_of_the_answer_that_cannot_be_read_is_replaced_by_our_clock() {
        let far = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3600));
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(&far).unwrap());
        headers.insert(DATE, HeaderValue::from_static("yesterday"));
        let hint = retry_after(&headers).unwrap();
        assert!(hint > Duration::from_secs(3500) && hint <= Duration::from_secs(3600), "{hint:?}");
    }
}
