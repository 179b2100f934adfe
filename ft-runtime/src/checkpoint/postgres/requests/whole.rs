//! All of a run at once: read to be checked or carried away, and put in again.

use tokio_postgres::types::ToSql;

use super::Executed;
use super::abandoned::notify;
use super::rows::{count, input_of, output_of, run_columns, run_record, saved_of, steps_of};
use crate::checkpoint::error::StoreError;
use crate::checkpoint::postgres::session::{Session, Trouble, read};
use crate::checkpoint::record::{Import, RunCopy, RunRecord, StateRecord, StepRecord, millis};

/// Steps, and bytes of their values, that go into one statement.
const AT_ONCE: usize = 1000;
const BYTES_AT_ONCE: usize = 16 << 20;

const INSERT_RUN: &str = "
INSERT INTO ft_run (run, function, version, status, owner, token, attempts, incarnation, steps, keep_unfinished, arguments,
    recoveries, output, created_at, updated_at, finished_at, expires_at, interrupted, input)
VALUES ($1, $2, $3, $4, NULL, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
ON CONFLICT (run) DO NOTHING";

const INSERT_STEPS: &str = "
INSERT INTO ft_step (run, seq, key, schema, input, value, token, version, recorded_at)
SELECT $1, * FROM unnest($2::int8[], $3::text[], $4::int4[], $5::bytea[], $6::bytea[], $7::int8[], $8::int8[], $9::int8[])";

const INSERT_STATE: &str = "
INSERT INTO ft_state (run, name, generation, type_name, value, steps, token, version, recorded_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

/// Reads all of a run, at one moment.
pub(in crate::checkpoint::postgres) async fn export(run: &str, db: &Session) -> Result<Option<RunCopy>, Trouble> {
    db.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let copy = copy_of(run, db).await;
    db.batch("ROLLBACK").await?;
    copy
}

async fn copy_of(run: &str, db: &Session) -> Result<Option<RunCopy>, Trouble> {
    let sql = concat!("SELECT ", run_columns!(), " FROM ft_run r WHERE r.run = $1");
    let Some(row) = db.query_opt(sql, &[&run]).await? else { return Ok(None) };
    let (steps, states) = (steps_of(run, db).await?, saved_of(run, db).await?);
    let (input, output) = (input_of(run, db).await?, output_of(run, db).await?);
    Ok(Some(RunCopy { run: run_record(&row)?, steps, states, input, output }))
}

/// Puts a run in. Checked before.
pub(super) async fn import(import: &Import, db: &Session) -> Executed<RunRecord> {
    let exists = || Ok(Err(StoreError::RunExists { run: import.into.clone() }));
    if db.query_opt("SELECT FROM ft_run WHERE run = $1", &[&import.into]).await?.is_some() {
        return exists();
    }
    let token = next_token(import.last_token(), db).await?;
    let copy = match import.settled(token) {
        Ok(copy) => copy,
        Err(refused) => return Ok(Err(refused)),
    };
    if insert_run(&copy, db).await? == 0 {
        return exists();
    }
    insert_steps(&copy.run.run, &copy.steps, db).await?;
    for state in &copy.states {
        insert_state(&copy.run.run, state, db).await?;
    }
    if copy.run.interrupted {
        notify(db).await?;
    }
    Ok(Ok(copy.run))
}

/// A token that is larger than `last`, and that all later ones are larger than.
async fn next_token(last: u64, db: &Session) -> Result<u64, Trouble> {
    const GRANTED: &str = "SELECT last_value - (NOT is_called)::int FROM ft_token";

    // Whoever takes a token holds a lock on `ft_run` by then, which is in the way of the one that raises the number: what it
    // reads stays true until it is written.
    let last = last as i64;
    if read::<i64>(&db.query_one(GRANTED, &[]).await?, 0)? < last {
        db.batch("LOCK TABLE ft_run IN EXCLUSIVE MODE").await?;
        db.query("SELECT setval('ft_token', greatest(last_value, $1)) FROM ft_token", &[&last]).await?;
    } else {
        db.batch("LOCK TABLE ft_run IN ROW SHARE MODE").await?;
    }
    count(&db.query_one("SELECT nextval('ft_token')", &[]).await?, 0)
}

async fn insert_run(copy: &RunCopy, db: &Session) -> Result<u64, Trouble> {
    let run = &copy.run;
    let (version, status, keep) = (i64::from(run.version), run.status.as_str(), millis(run.keep_unfinished));
    let (token, incarnation, steps) = (run.token as i64, run.incarnation as i64, run.steps as i64);
    let (attempts, recoveries) = (i64::from(run.attempts), i64::from(run.recoveries));
    let (arguments, input, output) = (run.arguments.to_bytes(), copy.input.as_deref(), copy.output.as_deref());
    let parameters: [&(dyn ToSql + Sync); 18] = [
        &run.run,
        &run.function,
        &version,
        &status,
        &token,
        &attempts,
        &incarnation,
        &steps,
        &keep,
        &arguments,
        &recoveries,
        &output,
        &run.created_at,
        &run.updated_at,
        &run.finished_at,
        &run.expires_at,
        &run.interrupted,
        &input,
    ];
    db.execute(INSERT_RUN, &parameters).await
}

/// Inserts the steps of a run that has just been inserted.
pub(super) async fn insert_steps(run: &str, mut steps: &[StepRecord], db: &Session) -> Result<(), Trouble> {
    while !steps.is_empty() {
        let mut bytes = 0;
        let fit = steps.iter().take(AT_ONCE).take_while(|step| {
            let fits = bytes < BYTES_AT_ONCE;
            bytes += step.value.len();
            fits
        });
        let (now, later) = steps.split_at(fit.count());
        insert_at_once(run, now, db).await?;
        steps = later;
    }
    Ok(())
}

async fn insert_at_once(run: &str, steps: &[StepRecord], db: &Session) -> Result<(), Trouble> {
    let seqs: Vec<i64> = steps.iter().map(|step| step.seq as i64).collect();
    let keys: Vec<&str> = steps.iter().map(|step| &*step.key).collect();
    let schemas: Vec<i32> = steps.iter().map(|step| step.schema.into()).collect();
    let inputs: Vec<&[u8]> = steps.iter().map(|step| step.input.as_bytes().as_slice()).collect();
    let values: Vec<&[u8]> = steps.iter().map(|step| &*step.value).collect();
    let tokens: Vec<i64> = steps.iter().map(|step| step.token as i64).collect();
    let versions: Vec<i64> = steps.iter().map(|step| step.version.into()).collect();
    let times: Vec<i64> = steps.iter().map(|step| step.recorded_at).collect();
    let parameters: [&(dyn ToSql + Sync); 9] =
        [&run, &seqs, &keys, &schemas, &inputs, &values, &tokens, &versions, &times];
    db.execute(INSERT_STEPS, &parameters).await.map(drop)
}

async fn insert_state(run: &str, state: &StateRecord, db: &Session) -> Result<(), Trouble> {
    let (generation, steps) = (state.generation as i64, state.steps as i64);
    let (token, version) = (state.token as i64, i64::from(state.version));
    let parameters: [&(dyn ToSql + Sync); 9] = [
        &run,
        &&*state.name,
        &generation,
        &state.type_name,
        &&*state.value,
        &steps,
        &token,
        &version,
        &state.recorded_at,
    ];
    db.execute(INSERT_STATE, &parameters).await.map(drop)
}
