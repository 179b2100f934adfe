//! Which attempt a body is running.

/// Which attempt of a call is being made.
///
/// A body asks for it with a parameter that the caller does not pass:
///
/// ```
/// use ft_runtime::{Attempt, retry};
///
/// #[retry(max_attempts = 3, on = _)]
/// fn flaky(attempt: Attempt, name: &str) -> Result<String, String> {
///     if attempt.number() < 3 { Err("not yet".into()) } else { Ok(format!("{name}, attempt {}", attempt.number())) }
/// }
///
/// # let _time = ft_runtime::testing::VirtualTime::start();
/// assert_eq!(flaky("hello").unwrap(), "hello, attempt 3");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt {
    number: u32,
}

impl Attempt {
    pub(crate) const FIRST: Self = Self { number: 1 };

    /// The number of the attempt, counted from 1.
    #[inline]
    pub const fn number(self) -> u32 {
        self.number
    }

    /// Is it a repetition?
    #[inline]
    pub const fn is_retry(self) -> bool {
        self.number > 1
    }

    pub(crate) const fn next(self) -> Self {
        Self { number: self.number.saturating_add(1) }
    }
}
