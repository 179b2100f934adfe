//! What pools and lists of functions have in common: members with a health, and which of them is asked next.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::health::{Change, Health, Monitor, Pass, Rules, Standing};
use crate::observe::{self, What};
use crate::site::Site;
use crate::sync::{Mutex, lock};
use crate::time;

/// A number of members that take each other's place. Implemented here alone.
pub trait Roster: sealed::Sealed {}

pub(crate) mod sealed {
    use super::{Common, Monitor};

    /// The members, in the order of preference. Their number does not change while somebody holds the roster.
    #[allow(unreachable_pub, reason = "seals a public trait")]
    pub trait Sealed {
        fn len(&self) -> usize;
        fn name(&self, index: usize) -> &str;
        fn monitor(&self, index: usize) -> &Monitor;
        fn common(&self) -> &Common;
    }
}

/// One target as [`Pool::snapshot`](crate::Pool::snapshot) shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TargetStatus {
    /// Its name.
    pub name: String,
    /// Its tier; 0 is asked first.
    pub tier: u8,
    /// How it is doing.
    pub health: Health,
}

/// What the members share.
#[derive(Debug)]
pub struct Common {
    /// Held while a failure is counted that may eject: two targets that fail at once must not both take the other for
    /// the one that stays.
    ejecting: Mutex<()>,
    /// Who answered last after somebody else had failed.
    favourite: AtomicUsize,
}

impl Common {
    pub(crate) const fn new() -> Self {
        Self { ejecting: Mutex::new(()), favourite: AtomicUsize::new(0) }
    }

    pub(crate) fn favourite(&self) -> usize {
        self.favourite.load(Ordering::Relaxed)
    }

    pub(crate) fn set_favourite(&self, index: usize) {
        if self.favourite() != index {
            self.favourite.store(index, Ordering::Relaxed);
        }
    }
}

/// The members that were asked in one call. Up to 64 cost nothing; more allocate, at the first failure.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    first: u64,
    more: Vec<u64>,
}

impl Asked {
    pub(crate) fn contains(&self, index: usize) -> bool {
        let (word, bit) = (index / 64, 1 << (index % 64));
        match word {
            0 => self.first & bit != 0,
            _ => self.more.get(word - 1).is_some_and(|word| word & bit != 0),
        }
    }

    #[inline]
    pub(crate) fn insert(&mut self, index: usize) {
        if index < 64 {
            self.first |= 1 << index;
        } else {
            self.insert_beyond(index);
        }
    }

    #[cold]
    fn insert_beyond(&mut self, index: usize) {
        let (word, bit) = (index / 64, 1 << (index % 64));
        if self.more.len() < word {
            self.more.resize(word, 0);
        }
        self.more[word - 1] |= bit;
    }
}

/// The answer to "who is next?".
#[derive(Debug)]
pub(crate) enum Pick {
    /// This one, with the leave to ask it.
    Member(usize, Pass),
    /// There are some, but none is ready to be asked.
    NotReady,
    /// There is nobody left.
    Nobody,
}

/// Who is asked next: the first in order who is healthy, or whose probation begins or is free; then one that is
/// warming up out of turn; then, if fewer than half are healthy, everybody but the disabled.
///
/// `ready` is asked before anybody is picked, at most once for each member.
pub(crate) fn pick<S: Roster>(
    roster: &S,
    asked: &Asked,
    first: Option<usize>,
    rules: Rules,
    site: Option<&Site>,
    mut ready: impl FnMut(usize) -> bool,
) -> Pick {
    let mut polled = Asked::default();
    let mut unready = false;
    // The usual case: the one at the head is up.
    let head = first.unwrap_or(0);
    if head < roster.len()
        && !asked.contains(head)
        && let Some(pass) = roster.monitor(head).admit_at_once()
    {
        if ready(head) {
            return Pick::Member(head, pass);
        }
        polled.insert(head);
        unready = true;
    }
    let mut offer = |index: usize, leave: &mut dyn FnMut(&Monitor) -> Option<Pass>, would: bool| -> Option<Pass> {
        if asked.contains(index) || polled.contains(index) || !would {
            return None;
        }
        if !ready(index) {
            polled.insert(index);
            unready = true;
            return None;
        }
        // Another call may have taken the leave meanwhile.
        leave(roster.monitor(index))
    };

    for index in 0..roster.len() {
        let monitor = roster.monitor(index);
        let pass = match monitor.standing() {
            Standing::Up | Standing::Suspect => offer(index, &mut Monitor::admit_at_once, true),
            Standing::Out | Standing::Warming => {
                let now = time::now();
                let would = monitor.would_admit(rules, now);
                let mut admit = |monitor: &Monitor| {
                    let (pass, change) = monitor.admit(rules, now);
                    tell(site, roster.name(index), change);
                    pass
                };
                let pass = offer(index, &mut admit, would);
                if !would && monitor.standing() == Standing::Warming {
                    // Its turn comes by being passed over.
                    monitor.admit(rules, now);
                }
                pass
            }
            Standing::Draining | Standing::Disabled => None,
        };
        if let Some(pass) = pass {
            return Pick::Member(index, pass);
        }
    }
    let panic = in_panic(roster);
    for wanted in [Standing::Warming, Standing::Out, Standing::Draining] {
        for index in 0..roster.len() {
            if roster.monitor(index).standing() == wanted
                && (wanted == Standing::Warming || panic)
                && let Some(pass) = offer(index, &mut Monitor::force, true)
            {
                return Pick::Member(index, pass);
            }
        }
    }
    if unready { Pick::NotReady } else { Pick::Nobody }
}

