#[fallback(to = cached)]
async fn function(id: u64) -> Result<Row, DbError> {
    get(id).await
}

#[fallback(to = Self::cached, on = DbError::Down, clone(name))]
fn method(&self, name: String) -> Result<Row, DbError> {
    self.get(name)
}

#[fallback(value = Row::empty(id), unless = DbError::Gone)]
async fn value(id: u64) -> Result<Row, DbError> {
    get(id).await
}

#[fallback(with = |error: DbError| match error {
    DbError::Down => cached(id).await,
    other => Err(other),
})]
async fn closure(id: u64) -> Result<Row, DbError> {
    get(id).await
}

#[fallback(with = |_| return Err(DbError::Gone))]
fn blocking_closure(id: u64) -> Result<Row, DbError> {
    get(id)
}

#[fallback(QUIET, with = self::of_error)]
async fn path(id: u64) -> Result<Row, DbError> {
    get(id).await
}
