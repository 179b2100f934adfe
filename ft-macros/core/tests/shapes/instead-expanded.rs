async fn function(id: u64) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let fallback = {
        const FT_FALLBACK: ::ft_runtime::Fallback = ::ft_runtime::Fallback::new();
        &FT_FALLBACK
    };
    let calls = fallback.calls::<Result<Row, DbError>>().at(site);
    'answer: {
        {
            let outcome: Result<Row, DbError> = calls
                .run(async {
                    let outcome: Result<Row, DbError> = { get(id).await };
                    outcome
                })
                .await;
            if !calls.stands_in(&outcome) {
                break 'answer outcome;
            }
        }
        cached(id).await
    }
}
fn method(&self, name: String) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let fallback = {
        const FT_FALLBACK: ::ft_runtime::Fallback = ::ft_runtime::Fallback::new();
        &FT_FALLBACK
    };
    let calls = fallback
        .calls::<Result<Row, DbError>>()
        .at(site)
        .on(|error| ::core::matches!(error, DbError::Down));
    'answer: {
        {
            let outcome: Result<Row, DbError> = calls
                .run_blocking(|| -> Result<Row, DbError> {
                    let name = ::core::clone::Clone::clone(&name);
                    let outcome: Result<Row, DbError> = { self.get(name) };
                    outcome
                });
            if !calls.stands_in(&outcome) {
                break 'answer outcome;
            }
        }
        Self::cached(self, name)
    }
}
async fn value(id: u64) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let fallback = {
        const FT_FALLBACK: ::ft_runtime::Fallback = ::ft_runtime::Fallback::new();
        &FT_FALLBACK
    };
    let calls = fallback
        .calls::<Result<Row, DbError>>()
        .at(site)
        .unless(|error| ::core::matches!(error, DbError::Gone));
    'answer: {
        {
            let outcome: Result<Row, DbError> = calls
                .run(async {
                    let outcome: Result<Row, DbError> = { get(id).await };
                    outcome
                })
                .await;
            if !calls.stands_in(&outcome) {
                break 'answer outcome;
            }
        }
        ::core::result::Result::Ok(Row::empty(id))
    }
}
async fn closure(id: u64) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let fallback = {
        const FT_FALLBACK: ::ft_runtime::Fallback = ::ft_runtime::Fallback::new();
        &FT_FALLBACK
    };
    let calls = fallback.calls::<Result<Row, DbError>>().at(site);
    'answer: {
        let error = {
            let outcome: Result<Row, DbError> = calls
                .run(async {
                    let outcome: Result<Row, DbError> = { get(id).await };
                    outcome
                })
                .await;
            if !calls.stands_in(&outcome) {
                break 'answer outcome;
            }
            match outcome {
                ::core::result::Result::Err(error) => error,
                good => break 'answer good,
            }
        };
        let error: DbError = error;
        match error {
            DbError::Down => cached(id).await,
            other => Err(other),
        }
    }
}
fn blocking_closure(id: u64) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let fallback = {
        const FT_FALLBACK: ::ft_runtime::Fallback = ::ft_runtime::Fallback::new();
        &FT_FALLBACK
    };
    let calls = fallback.calls::<Result<Row, DbError>>().at(site);
    'answer: {
        let error = {
            let outcome: Result<Row, DbError> = calls
                .run_blocking(|| -> Result<Row, DbError> { get(id) });
            if !calls.stands_in(&outcome) {
                break 'answer outcome;
            }
            match outcome {
                ::core::result::Result::Err(error) => error,
                good => break 'answer good,
            }
        };
        let _ = error;
        return Err(DbError::Gone);
    }
}
async fn path(id: u64) -> Result<Row, DbError> {
    let site = ::ft_runtime::site!().enter();
    let fallback = &QUIET;
    let calls = fallback.calls::<Result<Row, DbError>>().at(site);
    'answer: {
        let error = {
            let outcome: Result<Row, DbError> = calls
                .run(async {
                    let outcome: Result<Row, DbError> = { get(id).await };
                    outcome
                })
                .await;
            if !calls.stands_in(&outcome) {
                break 'answer outcome;
            }
            match outcome {
                ::core::result::Result::Err(error) => error,
                good => break 'answer good,
            }
        };
        self::of_error(error).await
    }
}
