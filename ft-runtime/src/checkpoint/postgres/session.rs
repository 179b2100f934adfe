//! One connection to the server: known to be safe, with its statements prepared.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Row, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::{Address, chain};
use super::bell::Bell;
use crate::checkpoint::error::StoreError;
use crate::sync::{Mutex, lock};

/// Statements that one connection keeps prepared; those that are made anew each time are not kept beyond it.
const MAX_PREPARED: usize = 128;

/// How to reach the server.
#[derive(Clone)]
pub(super) struct Dial {
    pub(super) address: Arc<Address>,
    pub(super) tls: MakeRustlsConnect,
    /// Rung at each notification.
    pub(super) bell: Arc<Bell>,
}

/// An open connection.
pub(super) struct Session {
    client: Client,
    prepared: Mutex<HashMap<String, Statement>>,
}

/// Why a statement did not succeed.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// The connection is gone, or the server is ending: another one may do it.
    Gone(String),
    /// Two transactions were in each other's way, and this one was rolled back.
    Conflict(String),
    /// The server refused the statement.
    Refused(String),
    /// A row makes no sense.
    Senseless(String),
    /// An answer that needs no server.
    Known(StoreError),
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Write,
    Read,
    /// As [`Read`](Self::Read), and nothing is ever written: a standby will do, and a server that is not power-safe.
    Look,
    /// Renews the lease and listens.
    Keep,
}

impl Dial {
    /// Connects, sets the session up and reads back what durability hangs on.
    pub(super) async fn connect(&self, purpose: Purpose) -> Result<Session, Trouble> {
        let (client, mut connection) = self.address.config.connect(self.tls.clone()).await?;
        let bell = Arc::clone(&self.bell);
        tokio::spawn(async move {
            while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
                match message {
                    Ok(AsyncMessage::Notification(_)) => bell.ring(),
                    Ok(_) => {}
                    // Whoever waits for an answer learns of it.
                    Err(_) => break,
                }
            }
        });
        let session = Session { client, prepared: Mutex::default() };
        session.set_up(&self.address, purpose).await?;
        Ok(session)
    }

    /// What an error means to those who asked.
    pub(super) fn explain(&self, trouble: Trouble, doing: &'static str) -> StoreError {
        let store = self.address.shown.clone();
        match trouble {
            Trouble::Known(error) => error,
            Trouble::Senseless(reason) => StoreError::DamagedRows { store, reason },
            Trouble::Gone(reason) | Trouble::Conflict(reason) | Trouble::Refused(reason) => {
                StoreError::Failed { store, doing, reason }
            }
        }
    }
}

impl Session {
    async fn set_up(&self, address: &Address, purpose: Purpose) -> Result<(), Trouble> {
        let (schema, lease) = (&address.schema, address.lease.as_millis());
        let patience = address.store_timeout.as_millis();
        // A process that stops in the middle of a transaction must not keep its rows from whoever takes over.
        self.batch(&format!(
            "SET search_path = \"{schema}\"; SET statement_timeout = {patience}; SET TimeZone = 'UTC'; \
             SET idle_in_transaction_session_timeout = {lease}; SET default_transaction_isolation = 'read committed'; \
             SET client_min_messages = warning"
        ))
        .await?;
        match purpose {
            // Every statement of the writer finds its rows by an index; a plan made while the tables were small would not.
            Purpose::Write => {
                self.batch("SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off").await?;
            }
            Purpose::Read | Purpose::Look => self.batch("SET default_transaction_read_only = on").await?,
            Purpose::Keep => self.batch(&format!("LISTEN \"{schema}_left\"")).await?,
        }
        match purpose {
            Purpose::Look => Ok(()),
            Purpose::Write | Purpose::Read | Purpose::Keep => self.check_durability(address).await,
        }
    }

