//! Faults on purpose: off, an attribute is one relaxed load; on, the same seed gives the same faults.

use std::time::Duration;

use ft_runtime::{Chaos, Error, chaos, retry};

/// Does the retry cope?
#[retry(max_attempts = 10, on = Error::Rejected(_))]
#[chaos(errors = 0.5, latency = 0.2, delay = 20ms, seed = 7)]
pub async fn load(id: u32) -> Result<u32, Error<u32>> {
    Ok(id)
}

static SLOW: Chaos = Chaos::new().latency(1.0).delay(Duration::from_millis(5));

#[chaos(SLOW)]
pub async fn slow(id: u32) -> Result<u32, Error<u32>> {
    if id == 0 { Err(Error::Failed(id)) } else { Ok(id) }
}

pub async fn story() -> Vec<String> {
    let mut told = Vec::new();
    for on in [false, true] {
        let _on = on.then(ft_runtime::chaos::scoped);
        let began = tokio::time::Instant::now();
        told.push(format!("{:?} {:?}", slow(0).await, slow(7).await));
        // Another story may be told at the same time, and have chaos on.
        if on {
            told.push(format!("in {:?}", began.elapsed()));
            for id in 0..10 {
                told.push(format!("{:?}", load(id).await));
            }
        }
    }
    told
}
