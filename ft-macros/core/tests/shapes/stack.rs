#[retry]
#[timeout(50ms)]
async fn two(id: u64) -> Result<Row, DbError> {
    get(id).await
}

/// Documented.
#[timeout(1s)]
#[inline]
#[ft_runtime::retry]
#[must_use]
#[timeout(50ms)]
#[tracing::instrument(skip_all)]
async fn three(id: u64) -> Result<Row, DbError> {
    get(id).await
}

#[timeout(1s, name = "four")]
#[failover(replica in &self.replicas)]
#[retry(self.policy, crate = facade::ft)]
#[timeout(50ms)]
async fn four(&self, id: u64) -> Result<Row, DbError> {
    replica.get(id).await
}

mod inside {
    impl<T> Fetch for Client<T> {
        #[circuit_breaker(open = 1s)]
        #[retry(crate = facade::ft)]
        fn method(self) -> Result<Row, DbError> {
            self.get()
        }
    }
}

trait Provided {
    #[retry]
    fn method(&self) -> Result<Row, DbError> {
        self.get()
    }
}
