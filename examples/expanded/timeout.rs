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
    #[timeout(self.limit)]
    pub async fn fetch(&self, url: &str) -> Result<String, Rejected> {
        self.get(url).await
    }
}

/// A literal becomes a constant, so nonsense does not compile.
#[timeout(2s, name = "page")]
pub async fn page(client: &Client, url: String) -> Result<String, Rejected> {
    let page = client.get(&url).await?;
    Ok(page)
}

const LIMIT: Duration = Duration::from_millis(250);

/// A `Duration` goes through `From`; the nearer of two limits is what the body sees.
#[timeout(1s)]
#[timeout(LIMIT)]
pub async fn left<T: From<u64>>() -> Result<Option<T>, Rejected> {
    Ok(Deadline::current().map(|deadline| T::from(deadline.remaining().as_millis() as u64)))
}

pub async fn story() -> Vec<String> {
    let quick = Client { answers_in: Duration::from_millis(10), limit: Timeout::new(LIMIT) };
    let slow = Client { answers_in: Duration::from_secs(3), limit: Timeout::new(LIMIT) };
    vec![
        format!("{:?}", quick.fetch("page").await),
        format!("{:?}", slow.fetch("page").await),
        format!("{:?}", page(&quick, "page".to_owned()).await),
        format!("{:?}", page(&slow, "page".to_owned()).await),
        format!("{:?}", left::<u64>().await),
    ]
}
