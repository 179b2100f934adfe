//! A deadline on the wire: how much time is left, in whole units and never more than there is.
//!
//! What travels is a length of time and not a moment: the clocks of two machines differ, and what the way itself takes is
//! small against that.

use std::time::Duration;

use super::Deadline;
use crate::rejected::Invalid;

/// The units of `grpc-timeout`, from short to long, with their length in nanoseconds.
const UNITS: [(char, u128); 6] = [
    ('n', 1),
    ('u', 1_000),
    ('m', 1_000_000),
    ('S', 1_000_000_000),
    ('M', 60 * 1_000_000_000),
    ('H', 3600 * 1_000_000_000),
];

/// gRPC allows eight digits.
const GRPC_MOST: u128 = 99_999_999;

/// What the header of HTTP can say; some 31 000 years.
const HTTP_DIGITS: usize = 15;

impl Deadline {
    /// The name of the header by which HTTP requests carry a deadline: `ft-timeout-ms`, the milliseconds that are left.
    pub const HEADER: &'static str = "ft-timeout-ms";

    /// The name of the header by which gRPC requests carry one: `grpc-timeout`.
    pub const GRPC_HEADER: &'static str = "grpc-timeout";

    /// The deadline that the header [`ft-timeout-ms`](Self::HEADER) asks for: so many whole milliseconds from now.
    ///
    /// ```
    /// use ft_runtime::Deadline;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), ft_runtime::Invalid> {
    /// let deadline = Deadline::from_header("1500")?;
    /// assert_eq!(deadline.remaining().as_millis(), 1500);
    /// assert!(Deadline::from_header("1.5s").is_err());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Invalid`] unless it is one to fifteen ASCII digits. Zero is a deadline that has passed.
    pub fn from_header(value: &str) -> Result<Self, Invalid> {
        let millis = digits(value, HTTP_DIGITS).ok_or_else(|| {
            Invalid::new(format!(
                "the header `{}` must be whole milliseconds, 1 to {HTTP_DIGITS} digits, not {}",
                Self::HEADER,
                quoted(value)
            ))
        })?;
        Ok(Self::after(Duration::from_millis(millis)))
    }

    /// What is left, as the header [`ft-timeout-ms`](Self::HEADER) says it: whole milliseconds, rounded down.
    pub fn to_header(self) -> String {
        http(self.remaining())
    }

    /// The deadline that the header [`grpc-timeout`](Self::GRPC_HEADER) asks for: one to eight digits and a unit, `H`,
    /// `M`, `S`, `m`, `u` or `n` for hours down to nanoseconds.
    ///
    /// ```
    /// use ft_runtime::Deadline;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), ft_runtime::Invalid> {
    /// assert_eq!(Deadline::from_grpc_timeout("250m")?.remaining().as_millis(), 250);
    /// assert!(Deadline::from_grpc_timeout("250ms").is_err());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Invalid`] for everything else. Zero is a deadline that has passed.
    pub fn from_grpc_timeout(value: &str) -> Result<Self, Invalid> {
        let limit = parse_grpc(value).ok_or_else(|| {
            Invalid::new(format!(
                "the header `{}` must be 1 to 8 digits and one of H, M, S, m, u and n, not {}",
                Self::GRPC_HEADER,
                quoted(value)
            ))
        })?;
        Ok(Self::after(limit))
    }

    /// What is left, as the header [`grpc-timeout`](Self::GRPC_HEADER) says it: in the shortest unit that has room for it,
    /// rounded down.
    pub fn to_grpc_timeout(self) -> String {
        grpc(self.remaining())
    }
}

fn http(left: Duration) -> String {
    left.as_millis().min(10_u128.pow(HTTP_DIGITS as u32) - 1).to_string()
}

fn grpc(left: Duration) -> String {
    let nanos = left.as_nanos();
    for (unit, length) in UNITS {
        if nanos / length <= GRPC_MOST {
            return format!("{}{unit}", nanos / length);
        }
    }
    // Longer than 11 000 years.
    format!("{GRPC_MOST}H")
}

fn parse_grpc(value: &str) -> Option<Duration> {
    let unit = value.chars().last()?;
    let (_, length) = UNITS.into_iter().find(|(named, _)| *named == unit)?;
    let count = digits(&value[..value.len() - 1], 8)?;
    let nanos = u128::from(count) * length;
    Some(Duration::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32))
}

