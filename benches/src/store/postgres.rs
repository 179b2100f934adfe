//! The store on Postgres, beside single rows inserted by `tokio-postgres`.
//!
//! `FT_BENCH_POSTGRES` names a database that may be written to; without it a server is started where Postgres is installed,
//! on the disk of temporary files.

use std::time::Instant;

use ft_runtime::Store;
use ft_test_postgres::Cluster;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

use super::{Rows, Sample, VALUE, runs};

/// Runs, and connections, in the cases for many.
const PRODUCERS: usize = 16;

pub(super) fn rows(rows: &mut Rows, runtime: &'static Runtime) {
    if !rows.wants("postgres") {
        return;
    }
    let url = match std::env::var("FT_BENCH_POSTGRES") {
        Ok(url) => url,
        Err(_) => match Cluster::shared() {
            Ok(cluster) => cluster.database(),
            Err(missing) => {
                eprintln!("no rows for Postgres: {missing}");
                return;
            }
        },
    };
    rows.row("postgres.1", "raw tokio-postgres", 100, raw(&url, 1, runtime));
    rows.row("postgres.16", "raw tokio-postgres", 25, raw(&url, PRODUCERS, runtime));
    match Store::open(&url) {
        Ok(store) => {
            rows.row("postgres.1", "ft step", 100, runs::one(store.clone(), runtime));
            rows.row("postgres.16", "ft step", 25, runs::many(store, PRODUCERS, runtime));
        }
        Err(error) => eprintln!("no rows for our store on Postgres: {error}"),
    }
}

/// Connections that each insert one row after the other, each in a transaction of its own.
fn raw(url: &str, connections: usize, runtime: &'static Runtime) -> impl FnMut(usize) -> Sample + use<> {
    let connect = async |url: String| {
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("a server");
        tokio::spawn(connection);
        client
    };
    let table = "CREATE TABLE IF NOT EXISTS raw_record (id bigserial PRIMARY KEY, value bytea NOT NULL)";
    let clients: Vec<Client> = runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..connections {
            clients.push(connect(url.to_owned()).await);
        }
        clients[0].batch_execute(table).await.expect("a table");
        clients
    });
    move |writes| {
        let insert = async |client: &Client| {
            let insert = client.prepare("INSERT INTO raw_record (value) VALUES ($1)").await.expect("a statement");
            let mut waits = Vec::with_capacity(writes);
            let value = vec![7_u8; VALUE];
            for _ in 0..writes {
                let began = Instant::now();
                client.execute(&insert, &[&value]).await.expect("a row");
                waits.push(began.elapsed());
            }
            waits
        };
        runtime.block_on(async {
            let began = Instant::now();
            let waits = futures_util::future::join_all(clients.iter().map(insert)).await;
            Sample { took: began.elapsed(), waits: waits.into_iter().flatten().collect() }
        })
    }
}
