//! `ft-runtime` under another name.

use resilience::retry;

/// One attribute.
#[retry(max_attempts = 2, on = _, crate = ::resilience)]
pub async fn alone(calls: &mut u32) -> Result<u32, String> {
    *calls += 1;
    if *calls < 2 { Err("not yet".into()) } else { Ok(*calls) }
}

/// Two of them: what moves below its sibling keeps the path.
#[retry(max_attempts = 2, on = _, crate = ::resilience)]
#[retry(max_attempts = 3, on = _, crate = ::resilience)]
pub async fn stacked(calls: &mut u32) -> Result<u32, String> {
    *calls += 1;
    if *calls < 5 { Err("not yet".into()) } else { Ok(*calls) }
}

#[cfg(test)]
mod tests {
    #[tokio::test(start_paused = true)]
    async fn attributes_work_under_another_name() {
        assert_eq!(super::alone(&mut 0).await, Ok(2));
        assert_eq!(super::stacked(&mut 0).await, Ok(5));
    }
}
