//! Ending runs, giving them back, deleting them, and staying alive.

use std::time::Instant;

use super::rows::lives;
use super::{Executed, fenced};
use crate::checkpoint::error::StoreError;
use crate::checkpoint::owner::this_process;
use crate::checkpoint::postgres::hold::Hold;
use crate::checkpoint::postgres::session::{Session, Trouble, read};
use crate::checkpoint::record::{Finish, Renewed};
use crate::time;

/// `$1` run, `$2` token, `$3` owner, `$4` output, `$5` time, `$6` when it may be forgotten. The update locks the row and looks
/// at it again behind the lock, so it is its own fence.
const FINISH: &str = "
WITH done AS (
    UPDATE ft_run SET status = 'finished', owner = NULL, output = $4, updated_at = $5, finished_at = $5, expires_at = $6
    WHERE run = $1 AND token = $2 AND owner = $3 AND status = 'running' RETURNING run),
states AS (DELETE FROM ft_state s USING done WHERE s.run = done.run)
SELECT count(*) FROM done";

/// `$1` owner, `$2` milliseconds, `$3` what its process calls itself.
const RENEW: &str = "
INSERT INTO ft_owner (owner, lease_until, process) VALUES ($1, clock_timestamp() + $2 * interval '1 millisecond',
    left($3, 200) || coalesce(' at ' || host(inet_client_addr()), ''))
ON CONFLICT (owner) DO UPDATE SET lease_until = excluded.lease_until";

/// `$1` owner, `$2` runs, `$3` tokens: those that are not held under this token any more. A cancelled one is told so by its
/// next write, as on every store.
const LOST: &str = "
SELECT h.run, h.token FROM unnest($2::text[], $3::int8[]) AS h (run, token)
WHERE NOT EXISTS (SELECT FROM ft_run r WHERE r.run = h.run COLLATE \"C\"
    AND (r.status = 'cancelled' OR r.token = h.token AND r.owner = $1))";

pub(super) async fn finish(finish: &Finish, db: &Session, hold: &Hold, repeated: bool) -> Executed<()> {
    let (run, token) = (&*finish.lease.run, finish.lease.token as i64);
    let owner = hold.owner();
    let row = db.query_one(FINISH, &[&run, &token, &owner, &&*finish.output, &finish.at, &finish.expires_at]).await?;
    if read::<i64>(&row, 0)? > 0 {
        return Ok(Ok(()));
    }
    // Nobody else finishes under this token: it was the attempt of which we heard nothing.
    let done = "SELECT FROM ft_run WHERE run = $1 AND token = $2 AND status = 'finished'";
    if repeated && db.query_opt(done, &[&run, &token]).await?.is_some() {
        return Ok(Ok(()));
    }
    fenced(db, run).await.map(Err)
}

pub(super) async fn delete(run: &str, db: &Session, hold: &Hold) -> Executed<bool> {
    let sql = concat!("SELECT r.owner, ", lives!(), " FROM ft_run r WHERE r.run = $1 FOR UPDATE OF r");
    let row = db.query_opt(sql, &[&run]).await?;
    if let Some(row) = &row
        && let Some(owner) = read::<Option<String>>(row, 0)?
    {
        // Ours, unless it is a release that could not be written.
        if if owner == hold.owner() { hold.holds(run) } else { read(row, 1)? } {
            return Ok(Err(StoreError::RunBusy { run: run.to_owned(), owner }));
        }
    }
    // Without its row, too: what is left of a run by hand goes.
    forget(&[run.to_owned()], db).await?;
    Ok(Ok(row.is_some()))
}

/// Deletes runs whose rows are locked, with all that is recorded of them.
pub(super) async fn forget(runs: &[String], db: &Session) -> Result<(), Trouble> {
    if runs.is_empty() {
        return Ok(());
    }
    let sql = "WITH steps AS (DELETE FROM ft_step WHERE run = ANY($1)), \
               states AS (DELETE FROM ft_state WHERE run = ANY($1)) DELETE FROM ft_run WHERE run = ANY($1)";
    db.execute(sql, &[&runs]).await.map(drop)
}

/// Renews the lease of this process, and learns which of its runs were taken over. Once it is committed, it counts from the
/// moment that is answered.
pub(in crate::checkpoint::postgres) async fn renew(db: &Session, hold: &Hold) -> Result<(Instant, Renewed), Trouble> {
    let sent = time::now();
    let (owner, lease) = (hold.owner(), hold.lease().as_secs_f64() * 1000.0);
    let (runs, tokens) = hold.all();
    db.execute(RENEW, &[&owner, &lease, &this_process()]).await?;
    let mut renewed = Renewed { next: Some(hold.next_renewal()), ..Renewed::default() };
    if !runs.is_empty() {
        for row in db.query(LOST, &[&owner, &runs, &tokens]).await? {
            let (run, token): (String, i64) = (read(&row, 0)?, read(&row, 1)?);
            if hold.lose(&run, token as u64) {
                renewed.lost.push(run);
            }
        }
    }
    Ok((sent, renewed))
}
