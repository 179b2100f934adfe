#[retry]
fn opaque(id: u64) -> impl Future<Output = Result<Row, DbError>> + Send {
    async move { get(id).await }
}

#[timeout(1s)]
fn pinned(&self) -> Pin<Box<dyn Future<Output = Result<Row, DbError>> + Send + '_>> {
    Box::pin(self.get())
}

#[retry]
fn named(&self) -> BoxFuture<'_, Result<Row, DbError>> {
    self.get().boxed()
}
