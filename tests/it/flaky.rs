//! Something that fails as it is told to.

use std::time::Duration;

use ft_runtime::{Fault, FaultKind, Rejected};

/// An error of every kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Wrong {
    Passing,
    ForGood,
    NeverSent,
    Busy(Option<Duration>),
    Refused(Duration),
}

impl Fault for Wrong {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Passing => FaultKind::Transient,
            Self::ForGood => FaultKind::Permanent,
            Self::NeverSent | Self::Refused(_) => FaultKind::Unsent,
            Self::Busy(retry_after) => FaultKind::Throttled { retry_after: *retry_after },
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy(retry_after) => *retry_after,
            Self::Refused(retry_after) => Some(*retry_after),
            _ => None,
        }
    }

    fn rejected(&self) -> Option<&Rejected> {
        const REFUSED: &Rejected = &Rejected::BulkheadFull;
        matches!(self, Self::Refused(_)).then_some(REFUSED)
    }

    fn describe(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Passing => "Wrong::Passing",
            Self::ForGood => "Wrong::ForGood",
            Self::NeverSent => "Wrong::NeverSent",
            Self::Busy(_) => "Wrong::Busy",
            Self::Refused(_) => "Wrong::Refused",
        })
    }
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Wrong {}

/// A script with these errors.
#[derive(Clone, Debug)]
pub struct Script(ft_runtime::testing::Script<u32, Wrong>);

impl Script {
    pub fn new(outcomes: impl IntoIterator<Item = Result<u32, Wrong>>) -> Self {
        Self(ft_runtime::testing::Script::new(outcomes))
    }

    pub fn always(wrong: Wrong) -> Self {
        Self::new([Err(wrong)])
    }

    pub fn play(&self) -> Result<u32, Wrong> {
        self.0.play()
    }

    pub fn calls(&self) -> u32 {
        self.0.calls()
    }
}
