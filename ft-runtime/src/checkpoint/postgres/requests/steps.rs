//! Recording steps.

use std::collections::HashMap;

use tokio_postgres::types::ToSql;

use super::fenced;
use super::rows::{count, step_columns, step_record};
use crate::checkpoint::error::StoreError;
use crate::checkpoint::postgres::hold::Hold;
use crate::checkpoint::postgres::session::{Session, Trouble, read};
use crate::checkpoint::record::{Appended, Step, StepRecord};

/// Records a batch of steps of any number of runs: `$1` runs, `$2` tokens, `$3` keys, `$4` schemas, `$5` fingerprints, `$6`
/// values, `$7` versions, `$8` times, `$9` owner. Answers in their order: whether the claim is held, and the step's place if
/// it was recorded now.
///
/// The lock on the run's row is the fence. Without it, a step of an older claim could be committed after a newer one had
/// read the steps. Within an hour the age of a run is left as it is: it decides about
/// weeks. Rows are locked in the order of their names, so that no two batches wait for each other.
const APPEND: &str = "
WITH batch AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::int8[], $3::text[], $4::int4[], $5::bytea[], $6::bytea[], $7::int8[], $8::int8[])
        WITH ORDINALITY AS b (run, token, key, schema, input, value, version, at, place)),
held AS MATERIALIZED (
    SELECT r.run, b.token, r.steps, r.updated_at
    FROM (SELECT DISTINCT run COLLATE \"C\" AS run, token FROM batch) b
    JOIN ft_run r ON r.run = b.run AND r.token = b.token
    WHERE r.owner = $9 AND r.status = 'running'
    ORDER BY r.run
    FOR NO KEY UPDATE OF r),
firsts AS MATERIALIZED (
    SELECT DISTINCT ON (b.run, b.key) b.*, h.steps, h.updated_at FROM batch b JOIN held h ON h.run = b.run AND h.token = b.token
    ORDER BY b.run, b.key, b.place),
fresh AS MATERIALIZED (
    SELECT f.*, f.steps + row_number() OVER (PARTITION BY f.run ORDER BY f.place) AS seq FROM firsts f
    WHERE NOT EXISTS (SELECT FROM ft_step s WHERE s.run = f.run COLLATE \"C\" AND s.key = f.key COLLATE \"C\")),
recorded AS (
    INSERT INTO ft_step (run, seq, key, schema, input, value, token, version, recorded_at)
    SELECT run, seq, key, schema, input, value, token, version, at FROM fresh
    ON CONFLICT (run, key) DO NOTHING RETURNING run, seq),
counted AS (
    UPDATE ft_run r SET steps = n.seq, recoveries = 0, updated_at = coalesce(n.at, r.updated_at)
    FROM (SELECT f.run, max(f.seq) AS seq,
            (array_agg(f.at ORDER BY f.place) FILTER (WHERE f.updated_at < f.at - 3600000))[1] AS at
        FROM fresh f JOIN recorded USING (run, seq) GROUP BY f.run) n
    WHERE r.run = n.run)
SELECT h.run IS NOT NULL, f.seq
FROM batch b
LEFT JOIN held h ON h.run = b.run AND h.token = b.token
LEFT JOIN (fresh f JOIN recorded USING (run, seq)) ON f.place = b.place
ORDER BY b.place";

/// Records steps; one answer for each, in order. `repeated`: nobody knows whether an earlier attempt was committed.
pub(super) async fn append(
    steps: &[&Step],
    db: &Session,
    hold: &Hold,
    repeated: bool,
) -> Result<Vec<Appended>, Trouble> {
    if steps.is_empty() {
        return Ok(Vec::new());
    }
    let runs: Vec<&str> = steps.iter().map(|step| &*step.lease.run).collect();
    let tokens: Vec<i64> = steps.iter().map(|step| step.lease.token as i64).collect();
    let keys: Vec<&str> = steps.iter().map(|step| &*step.key).collect();
    let schemas: Vec<i32> = steps.iter().map(|step| step.schema.into()).collect();
    let inputs: Vec<&[u8]> = steps.iter().map(|step| step.input.as_bytes().as_slice()).collect();
    let values: Vec<&[u8]> = steps.iter().map(|step| &*step.value).collect();
    let versions: Vec<i64> = steps.iter().map(|step| step.version.into()).collect();
    let times: Vec<i64> = steps.iter().map(|step| step.at).collect();
    let owner = hold.owner();
    let parameters: [&(dyn ToSql + Sync); 9] =
        [&runs, &tokens, &keys, &schemas, &inputs, &values, &versions, &times, &owner];
    let rows = db.query(APPEND, &parameters).await?;
    if rows.len() != steps.len() {
        return Err(Trouble::Senseless(format!("{} answers came for {} steps", rows.len(), steps.len())));
    }
    let mut answers = Vec::with_capacity(steps.len());
    let mut known = Known::default();
    for (row, step) in rows.iter().zip(steps) {
        answers.push(match (read(row, 0)?, read::<Option<i64>>(row, 1)?) {
            (true, Some(_)) => Appended::Recorded { seq: count(row, 1)? },
            (true, None) => match known.step(step, db).await? {
                // It was: nobody else records under this token.
                Some(known) if repeated && known.token == step.lease.token && known.value == step.value => {
                    Appended::Recorded { seq: known.seq }
                }
                Some(known) => Appended::Already(known),
                // Deleted by hand within a moment.
                None => return Err(Trouble::Conflict(format!("step `{}` comes and goes", step.key))),
            },
            (false, _) => known.refusal(step, db).await?,
        });
    }
    Ok(answers)
}

/// What was asked for already, so that a batch of stale steps of one run is one question.
#[derive(Default)]
struct Known(HashMap<String, Appended>);

impl Known {
    async fn step(&self, step: &Step, db: &Session) -> Result<Option<StepRecord>, Trouble> {
        let sql = concat!("SELECT ", step_columns!(), " FROM ft_step WHERE run = $1 AND key = $2");
        let row = db.query_opt(sql, &[&&*step.lease.run, &&*step.key]).await?;
        row.map(|row| step_record(&row)).transpose()
    }

    async fn refusal(&mut self, step: &Step, db: &Session) -> Result<Appended, Trouble> {
        let run = &*step.lease.run;
        if let Some(known) = self.0.get(run) {
            return Ok(known.clone());
        }
        let refusal = match fenced(db, run).await? {
            StoreError::RunCancelled { .. } => Appended::Cancelled,
            StoreError::Fenced { owner, .. } => Appended::Fenced { owner },
            _ => Appended::Fenced { owner: None },
        };
        self.0.insert(run.to_owned(), refusal.clone());
        Ok(refusal)
    }
}
