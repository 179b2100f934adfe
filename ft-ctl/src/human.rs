//! Sizes, times and names, as people read and write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ft_runtime::checkpoint::UnixMillis;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The time of day.
pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// How long ago, or in how long.
pub(crate) fn ago(at: UnixMillis, now: UnixMillis) -> String {
    let passed = now.saturating_sub(at);
    if passed >= 0 { format!("{} ago", span(passed)) } else { format!("in {}", span(passed.saturating_neg())) }
}

/// A length of time in its largest unit, rounded down.
fn span(millis: i64) -> String {
    match millis {
        ..MINUTE => format!("{}s", millis / SECOND),
        MINUTE..HOUR => format!("{}m", millis / MINUTE),
        HOUR..DAY => format!("{}h", millis / HOUR),
        DAY.. => format!("{}d", millis / DAY),
    }
}

/// A moment and how long ago it was.
pub(crate) fn moment(at: UnixMillis, now: UnixMillis) -> String {
    let rfc = rfc3339(at);
    let second = rfc.get(..rfc.len().saturating_sub(5)).unwrap_or(&rfc);
    format!("{}Z ({})", second.replace('T', " "), ago(at, now))
}

/// A moment as JSON has it: RFC 3339 with milliseconds, in UTC.
pub(crate) fn rfc3339(at: UnixMillis) -> String {
    let (day, millis) = (at.div_euclid(DAY), at.rem_euclid(DAY));
    let (year, month, day) = civil(day);
    let (hour, minute, second) = (millis / HOUR, millis % HOUR / MINUTE, millis % MINUTE / SECOND);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", millis % SECOND)
}

/// The date of a day counted from 1970-01-01, in the calendar that goes on for ever in both directions.
fn civil(day: i64) -> (i64, i64, i64) {
    // Counted from the first of March, so that the leap day is the last one of its year; 146,097 days are 400 years.
    let day = day + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Bytes, in units of 1024.
pub(crate) fn size(bytes: u64) -> String {
    let mut unit = "B";
    let mut number = bytes as f64;
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if number < 1024.0 {
            break;
        }
        number /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{number:.1} {unit}") }
}

/// So many of something: `1 step`, `2 steps`.
pub(crate) fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A length of time as options take it: `90s`, `15m`, `12h`, `30d`.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no length of time; write a number and a unit: 90s, 15m, 12h, 30d");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    // `parse` would take a sign.
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

/// A name as it can be given to a shell.
pub(crate) fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@+,=".contains(c) || (c == '#' && !name.starts_with('#'));
    if !name.is_empty() && name.chars().all(plain) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', "'\\''"))
    }
}

/// One line that no terminal obeys: control characters are written out.
pub(crate) fn line(text: &str) -> String {
    text.chars().map(|c| if is_unseen(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// Controls, and what turns the direction of writing around.
fn is_unseen(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// At most so many characters, the last one saying that there were more.
pub(crate) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_rfc_3339() {
        for (at, written) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_827_696_789, "2000-02-29T12:34:56.789Z"),
            (1_709_251_200_000, "2024-03-01T00:00:00.000Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(rfc3339(at), written);
        }
        assert_eq!(moment(0, 90 * MINUTE), "1970-01-01 00:00:00Z (1h ago)");
        rfc3339(i64::MIN / 2);
        rfc3339(i64::MAX);
    }

    #[test]
    fn a_length_of_time_is_shown_in_its_largest_unit() {
        assert_eq!([ago(0, 59_999), ago(0, HOUR - 1), ago(0, DAY)], ["59s ago", "59m ago", "1d ago"]);
        assert_eq!(ago(DAY, 0), "in 1d");
    }

    #[test]
    fn a_length_of_time_is_a_number_and_a_unit() {
        assert_eq!(parse_span("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(parse_span("0s"), Ok(Duration::ZERO));
        for wrong in
            ["", "d", "30", "30 d", "-1d", "+1d", "1.5h", "30w", "1é", "99999999999999999999d", "999999999999999999d"]
        {
            assert!(parse_span(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn bytes_are_shown_in_units_of_1024() {
        assert_eq!([size(0), size(1023), size(1024), size(1_572_864)], ["0 B", "1023 B", "1.0 KiB", "1.5 MiB"]);
        assert_eq!(size(u64::MAX), "16777216.0 TiB");
    }

    #[test]
    fn a_name_reaches_the_shell_whole() {
        assert_eq!([quoted("order-1"), quoted("charge:42"), quoted("step#1")], ["order-1", "charge:42", "step#1"]);
        assert_eq!([quoted("two words"), quoted(""), quoted("it's")], ["'two words'", "''", "'it'\\''s'"]);
    }

    #[test]
    fn no_character_reaches_the_terminal_that_it_would_obey() {
        assert_eq!(line("a\u{1b}[31m\nb\u{202e}ü"), "a\\u{1b}[31m\\nb\\u{202e}ü");
        assert_eq!([cut("äöü", 3), cut("äöüß", 3)], ["äöü", "äö…"]);
    }
}
