//! Giving a run back, finding those that nobody executes, and saying so to those who wait for them.

use super::rows::{UPDATED_AT, lives, run_columns, run_record};
use crate::checkpoint::postgres::hold::Hold;
use crate::checkpoint::postgres::session::{Session, Trouble, read};
use crate::checkpoint::record::{Abandoned, Lease, Left, RunRecord, UnixMillis};

/// Gives a claim back.
pub(in crate::checkpoint::postgres) struct Release {
    pub(in crate::checkpoint::postgres) lease: Lease,
    pub(in crate::checkpoint::postgres) at: UnixMillis,
    pub(in crate::checkpoint::postgres) left: Left,
}

/// `$1` run, `$2` token, `$3` owner, `$4` time, `$5` interrupted.
const RELEASE: &str = "
UPDATE ft_run SET owner = NULL, interrupted = $5, recoveries = CASE WHEN $5 THEN recoveries ELSE 0 END,
    updated_at = greatest(updated_at, $4)
WHERE run = $1 AND token = $2 AND owner = $3 AND status = 'running'";

/// `$1` owner, `$2` the runs that it executes: rows that could not be told that it has given them back.
const GIVE_BACK: &str = "
UPDATE ft_run SET owner = NULL, interrupted = true
WHERE finished_at IS NULL AND (owner IS NOT NULL OR interrupted) AND owner = $1 AND status = 'running' AND run <> ALL($2)";

/// Owners whose lease has run out. Several processes look for them at once, and each takes others.
const SWEEP: &str = "
WITH dead AS (SELECT owner FROM ft_owner WHERE lease_until < clock_timestamp() LIMIT 100 FOR UPDATE SKIP LOCKED)
DELETE FROM ft_owner o USING dead WHERE o.owner = dead.owner";

pub(super) async fn release(release: &Release, db: &Session, hold: &Hold) -> Result<(), Trouble> {
    let (run, token) = (&*release.lease.run, release.lease.token as i64);
    let (owner, interrupted) = (hold.owner(), release.left == Left::Interrupted);
    let released = db.execute(RELEASE, &[&run, &token, &owner, &release.at, &interrupted]).await?;
    hold.give_back(&release.lease);
    if interrupted && released > 0 {
        notify(db).await?;
    }
    Ok(())
}

/// Gives back what rows say that we hold, and we do not: nobody else may take it from a process that lives. Only between
/// two batches of the writer, when every grant is acknowledged.
pub(in crate::checkpoint::postgres) async fn tidy(db: &Session, hold: &Hold) -> Result<(), Trouble> {
    if db.execute(GIVE_BACK, &[&hold.owner(), &hold.executing()]).await? > 0 {
        notify(db).await?;
    }
    hold.tidied();
    Ok(())
}

/// Tells whoever listens that a run may have been left, once this transaction is committed. Several in one are one.
pub(super) async fn notify(db: &Session) -> Result<(), Trouble> {
    db.execute("SELECT pg_notify(current_schema() || '_left', '')", &[]).await.map(drop)
}

/// Forgets owners that have died, and says that they may have left runs.
pub(in crate::checkpoint::postgres) async fn sweep(db: &Session) -> Result<(), Trouble> {
    if db.execute(SWEEP, &[]).await? > 0 {
        notify(db).await?;
    }
    Ok(())
}

/// Ends this owner: whatever it still holds is left to others.
pub(in crate::checkpoint::postgres) async fn leave(db: &Session, hold: &Hold) -> Result<(), Trouble> {
    let owner = hold.owner();
    db.execute("DELETE FROM ft_owner WHERE owner = $1", &[&owner]).await?;
    notify(db).await
}

pub(in crate::checkpoint::postgres) async fn abandoned(
    ask: &Abandoned,
    db: &Session,
    hold: &Hold,
) -> Result<Vec<RunRecord>, Trouble> {
    let (mut at, mut run) = ask.after.clone().unwrap_or((i64::MIN, String::new()));
    let (owner, executing) = (hold.owner(), hold.executing());
    // The condition of the index `ft_run_left`: runs that failed, of which there may be many, are not in it. Those of our
    // own that we do not hold are releases that could not be written.
    let sql = concat!(
        "SELECT ",
        run_columns!(),
        " FROM ft_run r WHERE r.finished_at IS NULL AND (r.owner IS NOT NULL OR r.interrupted) AND r.status = 'running' ",
        "AND (r.updated_at, r.run) > ($1, $2) AND ($3::text[] IS NULL OR r.function = ANY($3)) ",
        "AND r.run <> ALL($5) AND (r.owner IS NOT DISTINCT FROM $4 OR NOT ",
        lives!(),
        ") ORDER BY r.updated_at, r.run LIMIT $6"
    );
    let mut left = Vec::new();
    loop {
        let missing = i64::from(ask.limit) - left.len() as i64;
        let rows = db.query(sql, &[&at, &run, &ask.functions, &owner, &executing, &missing]).await?;
        for row in &rows {
            match run_record(row) {
                Ok(run) => left.push(run),
                // Others wait to go on; whoever asks for this one is told.
                Err(Trouble::Senseless(_)) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        // Fewer than asked for are all that there are: so whoever asks takes it, and so it must be.
        let Some(last) = rows.last().filter(|_| left.len() < ask.limit as usize && rows.len() as i64 == missing) else {
            return Ok(left);
        };
        (run, at) = (read(last, 0)?, read(last, UPDATED_AT)?);
    }
}
