//! The counter: it counts up, fails at its limit, goes back to its last checkpoint and counts on from there.
//!
//! `cargo run --example counter`, then kill it half-way and run it again: it goes on where it was.

use std::time::Duration;

use ft_runtime::{Again, Attempt, Fault, Rejected, Saved, Store, checkpoint, retry};

#[derive(Debug, Fault, thiserror::Error)]
enum CountError {
    #[error("the counter broke at {0}")]
    #[fault(transient)]
    Limit(u32),
    #[error(transparent)]
    #[fault(transparent)]
    Rejected(#[from] Rejected),
}

/// `attempt` and `count` are supplied; the caller passes what is left: `count_to(25)`.
#[retry(max_attempts = 5)]
#[checkpoint(run = "counter", every = 4, again = Again::Always)]
async fn count_to(attempt: Attempt, count: &mut Saved<u32>, goal: u32) -> Result<u32, CountError> {
    println!("attempt {}: from the last checkpoint, {}", attempt.number(), **count);
    let limit = 10 * attempt.number();
    while **count < goal {
        if **count == limit {
            println!("  fails at {limit}");
            return Err(CountError::Limit(limit));
        }
        **count += 1;
        println!("  {}", **count);
        count.mark().await?; // a consistent point: every fourth one is saved
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(**count)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::temp_dir().join("ft-counter").join("ft.db");
    Store::open(&format!("sqlite:{}", file.display()))?.install();

    let counted = count_to(25).await?;
    println!("counted to {counted}");
    Ok(())
}
