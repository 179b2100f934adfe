// Generated from chaos.rs: `FT_EXPAND=write cargo test --test expanded` writes it anew.

//! Faults on purpose: off, an attribute is one relaxed load; on, the same seed gives the same faults.

use std::time::Duration;
use ft_runtime::{Chaos, Error, chaos, retry};

/// Does the retry cope?
pub async fn load(id: u32) -> Result<u32, Error<u32>> {
    let site = ::ft_runtime::site!().enter();
    let retry = {
        const FT_RETRY: ::ft_runtime::Retry = ::ft_runtime::Retry::new()
            .max_attempts(10);
        &FT_RETRY
    };
    let mut attempts = retry
        .attempts::<Result<u32, Error<u32>>>()
        .at(site)
        .on(|error| ::core::matches!(error, Error::Rejected(_)));
    loop {
        let wait = {
            let outcome: Result<u32, Error<u32>> = attempts
                .run(async {
                    let outcome: Result<u32, Error<u32>> = {
                        let chaos = {
                            static FT_CHAOS: ::ft_runtime::Chaos = ::ft_runtime::Chaos::new()
                                .errors(0.5)
                                .latency(0.2)
                                .delay(::core::time::Duration::from_millis(20))
                                .seed(7);
                            &FT_CHAOS
                        };
                        chaos
                            .calls::<Result<u32, Error<u32>>>()
                            .at(site)
                            .run(async {
                                let outcome: Result<u32, Error<u32>> = { Ok(id) };
                                outcome
                            })
                            .await
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

static SLOW: Chaos = Chaos::new().latency(1.0).delay(Duration::from_millis(5));

pub async fn slow(id: u32) -> Result<u32, Error<u32>> {
    let site = ::ft_runtime::site!().enter();
    let chaos: &'static ::ft_runtime::Chaos = &SLOW;
    chaos
        .calls::<Result<u32, Error<u32>>>()
        .at(site)
        .run(async {
            let outcome: Result<u32, Error<u32>> = {
                if id == 0 { Err(Error::Failed(id)) } else { Ok(id) }
            };
            outcome
        })
        .await
}

pub async fn story() -> Vec<String> {
    let mut told = Vec::new();
    for on in [false, true] {
        let _on = on.then(ft_runtime::chaos::scoped);
        let began = tokio::time::Instant::now();
        told.push(format!("{:?} {:?}", slow(0). await, slow(7). await));
        if on {
            told.push(format!("in {:?}", began.elapsed()));
            for id in 0..10 {
                told.push(format!("{:?}", load(id). await));
            }
        }
    }
    told
}
