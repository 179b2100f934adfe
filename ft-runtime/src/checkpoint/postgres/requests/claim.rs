//! Claiming a run.
//!
//! Looked at without a lock, decided here, and written under the condition that nothing has changed in between. The write
//! locks the row, so what is read after it is all that the claims before have recorded.

use futures_util::future::join;
use tokio_postgres::types::ToSql;

use super::retention::prune;
use super::rows::{RUN_COLUMNS, count, lives, run_columns, run_record, steps_of};
use crate::checkpoint::arguments::Arguments;
use crate::checkpoint::postgres::hold::Hold;
use crate::checkpoint::postgres::session::{Session, Trouble, read};
use crate::checkpoint::record::{Claim, Claimed, Granted, RunRecord, RunStatus};

/// How often a claim looks again after others were quicker.
const LOOKS: usize = 16;

/// `$1` run, `$2` function, `$3` version, `$4` owner, `$5` time, `$6` how long it is kept, `$7` fingerprints of its
/// arguments, `$8` its arguments. Steps without
/// their run's row are damage, and are left for somebody to look at.
const START: &str = "
INSERT INTO ft_run (run, function, version, status, owner, token, attempts, incarnation, created_at, updated_at,
    keep_unfinished, arguments, input)
SELECT $1, $2, $3, 'running', $4, token, 1, token, $5, $5, $6, $7, $8
FROM (SELECT nextval('ft_token') AS token
      WHERE NOT EXISTS (SELECT FROM ft_run WHERE run = $1) AND NOT EXISTS (SELECT FROM ft_step WHERE run = $1)
      OFFSET 0) next
ON CONFLICT (run) DO NOTHING RETURNING token";

/// `$1` run, `$2` its last token, `$3` its last owner, `$4` owner, `$5` time, `$6` how long it is kept, `$7`
/// fingerprints of its arguments, `$8` recoveries, `$9` its arguments,
/// `$10` version.
const RESUME: &str = "
WITH next AS MATERIALIZED (SELECT nextval('ft_token') AS token)
UPDATE ft_run r SET owner = $4, token = next.token, attempts = r.attempts + 1, updated_at = $5, keep_unfinished = $6,
    arguments = $7, recoveries = $8, interrupted = false, input = coalesce(r.input, $9),
    version = $10
FROM next
WHERE r.run = $1 AND r.token = $2 AND r.owner IS NOT DISTINCT FROM $3 AND r.status = 'running'
RETURNING r.token, r.attempts, r.incarnation, r.steps";

/// As [`START`], with `$9` its last token.
const RESTART: &str = "
WITH next AS MATERIALIZED (SELECT nextval('ft_token') AS token),
again AS (
    UPDATE ft_run r SET function = $2, version = $3, status = 'running', owner = $4, token = next.token, attempts = 1,
        incarnation = next.token, output = NULL, created_at = $5, updated_at = $5, finished_at = NULL,
        expires_at = NULL, steps = 0, keep_unfinished = $6, arguments = $7, recoveries = 0,
        interrupted = false, input = $8
    FROM next WHERE r.run = $1 AND r.token = $9 AND (r.finished_at IS NOT NULL OR r.status = 'cancelled')
    RETURNING r.run, r.token),
steps AS (DELETE FROM ft_step s USING again WHERE s.run = again.run),
states AS (DELETE FROM ft_state s USING again WHERE s.run = again.run)
SELECT token FROM again";

/// `$1` run, `$2` its last token, `$3` its last owner.
const PARK: &str = "
UPDATE ft_run SET status = 'parked', owner = NULL
WHERE run = $1 AND token = $2 AND owner IS NOT DISTINCT FROM $3 AND status = 'running'";

pub(super) async fn claim(claim: &Claim, db: &Session, hold: &Hold) -> Result<Claimed, Trouble> {
    for _ in 0..LOOKS {
        if let Some(claimed) = try_to(claim, db, hold).await? {
            if let Claimed::Granted(_) = claimed {
                hold.grant(&claim.run);
            }
            return Ok(claimed);
        }
    }
    Err(Trouble::Conflict(format!("run `{}` changes hands faster than it can be claimed", claim.run)))
}

