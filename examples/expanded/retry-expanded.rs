// Generated from retry.rs: `FT_EXPAND=write cargo test --test expanded` writes it anew.

//! `#[retry]`: the loop.

use ft_runtime::{Backoff, Retry, retry};

#[derive(Debug)]
pub enum FetchError {
    Timeout,
    Http(u16),
}

#[derive(Default)]
pub struct Client {
    pub answers: Vec<Result<&'static str, FetchError>>,
    pub asked: u32,
}

impl Client {
    async fn get(&mut self, url: &str) -> Result<String, FetchError> {
        self.asked += 1;
        Ok(
            format!(
                "{url}: {}", self.answers.pop().unwrap_or(Err(FetchError::Timeout)) ?
            ),
        )
    }
}

static STEADY: Retry = Retry::new().max_attempts(4).backoff(Backoff::none());

/// Setters become a constant, so nonsense does not compile.
pub async fn fetch(client: &mut Client, url: &str) -> Result<String, FetchError> {
    let site = ::ft_runtime::site!().enter();
    let retry = {
        const FT_RETRY: ::ft_runtime::Retry = ::ft_runtime::Retry::new()
            .max_attempts(5)
            .backoff(Backoff::exponential(::core::time::Duration::from_millis(1)));
        &FT_RETRY
    };
    let mut attempts = retry
        .attempts::<Result<String, FetchError>>()
        .at(site)
        .on(|error| {
            ::core::matches!(error, FetchError::Timeout | FetchError::Http(502..= 504))
        });
    loop {
        let wait = {
            let outcome: Result<String, FetchError> = attempts
                .run(async {
                    let outcome: Result<String, FetchError> = {
                        let page = client.get(url).await?;
                        Ok(page)
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

/// A policy value is borrowed; a success that is not good enough is asked for again.
pub async fn poll(client: &mut Client, url: &str) -> Result<String, FetchError> {
    let site = ::ft_runtime::site!().enter();
    let retry = &STEADY;
    let mut attempts = retry
        .attempts::<Result<String, FetchError>>()
        .at(site)
        .unless(|error| ::core::matches!(error, FetchError::Http(404)))
        .until(|page: &String| page.ends_with("done"));
    loop {
        let wait = {
            let outcome: Result<String, FetchError> = attempts
                .run(async {
                    let outcome: Result<String, FetchError> = { client.get(url).await };
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

/// A blocking function waits on its thread; an argument that the body consumes is cloned for each attempt.
pub fn reserve(name: String, left: &mut u32) -> Result<String, FetchError> {
    let site = ::ft_runtime::site!().enter();
    let retry = &STEADY;
    let mut attempts = retry
        .attempts::<Result<String, FetchError>>()
        .at(site)
        .on(|error| ::core::matches!(error, _));
    loop {
        let wait = {
            let outcome: Result<String, FetchError> = attempts
                .run_blocking(|| -> Result<String, FetchError> {
                    let name = ::core::clone::Clone::clone(&name);
                    let outcome: Result<String, FetchError> = {
                        *left = left.checked_sub(1).ok_or(FetchError::Http(409))?;
                        if *left > 0 { Err(FetchError::Timeout) } else { Ok(name) }
                    };
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

pub async fn story() -> Vec<String> {
    let mut client = Client {
        answers: vec![Ok("hello"), Err(FetchError::Http(503)), Err(FetchError::Timeout)],
        asked: 0,
    };
    let fetched = fetch(&mut client, "page").await;
    let mut queue = Client {
        answers: vec![Ok("done"), Ok("half"), Err(FetchError::Timeout)],
        asked: 0,
    };
    let polled = poll(&mut queue, "job").await;
    let mut gone = Client {
        answers: vec![Err(FetchError::Http(404))],
        asked: 0,
    };
    let missing = poll(&mut gone, "job").await;
    let mut left = 3;
    let reserved = reserve("seat".to_owned(), &mut left);
    vec![
        format!("{fetched:?} after {}", client.asked), format!("{polled:?} after {}",
        queue.asked), format!("{missing:?} after {}", gone.asked),
        format!("{reserved:?}, {left} left"),
    ]
}
