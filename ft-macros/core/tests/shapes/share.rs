#[coalesce(key = id)]
async fn keyed(id: u64) -> Result<Row, DbError> {
    get(id).await
}

#[coalesce(self.rows, key = format_args!("{tenant}/{id}"), name = "rows")]
async fn method(&self, tenant: &str, id: u64) -> Result<Row, DbError> {
    self.get(tenant, id).await
}

#[coalesce(max_keys = 50, key = id)]
async fn bounded(id: u64) -> Result<Row, DbError> {
    get(id).await
}

#[coalesce]
async fn without_arguments() -> Result<Row, DbError> {
    get().await
}