/// `None` if somebody else changed the run in between.
async fn try_to(claim: &Claim, db: &Session, hold: &Hold) -> Result<Option<Claimed>, Trouble> {
    let run = &*claim.run;
    let sql = concat!("SELECT ", run_columns!(), ", ", lives!(), " FROM ft_run r WHERE run = $1");
    let (owner, version, keep) = (hold.owner(), i64::from(claim.version), claim.keep_millis());
    let (arguments, input) = (claim.arguments.to_bytes(), claim.input.as_deref());
    let start: [&(dyn ToSql + Sync); 8] =
        [&run, &&*claim.function, &version, &owner, &claim.at, &keep, &arguments, &input];
    // One after the other on the server, in one round trip.
    let (known, started) = join(db.query_opt(sql, &[&run]), db.query_opt(START, &start)).await;
    let (known, started) = (known?, started?);
    if let Some(row) = started {
        let token = count(&row, 0)?;
        let started = Granted { created_at: claim.at, ..Granted::new(token, 1, token, 0, Vec::new()) };
        return granted(claim, started, db).await.map(Some);
    }
    let Some(row) = known else {
        // Its steps without its row: somebody deletes it by hand before it may start from nothing. Both in one look, since
        // another process may have started it, and recorded a step, since the row was looked for.
        let orphan = "SELECT FROM ft_step WHERE run = $1 AND NOT EXISTS (SELECT FROM ft_run WHERE run = $1) LIMIT 1";
        let orphan = db.query_opt(orphan, &[&run]).await?;
        return match orphan {
            Some(_) => Err(Trouble::Senseless(format!("run `{run}` has steps, and no row of its own"))),
            None => Ok(None),
        };
    };
    let living: bool = read(&row, RUN_COLUMNS)?;
    let known = run_record(&row)?;
    let expired = known.expires_at.is_some_and(|at| at <= claim.at);
    if known.function != *claim.function && !expired {
        return Ok(Some(Claimed::OtherFunction { recorded: known.function }));
    }
    match known.status {
        RunStatus::Cancelled if !expired => Ok(Some(Claimed::Cancelled)),
        RunStatus::Parked => Ok(Some(Claimed::Parked { recoveries: known.recoveries, now: false })),
        RunStatus::Finished | RunStatus::Cancelled if claim.again || expired => {
            let token = known.token as i64;
            let restart: [&(dyn ToSql + Sync); 9] =
                [&run, &&*claim.function, &version, &owner, &claim.at, &keep, &arguments, &input, &token];
            let Some(row) = db.query_opt(RESTART, &restart).await? else { return Ok(None) };
            let token = count(&row, 0)?;
            let again = Granted { created_at: claim.at, ..Granted::new(token, 1, token, 0, Vec::new()) };
            granted(claim, again, db).await.map(Some)
        }
        RunStatus::Finished | RunStatus::Cancelled => {
            if let Some(refused) = claim.differing(&known.arguments) {
                return Ok(Some(refused));
            }
            // Gone or started anew by now: look again.
            Ok(super::output_of(run, db).await?.map(Claimed::Finished))
        }
        RunStatus::Running => resume(claim, &known, living, db, hold).await,
    }
}

async fn resume(
    claim: &Claim,
    known: &RunRecord,
    living: bool,
    db: &Session,
    hold: &Hold,
) -> Result<Option<Claimed>, Trouble> {
    let run = &*claim.run;
    let ours = known.owner.as_deref() == Some(hold.owner());
    // Ours, unless it is a release that could not be written.
    if let Some(owner) = known.owner.as_ref().filter(|_| if ours { hold.holds(run) } else { living }) {
        return Ok(Some(Claimed::Busy { owner: owner.clone() }));
    }
    if !claim.continues(known.version) {
        return Ok(Some(Claimed::OtherVersion { recorded: known.version }));
    }
    if let Some(refused) = claim.differing(&known.arguments) {
        return Ok(Some(refused));
    }
    let (token, mut recoveries) = (known.token as i64, known.recoveries);
    if known.owner.is_some() && !ours {
        if recoveries >= claim.max_recoveries {
            let parked = db.execute(PARK, &[&run, &token, &known.owner]).await?;
            return Ok((parked > 0).then_some(Claimed::Parked { recoveries, now: true }));
        }
        recoveries += 1;
    }
    let arguments: &Arguments = if known.arguments.is_empty() { &claim.arguments } else { &known.arguments };
    let (arguments, recoveries, owner) = (arguments.to_bytes(), i64::from(recoveries), hold.owner());
    let (keep, input) = (claim.keep_millis(), claim.input.as_deref());
    let version = i64::from(claim.version);
    let parameters: [&(dyn ToSql + Sync); 10] =
        [&run, &token, &known.owner, &owner, &claim.at, &keep, &arguments, &recoveries, &input, &version];
    // The steps are read behind the row's lock: whatever an older claim may record from now on, it is refused.
    let (resumed, steps) = join(db.query_opt(RESUME, &parameters), steps_of(run, db)).await;
    let Some(row) = resumed? else { return Ok(None) };
    let attempts = u32::try_from(read::<i64>(&row, 1)?)
        .map_err(|_| Trouble::Senseless(format!("run `{run}` has no end of attempts")))?;
    let resumed = Granted::new(count(&row, 0)?, attempts, count(&row, 2)?, count(&row, 3)?, steps?);
    granted(claim, Granted { created_at: known.created_at, ..resumed }, db).await.map(Some)
}

async fn granted(claim: &Claim, mut granted: Granted, db: &Session) -> Result<Claimed, Trouble> {
    granted.forgotten = prune(claim, granted.token, db).await?;
    Ok(Claimed::Granted(granted))
}
