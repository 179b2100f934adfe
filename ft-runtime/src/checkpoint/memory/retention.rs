//! Forgetting runs: by itself on the way of a claim, and when somebody asks for it.

use super::Shared;
use crate::checkpoint::record::{Collected, Excess, Forgotten, Gc, RunRecord, RunStatus, UnixMillis};
use crate::checkpoint::{KEPT_RUNS, PRUNED_AT_ONCE};

impl Shared {
    pub(super) fn prune(&mut self, now: UnixMillis, claimed: &str) -> Vec<Forgotten> {
        let mut doomed = Vec::new();
        for ended in [true, false] {
            let mut kind: Vec<&RunRecord> =
                self.others(claimed).filter(|run| run.finished_at.is_some() == ended).collect();
            kind.sort_by_key(|run| run.finished_at.unwrap_or(run.updated_at));
            let excess = (kind.len() + 1).saturating_sub(KEPT_RUNS).min(2 * PRUNED_AT_ONCE);
            let over = kind.iter().filter(|run| run.is_over(now)).take(PRUNED_AT_ONCE).map(|run| (*run, Excess::Age));
            let oldest = kind.iter().take(excess).map(|run| (*run, Excess::Number));
            doomed.extend(over.chain(oldest).map(|(run, why)| Forgotten::new(&*run.run, run.status, why)));
        }
        doomed.retain(|forgotten| {
            self.living_owner(&forgotten.run).is_none() && self.runs.remove(&forgotten.run).is_some()
        });
        doomed
    }

    fn others(&self, than: &str) -> impl Iterator<Item = &RunRecord> {
        self.runs.values().map(|run| &run.record).filter(move |run| run.run != than)
    }

    pub(super) fn gc(&mut self, gc: &Gc) -> Collected {
        let mut doomed = Vec::new();
        for status in RunStatus::ALL.into_iter().filter(|status| gc.only.is_none_or(|only| only == *status)) {
            let mut kind: Vec<&RunRecord> =
                self.others("").filter(|run| run.status == status && run.run.starts_with(&gc.prefix)).collect();
            kind.sort_by(|a, b| (b.updated_at, &b.run).cmp(&(a.updated_at, &a.run)));
            for (newer, run) in kind.into_iter().enumerate() {
                let old = gc.touched_before(status).is_some_and(|before| run.updated_at <= before);
                let too_many = gc.number(status).is_some_and(|number| newer >= number as usize);
                if (old || too_many || run.is_over(gc.at)) && self.living_owner(&run.run).is_none() {
                    doomed.push(run.clone());
                }
            }
        }
        let collected = Collected::of(doomed, gc.limit);
        if !gc.dry_run {
            collected.runs.iter().for_each(|run| drop(self.runs.remove(&run.run)));
        }
        collected
    }
}
