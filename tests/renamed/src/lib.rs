//! `ft-runtime` under another name, in edition 2021.

use resilience::{checkpoint, failover, retry, Error, Pool, Saved};

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
    }
}
