#[timeout(2s)]
async fn plain(id: u64) -> Result<Row, DbError> {
    get(id).await
}

#[timeout(LIMIT, name = "db")]
async fn constant(id: u64) -> Result<Row, DbError> {
    get(id).await
}

#[circuit_breaker(self.breaker, when = |error| error.is_slow())]
fn blocking(&self) -> Result<Row, DbError> {
    self.get()
}

#[circuit_breaker(rate = 0.3, open = 10s, abandoned = failure)]
async fn shared(id: u64) -> Result<Row, DbError> {
    get(id).await
}

#[rate_limiter(100, burst = 10, key = host, max_keys = 50)]
async fn keyed(host: &str) -> Result<Row, DbError> {
    get(host).await
}

#[bulkhead(TENANTS, key = (tenant.id))]
async fn keyed_elsewhere(tenant: &Tenant) -> Result<Row, DbError> {
    get(tenant).await
}

#[circuit_breaker(self.breaker.clone())]
fn cloned(&mut self) -> Result<Row, DbError> {
    self.get()
}

#[bulkhead(Bulkhead::adaptive(4, 64).queue(8))]
async fn made_here(id: u64) -> Result<Row, DbError> {
    get(id).await
}

#[circuit_breaker(Keyed::new(CircuitBreaker::new().consecutive(3)), key = host)]
async fn made_here_for_keys(host: &str) -> Result<Row, DbError> {
    get(host).await
}

#[circuit_breaker(PAYMENTS)]
async fn elsewhere(id: u64) -> Result<Row, DbError> {
    get(id).await
}

#[bulkhead(2 * CORES)]
async fn counted(id: u64) -> Result<Row, DbError> {
    get(id).await
}
