async fn read(&self, key: &str) -> Result<Value, ReadError> {
    let site = ::ft_runtime::site!().enter();
    let failover = {
        const FT_FAILOVER: ::ft_runtime::Failover = ::ft_runtime::Failover::new();
        &FT_FAILOVER
    };
    let pool = &self.replicas;
    let mut candidates = failover
        .over::<Result<Value, ReadError>, _>(pool)
        .at(site)
        .start();
    loop {
        let ::core::option::Option::Some(target) = candidates.current() else {
            break candidates.refused()
        };
        let outcome: Result<Value, ReadError> = candidates
            .run(async {
                let replica = &*target;
                let outcome: Result<Value, ReadError> = { replica.get(key).await };
                outcome
            })
            .await;
        if !candidates.again(&outcome) {
            break outcome;
        }
    }
}
fn blocking(key: &str) -> Result<Value, ReadError> {
    let site = ::ft_runtime::site!().enter();
    let failover = &READS.idempotent(false);
    let pool = shards(key);
    let mut candidates = failover
        .over::<Result<Value, ReadError>, _>(pool)
        .at(site)
        .on(|error| ::core::matches!(error, ReadError::Gone))
        .start();
    loop {
        let ::core::option::Option::Some(target) = candidates.current() else {
            break candidates.refused()
        };
        let outcome: Result<Value, ReadError> = candidates
            .run_blocking(|| -> Result<Value, ReadError> {
                let shard = &*target;
                let outcome: Result<Value, ReadError> = { shard.get(key) };
                outcome
            });
        if !candidates.again(&outcome) {
            break outcome;
        }
    }
}
async fn from_primary(id: u64, name: String) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let failover = {
        const FT_FAILOVER: ::ft_runtime::Failover = ::ft_runtime::Failover::new();
        &FT_FAILOVER
    };
    let targets = {
        static FT_TARGETS: ::ft_runtime::Targets<3> = ::ft_runtime::Targets::new([
            "from_primary",
            "from_replica",
            "self::cache::read::<Row>",
        ]);
        &FT_TARGETS
    };
    let mut candidates = failover
        .among::<Result<Row, DbError>, 3>(targets)
        .at(site)
        .start();
    loop {
        let target = candidates.index();
        let outcome: Result<Row, DbError> = candidates
            .run(async {
                let name = ::core::clone::Clone::clone(&name);
                let outcome: Result<Row, DbError> = {
                    match target {
                        1 => from_replica(id, name).await,
                        2 => self::cache::read::<Row>(id, name).await,
                        _ => get(id, name).await,
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
fn method(&mut self, id: u64) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let failover = {
        const FT_FAILOVER: ::ft_runtime::Failover = ::ft_runtime::Failover::new();
        &FT_FAILOVER
    };
    let targets = {
        static FT_TARGETS: ::ft_runtime::Targets<2> = ::ft_runtime::Targets::new([
            "method",
            "Self::from_cache",
        ]);
        &FT_TARGETS
    };
    let mut candidates = failover
        .among::<Result<Row, DbError>, 2>(targets)
        .at(site)
        .start();
    loop {
        let target = candidates.index();
        let outcome: Result<Row, DbError> = candidates
            .run_blocking(|| -> Result<Row, DbError> {
                match target {
                    1 => Self::from_cache(self, id),
                    _ => self.get(id),
                }
            });
        if !candidates.again(&outcome) {
            break outcome;
        }
    }
}
