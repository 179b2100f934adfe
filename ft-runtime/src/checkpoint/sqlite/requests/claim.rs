//! Claiming a run.

use rusqlite::{Connection, OptionalExtension, params};

use super::runs::{delete, forget, output_of, run_columns, run_record};
use super::steps::steps_of;
use super::{Ask, Executed, is_senseless, senseless};
use crate::checkpoint::error::StoreError;
use crate::checkpoint::record::{Claim, Claimed, Granted, RunStatus, UnixMillis};
use crate::checkpoint::sqlite::writer::Hands;
use crate::checkpoint::{KEPT_RUNS, PRUNED_AT_ONCE};

impl Ask for Claim {
    type Answer = Claimed;

    fn execute(&self, db: &Connection, hands: &mut Hands) -> Executed<Claimed> {
        let claimed = claim(self, db, hands)?;
        if let Ok(Claimed::Granted(granted)) = &claimed {
            match prune(db, self.at, &self.run, granted.token) {
                // Rows of other runs; they stay until they are deleted by hand.
                Err(error) if is_senseless(&error) => {}
                pruned => pruned?,
            }
            hands.grant(&self.run);
        }
        Ok(claimed)
    }

    fn settle(&self, answer: Result<&Claimed, &StoreError>, hands: &mut Hands) {
        if let Ok(Claimed::Granted(granted)) = answer {
            hands.hold(&self.run, granted.token);
        }
    }
}

fn claim(claim: &Claim, db: &Connection, hands: &Hands) -> Executed<Claimed> {
    let known = db
        .prepare_cached(concat!("SELECT ", run_columns!(), " FROM ft_run WHERE run = ?1"))?
        .query_row([&*claim.run], run_record)
        .optional()?;
    let Some(known) = known else {
        // Its steps without its row: somebody deletes it by hand before it may start from nothing.
        if !steps_of(db, &claim.run)?.is_empty() {
            return Err(senseless(format!("run `{}` has steps, and no row of its own", claim.run)));
        }
        let token = next_token(db, 0)?;
        db.prepare_cached(concat!(
            "INSERT INTO ft_run (run, function, version, status, owner, token, attempts, incarnation, created_at, ",
            "updated_at) VALUES (?1, ?2, ?3, 'running', ?4, ?5, 1, ?5, ?6, ?6)"
        ))?
        .execute(params![
            &*claim.run,
            &*claim.function,
            claim.version,
            hands.owner(),
            token as i64,
            claim.at
        ])?;
        return Ok(Ok(Claimed::Granted(Granted {
            token,
            attempts: 1,
            incarnation: token,
            recorded: 0,
            steps: Vec::new(),
        })));
    };
    let expired = known.expires_at.is_some_and(|at| at <= claim.at);
    if known.function != *claim.function && !expired {
        return Ok(Ok(Claimed::OtherFunction { recorded: known.function }));
    }
    let mut granted =
        Granted { token: known.token, attempts: 1, incarnation: known.incarnation, recorded: 0, steps: Vec::new() };
    let (mut created_at, mut starts_again) = (known.created_at, false);
    match known.status {
        RunStatus::Cancelled => return Ok(Ok(Claimed::Cancelled)),
        RunStatus::Finished => {
            if !claim.again && !expired {
                return Ok(Ok(Claimed::Finished(output_of(db, &claim.run)?.unwrap_or_default())));
            }
            created_at = claim.at;
            starts_again = true;
        }
        RunStatus::Running => {
            match hands.living(&claim.run, known.owner) {
                Ok(None) => {}
                Ok(Some(owner)) => return Ok(Ok(Claimed::Busy { owner })),
                Err(error) => return Ok(Err(error)),
            }
            if known.version != claim.version {
                return Ok(Ok(Claimed::OtherVersion { recorded: known.version }));
            }
            let more = known.attempts.checked_add(1);
            granted.attempts = more.ok_or_else(|| senseless(format!("run `{}` has no end of attempts", claim.run)))?;
            granted.recorded = known.steps;
            granted.steps = steps_of(db, &claim.run)?;
        }
    }
    granted.token = next_token(db, known.token)?;
    if starts_again {
        granted.incarnation = granted.token;
        forget(db, &claim.run)?;
    }
    db.prepare_cached(concat!(
        "UPDATE ft_run SET function = ?2, version = ?3, status = 'running', owner = ?4, token = ?5, attempts = ?6, ",
        "incarnation = ?7, output = NULL, created_at = ?8, updated_at = ?9, finished_at = NULL, expires_at = NULL, ",
        "steps = ?10 ",
        "WHERE run = ?1"
    ))?
    .execute(params![
        &*claim.run,
        &*claim.function,
        claim.version,
        hands.owner(),
        granted.token as i64,
        granted.attempts,
        granted.incarnation as i64,
        created_at,
        claim.at,
        granted.recorded as i64
    ])?;
    Ok(Ok(Claimed::Granted(granted)))
}

/// A token that was never granted before. `last` is one that was.
fn next_token(db: &Connection, last: u64) -> rusqlite::Result<u64> {
    let token: Option<i64> = db
        .prepare_cached("UPDATE ft_meta SET value = value + 1 WHERE name = 'token' RETURNING value")?
        .query_row([], |row| row.get(0))
        .optional()?;
    match token.map(u64::try_from) {
        Some(Ok(token)) if token > last => Ok(token),
        found => Err(senseless(format!("the last token of the store reads as {found:?}, and {last} was granted"))),
    }
}

/// Forgets runs whose time is over, and the oldest ones beyond the bound; a few at a time, on the way of a claim.
fn prune(db: &Connection, now: UnixMillis, claimed: &str, token: u64) -> rusqlite::Result<()> {
    let mut doomed: Vec<String> = db
        .prepare_cached("SELECT run FROM ft_run WHERE expires_at <= ?1 AND run <> ?2 LIMIT ?3")?
        .query_map(params![now, claimed, PRUNED_AT_ONCE as i64], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    // Counting takes time in proportion to what is kept, so it is done for one claim in so many.
    if token.is_multiple_of(PRUNED_AT_ONCE as u64) {
        let finished: i64 = db
            .prepare_cached("SELECT count(*) FROM ft_run WHERE finished_at IS NOT NULL")?
            .query_row([], |row| row.get(0))?;
        let excess = (finished - KEPT_RUNS as i64).max(0);
        let oldest = db
            .prepare_cached(
                "SELECT run FROM ft_run WHERE finished_at IS NOT NULL AND run <> ?1 ORDER BY finished_at LIMIT ?2",
            )?
            .query_map(params![claimed, excess], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<String>>>()?;
        doomed.extend(oldest);
    }
    doomed.iter().try_for_each(|run| delete(db, run).map(drop))
}
