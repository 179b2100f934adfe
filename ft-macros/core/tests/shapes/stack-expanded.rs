async fn two(id: u64) -> Result<Row, DbError> {
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
                        let timeout = {
                            const FT_TIMEOUT: ::ft_runtime::Timeout = ::ft_runtime::Timeout::new(
                                ::core::time::Duration::from_millis(50),
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
/// Documented.
#[inline]
#[must_use]
#[tracing::instrument(skip_all)]
async fn three(id: u64) -> Result<Row, DbError> {
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
                                let outcome: Result<Row, DbError> = {
                                    let timeout = {
                                        const FT_TIMEOUT: ::ft_runtime::Timeout = ::ft_runtime::Timeout::new(
                                            ::core::time::Duration::from_millis(50),
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
            outcome
        })
        .await
}
async fn four(&self, id: u64) -> Result<Row, DbError> {
    let site = facade::ft::site!("four").enter();
    let timeout = {
        const FT_TIMEOUT: facade::ft::Timeout = facade::ft::Timeout::new(
            ::core::time::Duration::from_secs(1),
        );
        &FT_TIMEOUT
    };
    timeout
        .calls::<Result<Row, DbError>>()
        .at(site)
        .run(async {
            let outcome: Result<Row, DbError> = {
                let failover = {
                    const FT_FAILOVER: facade::ft::Failover = facade::ft::Failover::new();
                    &FT_FAILOVER
                };
                let pool = &self.replicas;
                let mut candidates = failover
                    .over::<Result<Row, DbError>, _>(pool)
                    .at(site)
                    .start();
                loop {
                    let ::core::option::Option::Some(target) = candidates.current() else {
                        break candidates.refused()
                    };
                    let outcome: Result<Row, DbError> = candidates
                        .run(async {
                            let replica = &*target;
                            let outcome: Result<Row, DbError> = {
                                let retry = &{ self.policy };
                                let mut attempts = retry
                                    .attempts::<Result<Row, DbError>>()
                                    .at(site);
                                loop {
                                    let wait = {
                                        let outcome: Result<Row, DbError> = attempts
                                            .run(async {
                                                let outcome: Result<Row, DbError> = {
                                                    let timeout = {
                                                        const FT_TIMEOUT: facade::ft::Timeout = facade::ft::Timeout::new(
                                                            ::core::time::Duration::from_millis(50),
                                                        );
                                                        &FT_TIMEOUT
                                                    };
                                                    timeout
                                                        .calls::<Result<Row, DbError>>()
                                                        .at(site)
                                                        .run(async {
                                                            let outcome: Result<Row, DbError> = {
                                                                replica.get(id).await
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
                            outcome
                        })
                        .await;
                    if !candidates.again(&outcome) {
                        break outcome;
                    }
                }
            };
            outcome
        })
        .await
}
mod inside {
    impl<T> Fetch for Client<T> {
        fn method(self) -> Result<Row, DbError> {
            let site = facade::ft::site!().enter();
            let circuit_breaker = {
                static FT_CIRCUIT_BREAKER: facade::ft::CircuitBreaker = facade::ft::CircuitBreaker::new()
                    .open(::core::time::Duration::from_secs(1));
                &FT_CIRCUIT_BREAKER
            };
            circuit_breaker
                .calls::<Result<Row, DbError>>()
                .at(site)
                .run_blocking(|| -> Result<Row, DbError> {
                    let retry = {
                        const FT_RETRY: facade::ft::Retry = facade::ft::Retry::new();
                        &FT_RETRY
                    };
                    let mut attempts = retry.attempts::<Result<Row, DbError>>().at(site);
                    loop {
                        let wait = {
                            let outcome: Result<Row, DbError> = attempts
                                .run_blocking(|| -> Result<Row, DbError> { self.get() });
                            match attempts.again(&outcome) {
                                ::core::option::Option::Some(wait) => wait,
                                ::core::option::Option::None => break outcome,
                            }
                        };
                        wait.block();
                    }
                })
        }
    }
}
trait Provided {
    fn method(&self) -> Result<Row, DbError> {
        let site = ::ft_runtime::site!().enter();
        let retry = {
            const FT_RETRY: ::ft_runtime::Retry = ::ft_runtime::Retry::new();
            &FT_RETRY
        };
        let mut attempts = retry.attempts::<Result<Row, DbError>>().at(site);
        loop {
            let wait = {
                let outcome: Result<Row, DbError> = attempts
                    .run_blocking(|| -> Result<Row, DbError> { self.get() });
                match attempts.again(&outcome) {
                    ::core::option::Option::Some(wait) => wait,
                    ::core::option::Option::None => break outcome,
                }
            };
            wait.block();
        }
    }
}
