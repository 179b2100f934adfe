//! The fault log: what went wrong at a site, kept short.

use std::time::SystemTime;

use crate::fault::FaultKind;

/// How many different faults a site remembers; the one seen longest ago goes first.
const KEPT: usize = 16;

/// The last faults of one site. Equal faults are counted together.
#[derive(Debug)]
pub(crate) struct FaultLog {
    entries: Vec<FaultEntry>,
}

/// One kind of fault at one site.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultEntry {
    /// The policy that saw it, `"retry"` for example.
    pub policy: &'static str,
    /// What kind of failure it is.
    pub kind: FaultKind,
    /// What the error says of itself ([`Fault::describe`](crate::Fault::describe)), cut at 256 bytes.
    pub what: String,
    /// How often it was seen.
    pub count: u64,
    /// The highest attempt, counted from 1, that ended in it.
    pub attempt: u32,
    /// How often the caller got it because the policy had no further attempt to give.
    pub given_up: u64,
    /// When it was first seen, by the wall clock.
    pub first: SystemTime,
    /// When it was last seen, by the wall clock.
    pub last: SystemTime,
}

/// One fault on its way into the log.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) policy: &'static str,
    pub(crate) kind: FaultKind,
    pub(crate) what: &'a str,
    pub(crate) attempt: u32,
    pub(crate) given_up: bool,
}

impl FaultLog {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    pub(crate) fn entries(&self) -> Vec<FaultEntry> {
        self.entries.clone()
    }

    pub(crate) fn record(&mut self, seen: &Seen<'_>, now: SystemTime) {
        let same = |entry: &FaultEntry| {
            entry.policy == seen.policy && entry.kind.as_str() == seen.kind.as_str() && entry.what == seen.what
        };
        // The newest is last, and most likely the one that is seen again.
        match self.entries.iter().rposition(same) {
            Some(at) => self.entries[at..].rotate_left(1),
            None => {
                if self.entries.len() == KEPT {
                    self.entries.remove(0);
                }
                self.entries.push(FaultEntry {
                    policy: seen.policy,
                    kind: seen.kind,
                    what: seen.what.to_owned(),
                    count: 0,
                    attempt: 0,
                    given_up: 0,
                    first: now,
                    last: now,
                });
            }
        }
        if let Some(entry) = self.entries.last_mut() {
            entry.kind = seen.kind;
            entry.count += 1;
            entry.attempt = entry.attempt.max(seen.attempt);
            entry.given_up += u64::from(seen.given_up);
            entry.last = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(what: &str) -> Seen<'_> {
        Seen { policy: "retry", kind: FaultKind::Transient, what, attempt: 1, given_up: false }
    }

    #[test]
    fn equal_faults_are_counted_together_and_the_log_is_bounded() {
        let mut log = FaultLog::new();
        for round in 0..3 {
            for fault in 0..=KEPT {
                log.record(&seen(&format!("fault {fault}")), SystemTime::UNIX_EPOCH);
            }
            assert_eq!(log.entries().len(), KEPT, "round {round}");
        }
        let mut log = FaultLog::new();
        log.record(&seen("reset"), SystemTime::UNIX_EPOCH);
        log.record(&Seen { attempt: 4, given_up: true, ..seen("reset") }, SystemTime::UNIX_EPOCH);
        let entry = &log.entries()[0];
        assert_eq!((entry.count, entry.attempt, entry.given_up), (2, 4, 1));
    }
}
