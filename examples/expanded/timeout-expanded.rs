// Generated from timeout.rs: `FT_EXPAND=write cargo test --test expanded` writes it anew.

//! `#[timeout]`: the body runs once, and not for longer than this.

use std::time::Duration;
use ft_runtime::{Deadline, Rejected, Timeout, timeout};

pub struct Client {
    pub answers_in: Duration,
    pub limit: Timeout,
}

impl Client {
    async fn get(&self, url: &str) -> Result<String, Rejected> {
        tokio::time::sleep(self.answers_in).await;
        Ok(url.to_owned())
    }
    /// A field is borrowed: the limit is known at run time.
    pub async fn fetch(&self, url: &str) -> Result<String, Rejected> {
        let site = ::ft_runtime::site!().enter();
        let timeout = &::ft_runtime::Timeout::from(self.limit);
        timeout
            .calls::<Result<String, Rejected>>()
            .at(site)
            .run(async {
                let outcome: Result<String, Rejected> = { self.get(url).await };
                outcome
            })
            .await
    }
}

/// A literal becomes a constant, so nonsense does not compile.
pub async fn page(client: &Client, url: String) -> Result<String, Rejected> {
    let site = ::ft_runtime::site!("page").enter();
    let timeout = {
        const FT_TIMEOUT: ::ft_runtime::Timeout = ::ft_runtime::Timeout::new(
            ::core::time::Duration::from_secs(2),
        );
        &FT_TIMEOUT
    };
    timeout
        .calls::<Result<String, Rejected>>()
        .at(site)
        .run(async {
            let outcome: Result<String, Rejected> = {
                let page = client.get(&url).await?;
                Ok(page)
            };
            outcome
        })
        .await
}

const LIMIT: Duration = Duration::from_millis(250);

/// A `Duration` goes through `From`; the nearer of two limits is what the body sees.
pub async fn left<T: From<u64>>() -> Result<Option<T>, Rejected> {
    let site = ::ft_runtime::site!().enter();
    let timeout = {
        const FT_TIMEOUT: ::ft_runtime::Timeout = ::ft_runtime::Timeout::new(
            ::core::time::Duration::from_secs(1),
        );
        &FT_TIMEOUT
    };
    timeout
        .calls::<Result<Option<T>, Rejected>>()
        .at(site)
        .run(async {
            let outcome: Result<Option<T>, Rejected> = {
                let timeout = &::ft_runtime::Timeout::from(LIMIT);
                timeout
                    .calls::<Result<Option<T>, Rejected>>()
                    .at(site)
                    .run(async {
                        let outcome: Result<Option<T>, Rejected> = {
                            Ok(
                                Deadline::current()
                                    .map(|deadline| T::from(
                                        deadline.remaining().as_millis() as u64,
                                    )),
                            )
                        };
                        outcome
                    })
                    .await
            };
            outcome
        })
        .await
}

pub async fn story() -> Vec<String> {
    let quick = Client {
        answers_in: Duration::from_millis(10),
        limit: Timeout::new(LIMIT),
    };
    let slow = Client {
        answers_in: Duration::from_secs(3),
        limit: Timeout::new(LIMIT),
    };
    vec![
        format!("{:?}", quick.fetch("page"). await), format!("{:?}", slow.fetch("page").
        await), format!("{:?}", page(& quick, "page".to_owned()). await), format!("{:?}",
        page(& slow, "page".to_owned()). await), format!("{:?}", left::< u64 > ().
        await),
    ]
}
