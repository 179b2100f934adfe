// Generated from failover.rs: `FT_EXPAND=write cargo test --test expanded` writes it anew.

//! `#[failover]`: over a pool of targets, and over other functions.

use std::io::{self, ErrorKind};
use ft_runtime::{Pool, failover};

#[derive(Debug)]
pub struct Replica(pub Option<&'static str>);

impl Replica {
    async fn get(&self, key: &str) -> io::Result<String> {
        self.0
            .map(|value| format!("{key} = {value}"))
            .ok_or(ErrorKind::ConnectionRefused.into())
    }
}

pub struct Reader {
    pub replicas: Pool<Replica>,
}

impl Reader {
    /// The body is written for one target; the pool says which.
    pub async fn read(&self, key: &str) -> io::Result<String> {
        let site = ::ft_runtime::site!().enter();
        let failover = {
            const FT_FAILOVER: ::ft_runtime::Failover = ::ft_runtime::Failover::new();
            &FT_FAILOVER
        };
        let pool = &self.replicas;
        let mut candidates = failover
            .over::<io::Result<String>, _>(pool)
            .at(site)
            .start();
        loop {
            let ::core::option::Option::Some(target) = candidates.current() else {
                break candidates.refused()
            };
            let outcome: io::Result<String> = candidates
                .run(async {
                    let replica = &*target;
                    let outcome: io::Result<String> = { replica.get(key).await };
                    outcome
                })
                .await;
            if !candidates.again(&outcome) {
                break outcome;
            }
        }
    }
}

/// Other functions with the same signature, in order.
pub async fn from_primary(id: u32) -> io::Result<String> {
    let site = ::ft_runtime::site!().enter();
    let failover = {
        const FT_FAILOVER: ::ft_runtime::Failover = ::ft_runtime::Failover::new();
        &FT_FAILOVER
    };
    let targets = {
        static FT_TARGETS: ::ft_runtime::Targets<3> = ::ft_runtime::Targets::new([
            "from_primary",
            "from_replica",
            "from_cache",
        ]);
        &FT_TARGETS
    };
    let mut candidates = failover
        .among::<io::Result<String>, 3>(targets)
        .at(site)
        .unless(|error| {
            ::core::matches!(error, error if error.kind() == ErrorKind::NotFound)
        })
        .start();
    loop {
        let target = candidates.index();
        let outcome: io::Result<String> = candidates
            .run(async {
                let outcome: io::Result<String> = {
                    match target {
                        1 => from_replica(id).await,
                        2 => from_cache(id).await,
                        _ => {
                            if id == 0 {
                                Err(ErrorKind::NotFound.into())
                            } else {
                                Err(ErrorKind::TimedOut.into())
                            }
                        }
                    }
                };
                outcome
            })
            .await;
        if !candidates.again(&outcome) {
            break outcome;
        }
    }
}

async fn from_replica(id: u32) -> io::Result<String> {
    if id == 1 {
        Ok("row 1 of the replica".to_owned())
    } else {
        Err(ErrorKind::ConnectionReset.into())
    }
}

async fn from_cache(id: u32) -> io::Result<String> {
    Ok(format!("row {id} of the cache"))
}

/// The call may not run twice: only a call that provably never ran moves on.
pub fn pay(refused: bool) -> io::Result<&'static str> {
    let site = ::ft_runtime::site!().enter();
    let failover = {
        const FT_FAILOVER: ::ft_runtime::Failover = ::ft_runtime::Failover::new()
            .idempotent(false);
        &FT_FAILOVER
    };
    let targets = {
        static FT_TARGETS: ::ft_runtime::Targets<2> = ::ft_runtime::Targets::new([
            "pay",
            "pay_elsewhere",
        ]);
        &FT_TARGETS
    };
    let mut candidates = failover
        .among::<io::Result<&'static str>, 2>(targets)
        .at(site)
        .start();
    loop {
        let target = candidates.index();
        let outcome: io::Result<&'static str> = candidates
            .run_blocking(|| -> io::Result<&'static str> {
                match target {
                    1 => pay_elsewhere(refused),
                    _ => {
                        Err(
                            if refused {
                                ErrorKind::ConnectionRefused
                            } else {
                                ErrorKind::ConnectionReset
                            }
                                .into(),
                        )
                    }
                }
            });
        if !candidates.again(&outcome) {
            break outcome;
        }
    }
}

fn pay_elsewhere(_refused: bool) -> io::Result<&'static str> {
    Ok("paid elsewhere")
}

pub async fn story() -> Vec<String> {
    let reader = Reader {
        replicas: Pool::of([("one", Replica(None)), ("two", Replica(Some("2")))]),
    };
    let nobody = Reader {
        replicas: Pool::of([("one", Replica(None))]),
    };
    let mut told = vec![
        format!("{:?}", reader.read("key"). await), format!("{:?}", nobody.read("key").
        await .map_err(| error | error.kind())),
    ];
    for id in [0, 1, 2] {
        told.push(
            format!("{:?}", from_primary(id). await .map_err(| error | error.kind())),
        );
    }
    for refused in [true, false] {
        told.push(format!("{:?}", pay(refused).map_err(| error | error.kind())));
    }
    told
}