    async fn check_durability(&self, address: &Address) -> Result<(), Trouble> {
        let row = self.client.query_one(
            "SELECT current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes'), \
             current_setting('server_encoding'), pg_is_in_recovery()::text",
            &[],
        );
        let row = row.await?;
        let store = || address.shown.clone();
        for (column, setting) in ["synchronous_commit", "fsync", "full_page_writes"].into_iter().enumerate() {
            let found: String = read(&row, column)?;
            if found == "off" {
                return Err(Trouble::Known(StoreError::ServerNotPowerSafe { store: store(), setting, found }));
            }
        }
        let bad = |reason: &str| Err(Trouble::Known(StoreError::BadUrl { store: store(), reason: reason.into() }));
        if read::<String>(&row, 3)? != "UTF8" {
            return bad("the database has another encoding than UTF8; create one with `ENCODING 'UTF8'`");
        }
        if read::<String>(&row, 4)? == "true" {
            return bad("the server is a standby, which cannot write; name the primary");
        }
        Ok(())
    }

    /// Statements without parameters or answers.
    pub(super) async fn batch(&self, statements: &str) -> Result<(), Trouble> {
        Ok(self.client.batch_execute(statements).await?)
    }

    pub(super) async fn query(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Trouble> {
        let statement = self.prepare(sql).await?;
        Ok(self.client.query(&statement, parameters).await?)
    }

    pub(super) async fn query_opt(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Trouble> {
        Ok(self.query(sql, parameters).await?.into_iter().next())
    }

    pub(super) async fn query_one(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Row, Trouble> {
        self.query_opt(sql, parameters).await?.ok_or_else(|| Trouble::Senseless("an answer is missing".into()))
    }

    pub(super) async fn execute(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<u64, Trouble> {
        let statement = self.prepare(sql).await?;
        Ok(self.client.execute(&statement, parameters).await?)
    }

    async fn prepare(&self, sql: &str) -> Result<Statement, Trouble> {
        if let Some(statement) = lock(&self.prepared).get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        let mut prepared = lock(&self.prepared);
        if prepared.len() < MAX_PREPARED {
            prepared.insert(sql.to_owned(), statement.clone());
        }
        Ok(statement)
    }
}

/// A column of a row.
pub(super) fn read<'r, T: tokio_postgres::types::FromSql<'r>>(row: &'r Row, column: usize) -> Result<T, Trouble> {
    row.try_get(column).map_err(|error| Trouble::Senseless(chain(&error)))
}

/// What `work` comes to, unless it takes longer than `limit`.
pub(super) async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    match select(Box::pin(work), Box::pin(tokio::time::sleep(limit))).await {
        Either::Left((done, _)) => done,
        Either::Right(_) => Err(Trouble::Gone(format!("the server did not answer for {limit:?}"))),
    }
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        let reason = chain(&error);
        let Some(db) = error.as_db_error() else {
            // A value that cannot be sent, or an answer that cannot be read, would be the same on any connection; the rest is
            // the network, TLS or a closed connection.
            return Self::Gone(reason);
        };
        let code = db.code();
        let gone = [
            &SqlState::ADMIN_SHUTDOWN,
            &SqlState::CRASH_SHUTDOWN,
            &SqlState::CANNOT_CONNECT_NOW,
            &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            &SqlState::TOO_MANY_CONNECTIONS,
            &SqlState::QUERY_CANCELED,
            // A primary that has become a standby: the next connection finds the new one.
            &SqlState::READ_ONLY_SQL_TRANSACTION,
        ];
        let conflict =
            [&SqlState::T_R_DEADLOCK_DETECTED, &SqlState::T_R_SERIALIZATION_FAILURE, &SqlState::LOCK_NOT_AVAILABLE];
        if gone.contains(&code) || code.code().starts_with("08") {
            Self::Gone(reason)
        } else if conflict.contains(&code) {
            Self::Conflict(reason)
        } else {
            Self::Refused(format!("{reason} ({})", code.code()))
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(reason) | Self::Conflict(reason) | Self::Refused(reason) | Self::Senseless(reason) => {
                f.write_str(reason)
            }
            Self::Known(error) => error.fmt(f),
        }
    }
}