/// Are fewer than half of the members healthy? Those set aside by hand do not count.
fn in_panic<S: Roster>(roster: &S) -> bool {
    let (mut healthy, mut out) = (0usize, 0usize);
    for index in 0..roster.len() {
        match roster.monitor(index).standing() {
            standing if standing.is_healthy() => healthy += 1,
            Standing::Out => out += 1,
            _ => {}
        }
    }
    healthy < out || healthy == 0
}

/// Counts a failure against a member, and ejects it if it is time and somebody else is there.
pub(crate) fn count_failure<S: Roster>(roster: &S, index: usize, pass: Pass, rules: Rules, site: Option<&Site>) {
    let change = {
        let _one_at_a_time = lock(&roster.common().ejecting);
        let others = (0..roster.len()).filter(|other| *other != index);
        let last = !others.into_iter().any(|other| roster.monitor(other).standing().is_healthy());
        roster.monitor(index).failed(pass, rules, last)
    };
    tell(site, roster.name(index), change);
}

/// Tells everybody of a change of health.
pub(crate) fn tell(site: Option<&Site>, target: &str, change: Option<Change>) {
    if let Some(Change { from, to }) = change {
        observe::emit(site, "failover", What::Health { target, from, to });
    }
}

/// Why a name cannot be one, if so.
pub(crate) const fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("the name of a target must not be empty");
    }
    if name.len() > LONGEST_NAME {
        return Err("the name of a target must not be longer than 128 bytes");
    }
    Ok(())
}

/// In bytes: names label metrics and events.
const LONGEST_NAME: usize = 128;
/// How many members a roster has at the most.
pub(crate) const MOST_MEMBERS: usize = 1024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::sealed::Sealed;
    use super::*;
    use crate::pool::Targets;

    const RULES: Rules = Rules { eject_after: 1, eject_for: Duration::from_secs(5), warm_for: Duration::from_secs(30) };

    /// Case 54.
    #[test]
    fn two_targets_that_fail_at_the_same_moment_do_not_eject_each_other() {
        let all: Vec<Targets<2>> = (0..2_000).map(|_| Targets::new(["a", "b"])).collect();
        let rounds: Vec<&Targets<2>> = all.iter().collect();
        let arrived = AtomicUsize::new(0);
        let fail = |index: usize| {
            for (round, targets) in rounds.iter().enumerate() {
                let pass = targets.monitor(index).admit_at_once().expect("it is up");
                arrived.fetch_add(1, Ordering::SeqCst);
                while arrived.load(Ordering::SeqCst) < 2 * (round + 1) {
                    std::hint::spin_loop();
                }
                count_failure(targets, index, pass, RULES, None);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| fail(0));
            fail(1);
        });
        for targets in &rounds {
            let healthy = (0..2).filter(|index| targets.monitor(*index).standing().is_healthy()).count();
            assert_eq!(healthy, 1);
        }
    }

    #[test]
    fn a_member_is_asked_once_however_many_there_are() {
        let mut asked = Asked::default();
        for index in [0, 63, 64, 127, 128, 1023] {
            assert!(!asked.contains(index));
            asked.insert(index);
            assert!(asked.contains(index) && !asked.contains(index + 1), "{index}");
        }
    }
}
