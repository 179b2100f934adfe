//! What a check of a store has found.

use std::fmt;

/// A defect that a check of a store has found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Finding {
    /// The run; `None` if it is the store itself.
    pub run: Option<String>,
    /// What of the run: a step, a version of a state, the output; `None` if it is the run itself.
    pub at: Option<String>,
    /// What is wrong with it.
    pub what: String,
}

impl Finding {
    /// A defect of a run, or of the store.
    pub fn new(run: Option<String>, at: Option<String>, what: impl Into<String>) -> Self {
        Self { run, at, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = &self.at {
            write!(f, "{at}: ")?;
        }
        f.write_str(&self.what)
    }
}
