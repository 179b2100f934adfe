//! The stack that the README shows is this one.

use std::io;
use std::time::Duration;

use ft_runtime::{CircuitBreaker, Error, bulkhead, circuit_breaker, fallback, retry, timeout};

type RateError = Error<io::Error>;
type Rate = u32;

async fn last_known(_pair: &str) -> Result<Rate, RateError> {
    Ok(1)
}

// README
static GATEWAY: CircuitBreaker = CircuitBreaker::new().rate(0.3).open(Duration::from_secs(1));

#[fallback(to = last_known)]
#[timeout(5s)]
#[retry(max_attempts = 4)]
#[circuit_breaker(GATEWAY)]
#[timeout(400ms)]
#[bulkhead(16, queue = 32, max_wait = 100ms)]
async fn rate(pair: &str) -> Result<Rate, RateError> {
    // end
    if pair == "none" { Err(Error::Failed(io::ErrorKind::ConnectionReset.into())) } else { Ok(7) }
}

#[tokio::test(start_paused = true)]
async fn the_stack_of_the_readme_does_what_it_says() {
    assert_eq!(rate("eur/usd").await.unwrap(), 7);
    assert_eq!(rate("none").await.unwrap(), 1);
}

#[test]
fn the_stack_of_the_readme_is_the_one_that_is_tested() {
    let readme = include_str!("../../README.md");
    let source = include_str!("readme.rs");
    let shown = source
        .split("// README\n")
        .nth(1)
        .and_then(|rest| rest.split("    // end").next())
        .expect("the marks are there");
    let lines: Vec<&str> =
        shown.lines().map(|line| line.trim_end_matches(" {")).filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 8);
    for line in lines {
        assert!(readme.lines().any(|shown| shown.starts_with(line)), "the README does not show: {line}");
    }
}
