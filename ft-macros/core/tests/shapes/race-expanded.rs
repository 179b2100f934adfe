async fn plain(&self, id: u64) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let hedge = {
        static FT_HEDGE: ::ft_runtime::Hedge = ::ft_runtime::Hedge::new();
        &FT_HEDGE
    };
    hedge
        .calls::<Result<Row, DbError>>()
        .at(site)
        .run(|| async {
            let outcome: Result<Row, DbError> = { self.get(id).await };
            outcome
        })
        .await
}
async fn set(name: String) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let hedge = {
        static FT_HEDGE: ::ft_runtime::Hedge = ::ft_runtime::Hedge::new()
            .after(::core::time::Duration::from_millis(50))
            .max_extra(2)
            .budget(&BUDGET);
        &FT_HEDGE
    };
    hedge
        .calls::<Result<Row, DbError>>()
        .at(site)
        .on(|error| ::core::matches!(error, DbError::Slow))
        .run(|| async {
            let name = ::core::clone::Clone::clone(&name);
            let outcome: Result<Row, DbError> = { get(name).await };
            outcome
        })
        .await
}
async fn around(&self, id: u64) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let hedge: &::ft_runtime::Hedge = &self.hedge;
    hedge
        .calls::<Result<Row, DbError>>()
        .at(site)
        .run(|| async {
            let outcome: Result<Row, DbError> = {
                let retry = {
                    const FT_RETRY: ::ft_runtime::Retry = ::ft_runtime::Retry::new();
                    &FT_RETRY
                };
                let mut attempts = retry.attempts::<Result<Row, DbError>>().at(site);
                loop {
                    let wait = {
                        let outcome: Result<Row, DbError> = attempts
                            .run(async {
                                let outcome: Result<Row, DbError> = { self.get(id).await };
                                outcome
                            })
                            .await;
                        match attempts.again(&outcome) {
                            ::core::option::Option::Some(wait) => wait,
                            ::core::option::Option::None => break outcome,
                        }
                    };
                    wait.await;
                }
            };
            outcome
        })
        .await
}
