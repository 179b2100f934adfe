// Generated from stack.rs: `FT_EXPAND=write cargo test --test expanded` writes it anew.

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
        Self {
            failures: AtomicU32::new(failures),
            asked: AtomicU32::new(0),
        }
    }
    async fn enrich(&self, row: u32) -> Result<String, Error<io::Error>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self
            .failures
            .fetch_update(
                Ordering::Relaxed,
                Ordering::Relaxed,
                |left| left.checked_sub(1),
            )
        {
            Ok(_) => Err(Error::Failed(ErrorKind::TimedOut.into())),
            Err(_) => Ok(format!("row {row}, enriched")),
        }
    }
}

/// Recorded once; over the servers; each asked twice.
pub fn enrich(
    servers: &Pool<Server>,
    row: u32,
) -> impl ::core::future::Future<Output = Result<String, Error<io::Error>>> {
    let site = ::ft_runtime::site!().enter();
    let checkpoint = {
        const FT_CHECKPOINT: ::ft_runtime::Checkpoint = ::ft_runtime::Checkpoint::new();
        &FT_CHECKPOINT
    };
    let step = checkpoint.step("enrich").key(&(row)).input(&row).at(site);
    async move {
        step.calls::<Result<String, Error<io::Error>>>()
            .run(async {
                let outcome: Result<String, Error<io::Error>> = {
                    let failover = {
                        const FT_FAILOVER: ::ft_runtime::Failover = ::ft_runtime::Failover::new();
                        &FT_FAILOVER
                    };
                    let pool = servers;
                    let mut candidates = failover
                        .over::<Result<String, Error<io::Error>>, _>(pool)
                        .at(site)
                        .start();
                    loop {
                        let ::core::option::Option::Some(target) = candidates.current()
                        else { break candidates.refused() };
                        let outcome: Result<String, Error<io::Error>> = candidates
                            .run(async {
                                let server = &*target;
                                let outcome: Result<String, Error<io::Error>> = {
                                    let retry = {
                                        const FT_RETRY: ::ft_runtime::Retry = ::ft_runtime::Retry::new()
                                            .max_attempts(2)
                                            .backoff(Backoff::none());
                                        &FT_RETRY
                                    };
                                    let mut attempts = retry
                                        .attempts::<Result<String, Error<io::Error>>>()
                                        .at(site);
                                    loop {
                                        let wait = {
                                            let outcome: Result<String, Error<io::Error>> = attempts
                                                .run(async {
                                                    let outcome: Result<String, Error<io::Error>> = {
                                                        server.enrich(row).await
                                                    };
                                                    outcome
                                                })
                                                .await;
                                            match attempts.again(&outcome) {
                                                ::core::option::Option::Some(wait) => wait,
                                                ::core::option::Option::None => break outcome,
                                            }
                                        };
                                        wait.await;
                                    }
                                };
                                outcome
                            })
                            .await;
                        if !candidates.again(&outcome) {
                            break outcome;
                        }
                    }
                };
                outcome
            })
            .await
    }
}

pub async fn import(servers: &Pool<Server>, rows: u32) -> Result<u32, Error<io::Error>> {
    let site = ::ft_runtime::site!().enter();
    let checkpoint = {
        const FT_CHECKPOINT: ::ft_runtime::Checkpoint = ::ft_runtime::Checkpoint::new();
        &FT_CHECKPOINT
    };
    checkpoint
        .run("import")
        .named("import")
        .argument("servers", ::ft_runtime::fingerprint_of!(servers))
        .argument("rows", ::ft_runtime::fingerprint_of!(rows))
        .calls::<Result<u32, Error<io::Error>>>()
        .at(site)
        .run(async {
            let outcome: Result<u32, Error<io::Error>> = {
                for row in 0..rows {
                    enrich(servers, row).await?;
                }
                if rows == 2 {
                    Err(Error::Failed(ErrorKind::BrokenPipe.into()))
                } else {
                    Ok(rows)
                }
            };
            outcome
        })
        .await
}

pub async fn story() -> Vec<String> {
    let store = Store::open("memory:").expect("memory is always there");
    let servers = Pool::of([("a", Server::new(3)), ("b", Server::new(0))]);
    let mut told = Vec::new();
    for rows in [2, 3] {
        let imported = store.scope(import(&servers, rows)).await;
        told.push(format!("{:?}", imported.map_err(| error | error.to_string())));
        for server in servers.iter() {
            told.push(
                format!(
                    "{} asked {} times", server.name(), server.asked
                    .load(Ordering::Relaxed)
                ),
            );
        }
    }
    told
}
