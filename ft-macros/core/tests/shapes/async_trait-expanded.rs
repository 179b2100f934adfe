impl Fetch for Client {
    fn fetch<'life0, 'life2, 'async_trait>(
        &'life0 mut self,
        key: String,
        page: &'life2 u32,
    ) -> ::core::pin::Pin<
        Box<
            dyn ::core::future::Future<
                Output = Result<Row, DbError>,
            > + ::core::marker::Send + 'async_trait,
        >,
    >
    where
        'life0: 'async_trait,
        'life2: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            if let ::core::option::Option::Some(__ret) = ::core::option::Option::None::<
                Result<Row, DbError>,
            > {
                #[allow(unreachable_code)] return __ret;
            }
            let mut __self = self;
            let key = key;
            let __ret: Result<Row, DbError> = {
                let site = ::ft_runtime::site!().enter();
                let retry = &{ __self.policy };
                let mut attempts = retry.attempts::<Result<Row, DbError>>().at(site);
                loop {
                    let attempt: Attempt = attempts.attempt();
                    let wait = {
                        let outcome: Result<Row, DbError> = attempts
                            .run(async {
                                let key = ::core::clone::Clone::clone(&key);
                                let outcome: Result<Row, DbError> = {
                                    let checkpoint = {
                                        const FT_CHECKPOINT: ::ft_runtime::Checkpoint = ::ft_runtime::Checkpoint::new();
                                        &FT_CHECKPOINT
                                    };
                                    checkpoint
                                        .run(__self.run())
                                        .named("fetch")
                                        .argument("key", ::ft_runtime::fingerprint_of!(key))
                                        .argument("page", ::ft_runtime::fingerprint_of!(page))
                                        .calls::<Result<Row, DbError>>()
                                        .at(site)
                                        .run(async {
                                            let mut saved = ::ft_runtime::Saved::<
                                                Progress,
                                            >::load("state")
                                                .await?;
                                            let state: &mut Saved<Progress> = &mut saved;
                                            let outcome: Result<Row, DbError> = {
                                                __self.get(key, attempt, page, state).await
                                            };
                                            outcome
                                        })
                                        .await
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
            };
            #[allow(unreachable_code)] __ret
        })
    }
    fn step<'life0, 'async_trait>(
        &'life0 self,
        key: String,
    ) -> ::core::pin::Pin<
        Box<
            dyn ::core::future::Future<
                Output = Result<Row, DbError>,
            > + ::core::marker::Send + 'async_trait,
        >,
    >
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        let site = ::ft_runtime::site!().enter();
        let checkpoint = {
            const FT_CHECKPOINT: ::ft_runtime::Checkpoint = ::ft_runtime::Checkpoint::new();
            &FT_CHECKPOINT
        };
        let step = checkpoint.step("step").key(&(self.id)).input(&key).at(site);
        Box::pin(async move {
            let __self = self;
            let key = key;
            let __ret: Result<Row, DbError> = {
                step.calls::<Result<Row, DbError>>()
                    .run(async {
                        let outcome: Result<Row, DbError> = { __self.get(key).await };
                        outcome
                    })
                    .await
            };
            #[allow(unreachable_code)] __ret
        })
    }
}
