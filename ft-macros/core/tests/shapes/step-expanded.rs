fn charge(
    order: &Order,
    hold: &Hold,
) -> impl ::core::future::Future<Output = Result<Receipt, ShopError>> {
    let site = ::ft_runtime::site!().enter();
    let checkpoint = {
        const FT_CHECKPOINT: ::ft_runtime::Checkpoint = ::ft_runtime::Checkpoint::new();
        &FT_CHECKPOINT
    };
    let step = checkpoint
        .step("charge")
        .key(&(order.id))
        .input(&order)
        .input(&hold)
        .at(site);
    async move {
        step.calls::<Result<Receipt, ShopError>>()
            .run(async {
                let outcome: Result<Receipt, ShopError> = { post(order, hold).await };
                outcome
            })
            .await
    }
}
fn retried(
    &self,
    client: &Client,
    order: &Order,
) -> impl ::core::future::Future<Output = Result<Receipt, ShopError>> {
    let site = ::ft_runtime::site!().enter();
    let checkpoint = {
        const FT_CHECKPOINT: ::ft_runtime::Checkpoint = ::ft_runtime::Checkpoint::new()
            .version(3);
        &FT_CHECKPOINT
    };
    let step = checkpoint.step("retried").input(&order).at(site);
    async move {
        step.calls::<Result<Receipt, ShopError>>()
            .run(async {
                let outcome: Result<Receipt, ShopError> = {
                    let retry = {
                        const FT_RETRY: ::ft_runtime::Retry = ::ft_runtime::Retry::new();
                        &FT_RETRY
                    };
                    let mut attempts = retry
                        .attempts::<Result<Receipt, ShopError>>()
                        .at(site)
                        .on(|error| ::core::matches!(error, _));
                    loop {
                        let attempt: Attempt = attempts.attempt();
                        let wait = {
                            let outcome: Result<Receipt, ShopError> = attempts
                                .run(async {
                                    let outcome: Result<Receipt, ShopError> = {
                                        client.post(order).await
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
}
fn blocking() -> Result<Receipt, ShopError> {
    let site = ::ft_runtime::site!().enter();
    let checkpoint = {
        const FT_CHECKPOINT: ::ft_runtime::Checkpoint = ::ft_runtime::Checkpoint::new();
        &FT_CHECKPOINT
    };
    let step = checkpoint.step("blocking").at(site);
    step.calls::<Result<Receipt, ShopError>>()
        .run_blocking(|| -> Result<Receipt, ShopError> { post() })
}
fn future(order: &Order) -> impl Future<Output = Result<Receipt, ShopError>> + use<'_> {
    let site = ::ft_runtime::site!().enter();
    let checkpoint = {
        const FT_CHECKPOINT: ::ft_runtime::Checkpoint = ::ft_runtime::Checkpoint::new();
        &FT_CHECKPOINT
    };
    let step = checkpoint.step("future").input(&order).at(site);
    async move {
        step.calls::<Result<Receipt, ShopError>>()
            .run(async {
                let outcome: Result<Receipt, ShopError> = {
                    { async move { post(order).await } }.await
                };
                outcome
            })
            .await
    }
}
fn charge_card(cents: u64) -> impl ::core::future::Future<Output = Result<u64, Error>> {
    let site = ::ft_runtime::site!("charge").enter();
    let checkpoint = {
        const FT_CHECKPOINT: ::ft_runtime::Checkpoint = ::ft_runtime::Checkpoint::new();
        &FT_CHECKPOINT
    };
    let step = checkpoint.step("charge").input(&cents).at(site);
    async move {
        step.calls::<Result<u64, Error>>()
            .run(async {
                let outcome: Result<u64, Error> = { Ok(cents) };
                outcome
            })
            .await
    }
}
fn debit(
    tx: &tokio_postgres::Transaction<'_>,
    log: &Log,
    order: &Order,
) -> impl ::core::future::Future<Output = Result<u64, Error>> {
    let site = ::ft_runtime::site!().enter();
    let checkpoint = {
        const FT_CHECKPOINT: ::ft_runtime::Checkpoint = ::ft_runtime::Checkpoint::new();
        &FT_CHECKPOINT
    };
    let step = checkpoint.step("debit").key(&(order.id)).input(&order).at(site);
    async move {
        match step.calls::<Result<u64, Error>>().look_up(&*tx).await {
            ::ft_runtime::checkpoint::TxStep::Answered(outcome) => outcome,
            ::ft_runtime::checkpoint::TxStep::Execute(step) => {
                let outcome = step
                    .run(async {
                        let outcome: Result<u64, Error> = {
                            let timeout = {
                                const FT_TIMEOUT: ::ft_runtime::Timeout = ::ft_runtime::Timeout::new(
                                    ::core::time::Duration::from_secs(2),
                                );
                                &FT_TIMEOUT
                            };
                            timeout
                                .calls::<Result<u64, Error>>()
                                .at(site)
                                .run(async {
                                    let outcome: Result<u64, Error> = {
                                        tx.execute(log.sql(order), &[]).await
                                    };
                                    outcome
                                })
                                .await
                        };
                        outcome
                    })
                    .await;
                step.record(&*tx, outcome).await
            }
        }
    }
}
fn credit(bank: &mut rusqlite::Transaction<'_>, order: u32) -> Result<(), Error> {
    let site = ::ft_runtime::site!().enter();
    let checkpoint = {
        const FT_CHECKPOINT: ::ft_runtime::Checkpoint = ::ft_runtime::Checkpoint::new();
        &FT_CHECKPOINT
    };
    let step = checkpoint.step("credit").key(&(order)).input(&order).at(site);
    match step.calls::<Result<(), Error>>().look_up_blocking(&*bank) {
        ::ft_runtime::checkpoint::TxStep::Answered(outcome) => outcome,
        ::ft_runtime::checkpoint::TxStep::Execute(step) => {
            let outcome = step
                .run_blocking(|| -> Result<(), Error> { bank.execute("..", [order]) });
            step.record_blocking(&*bank, outcome)
        }
    }
}
