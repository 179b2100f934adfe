async fn plain(id: u64) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let timeout = {
        const FT_TIMEOUT: ::ft_runtime::Timeout = ::ft_runtime::Timeout::new(
            ::core::time::Duration::from_secs(2),
        );
        &FT_TIMEOUT
    };
    timeout
        .calls::<Result<Row, DbError>>()
        .at(site)
        .run(async {
            let outcome: Result<Row, DbError> = { get(id).await };
            outcome
        })
        .await
}
async fn constant(id: u64) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!("db").enter();
    let timeout = &::ft_runtime::Timeout::from(LIMIT);
    timeout
        .calls::<Result<Row, DbError>>()
        .at(site)
        .run(async {
            let outcome: Result<Row, DbError> = { get(id).await };
            outcome
        })
        .await
}
fn blocking(&self) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let timeout = &::ft_runtime::Timeout::from(self.limit);
    timeout
        .calls::<Result<Row, DbError>>()
        .at(site)
        .when(|error| error.is_slow())
        .run_blocking(|| -> Result<Row, DbError> { self.get() })
}
