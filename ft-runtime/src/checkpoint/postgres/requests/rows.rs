//! Reading rows.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Row;

use crate::checkpoint::arguments::Arguments;
use crate::checkpoint::fingerprint::InputHash;
use crate::checkpoint::postgres::session::{Session, Trouble, read};
use crate::checkpoint::record::{Filter, RunRecord, RunStatus, StateRecord, StepRecord};

/// What [`run_record`] reads. The length of arguments and outputs is known without reading them.
macro_rules! run_columns {
    () => {
        "r.run, r.function, r.version, r.status, r.owner, r.token, r.attempts, r.incarnation, \
         octet_length(r.output)::int8, r.created_at, r.updated_at, r.finished_at, r.expires_at, r.steps, \
         r.keep_unfinished, r.arguments, r.recoveries, r.interrupted, octet_length(r.input)::int8"
    };
}
pub(super) use run_columns;

/// How many columns [`run_columns`] has.
pub(super) const RUN_COLUMNS: usize = 19;

/// Which of them is `updated_at`.
pub(super) const UPDATED_AT: usize = 10;

/// Whether the owner of the run `r` lives.
macro_rules! lives {
    () => {
        "EXISTS (SELECT FROM ft_owner o WHERE o.owner = r.owner AND o.lease_until > clock_timestamp())"
    };
}
pub(super) use lives;

/// What [`step_record`] reads.
macro_rules! step_columns {
    () => {
        "key, seq, schema, input, value, token, version, recorded_at"
    };
}
pub(super) use step_columns;

/// What [`state_record`] reads.
macro_rules! state_columns {
    () => {
        "name, generation, type_name, value, steps, token, version, recorded_at"
    };
}

pub(super) fn run_record(row: &Row) -> Result<RunRecord, Trouble> {
    let run: String = read(row, 0)?;
    read_record(run.clone(), row).map_err(|trouble| match trouble {
        Trouble::Senseless(reason) => Trouble::Senseless(format!("the row of run `{run}`: {reason}")),
        trouble => trouble,
    })
}

fn read_record(run: String, row: &Row) -> Result<RunRecord, Trouble> {
    let arguments = Arguments::from_bytes(read(row, 15)?);
    Ok(RunRecord {
        run,
        function: read(row, 1)?,
        version: small(row, 2)?,
        arguments: arguments.ok_or_else(|| Trouble::Senseless("its arguments are none".into()))?,
        status: status(row, 3)?,
        owner: read(row, 4)?,
        token: count(row, 5)?,
        attempts: small(row, 6)?,
        incarnation: count(row, 7)?,
        recoveries: small(row, 16)?,
        steps: count(row, 13)?,
        keep_unfinished: Duration::from_millis(count(row, 14)?),
        interrupted: read(row, 17)?,
        input_len: length(row, 18)?,
        output_len: length(row, 8)?,
        created_at: read(row, 9)?,
        updated_at: read(row, UPDATED_AT)?,
        finished_at: read(row, 11)?,
        expires_at: read(row, 12)?,
    })
}

fn length(row: &Row, column: usize) -> Result<Option<u64>, Trouble> {
    read::<Option<i64>>(row, column)?.map(|found| number(row, column, found)).transpose()
}

pub(super) fn status(row: &Row, column: usize) -> Result<RunStatus, Trouble> {
    let name: &str = read(row, column)?;
    RunStatus::from_name(name).ok_or_else(|| Trouble::Senseless(format!("unknown status `{name}`")))
}

pub(super) fn step_record(row: &Row) -> Result<StepRecord, Trouble> {
    let input: &[u8] = read(row, 3)?;
    let input = input.try_into().map_err(|_| Trouble::Senseless("a fingerprint is not 16 bytes".into()))?;
    let key: &str = read(row, 0)?;
    Ok(StepRecord {
        key: key.into(),
        seq: count(row, 1)?,
        schema: schema(row, 2)?,
        input: InputHash::from_bytes(input),
        value: bytes(row, 4)?,
        token: count(row, 5)?,
        version: small(row, 6)?,
        recorded_at: read(row, 7)?,
    })
}

