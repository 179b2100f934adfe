//! A stack of all three: the top attribute is the outermost, and one site serves them all.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU32, Ordering};

use ft_runtime::{Backoff, Error, Pool, Store, checkpoint, failover, retry};

#[derive(Debug)]
pub struct Server {
    /// How many calls fail before one succeeds.
    pub failures: AtomicU32,
    pub asked: AtomicU32,
}

impl Server {
    pub fn new(failures: u32) -> Self {
        Self { failures: AtomicU32::new(failures), asked: AtomicU32::new(0) }
    }

    async fn enrich(&self, row: u32) -> Result<String, Error<io::Error>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
            Ok(_) => Err(Error::Failed(ErrorKind::TimedOut.into())),
            Err(_) => Ok(format!("row {row}, enriched")),
        }
    }
}

/// Recorded once; over the servers; each asked twice.
#[checkpoint(key = row, skip(servers))]
#[failover(server in servers)]
#[retry(max_attempts = 2, backoff = Backoff::none())]
pub async fn enrich(servers: &Pool<Server>, row: u32) -> Result<String, Error<io::Error>> {
    server.enrich(row).await
}

#[checkpoint(run = "import")]
pub async fn import(servers: &Pool<Server>, rows: u32) -> Result<u32, Error<io::Error>> {
    for row in 0..rows {
        enrich(servers, row).await?;
    }
    // The last row breaks the first attempt, after everything was enriched.
    if rows == 2 { Err(Error::Failed(ErrorKind::BrokenPipe.into())) } else { Ok(rows) }
}

pub async fn story() -> Vec<String> {
    let store = Store::open("memory:").expect("memory is always there");
    let servers = Pool::of([("a", Server::new(3)), ("b", Server::new(0))]);
    let mut told = Vec::new();
    for rows in [2, 3] {
        let imported = store.scope(import(&servers, rows)).await;
        told.push(format!("{:?}", imported.map_err(|error| error.to_string())));
        for server in servers.iter() {
            told.push(format!("{} asked {} times", server.name(), server.asked.load(Ordering::Relaxed)));
        }
    }
    told
}
