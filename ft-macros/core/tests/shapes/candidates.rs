#[failover(replica in &self.replicas)]
async fn read(&self, key: &str) -> Result<Value, ReadError> {
    replica.get(key).await
}

#[failover(READS, idempotent = false, shard in shards(key), on = ReadError::Gone)]
fn blocking(key: &str) -> Result<Value, ReadError> {
    shard.get(key)
}

#[failover(to = [from_replica, self::cache::read::<Row>], clone(name))]
async fn from_primary(id: u64, name: String) -> Result<Row, DbError> {
    get(id, name).await
}

#[failover(to = [Self::from_cache])]
fn method(&mut self, id: u64) -> Result<Row, DbError> {
    self.get(id)
}
