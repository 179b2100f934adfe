//! Giving a run back, and finding those that nobody executes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, params};

use super::runs::{run_columns, run_record};
use super::{Ask, Executed, fence, is_senseless};
use crate::checkpoint::error::StoreError;
use crate::checkpoint::record::{Abandoned, Lease, Left, RunRecord, UnixMillis};
use crate::checkpoint::sqlite::writer::Hands;

/// Gives a claim back.
pub(in crate::checkpoint::sqlite) struct Release {
    pub(in crate::checkpoint::sqlite) lease: Lease,
    pub(in crate::checkpoint::sqlite) at: UnixMillis,
    pub(in crate::checkpoint::sqlite) left: Left,
}

impl Ask for Release {
    type Answer = ();

    fn execute(&self, db: &Connection, hands: &mut Hands) -> Executed<()> {
        let Lease { run, token } = &self.lease;
        db.prepare_cached(concat!(
            "UPDATE ft_run SET owner = NULL, interrupted = ?5, recoveries = iif(?5, recoveries, 0), ",
            "updated_at = max(updated_at, ?4) WHERE ",
            fence!()
        ))?
        .execute(params![&**run, *token as i64, hands.owner(), self.at, self.left == Left::Interrupted])?;
        Ok(Ok(()))
    }

    /// Given back even if that could not be written: the run is not in our hands, whatever the row says.
    fn settle(&self, _: Result<&(), &StoreError>, hands: &mut Hands) {
        hands.let_go(&self.lease.run, self.lease.token);
    }
}

impl Ask for Abandoned {
    type Answer = Vec<RunRecord>;

    fn execute(&self, db: &Connection, hands: &mut Hands) -> Executed<Vec<RunRecord>> {
        let (at, run) = self.after.as_ref().map_or((i64::MIN, ""), |(at, run)| (*at, run));
        // The condition of the index `ft_run_left`: runs that failed, of which there may be many, are not in it.
        let mut found = db.prepare_cached(concat!(
            "SELECT ",
            run_columns!(),
            " FROM ft_run WHERE finished_at IS NULL AND (owner IS NOT NULL OR interrupted) ",
            "AND (updated_at, run) > (?1, ?2) ORDER BY updated_at, run"
        ))?;
        let mut found = found.query(params![at, run])?;
        let (mut left, mut owners) = (Vec::new(), HashMap::new());
        while left.len() < self.limit as usize
            && let Some(row) = found.next()?
        {
            let run = match run_record(row) {
                Ok(run) => run,
                // Others wait to go on; whoever asks for this one is told.
                Err(error) if is_senseless(&error) => continue,
                Err(error) => return Err(error),
            };
            if !self.asks_for(&run) {
                continue;
            }
            let lives = match &run.owner {
                None => false,
                Some(owner) if owner == hands.owner() => hands.holds(&run.run),
                Some(owner) => match owners.entry(owner.clone()) {
                    Entry::Occupied(known) => *known.get(),
                    // Where it cannot be told, nothing is taken over.
                    Entry::Vacant(new) => {
                        let living = hands.living(&run.run, run.owner.clone());
                        *new.insert(!matches!(living, Ok(None)))
                    }
                },
            };
            if !lives {
                left.push(run);
            }
        }
        Ok(Ok(left))
    }
}
