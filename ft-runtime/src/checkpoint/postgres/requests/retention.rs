//! Forgetting runs: by itself on the way of a claim, and when somebody asks for it.
//!
//! Those that may go are locked first and deleted by another statement, so that nothing is recorded in them in between.
//! What somebody else has locked stays for the next time.

use futures_util::future::join;
use tokio_postgres::Row;

use super::rows::{lives, run_columns, run_record, status};
use super::runs::forget;
use crate::checkpoint::postgres::session::{Session, Trouble, read};
use crate::checkpoint::record::{Claim, Collected, Excess, Forgotten, Gc, RunStatus};
use crate::checkpoint::{KEPT_RUNS, PRUNED_AT_ONCE};

/// When a run that is not finished may be forgotten.
macro_rules! over {
    () => {
        "r.finished_at IS NULL AND r.updated_at + r.keep_unfinished"
    };
}

/// Runs that may go, under a condition: `$1` the one that is claimed, `$2` how many.
macro_rules! doomed {
    ($condition:expr, $order:literal) => {
        concat!(
            "SELECT r.run, r.status FROM ft_run r WHERE ",
            $condition,
            " AND r.run <> $1 AND NOT ",
            lives!(),
            $order,
            " LIMIT $2 FOR UPDATE OF r SKIP LOCKED"
        )
    };
}

/// Forgets runs whose time is over, and the oldest ones beyond the bound; a few at a time, on the way of a claim.
pub(super) async fn prune(claim: &Claim, token: u64, db: &Session) -> Result<Vec<Forgotten>, Trouble> {
    let (run, few) = (&*claim.run, PRUNED_AT_ONCE as i64);
    let mut forgotten = Vec::new();
    let expired = doomed!("r.expires_at <= $3 AND r.finished_at IS NOT NULL", "");
    let over = doomed!(concat!(over!(), " <= $3"), "");
    let age: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&run, &few, &claim.at];
    let (expired, over) = join(db.query(expired, &age), db.query(over, &age)).await;
    note(&expired?, Excess::Age, &mut forgotten)?;
    note(&over?, Excess::Age, &mut forgotten)?;
    // Counting takes time in proportion to what is kept, so it is done for one claim in so many.
    if token.is_multiple_of(PRUNED_AT_ONCE as u64) {
        let ended = excess("SELECT count(*) FROM ft_run WHERE finished_at IS NOT NULL", db).await?;
        let oldest = doomed!("r.finished_at IS NOT NULL", " ORDER BY r.finished_at");
        note(&db.query(oldest, &[&run, &ended]).await?, Excess::Number, &mut forgotten)?;
        let unfinished = excess("SELECT count(*) FROM ft_run WHERE finished_at IS NULL", db).await?;
        let oldest = doomed!("r.finished_at IS NULL", " ORDER BY r.updated_at + r.keep_unfinished");
        note(&db.query(oldest, &[&run, &unfinished]).await?, Excess::Number, &mut forgotten)?;
    }
    let runs: Vec<String> = forgotten.iter().map(|forgotten: &Forgotten| forgotten.run.clone()).collect();
    forget(&runs, db).await?;
    Ok(forgotten)
}

async fn excess(sql: &'static str, db: &Session) -> Result<i64, Trouble> {
    let number: i64 = read(&db.query_one(sql, &[]).await?, 0)?;
    Ok((number - KEPT_RUNS as i64).clamp(0, 2 * PRUNED_AT_ONCE as i64))
}

fn note(rows: &[Row], why: Excess, forgotten: &mut Vec<Forgotten>) -> Result<(), Trouble> {
    for row in rows {
        let run: String = read(row, 0)?;
        if forgotten.iter().all(|known| known.run != run) {
            forgotten.push(Forgotten::new(run, status(row, 1)?, why));
        }
    }
    Ok(())
}

pub(super) async fn gc(gc: &Gc, db: &Session) -> Result<Collected, Trouble> {
    let mut conditions = vec![
        ("r.finished_at IS NOT NULL AND r.expires_at <= $2".to_owned(), gc.at),
        (concat!(over!(), " <= $2").to_owned(), gc.at),
    ];
    for status in RunStatus::ALL {
        let name = status.as_str();
        if let Some(before) = gc.touched_before(status) {
            conditions.push((format!("r.status = '{name}' AND r.updated_at <= $2"), before));
        }
        if let Some(number) = gc.number(status) {
            let newest = format!(
                "r.status = '{name}' AND r.run NOT IN (SELECT n.run FROM ft_run n WHERE n.run >= $1 \
                 AND starts_with(n.run, $1) AND n.status = '{name}' ORDER BY n.updated_at DESC, n.run DESC LIMIT $2)"
            );
            conditions.push((newest, number.into()));
        }
    }
    let (mut doomed, only) = (Vec::new(), gc.only.map(RunStatus::as_str));
    for (condition, number) in conditions {
        let lock = if gc.dry_run { "" } else { "FOR UPDATE OF r SKIP LOCKED" };
        let sql = format!(
            concat!(
                "SELECT ",
                run_columns!(),
                " FROM ft_run r WHERE r.run >= $1 AND starts_with(r.run, $1) AND ($4::text IS NULL OR r.status = $4) AND {} AND NOT ",
                lives!(),
                " ORDER BY r.updated_at, r.run LIMIT $3 {}"
            ),
            condition, lock
        );
        // One more than may go, to know whether there are more.
        let rows = db.query(&sql, &[&gc.prefix, &number, &(i64::from(gc.limit) + 1), &only]).await?;
        for row in &rows {
            doomed.push(run_record(row)?);
        }
    }
    let collected = Collected::of(doomed, gc.limit);
    if !gc.dry_run {
        let runs: Vec<String> = collected.runs.iter().map(|run| run.run.clone()).collect();
        forget(&runs, db).await?;
    }
    Ok(collected)
}
