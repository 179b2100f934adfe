//! Records in a Postgres database of the caller's, with `tokio-postgres`.

use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Error, GenericClient, Transaction};

use super::super::record::{millis, unix_now};
use super::PRUNED_AT_ONCE;
use super::error::TxError;
use super::records::{Answer, At, Records, Row};

/// Creates the table of records where it is missing; for migrations. It is found by the connection's `search_path`.
pub const TABLE: &str = "
CREATE TABLE IF NOT EXISTS ft_tx_step (
    run         text    NOT NULL,
    incarnation bigint  NOT NULL,
    started_at  bigint  NOT NULL,
    key         text    NOT NULL,
    schema      integer NOT NULL,
    input       bytea   NOT NULL,
    value       bytea   NOT NULL,
    recorded_at bigint  NOT NULL,
    PRIMARY KEY (run, incarnation, started_at, key)
);
CREATE INDEX IF NOT EXISTS ft_tx_step_recorded_at ON ft_tx_step (recorded_at);
";

/// Creates the table of records where it is missing; several processes may do so at the same moment.
///
/// # Errors
///
/// What Postgres said.
pub async fn create_table(client: &impl GenericClient) -> Result<(), Error> {
    // One message is one transaction, in which the lock is held: two that create a table at once fail otherwise.
    client.batch_execute(&format!("SELECT pg_advisory_xact_lock(7382923541);{TABLE}")).await
}

/// Deletes records that are older than this, the oldest first, 10 000 at most; and says how many.
///
/// A step whose record is gone is executed again: keep them for as long as its run may be resumed
/// (see [what to know](super#what-to-know)).
///
/// ```no_run
/// # use ft_runtime::checkpoint::tx::postgres;
/// # use std::time::Duration;
/// # async fn tidy(client: &tokio_postgres::Client) -> Result<(), tokio_postgres::Error> {
/// const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// while postgres::prune(client, 100 * DAY).await? > 0 {}
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// What Postgres said.
pub async fn prune(client: &impl GenericClient, older_than: Duration) -> Result<u64, Error> {
    let before = unix_now().saturating_sub(millis(older_than));
    client
        .execute_typed(
            "DELETE FROM ft_tx_step WHERE ctid = ANY (ARRAY(\
             SELECT ctid FROM ft_tx_step WHERE recorded_at < $1 ORDER BY recorded_at LIMIT $2))",
            &[(&before, Type::INT8), (&PRUNED_AT_ONCE, Type::INT8)],
        )
        .await
}

impl super::Transaction for Transaction<'_> {}

impl Records for Transaction<'_> {
    fn find<'a>(&'a self, at: &'a At<'a>) -> Answer<'a, Option<Row>> {
        Box::pin(async move {
            // Not prepared: one round trip, and nothing that a pooler between us and the server could trip over.
            let row = self
                .query_typed_opt(
                    "SELECT schema, input, value FROM ft_tx_step \
                     WHERE run = $1 AND incarnation = $2 AND started_at = $3 AND key = $4",
                    &[
                        (&at.run, Type::TEXT),
                        (&(at.incarnation as i64), Type::INT8),
                        (&at.started_at, Type::INT8),
                        (&at.key, Type::TEXT),
                    ],
                )
                .await
                .map_err(explain)?;
            let Some(row) = row else { return Ok(None) };
            let read = || -> Result<Row, Error> {
                let schema: i32 = row.try_get(0)?;
                Ok(Row { schema: schema as u16, input: row.try_get(1)?, value: row.try_get(2)? })
            };
            read().map(Some).map_err(explain)
        })
    }

    fn insert<'a>(&'a self, at: &'a At<'a>, row: &'a Row) -> Answer<'a, ()> {
        Box::pin(async move {
            // Waits for another transaction that has written the record, and fails if that one commits: Postgres then
            // takes nothing but a rollback.
            self.execute_typed(
                "INSERT INTO ft_tx_step (run, incarnation, started_at, key, schema, input, value, recorded_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                &[
                    (&at.run, Type::TEXT),
                    (&(at.incarnation as i64), Type::INT8),
                    (&at.started_at, Type::INT8),
                    (&at.key, Type::TEXT),
                    (&i32::from(row.schema), Type::INT4),
                    (&row.input, Type::BYTEA),
                    (&row.value, Type::BYTEA),
                    (&unix_now(), Type::INT8),
                ],
            )
            .await
            .map(drop)
            .map_err(explain)
        })
    }
}

fn explain(error: Error) -> TxError {
    let reason = match error.as_db_error() {
        Some(said) => format!("{} (SQLSTATE {})", said.message(), said.code().code()),
        None => error.to_string(),
    };
    match error.code() {
        Some(&SqlState::UNIQUE_VIOLATION) => TxError::Conflict,
        Some(&SqlState::UNDEFINED_TABLE) => TxError::NoTable,
        Some(code) => TxError::Failed { reason, transient: may_go_well_later(code) },
        None => TxError::Failed { reason, transient: error.is_closed() },
    }
}

/// Serialisation failures and deadlocks, connections that broke, servers that are busy, starting or stopping.
fn may_go_well_later(code: &SqlState) -> bool {
    ["08", "40", "53", "57"].iter().any(|class| code.code().starts_with(class))
}
