//! Claiming a run.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::retention::prune;
use super::runs::{forget, output_of, run_columns, run_record};
use super::steps::steps_of;
use super::{Ask, Executed, is_senseless, senseless};
use crate::checkpoint::error::StoreError;
use crate::checkpoint::record::{Claim, Claimed, Granted, RunStatus, millis};
use crate::checkpoint::sqlite::writer::Hands;

impl Ask for Claim {
    type Answer = Claimed;

    fn execute(&self, db: &Connection, hands: &mut Hands) -> Executed<Claimed> {
        let mut claimed = claim(self, db, hands)?;
        if let Ok(Claimed::Granted(granted)) = &mut claimed {
            match prune(self, granted.token, db, hands) {
                // Rows of other runs; they stay until they are deleted by hand.
                Err(error) if is_senseless(&error) => {}
                pruned => granted.forgotten = pruned?,
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
        if !steps_of(db, &claim.run, hands.values.files())?.is_empty() {
            return Err(senseless(format!("run `{}` has steps, and no row of its own", claim.run)));
        }
        let token = next_token(db, 0)?;
        let input = match input_to_store(claim, hands) {
            Ok(input) => input,
            Err(error) => return Ok(Err(error)),
        };
        db.prepare_cached(concat!(
            "INSERT INTO ft_run (run, function, version, status, owner, token, attempts, incarnation, created_at, ",
            "updated_at, keep_unfinished, arguments, input) VALUES (?1, ?2, ?3, 'running', ?4, ?5, 1, ?5, ?6, ?6, ?7, ?8, ?9)"
        ))?
        .execute(params![
            &*claim.run,
            &*claim.function,
            claim.version,
            hands.owner(),
            token as i64,
            claim.at,
            keep(claim),
            claim.arguments.to_bytes(),
            input.as_deref()
        ])?;
        name_input(db, claim, input.as_deref(), hands)?;
        let started = Granted { created_at: claim.at, ..Granted::new(token, 1, token, 0, Vec::new()) };
        return Ok(Ok(Claimed::Granted(started)));
    };
    let expired = known.expires_at.is_some_and(|at| at <= claim.at);
    if known.function != *claim.function && !expired {
        return Ok(Ok(Claimed::OtherFunction { recorded: known.function }));
    }
    let mut granted = Granted::new(known.token, 1, known.incarnation, 0, Vec::new());
    let (mut created_at, mut starts_again, mut arguments) = (known.created_at, false, &claim.arguments);
    let mut recoveries = known.recoveries;
    match known.status {
        RunStatus::Cancelled => return Ok(Ok(Claimed::Cancelled)),
        RunStatus::Parked => return Ok(Ok(Claimed::Parked { recoveries: known.recoveries, now: false })),
        RunStatus::Finished => {
            if !claim.again && !expired {
                if let Some(refused) = claim.differing(&known.arguments) {
                    return Ok(Ok(refused));
                }
                return Ok(Ok(Claimed::Finished(output_of(db, &claim.run, hands.values.files())?.unwrap_or_default())));
            }
            created_at = claim.at;
            starts_again = true;
            recoveries = 0;
        }
        RunStatus::Running => {
            // Of another process; one of ours is a release that could not be written.
            let taken_over = known.owner.as_ref().is_some_and(|owner| owner != hands.owner());
            match hands.living(&claim.run, known.owner) {
                Ok(None) => {}
                Ok(Some(owner)) => return Ok(Ok(Claimed::Busy { owner })),
                Err(error) => return Ok(Err(error)),
            }
            if !claim.continues(known.version) {
                return Ok(Ok(Claimed::OtherVersion { recorded: known.version }));
            }
            if let Some(refused) = claim.differing(&known.arguments) {
                return Ok(Ok(refused));
            }
            if !known.arguments.is_empty() {
                arguments = &known.arguments;
            }
            if taken_over {
                if recoveries >= claim.max_recoveries {
                    park(db, &claim.run)?;
                    return Ok(Ok(Claimed::Parked { recoveries, now: true }));
                }
                recoveries += 1;
            }
            let more = known.attempts.checked_add(1);
            granted.attempts = more.ok_or_else(|| senseless(format!("run `{}` has no end of attempts", claim.run)))?;
            granted.recorded = known.steps;
            granted.steps = steps_of(db, &claim.run, hands.values.files())?;
        }
    }
    granted.token = next_token(db, known.token)?;
    granted.created_at = created_at;
    if starts_again {
        granted.incarnation = granted.token;
        forget(db, &claim.run, &hands.values)?;
    }
    let input = match if starts_again || known.input_len.is_none() { input_to_store(claim, hands) } else { Ok(None) } {
        Ok(input) => input,
        Err(error) => return Ok(Err(error)),
    };
    db.prepare_cached(concat!(
        "UPDATE ft_run SET function = ?2, version = ?3, status = 'running', owner = ?4, token = ?5, attempts = ?6, ",
        "incarnation = ?7, output = NULL, created_at = ?8, updated_at = ?9, finished_at = NULL, expires_at = NULL, ",
        "steps = ?10, keep_unfinished = ?11, arguments = ?12, recoveries = ?13, ",
        "interrupted = 0, input = iif(?14, ?15, coalesce(input, ?15)) WHERE run = ?1"
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
        granted.recorded as i64,
        keep(claim),
        arguments.to_bytes(),
        recoveries,
        starts_again,
        input.as_deref()
    ])?;
    name_input(db, claim, input.as_deref(), hands)?;
    Ok(Ok(Claimed::Granted(granted)))
}

/// The recorded arguments, as they stand in the row. Written to a file only here, where it is known that they are needed.
fn input_to_store(claim: &Claim, hands: &Hands) -> Result<Option<Arc<[u8]>>, StoreError> {
    let mut input = claim.input.clone();
    input.as_mut().map_or(Ok(()), |input| hands.values.keep_now(input))?;
    Ok(input)
}

fn name_input(db: &Connection, claim: &Claim, input: Option<&[u8]>, hands: &Hands) -> rusqlite::Result<()> {
    input.map_or(Ok(()), |input| hands.values.named(db, &claim.run, input))
}

/// Keeps a run from being claimed until somebody lets it go on.
fn park(db: &Connection, run: &str) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE ft_run SET status = 'parked', owner = NULL WHERE run = ?1")?.execute([run]).map(drop)
}

/// How long the run is kept while it is not finished, in a number to which a time of day can be added.
fn keep(claim: &Claim) -> i64 {
    millis(claim.keep_unfinished).min(i64::MAX / 4)
}

/// A token that was never granted before. `last` is one that was.
pub(super) fn next_token(db: &Connection, last: u64) -> rusqlite::Result<u64> {
    let token: Option<i64> = db
        .prepare_cached("UPDATE ft_meta SET value = value + 1 WHERE name = 'token' RETURNING value")?
        .query_row([], |row| row.get(0))
        .optional()?;
    match token.map(u64::try_from) {
        Some(Ok(token)) if token > last => Ok(token),
        found => Err(senseless(format!("the last token of the store reads as {found:?}, and {last} was granted"))),
    }
}
