fn opaque(id: u64) -> impl Future<Output = Result<Row, DbError>> + Send {
    async move {
        let site = ::ft_runtime::site!().enter();
        let retry = {
            const FT_RETRY: ::ft_runtime::Retry = ::ft_runtime::Retry::new();
            &FT_RETRY
        };
        let mut attempts = retry.attempts::<Result<Row, DbError>>().at(site);
        loop {
            let wait = {
                let outcome: Result<Row, DbError> = attempts
                    .run(async {
                        let outcome: Result<Row, DbError> = {
                            { async move { get(id).await } }.await
                        };
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
    }
}
fn pinned(&self) -> Pin<Box<dyn Future<Output = Result<Row, DbError>> + Send + '_>> {
    ::std::boxed::Box::pin(async move {
        let site = ::ft_runtime::site!().enter();
        let timeout = {
            const FT_TIMEOUT: ::ft_runtime::Timeout = ::ft_runtime::Timeout::new(
                ::core::time::Duration::from_secs(1),
            );
            &FT_TIMEOUT
        };
        timeout
            .calls::<Result<Row, DbError>>()
            .at(site)
            .run(async {
                let outcome: Result<Row, DbError> = { { Box::pin(self.get()) }.await };
                outcome
            })
            .await
    })
}
fn named(&self) -> BoxFuture<'_, Result<Row, DbError>> {
    ::std::boxed::Box::pin(async move {
        let site = ::ft_runtime::site!().enter();
        let retry = {
            const FT_RETRY: ::ft_runtime::Retry = ::ft_runtime::Retry::new();
            &FT_RETRY
        };
        let mut attempts = retry.attempts::<Result<Row, DbError>>().at(site);
        loop {
            let wait = {
                let outcome: Result<Row, DbError> = attempts
                    .run(async {
                        let outcome: Result<Row, DbError> = {
                            { self.get().boxed() }.await
                        };
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
    })
}