/// A number of one to `most` digits and nothing else; what `str::parse` also takes is a sign.
fn digits(text: &str, most: usize) -> Option<u64> {
    let plain = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// As far as a message shows it: it came from somebody else.
fn quoted(value: &str) -> String {
    const SHOWN: usize = 32;
    match value.char_indices().nth(SHOWN) {
        None => format!("{value:?}"),
        Some((end, _)) => format!("{:?}..", &value[..end]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_left_is_written_in_the_shortest_unit_that_has_room() {
        let written = [
            (Duration::ZERO, "0n", "0"),
            (Duration::from_nanos(99_999_999), "99999999n", "99"),
            (Duration::from_nanos(100_000_999), "100000u", "100"),
            (SECOND * 99, "99000000u", "99000"),
            (SECOND * 100, "100000m", "100000"),
            (SECOND * 100_000, "100000S", "100000000"),
            (SECOND * 600_000_000, "10000000M", "600000000000"),
            (Duration::MAX, "99999999H", "999999999999999"),
        ];
        for (left, as_grpc, as_http) in written {
            assert_eq!((&*grpc(left), &*http(left)), (as_grpc, as_http), "{left:?}");
        }
    }

    #[test]
    fn every_unit_is_read() {
        let read = [("1H", 3600 * SECOND), ("2M", 120 * SECOND), ("3S", 3 * SECOND), ("00000004m", SECOND / 250)];
        for (value, limit) in read {
            assert_eq!(parse_grpc(value), Some(limit), "{value}");
        }
        assert_eq!(parse_grpc("5u"), Some(Duration::from_micros(5)));
        assert_eq!(parse_grpc("6n"), Some(Duration::from_nanos(6)));
        assert_eq!(parse_grpc("99999999H"), Some(3600 * SECOND * 99_999_999));
    }

    #[test]
    fn a_bad_header_is_an_error_that_says_what_is_wrong_and_never_a_panic() {
        let long = "9".repeat(10_000);
        for value in
            ["", "S", "1", "-1S", "+1S", "1 S", " 1S", "1s", "1.5S", "123456789S", "1Sx", "1ü", "ü", "१S", &long]
        {
            let said = Deadline::from_grpc_timeout(value).unwrap_err().to_string();
            assert!(said.starts_with("the header `grpc-timeout` must be 1 to 8 digits"), "{said}");
            assert!(said.len() < 200, "{said}");
        }
        for value in ["", "-1", "+1", " 1", "1 ", "1.5", "1ms", "0x10", "1234567890123456", "१", &long] {
            let said = Deadline::from_header(value).unwrap_err().to_string();
            assert!(said.starts_with("the header `ft-timeout-ms` must be whole milliseconds"), "{said}");
            assert!(said.len() < 200, "{said}");
        }
        let said = Deadline::from_header("\u{1b}[2J").unwrap_err().to_string();
        assert!(said.ends_with(r#"not "\u{1b}[2J""#), "{said}");
    }

    #[tokio::test(start_paused = true)]
    async fn zero_and_a_deadline_that_has_passed_leave_nothing() {
        assert!(Deadline::from_header("0").unwrap().has_passed());
        assert!(Deadline::from_grpc_timeout("0H").unwrap().has_passed());
        let passed = Deadline::after(SECOND);
        tokio::time::advance(2 * SECOND).await;
        assert_eq!((passed.to_header(), passed.to_grpc_timeout()), ("0".into(), "0n".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_that_can_be_said_can_be_waited_for() {
        for deadline in [Deadline::from_header("999999999999999"), Deadline::from_grpc_timeout("99999999H")] {
            assert!(!deadline.unwrap().has_passed());
        }
    }

    proptest! {
        #[test]
        fn what_is_read_back_is_never_longer_and_loses_less_than_its_unit(secs in 0..u64::MAX >> 8, nanos in 0..1_000_000_000_u32) {
            let left = Duration::new(secs >> (nanos % 57), nanos);
            let back = parse_grpc(&grpc(left)).unwrap();
            prop_assert!(back <= left);
            if left.as_secs() < 3600 * 99_999_999 {
                // A unit has room for 100 000 of the next longer one at least.
                prop_assert!(left - back <= left / 100_000, "{left:?} {back:?}");
            }
            let back = Duration::from_millis(digits(&http(left), HTTP_DIGITS).unwrap());
            prop_assert!(back <= left);
            if left.as_secs() < 1_000_000_000_000 {
                prop_assert!(left - back < Duration::from_millis(1));
            }
        }

        #[test]
        fn nothing_that_comes_in_makes_it_panic(value in "\\PC*") {
            let _ = (Deadline::from_header(&value), Deadline::from_grpc_timeout(&value));
        }

        #[test]
        fn what_looks_like_a_header_is_one(count in 0..=99_999_999_u32, unit in "[HMSmun]") {
            let limit = parse_grpc(&format!("{count}{unit}")).unwrap();
            prop_assert!(parse_grpc(&grpc(limit)).unwrap() <= limit);
        }
    }
}
