#[retry]
async fn plain(id: u64) -> Result<Row, DbError> {
    get(id).await
}

#[retry(max_attempts = 5, backoff = Backoff::exponential(250ms).max_delay(5min), clone(name), hint = clamp)]
async fn options(name: String) -> Result<Row, DbError> {
    get(name).await
}

#[retry(max_attempts = LIMIT, deadline = Self::DEADLINE, budget = &BUDGET)]
async fn constants(&self) -> anyhow::Result<Row> {
    self.get().await
}

#[retry(max_attempts = self.limit())]
async fn late(&mut self) -> Result<Row, DbError> {
    self.get().await
}

#[retry(DB)]
async fn policy(id: u64) -> Result<Row, DbError> {
    get(id).await
}

#[retry(self.policy, max_attempts = 2)]
async fn field(&mut self) -> Result<Row, DbError> {
    self.get().await
}

#[retry(&self.policy)]
async fn reference(&self) -> Result<Row, DbError> {
    self.get().await
}

#[retry(policies().db)]
async fn computed() -> Result<Row, DbError> {
    get().await
}

#[retry(on = DbError::Timeout | DbError::Http(502..=504), unless = DbError::Http(code) if *code == 503, when = Fault::is_transient, until = |row| row.complete, retry_after = |error| error.patience())]
async fn judged(id: u64) -> Result<Row, DbError> {
    get(id).await
}

#[retry(name = "db.load")]
async fn numbered(id: u64, attempt: ft_runtime::Attempt) -> Result<impl Display, DbError> {
    return get(id, attempt.number()).await;
}

#[retry(clone(name))]
fn blocking(name: String) -> Result<Row, DbError> {
    get(name)
}
