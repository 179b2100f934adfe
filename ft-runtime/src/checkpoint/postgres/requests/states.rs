//! Saving states.

use std::sync::Arc;

use super::{Executed, fenced};
use crate::checkpoint::postgres::hold::Hold;
use crate::checkpoint::postgres::session::{Session, Trouble, read};
use crate::checkpoint::record::SaveState;

/// A state to be saved, and the version of it that was taken out: it is written again if an attempt fails.
pub(in crate::checkpoint::postgres) struct Save(
    pub(in crate::checkpoint::postgres) SaveState,
    pub(in crate::checkpoint::postgres) Option<(u64, Arc<[u8]>)>,
);

/// `$1` run, `$2` token, `$3` owner, `$4` name, `$5` number, `$6` type, `$7` value, `$8` version, `$9` time, `$10` bad version.
/// Keeps this version and the newest older one that is not bad.
const SAVE: &str = "
WITH held AS MATERIALIZED (
    SELECT run, token, steps FROM ft_run WHERE run = $1 AND token = $2 AND owner = $3 AND status = 'running'
    FOR NO KEY UPDATE),
saved AS (
    INSERT INTO ft_state AS s (run, name, generation, type_name, value, steps, token, version, recorded_at)
    SELECT run, $4, $5, $6, $7, steps, token, $8, $9 FROM held
    ON CONFLICT (run, name, generation) DO UPDATE SET type_name = excluded.type_name, value = excluded.value,
        steps = excluded.steps, token = excluded.token, version = excluded.version, recorded_at = excluded.recorded_at
    RETURNING s.run),
older AS (
    DELETE FROM ft_state s USING held WHERE s.run = held.run AND s.name = $4 AND s.generation <> $5
    AND s.generation <> (SELECT coalesce(max(generation), -1) FROM ft_state
        WHERE run = $1 AND name = $4 AND generation < $5 AND generation <> $10)),
touched AS (
    UPDATE ft_run r SET recoveries = 0, updated_at = CASE WHEN r.updated_at < $9 - 3600000 THEN $9 ELSE r.updated_at END
    FROM saved WHERE r.run = saved.run AND (r.recoveries > 0 OR r.updated_at < $9 - 3600000))
SELECT count(*) FROM saved";

pub(super) async fn save(Save(state, taken): &mut Save, db: &Session, hold: &Hold) -> Executed<()> {
    // The newest value at the time of writing, or the one that an earlier attempt has taken out, if no newer one waits.
    let newest = state.value.take().or_else(|| taken.take());
    let Some((generation, value)) = newest else {
        return Ok(Ok(()));
    };
    *taken = Some((generation, Arc::clone(&value)));
    let run = &*state.lease.run;
    let number = |generation| {
        i64::try_from(generation)
            .map_err(|_| Trouble::Senseless(format!("state `{}` has no end of versions", state.name)))
    };
    let (number, bad) = (number(generation)?, state.bad.map(number).transpose()?.unwrap_or(-1));
    let (token, owner, version) = (state.lease.token as i64, hold.owner(), i64::from(state.version));
    let row = db
        .query_one(
            SAVE,
            &[&run, &token, &owner, &&*state.name, &number, &state.type_name, &&*value, &version, &state.at, &bad],
        )
        .await?;
    match read::<i64>(&row, 0)? {
        0 => fenced(db, run).await.map(Err),
        _ => Ok(Ok(())),
    }
}
