//! What an operator does to a run: cancel it, let it go on, start another one from the middle of it.

use tokio_postgres::types::ToSql;

use super::abandoned::notify;
use super::rows::{count, input_of, run_columns, run_record, steps_of};
use super::whole::insert_steps;
use super::{Executed, OfRun};
use crate::checkpoint::error::StoreError;
use crate::checkpoint::postgres::session::{Session, Trouble};
use crate::checkpoint::record::{Fork, RunRecord};

const CANCEL: &str = "
WITH ended AS (
    UPDATE ft_run SET status = 'cancelled', owner = NULL, interrupted = false, updated_at = greatest(updated_at, $2),
        finished_at = $2, expires_at = $2 + keep_unfinished
    WHERE run = $1 AND finished_at IS NULL RETURNING run)
SELECT run FROM ended";

const RESUME: &str = "
UPDATE ft_run SET status = 'running', interrupted = true, recoveries = 0, updated_at = greatest(updated_at, $2)
WHERE run = $1 AND status = 'parked'";

pub(super) async fn cancel(ask: &OfRun, db: &Session) -> Result<bool, Trouble> {
    let cancelled = db.query_opt(CANCEL, &[&ask.run, &ask.at]).await?.is_some();
    if cancelled {
        // Behind the row's lock, so that a save that was quicker is seen.
        db.execute("DELETE FROM ft_state WHERE run = $1", &[&ask.run]).await?;
    }
    Ok(cancelled)
}

pub(super) async fn resume(ask: &OfRun, db: &Session) -> Result<bool, Trouble> {
    let resumed = db.execute(RESUME, &[&ask.run, &ask.at]).await? > 0;
    if resumed {
        notify(db).await?;
    }
    Ok(resumed)
}

pub(super) async fn fork(fork: &Fork, db: &Session) -> Executed<RunRecord> {
    if db.query_opt("SELECT FROM ft_run WHERE run = $1", &[&fork.into]).await?.is_some() {
        return Ok(Err(StoreError::RunExists { run: fork.into.clone() }));
    }
    let no_such_step = || StoreError::NoSuchStep { run: fork.run.clone(), step: fork.from.clone() };
    // Neither started anew nor deleted while it is read.
    let sql = concat!("SELECT ", run_columns!(), " FROM ft_run r WHERE r.run = $1 FOR SHARE");
    let Some(row) = db.query_opt(sql, &[&fork.run]).await? else {
        return Ok(Err(no_such_step()));
    };
    let origin = run_record(&row)?;
    let mut steps = steps_of(&fork.run, db).await?;
    let Some(before) = steps.iter().position(|step| *step.key == *fork.from) else {
        return Ok(Err(no_such_step()));
    };
    steps.truncate(before);
    // Before anything is written: nothing is changed if one of them is damaged.
    let row = db.query_one("SELECT nextval('ft_token')", &[]).await?;
    let token = count(&row, 0)?;
    let mut values = Vec::with_capacity(steps.len());
    for step in &steps {
        match fork.relocate(step, origin.incarnation, token) {
            Ok(value) => values.push(value),
            Err(error) => return Ok(Err(error)),
        }
    }
    let input = input_of(&fork.run, db).await?;
    let input = match input.map(|input| fork.relocate_input(&input)).transpose() {
        Ok(input) => input,
        Err(error) => return Ok(Err(error)),
    };
    let record = fork.record(&origin, token, steps.len() as u64);
    let (new_token, number) = (token as i64, record.steps as i64);
    let parameters: [&(dyn ToSql + Sync); 6] = [&fork.run, &fork.into, &new_token, &fork.at, &number, &input];
    let inserted = db
        .execute(
            "INSERT INTO ft_run (run, function, version, status, owner, token, attempts, incarnation, created_at, \
             updated_at, keep_unfinished, arguments, steps, input) \
             SELECT $2, function, version, 'running', NULL, $3, 0, $3, $4, $4, keep_unfinished, arguments, $5, $6 \
             FROM ft_run WHERE run = $1 ON CONFLICT (run) DO NOTHING",
            &parameters,
        )
        .await?;
    if inserted == 0 {
        return Ok(Err(StoreError::RunExists { run: fork.into.clone() }));
    }
    for (step, value) in steps.iter_mut().zip(values) {
        (step.value, step.token) = (value.into(), token);
    }
    insert_steps(&fork.into, &steps, db).await?;
    Ok(Ok(record))
}
