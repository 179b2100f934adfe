//! What only a store on a server has to hold.

mod away;
mod fences;
mod open;
mod tools;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ft_test_postgres::{Cluster, required};

use crate::checkpoint::postgres::Postgres;
use crate::checkpoint::{Backend, Claim, Claimed, Granted, Lease, Step};

/// The URL of a new schema on the server that the tests share.
pub(super) fn schema(test: &str) -> Option<String> {
    static SCHEMAS: AtomicU32 = AtomicU32::new(0);
    let (_, database) = shared(test)?;
    Some(format!("{database}?ft_schema=s{}", SCHEMAS.fetch_add(1, Ordering::Relaxed)))
}

/// The server that the tests share, and its database for them.
fn shared(test: &str) -> Option<(&'static Cluster, &'static str)> {
    static DATABASE: OnceLock<String> = OnceLock::new();
    let cluster = required(test)?;
    Some((cluster, DATABASE.get_or_init(|| cluster.database())))
}

/// A schema on the shared server, with what tests do behind the store's back.
struct Behind {
    url: String,
    cluster: &'static Cluster,
}

impl Behind {
    fn new(test: &str) -> Option<Self> {
        Some(Self { url: schema(test)?, cluster: shared(test)?.0 })
    }

    fn open(&self) -> Postgres {
        Postgres::open_as_new_owner(&self.url).unwrap()
    }

    fn schema(&self) -> &str {
        self.url.rsplit_once('=').unwrap().1
    }

    /// Executes statements in the schema.
    fn sql(&self, statements: &str) -> String {
        self.cluster.sql(&self.url, &format!("SET search_path = {}; {statements}", self.schema()))
    }

    /// A connection of its own, for a transaction that stays open.
    async fn connect(&self) -> tokio_postgres::Client {
        let url = self.url.split('?').next().unwrap();
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(&format!("SET search_path = {}", self.schema())).await.unwrap();
        client
    }

    /// Waits until some statement in the schema waits for a lock.
    fn until_somebody_waits(&self) {
        eventually("a statement waits for a lock", || {
            // The table tells the schema: other tests have locks, too.
            self.sql(&format!(
                "SELECT EXISTS (SELECT FROM pg_locks waits JOIN pg_locks has USING (pid) JOIN pg_class c ON c.oid = has.relation \
                 JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT waits.granted AND n.nspname = '{}')",
                self.schema()
            )) == "t"
        });
    }
}

#[track_caller]
fn granted(store: &dyn Backend, run: &str) -> Granted {
    match store.claim(Claim::new(run, "work")).wait().unwrap() {
        Claimed::Granted(granted) => granted,
        other => panic!("not granted: {other:?}"),
    }
}

fn step(run: &str, token: u64, key: &str) -> Step {
    Step::new(Lease::new(run, token), key, key.as_bytes())
}

/// What other processes do takes as long as it takes; this looks until it is done.
#[track_caller]
fn eventually(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "not within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
