//! `ft-runtime` under another name, in edition 2021.

use std::future::Future;

use resilience::{
    bulkhead, chaos, checkpoint, circuit_breaker, coalesce, failover, fallback, hedge, rate_limiter, retry, timeout,
    CircuitBreaker, Error, Keyed, Pool, Saved,
};

/// One attribute.
#[retry(max_attempts = 2, on = _, crate = ::resilience)]
pub async fn alone(calls: &mut u32) -> Result<u32, String> {
    *calls += 1;
    if *calls < 2 {
        Err("not yet".into())
    } else {
        Ok(*calls)
    }
}

/// Two of them: what moves below its sibling keeps the path.
#[retry(max_attempts = 2, on = _, crate = ::resilience)]
#[retry(max_attempts = 3, on = _, crate = ::resilience)]
pub async fn stacked(calls: &mut u32) -> Result<u32, String> {
    *calls += 1;
    if *calls < 5 {
        Err("not yet".into())
    } else {
        Ok(*calls)
    }
}

/// A run over borrowed arguments.
#[checkpoint(run = format!("order-{order}"), crate = ::resilience)]
pub async fn place(order: u32, rows: &[String], servers: &Pool<u32>) -> Result<u32, Error<String>> {
    let mut sum = 0;
    for row in rows {
        sum += charge(row, servers).await?;
    }
    Ok(sum)
}

/// A step that borrows, over targets.
#[checkpoint(key = row, skip(servers), crate = ::resilience)]
#[failover(server in servers, on = _)]
async fn charge(row: &str, servers: &Pool<u32>) -> Result<u32, Error<String>> {
    match *server {
        0 => Err(Error::Failed("down".into())),
        factor => Ok(factor * row.len() as u32),
    }
}

/// A state.
#[checkpoint(run = "count", every = 2, crate = ::resilience)]
pub async fn count(state: &mut Saved<u32>, to: u32) -> Result<u32, Error<String>> {
    while **state < to {
        **state += 1;
        state.mark().await?;
    }
    Ok(**state)
}

static HOSTS: Keyed<CircuitBreaker> = Keyed::new(CircuitBreaker::new());

/// All that stand around a call, in the recommended order; one of them says for all where the runtime is.
#[fallback(with = |error| spare(host, error).await, on = _)]
#[coalesce(key = host)]
#[timeout(10s, crate = ::resilience)]
#[hedge(after = 1s, on = _)]
#[retry(max_attempts = 2, on = Error::Failed(_))]
#[circuit_breaker(HOSTS, key = host, on = _)]
#[rate_limiter(100, burst = 100, max_wait = 1s)]
#[timeout(1s)]
#[bulkhead(2 * 2, queue = 4)]
#[chaos(errors = 0.0)]
pub async fn stack(host: &str, calls: &std::sync::atomic::AtomicU32) -> Result<u32, Error<String>> {
    match calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 => Err(Error::Failed("not yet".into())),
        _ if host.is_empty() => Err(Error::Failed("no host".into())),
        call => Ok(call),
    }
}

async fn spare(host: &str, _error: Error<String>) -> Result<u32, Error<String>> {
    Ok(host.len() as u32)
}

/// A future that borrows, and does not say so in this edition.
#[fallback(value = 7, on = _, crate = ::resilience)]
#[circuit_breaker(consecutive = 5, key = host, on = _)]
#[bulkhead(resilience::Bulkhead::adaptive(1, 4))]
#[allow(clippy::manual_async_fn, reason = "this kind of function is what is tried")]
pub fn future<'a>(host: &'a str) -> impl Future<Output = Result<usize, Error<String>>> + Send + 'a {
    async move { Ok(host.len()) }
}

/// Without a task to wait in.
#[fallback(to = elsewhere, on = _, crate = ::resilience)]
#[circuit_breaker(on = _)]
#[rate_limiter(100)]
#[bulkhead(4)]
#[chaos]
pub fn blocking(host: &str) -> Result<usize, Error<String>> {
    Err(Error::Failed(host.into()))
}

fn elsewhere(host: &str) -> Result<usize, Error<String>> {
    Ok(host.len())
}

#[cfg(test)]
mod tests {
    use resilience::{Pool, Store};

    #[tokio::test(start_paused = true)]
    async fn attributes_work_under_another_name_and_in_edition_2021() {
        assert_eq!(super::alone(&mut 0).await, Ok(2));
        assert_eq!(super::stacked(&mut 0).await, Ok(5));

        let store = Store::open("memory:").unwrap();
        let spawned = store.scope(async {
            let (rows, servers) = (["a".to_owned(), "bc".to_owned()], Pool::of([("down", 0), ("up", 10)]));
            (super::place(7, &rows, &servers).await, super::count(3).await)
        });
        assert_eq!(tokio::spawn(spawned).await.unwrap(), (Ok(30), Ok(3)));

        let stacked = async { (super::stack("a", &0.into()).await, super::stack("", &0.into()).await) };
        assert_eq!(tokio::spawn(stacked).await.unwrap(), (Ok(1), Ok(0)));
        assert_eq!(super::future("host").await, Ok(4));
        assert_eq!(super::blocking("host"), Ok(4));
    }
}
