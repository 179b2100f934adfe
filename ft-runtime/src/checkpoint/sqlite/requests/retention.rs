//! Forgetting runs: by itself on the way of a claim, and when somebody asks for it.

use rusqlite::{Connection, Row, params};

use super::runs::{delete, run_columns, run_record};
use super::{Ask, Executed, senseless};
use crate::checkpoint::record::{Claim, Collected, Excess, Forgotten, Gc, RunStatus};
use crate::checkpoint::sqlite::writer::Hands;
use crate::checkpoint::{KEPT_RUNS, PRUNED_AT_ONCE};

/// When a run that is not finished may be forgotten.
macro_rules! over {
    () => {
        "finished_at IS NULL AND updated_at + keep_unfinished"
    };
}

/// Forgets runs whose time is over, and the oldest ones beyond the bound; a few at a time, on the way of a claim.
pub(super) fn prune(claim: &Claim, token: u64, db: &Connection, hands: &Hands) -> rusqlite::Result<Vec<Forgotten>> {
    let doomed = |sql, number: i64, why| -> rusqlite::Result<Vec<(Doomed, Excess)>> {
        let mut found = db.prepare_cached(sql)?;
        let found = found.query_map(params![&*claim.run, claim.at, number], Doomed::read)?;
        found.map(|doomed| Ok((doomed?, why))).collect()
    };
    let few = PRUNED_AT_ONCE as i64;
    let mut all = doomed(
        "SELECT run, status, owner FROM ft_run WHERE expires_at <= ?2 AND finished_at IS NOT NULL AND run <> ?1 LIMIT ?3",
        few,
        Excess::Age,
    )?;
    all.extend(doomed(
        concat!("SELECT run, status, owner FROM ft_run WHERE ", over!(), " <= ?2 AND run <> ?1 LIMIT ?3"),
        few,
        Excess::Age,
    )?);
    // Counting takes time in proportion to what is kept, so it is done for one claim in so many.
    if token.is_multiple_of(PRUNED_AT_ONCE as u64) {
        let excess = |sql| -> rusqlite::Result<i64> {
            let number: i64 = db.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
            Ok((number - KEPT_RUNS as i64).clamp(0, 2 * few))
        };
        let ended = excess("SELECT count(*) FROM ft_run WHERE finished_at IS NOT NULL")?;
        all.extend(doomed(
            "SELECT run, status, owner FROM ft_run WHERE finished_at IS NOT NULL AND run <> ?1 AND ?2 <> 0 \
             ORDER BY finished_at LIMIT ?3",
            ended,
            Excess::Number,
        )?);
        let unfinished = excess("SELECT count(*) FROM ft_run WHERE finished_at IS NULL")?;
        all.extend(doomed(
            concat!(
                "SELECT run, status, owner FROM ft_run WHERE finished_at IS NULL AND run <> ?1 AND ?2 <> 0 ",
                "ORDER BY updated_at + keep_unfinished LIMIT ?3"
            ),
            unfinished,
            Excess::Number,
        )?);
    }
    let mut forgotten = Vec::new();
    for (Doomed { run, status, owner }, why) in all {
        // Where it cannot be told whether its owner lives, nothing is forgotten.
        if matches!(hands.living(&run, owner), Ok(None)) && delete(db, &run, &hands.values)? {
            forgotten.push(Forgotten { run, status, why });
        }
    }
    Ok(forgotten)
}

/// A run that may go.
struct Doomed {
    run: String,
    status: RunStatus,
    owner: Option<String>,
}

impl Doomed {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let status = row.get_ref(1)?.as_str()?;
        let status = RunStatus::from_name(status).ok_or_else(|| senseless(format!("unknown status `{status}`")))?;
        Ok(Self { run: row.get(0)?, status, owner: row.get(2)? })
    }
}

impl Ask for Gc {
    type Answer = Collected;

    fn execute(&self, db: &Connection, hands: &mut Hands) -> Executed<Collected> {
        let mut doomed = Vec::new();
        let mut choose = |condition: &str, number: i64| -> rusqlite::Result<()> {
            let mut found = db.prepare_cached(&format!(
                concat!(
                    "SELECT ",
                    run_columns!(),
                    " FROM ft_run WHERE run >= ?1 AND substr(run, 1, length(?1)) = ?1 ",
                    "AND (?3 IS NULL OR status = ?3) AND {}"
                ),
                condition
            ))?;
            let mut chosen = 0;
            for run in found.query_map(params![self.prefix, number, self.only.map(RunStatus::as_str)], run_record)? {
                let run = run?;
                if chosen > self.limit {
                    break;
                }
                // Where it cannot be told whether its owner lives, nothing is deleted.
                if matches!(hands.living(&run.run, run.owner.clone()), Ok(None)) {
                    doomed.push(run);
                    chosen += 1;
                }
            }
            Ok(())
        };
        choose("finished_at IS NOT NULL AND expires_at <= ?2 ORDER BY updated_at, run", self.at)?;
        choose(concat!(over!(), " <= ?2 ORDER BY updated_at, run"), self.at)?;
        for status in RunStatus::ALL {
            let name = status.as_str();
            if let Some(before) = self.touched_before(status) {
                choose(&format!("status = '{name}' AND updated_at <= ?2 ORDER BY updated_at, run"), before)?;
            }
            if let Some(number) = self.number(status) {
                let stay = "SELECT run FROM ft_run WHERE run >= ?1 AND substr(run, 1, length(?1)) = ?1";
                let newest = format!(
                    "status = '{name}' AND run NOT IN ({stay} AND status = '{name}' \
                     ORDER BY updated_at DESC, run DESC LIMIT ?2) ORDER BY updated_at, run"
                );
                choose(&newest, number.into())?;
            }
        }
        let collected = Collected::of(doomed, self.limit);
        if !self.dry_run {
            collected.runs.iter().try_for_each(|run| delete(db, &run.run, &hands.values).map(drop))?;
            hands.values.ask_to_sweep();
        }
        Ok(Ok(collected))
    }
}
