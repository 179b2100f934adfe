async fn plain(id: u64) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let timeout = {
        const FT_TIMEOUT: ::ft_runtime::Timeout = ::ft_runtime::Timeout::new(
            ::core::time::Duration::from_secs(2),
        );
        &FT_TIMEOUT
    };
    timeout
        .calls::<Result<Row, DbError>>()
        .at(site)
        .run(async {
            let outcome: Result<Row, DbError> = { get(id).await };
            outcome
        })
        .await
}
async fn constant(id: u64) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!("db").enter();
    let timeout = &::ft_runtime::Timeout::from(LIMIT);
    timeout
        .calls::<Result<Row, DbError>>()
        .at(site)
        .run(async {
            let outcome: Result<Row, DbError> = { get(id).await };
            outcome
        })
        .await
}
fn blocking(&self) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let circuit_breaker: &::ft_runtime::CircuitBreaker = &self.breaker;
    circuit_breaker
        .calls::<Result<Row, DbError>>()
        .at(site)
        .when(|error| error.is_slow())
        .run_blocking(|| -> Result<Row, DbError> { self.get() })
}
async fn shared(id: u64) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let circuit_breaker = {
        static FT_CIRCUIT_BREAKER: ::ft_runtime::CircuitBreaker = ::ft_runtime::CircuitBreaker::new()
            .rate(0.3)
            .open(::core::time::Duration::from_secs(10))
            .abandoned(::ft_runtime::Abandoned::Failure);
        &FT_CIRCUIT_BREAKER
    };
    circuit_breaker
        .calls::<Result<Row, DbError>>()
        .at(site)
        .run(async {
            let outcome: Result<Row, DbError> = { get(id).await };
            outcome
        })
        .await
}
async fn keyed(host: &str) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let rate_limiter = {
        static FT_RATE_LIMITER: ::ft_runtime::Keyed<::ft_runtime::RateLimiter> = ::ft_runtime::Keyed::new(
                ::ft_runtime::RateLimiter::new(100).burst(10),
            )
            .max_keys(50);
        FT_RATE_LIMITER.of(&(host))
    };
    rate_limiter
        .calls::<Result<Row, DbError>>()
        .at(site)
        .run(async {
            let outcome: Result<Row, DbError> = { get(host).await };
            outcome
        })
        .await
}
async fn keyed_elsewhere(tenant: &Tenant) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let bulkhead: &'static ::ft_runtime::Keyed<::ft_runtime::Bulkhead> = &TENANTS;
    let bulkhead = bulkhead.of(&((tenant.id)));
    bulkhead
        .calls::<Result<Row, DbError>>()
        .at(site)
        .run(async {
            let outcome: Result<Row, DbError> = { get(tenant).await };
            outcome
        })
        .await
}
fn cloned(&mut self) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let circuit_breaker: &::ft_runtime::CircuitBreaker = &*self.breaker.clone();
    circuit_breaker
        .calls::<Result<Row, DbError>>()
        .at(site)
        .run_blocking(|| -> Result<Row, DbError> { self.get() })
}
async fn made_here(id: u64) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let bulkhead = {
        static FT_BULKHEAD: ::ft_runtime::Bulkhead = Bulkhead::adaptive(4, 64).queue(8);
        &FT_BULKHEAD
    };
    bulkhead
        .calls::<Result<Row, DbError>>()
        .at(site)
        .run(async {
            let outcome: Result<Row, DbError> = { get(id).await };
            outcome
        })
        .await
}
async fn made_here_for_keys(host: &str) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let circuit_breaker = {
        static FT_CIRCUIT_BREAKER: ::ft_runtime::Keyed<::ft_runtime::CircuitBreaker> = Keyed::new(
            CircuitBreaker::new().consecutive(3),
        );
        FT_CIRCUIT_BREAKER.of(&(host))
    };
    circuit_breaker
        .calls::<Result<Row, DbError>>()
        .at(site)
        .run(async {
            let outcome: Result<Row, DbError> = { get(host).await };
            outcome
        })
        .await
}
async fn elsewhere(id: u64) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let circuit_breaker: &'static ::ft_runtime::CircuitBreaker = &PAYMENTS;
    circuit_breaker
        .calls::<Result<Row, DbError>>()
        .at(site)
        .run(async {
            let outcome: Result<Row, DbError> = { get(id).await };
            outcome
        })
        .await
}
async fn counted(id: u64) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let bulkhead = {
        static FT_BULKHEAD: ::ft_runtime::Bulkhead = ::ft_runtime::Bulkhead::new(
            2 * CORES,
        );
        &FT_BULKHEAD
    };
    bulkhead
        .calls::<Result<Row, DbError>>()
        .at(site)
        .run(async {
            let outcome: Result<Row, DbError> = { get(id).await };
            outcome
        })
        .await
}
