async fn keyed(id: u64) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let coalesce = {
        static FT_COALESCE: ::ft_runtime::Coalesce = ::ft_runtime::Coalesce::new();
        &FT_COALESCE
    };
    coalesce
        .calls::<Result<Row, DbError>>()
        .at(site)
        .key(&(id))
        .run(async {
            let outcome: Result<Row, DbError> = { get(id).await };
            outcome
        })
        .await
}
async fn method(&self, tenant: &str, id: u64) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!("rows").enter();
    let coalesce: &::ft_runtime::Coalesce = &self.rows;
    coalesce
        .calls::<Result<Row, DbError>>()
        .at(site)
        .key(&(format_args!("{tenant}/{id}")))
        .run(async {
            let outcome: Result<Row, DbError> = { self.get(tenant, id).await };
            outcome
        })
        .await
}
async fn bounded(id: u64) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let coalesce = {
        static FT_COALESCE: ::ft_runtime::Coalesce = ::ft_runtime::Coalesce::new()
            .max_keys(50);
        &FT_COALESCE
    };
    coalesce
        .calls::<Result<Row, DbError>>()
        .at(site)
        .key(&(id))
        .run(async {
            let outcome: Result<Row, DbError> = { get(id).await };
            outcome
        })
        .await
}
async fn without_arguments() -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let coalesce = {
        static FT_COALESCE: ::ft_runtime::Coalesce = ::ft_runtime::Coalesce::new();
        &FT_COALESCE
    };
    coalesce
        .calls::<Result<Row, DbError>>()
        .at(site)
        .run(async {
            let outcome: Result<Row, DbError> = { get().await };
            outcome
        })
        .await
}
