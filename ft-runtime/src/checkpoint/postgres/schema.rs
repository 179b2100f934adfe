//! The tables, in a schema of their own.

use super::session::{Dial, Session, Trouble, read};
use crate::checkpoint::error::StoreError;

/// Version of the tables, in `ft_meta`. Whoever raises it adds to [`STEPS`].
pub(super) const SCHEMA: u32 = STEPS.len() as u32;

/// What leads to each version from the one before. No step may break a process of the version before that is under way:
/// columns are added with a default, and never change their meaning.
const STEPS: [&str; 1] = [TABLES];

/// Names are compared as bytes, as everywhere else in ft, whatever the database's collation is.
///
/// `ft_token` counts for the whole store, so that a run which is deleted and started anew does not count from 1 again. An
/// owner lives for as long as its lease in `ft_owner`: one row to renew, however many runs it executes. What it calls itself
/// is for people.
const TABLES: &str = r#"
CREATE TABLE ft_meta (
    name        text COLLATE "C" PRIMARY KEY,
    value       int8 NOT NULL
);
CREATE SEQUENCE ft_token AS int8 MINVALUE 1 CACHE 1;
CREATE TABLE ft_owner (
    owner       text COLLATE "C" PRIMARY KEY,
    lease_until timestamptz NOT NULL,
    process     text
) WITH (fillfactor = 50);
CREATE TABLE ft_run (
    run         text COLLATE "C" PRIMARY KEY,
    function    text COLLATE "C" NOT NULL,
    version     int8 NOT NULL,
    status      text COLLATE "C" NOT NULL,
    owner       text COLLATE "C",
    token       int8 NOT NULL,
    attempts    int8 NOT NULL,
    incarnation int8 NOT NULL,
    steps       int8 NOT NULL DEFAULT 0,
    keep_unfinished int8 NOT NULL,
    arguments   bytea NOT NULL,
    recoveries  int8 NOT NULL DEFAULT 0,
    output      bytea,
    created_at  int8 NOT NULL,
    updated_at  int8 NOT NULL,
    finished_at int8,
    expires_at  int8,
    interrupted boolean NOT NULL DEFAULT false,
    input       bytea
) WITH (fillfactor = 80);
CREATE INDEX ft_run_finished ON ft_run (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX ft_run_unfinished ON ft_run ((updated_at + keep_unfinished)) WHERE finished_at IS NULL;
CREATE INDEX ft_run_expires ON ft_run (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX ft_run_left ON ft_run (updated_at, run) WHERE finished_at IS NULL AND (owner IS NOT NULL OR interrupted);
CREATE TABLE ft_step (
    run         text COLLATE "C" NOT NULL,
    seq         int8 NOT NULL,
    key         text COLLATE "C" NOT NULL,
    schema      int4 NOT NULL,
    input       bytea NOT NULL,
    value       bytea NOT NULL,
    token       int8 NOT NULL,
    version     int8 NOT NULL,
    recorded_at int8 NOT NULL,
    PRIMARY KEY (run, seq)
);
CREATE UNIQUE INDEX ft_step_key ON ft_step (run, key);
CREATE TABLE ft_state (
    run         text COLLATE "C" NOT NULL,
    name        text COLLATE "C" NOT NULL,
    generation  int8 NOT NULL,
    type_name   text NOT NULL,
    value       bytea NOT NULL,
    steps       int8 NOT NULL,
    token       int8 NOT NULL,
    version     int8 NOT NULL,
    recorded_at int8 NOT NULL,
    PRIMARY KEY (run, name, generation)
);
"#;

/// What a schema turned out to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Foreign,
    Version(u32),
}

/// Makes sure that the tables are there and of this version. Of several processes that find them missing or older, one
/// makes them while the others wait, and then find them done.
pub(super) async fn prepare(session: &Session, dial: &Dial) -> Result<(), Trouble> {
    // First without a lock and without a right to create anything: most processes find everything in place.
    if identify(session, dial).await? == Found::Version(SCHEMA) {
        return Ok(());
    }
    session.batch("BEGIN").await?;
    let prepared = migrate(session, dial).await;
    session.batch(if prepared.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    prepared
}

/// Makes sure that the tables are there and of this version, and makes nothing.
pub(super) async fn require(session: &Session, dial: &Dial) -> Result<(), Trouble> {
    let found = identify(session, dial).await?;
    refusal(found, dial).map_or(Ok(()), |refusal| Err(Trouble::Known(refusal)))
}

/// Why what was found is not the store that somebody else has made.
fn refusal(found: Found, dial: &Dial) -> Option<StoreError> {
    let store = dial.address.shown.clone();
    match found {
        Found::Version(SCHEMA) => None,
        Found::Version(found) => Some(StoreError::OlderSchema { path: store.into(), found, supported: SCHEMA }),
        Found::Foreign => Some(StoreError::ForeignSchema { store, schema: dial.address.schema.clone() }),
        Found::Nothing => Some(StoreError::NoStore { url: store }),
    }
}

async fn migrate(session: &Session, dial: &Dial) -> Result<(), Trouble> {
    let schema = &dial.address.schema;
    session.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 1718903403))", &[schema]).await?;
    let from = match identify(session, dial).await? {
        Found::Version(version) => version as usize,
        Found::Foreign => {
            let (store, schema) = (dial.address.shown.clone(), schema.clone());
            return Err(Trouble::Known(StoreError::ForeignSchema { store, schema }));
        }
        Found::Nothing => {
            session.batch(&format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\"")).await?;
            0
        }
    };
    for step in &STEPS[from..] {
        session.batch(step).await?;
    }
    let version = i64::from(SCHEMA);
    let remember =
        "INSERT INTO ft_meta (name, value) VALUES ('schema', $1) ON CONFLICT (name) DO UPDATE SET value = $1";
    session.execute(remember, &[&version]).await?;
    Ok(())
}

/// What the schema holds; an error if it is a newer ft's.
async fn identify(session: &Session, dial: &Dial) -> Result<Found, Trouble> {
    let schema = &dial.address.schema;
    let row = session
        .query_one(
            "SELECT to_regclass(quote_ident($1) || '.ft_meta') IS NOT NULL, \
             EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1)",
            &[schema],
        )
        .await?;
    match (read(&row, 0)?, read(&row, 1)?) {
        (true, _) => {}
        (false, true) => return Ok(Found::Foreign),
        (false, false) => return Ok(Found::Nothing),
    }
    let row = session.query_opt("SELECT value FROM ft_meta WHERE name = 'schema'", &[]).await?;
    let found: i64 = match row {
        Some(row) => read(&row, 0)?,
        None => return Ok(Found::Foreign),
    };
    match u32::try_from(found) {
        Ok(found @ 1..=SCHEMA) => Ok(Found::Version(found)),
        Ok(found @ 1..) => {
            let path = dial.address.shown.clone().into();
            Err(Trouble::Known(StoreError::NewerSchema { path, found, supported: SCHEMA }))
        }
        _ => Err(Trouble::Senseless(format!("no ft has ever written schema {found}"))),
    }
}
