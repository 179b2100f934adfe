#[hedge]
async fn plain(&self, id: u64) -> Result<Row, DbError> {
    self.get(id).await
}

#[hedge(after = 50ms, max_extra = 2, budget = &BUDGET, on = DbError::Slow, clone(name))]
async fn set(name: String) -> Result<Row, DbError> {
    get(name).await
}

#[hedge(self.hedge)]
#[retry]
async fn around(&self, id: u64) -> Result<Row, DbError> {
    self.get(id).await
}
