async fn place_order(order: &Order) -> Result<Receipt, ShopError> {
    let site = ::ft_runtime::site!().enter();
    let checkpoint = {
        const FT_CHECKPOINT: ::ft_runtime::Checkpoint = ::ft_runtime::Checkpoint::new()
            .version(2);
        &FT_CHECKPOINT
    };
    checkpoint
        .run(format!("order-{}", order.id))
        .named("place_order")
        .argument("order", ::ft_runtime::fingerprint_of!(order))
        .calls::<Result<Receipt, ShopError>>()
        .at(site)
        .run(async {
            let outcome: Result<Receipt, ShopError> = { charge(order).await };
            outcome
        })
        .await
}
async fn invoice(order: &Order) -> Result<Receipt, ShopError> {
    let site = ::ft_runtime::site!().enter();
    let checkpoint = &const {
        ::ft_runtime::Checkpoint::new().version(3).migrate(invoices::migrate)
    };
    checkpoint
        .run("invoice")
        .named("invoice")
        .argument("order", ::ft_runtime::fingerprint_of!(order))
        .calls::<Result<Receipt, ShopError>>()
        .at(site)
        .run(async {
            let outcome: Result<Receipt, ShopError> = { charge(order).await };
            outcome
        })
        .await
}
async fn reindex(rows: &Rows) -> Result<Report, IndexError> {
    let site = ::ft_runtime::site!().enter();
    let checkpoint = &::ft_runtime::Checkpoint::new()
        .every(::core::time::Duration::from_secs(10));
    checkpoint
        .run("reindex")
        .named("reindex")
        .argument("rows", ::ft_runtime::fingerprint_of!(rows))
        .calls::<Result<Report, IndexError>>()
        .at(site)
        .run(async {
            let mut saved = ::ft_runtime::Saved::<Progress>::load("state").await?;
            let state: &mut Saved<Progress> = &mut saved;
            let outcome: Result<Report, IndexError> = {
                state.mark().await?;
                Ok(state.report())
            };
            outcome
        })
        .await
}
async fn alias() -> Result<Report, IndexError> {
    let site = ::ft_runtime::site!().enter();
    let checkpoint = {
        const FT_CHECKPOINT: ::ft_runtime::Checkpoint = ::ft_runtime::Checkpoint::new()
            .again(::ft_runtime::Again::Always);
        &FT_CHECKPOINT
    };
    checkpoint
        .run("alias")
        .named("alias")
        .calls::<Result<Report, IndexError>>()
        .at(site)
        .run(async {
            let mut saved = <MyProgress<'_>>::load("progress").await?;
            let mut progress: &mut MyProgress<'_> = &mut saved;
            let outcome: Result<Report, IndexError> = { Ok(progress.report()) };
            outcome
        })
        .await
}
fn blocking() -> Result<Report, IndexError> {
    let site = ::ft_runtime::site!().enter();
    let retry = {
        const FT_RETRY: ::ft_runtime::Retry = ::ft_runtime::Retry::new().max_attempts(2);
        &FT_RETRY
    };
    let mut attempts = retry.attempts::<Result<Report, IndexError>>().at(site);
    loop {
        let wait = {
            let outcome: Result<Report, IndexError> = attempts
                .run_blocking(|| -> Result<Report, IndexError> {
                    let checkpoint = {
                        const FT_CHECKPOINT: ::ft_runtime::Checkpoint = ::ft_runtime::Checkpoint::new();
                        &FT_CHECKPOINT
                    };
                    checkpoint
                        .run("blocking")
                        .named("blocking")
                        .calls::<Result<Report, IndexError>>()
                        .at(site)
                        .run_blocking(|| -> Result<Report, IndexError> {
                            let mut saved = ::ft_runtime::Saved::<
                                Progress,
                            >::load_blocking("state")?;
                            let state: &mut ft_runtime::Saved<Progress> = &mut saved;
                            let outcome: Result<Report, IndexError> = {
                                state.mark_blocking()?;
                                Ok(state.report())
                            };
                            outcome
                        })
                });
            match attempts.again(&outcome) {
                ::core::option::Option::Some(wait) => wait,
                ::core::option::Option::None => break outcome,
            }
        };
        wait.block();
    }
}
async fn recovered(
    id: u32,
    order: &Order,
    note: &str,
    rows: &[Row],
) -> Result<Receipt, ShopError> {
    let site = ::ft_runtime::site!().enter();
    {
        fn ft_start(
            inputs: &::ft_runtime::checkpoint::Inputs,
        ) -> ::core::result::Result<
            ::ft_runtime::checkpoint::Start,
            ::ft_runtime::CheckpointError,
        > {
            let id: u32 = inputs.get("id")?;
            let order: Order = inputs.get("order")?;
            let note: ::std::string::String = inputs.get("note")?;
            let rows: ::std::vec::Vec<Row> = inputs.get("rows")?;
            ::core::result::Result::Ok(
                ::ft_runtime::checkpoint::Start::new(async move {
                    recovered(id, &order, &note, &rows).await
                }),
            )
        }
        ::ft_runtime::recoverable!("recovered", 3, ft_start);
    }
    let checkpoint = {
        const FT_CHECKPOINT: ::ft_runtime::Checkpoint = ::ft_runtime::Checkpoint::new()
            .version(3);
        &FT_CHECKPOINT
    };
    checkpoint
        .run(format!("bill-{id}"))
        .named("recovered")
        .argument("id", ::ft_runtime::fingerprint_of!(id))
        .argument("order", ::ft_runtime::fingerprint_of!(order))
        .argument("note", ::ft_runtime::fingerprint_of!(note))
        .argument("rows", ::ft_runtime::fingerprint_of!(rows))
        .recover(
            ::ft_runtime::checkpoint::Inputs::new()
                .with("id", &id)
                .with("order", &order)
                .with("note", &note)
                .with("rows", &rows),
        )
        .calls::<Result<Receipt, ShopError>>()
        .at(site)
        .run(async {
            let outcome: Result<Receipt, ShopError> = { charge(order).await };
            outcome
        })
        .await
}
fn recovered_blocking() -> Result<Report, IndexError> {
    let site = ::ft_runtime::site!().enter();
    {
        fn ft_start(
            _: &::ft_runtime::checkpoint::Inputs,
        ) -> ::core::result::Result<
            ::ft_runtime::checkpoint::Start,
            ::ft_runtime::CheckpointError,
        > {
            ::core::result::Result::Ok(
                ::ft_runtime::checkpoint::Start::blocking(move || recovered_blocking()),
            )
        }
        ::ft_runtime::recoverable!("recovered_blocking", 0, ft_start);
    }
    let checkpoint = {
        const FT_CHECKPOINT: ::ft_runtime::Checkpoint = ::ft_runtime::Checkpoint::new();
        &FT_CHECKPOINT
    };
    checkpoint
        .run("nightly")
        .named("recovered_blocking")
        .recover(::ft_runtime::checkpoint::Inputs::new())
        .calls::<Result<Report, IndexError>>()
        .at(site)
        .run_blocking(|| -> Result<Report, IndexError> {
            let mut saved = ::ft_runtime::Saved::<Progress>::load_blocking("state")?;
            let state: &mut Saved<Progress> = &mut saved;
            let outcome: Result<Report, IndexError> = { Ok(state.report()) };
            outcome
        })
}
