async fn plain(id: u64) -> Result<Row, DbError> {
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
                    let outcome: Result<Row, DbError> = { get(id).await };
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
async fn options(name: String) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let retry = {
        const FT_RETRY: ::ft_runtime::Retry = ::ft_runtime::Retry::new()
            .max_attempts(5)
            .backoff(
                Backoff::exponential(::core::time::Duration::from_millis(250))
                    .max_delay(::core::time::Duration::from_secs(300)),
            )
            .hint(::ft_runtime::Hint::Clamp);
        &FT_RETRY
    };
    let mut attempts = retry.attempts::<Result<Row, DbError>>().at(site);
    loop {
        let wait = {
            let outcome: Result<Row, DbError> = attempts
                .run(async {
                    let name = ::core::clone::Clone::clone(&name);
                    let outcome: Result<Row, DbError> = { get(name).await };
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
async fn constants(&self) -> anyhow::Result<Row> {
    let site = ::ft_runtime::site!().enter();
    let retry = &const {
        ::ft_runtime::Retry::new()
            .max_attempts(LIMIT)
            .deadline(Self::DEADLINE)
            .budget(&BUDGET)
    };
    let mut attempts = retry.attempts::<anyhow::Result<Row>>().at(site);
    loop {
        let wait = {
            let outcome: anyhow::Result<Row> = attempts
                .run(async {
                    let outcome: anyhow::Result<Row> = { self.get().await };
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
async fn late(&mut self) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let retry = &::ft_runtime::Retry::new().max_attempts(self.limit());
    let mut attempts = retry.attempts::<Result<Row, DbError>>().at(site);
    loop {
        let wait = {
            let outcome: Result<Row, DbError> = attempts
                .run(async {
                    let outcome: Result<Row, DbError> = { self.get().await };
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
async fn policy(id: u64) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let retry = &DB;
    let mut attempts = retry.attempts::<Result<Row, DbError>>().at(site);
    loop {
        let wait = {
            let outcome: Result<Row, DbError> = attempts
                .run(async {
                    let outcome: Result<Row, DbError> = { get(id).await };
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
async fn field(&mut self) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let retry = &{ self.policy }.max_attempts(2);
    let mut attempts = retry.attempts::<Result<Row, DbError>>().at(site);
    loop {
        let wait = {
            let outcome: Result<Row, DbError> = attempts
                .run(async {
                    let outcome: Result<Row, DbError> = { self.get().await };
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
async fn reference(&self) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let retry = &self.policy;
    let mut attempts = retry.attempts::<Result<Row, DbError>>().at(site);
    loop {
        let wait = {
            let outcome: Result<Row, DbError> = attempts
                .run(async {
                    let outcome: Result<Row, DbError> = { self.get().await };
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
async fn computed() -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let retry = &{ policies().db };
    let mut attempts = retry.attempts::<Result<Row, DbError>>().at(site);
    loop {
        let wait = {
            let outcome: Result<Row, DbError> = attempts
                .run(async {
                    let outcome: Result<Row, DbError> = { get().await };
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
async fn judged(id: u64) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let retry = {
        const FT_RETRY: ::ft_runtime::Retry = ::ft_runtime::Retry::new();
        &FT_RETRY
    };
    let mut attempts = retry
        .attempts::<Result<Row, DbError>>()
        .at(site)
        .on(|error| {
            ::core::matches!(error, DbError::Timeout | DbError::Http(502..= 504))
        })
        .unless(|error| ::core::matches!(error, DbError::Http(code) if * code == 503))
        .when(Fault::is_transient)
        .until(|row| row.complete)
        .retry_after(|error| error.patience());
    loop {
        let wait = {
            let outcome: Result<Row, DbError> = attempts
                .run(async {
                    let outcome: Result<Row, DbError> = { get(id).await };
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
async fn numbered(id: u64) -> Result<impl Display, DbError> {
    let site = ::ft_runtime::site!("db.load").enter();
    let retry = {
        const FT_RETRY: ::ft_runtime::Retry = ::ft_runtime::Retry::new();
        &FT_RETRY
    };
    let mut attempts = retry.attempts::<Result<_, DbError>>().at(site);
    loop {
        let attempt: ft_runtime::Attempt = attempts.attempt();
        let wait = {
            let outcome: Result<_, DbError> = attempts
                .run(async {
                    let outcome: Result<_, DbError> = {
                        return get(id, attempt.number()).await;
                    };
                    #[allow(unreachable_code)] outcome
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
fn blocking(name: String) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let retry = {
        const FT_RETRY: ::ft_runtime::Retry = ::ft_runtime::Retry::new();
        &FT_RETRY
    };
    let mut attempts = retry.attempts::<Result<Row, DbError>>().at(site);
    loop {
        let wait = {
            let outcome: Result<Row, DbError> = attempts
                .run_blocking(|| -> Result<Row, DbError> {
                    let name = ::core::clone::Clone::clone(&name);
                    let outcome: Result<Row, DbError> = { get(name) };
                    outcome
                });
            match attempts.again(&outcome) {
                ::core::option::Option::Some(wait) => wait,
                ::core::option::Option::None => break outcome,
            }
        };
        wait.block();
    }
}
