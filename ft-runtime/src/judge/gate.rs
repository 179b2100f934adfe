//! A second say in whether a call may be made again.

use std::fmt;

use super::{Judgement, Verdict};
use crate::fault::FaultKind;
use crate::observe::GaveUp;

/// A judgement with a gate: what it would have made again is asked for there once more. Layers build one for each call,
/// where the request decides whether it may be repeated.
#[derive(Clone, Copy, Debug)]
pub struct Gated<J, G> {
    judge: J,
    gate: G,
}

impl<J, G> Gated<J, G> {
    /// Puts `gate` behind `judge`.
    pub const fn new(judge: J, gate: G) -> Self {
        Self { judge, gate }
    }
}

/// Knows whether a call may be made again at all, whatever its outcome is worth.
pub trait Gate {
    /// Why a call that failed like this must not be made again; `None` when it may.
    fn bars(&self, kind: FaultKind) -> Option<GaveUp>;
}

impl<T, E, J: Judgement<T, E>, G: Gate> Judgement<T, E> for Gated<J, G> {
    #[inline]
    fn settles(&self, outcome: &Result<T, E>) -> bool {
        self.judge.settles(outcome)
    }

    fn judge(&self, outcome: &Result<T, E>) -> Verdict {
        match self.judge.judge(outcome) {
            Verdict::Failed { again: true, kind, retry_after, refused, named, barred: None } => {
                Verdict::Failed { again: true, kind, retry_after, refused, named, barred: self.gate.bars(kind) }
            }
            verdict => verdict,
        }
    }

    fn describe(&self, outcome: &Result<T, E>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.judge.describe(outcome, f)
    }
}