fn state_record(row: &Row) -> Result<StateRecord, Trouble> {
    Ok(StateRecord {
        name: read::<&str>(row, 0)?.into(),
        generation: count(row, 1)?,
        type_name: read(row, 2)?,
        value: bytes(row, 3)?,
        steps: count(row, 4)?,
        token: count(row, 5)?,
        version: small(row, 6)?,
        recorded_at: read(row, 7)?,
    })
}

/// A number that is counted from 0.
pub(super) fn count(row: &Row, column: usize) -> Result<u64, Trouble> {
    number(row, column, read::<i64>(row, column)?)
}

fn small(row: &Row, column: usize) -> Result<u32, Trouble> {
    number(row, column, read::<i64>(row, column)?)
}

fn schema(row: &Row, column: usize) -> Result<u16, Trouble> {
    number(row, column, read::<i32>(row, column)?.into())
}

fn number<N: TryFrom<i64>>(row: &Row, column: usize, found: i64) -> Result<N, Trouble> {
    let name = row.columns().get(column).map_or("number", |column| column.name());
    N::try_from(found).map_err(|_| Trouble::Senseless(format!("its {name} is {found}")))
}

pub(super) fn bytes(row: &Row, column: usize) -> Result<Arc<[u8]>, Trouble> {
    Ok(read::<&[u8]>(row, column)?.into())
}

pub(in crate::checkpoint::postgres) async fn runs_of(filter: &Filter, db: &Session) -> Result<Vec<RunRecord>, Trouble> {
    let (status, limit) = (filter.status.map(RunStatus::as_str), i64::from(filter.limit));
    // `starts_with` instead of LIKE, in which a user's `%` and `_` would mean something.
    let sql = concat!(
        "SELECT ",
        run_columns!(),
        " FROM ft_run r WHERE r.run >= $1 AND starts_with(r.run, $1) AND ($2::text IS NULL OR r.status = $2) ",
        "AND ($3::text IS NULL OR r.run > $3) ORDER BY r.run LIMIT $4"
    );
    let rows = db.query(sql, &[&filter.prefix, &status, &filter.after, &limit]).await?;
    rows.iter().map(run_record).collect()
}

pub(in crate::checkpoint::postgres) async fn steps_of(run: &str, db: &Session) -> Result<Vec<StepRecord>, Trouble> {
    let sql = concat!("SELECT ", step_columns!(), " FROM ft_step WHERE run = $1 ORDER BY seq");
    db.query(sql, &[&run]).await?.iter().map(step_record).collect()
}

pub(in crate::checkpoint::postgres) async fn output_of(run: &str, db: &Session) -> Result<Option<Arc<[u8]>>, Trouble> {
    let row = db.query_opt("SELECT output FROM ft_run WHERE run = $1 AND output IS NOT NULL", &[&run]).await?;
    row.map(|row| bytes(&row, 0)).transpose()
}

pub(in crate::checkpoint::postgres) async fn input_of(run: &str, db: &Session) -> Result<Option<Arc<[u8]>>, Trouble> {
    let row = db.query_opt("SELECT input FROM ft_run WHERE run = $1 AND input IS NOT NULL", &[&run]).await?;
    row.map(|row| bytes(&row, 0)).transpose()
}

pub(in crate::checkpoint::postgres) async fn states_of(
    run: &str,
    name: &str,
    db: &Session,
) -> Result<Vec<StateRecord>, Trouble> {
    let sql =
        concat!("SELECT ", state_columns!(), " FROM ft_state WHERE run = $1 AND name = $2 ORDER BY generation DESC");
    db.query(sql, &[&run, &name]).await?.iter().map(state_record).collect()
}

/// By name, and for each name the newest first.
pub(in crate::checkpoint::postgres) async fn saved_of(run: &str, db: &Session) -> Result<Vec<StateRecord>, Trouble> {
    let sql = concat!("SELECT ", state_columns!(), " FROM ft_state WHERE run = $1 ORDER BY name, generation DESC");
    db.query(sql, &[&run]).await?.iter().map(state_record).collect()
}
