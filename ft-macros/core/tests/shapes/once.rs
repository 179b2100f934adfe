#[timeout(2s)]
async fn plain(id: u64) -> Result<Row, DbError> {
    get(id).await
}

#[timeout(LIMIT, name = "db")]
async fn constant(id: u64) -> Result<Row, DbError> {
    get(id).await
}

#[timeout(self.limit, when = |error| error.is_slow())]
fn blocking(&self) -> Result<Row, DbError> {
    self.get()
}
