// Generated from hedge.rs: `FT_EXPAND=write cargo test --test expanded` writes it anew.

//! The hedge: a second call beside one that takes too long.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use ft_runtime::{Hedge, RetryBudget, hedge};

#[derive(Debug, Default)]
pub struct Replica {
    pub asked: AtomicU32,
}

impl Replica {
    /// The first answer comes late.
    async fn get(&self, key: String) -> io::Result<String> {
        let call = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        tokio::time::sleep(Duration::from_millis(if call == 1 { 900 } else { 3 })).await;
        Ok(format!("{key} from call {call}"))
    }
}

static BUDGET: RetryBudget = RetryBudget::new();

/// After a fixed delay, within a budget; an owned argument is cloned for each call.
pub async fn read(replica: &Replica, key: String) -> io::Result<String> {
    let site = ::ft_runtime::site!().enter();
    let hedge = {
        static FT_HEDGE: ::ft_runtime::Hedge = ::ft_runtime::Hedge::new()
            .after(::core::time::Duration::from_millis(50))
            .budget(&BUDGET);
        &FT_HEDGE
    };
    hedge
        .calls::<io::Result<String>>()
        .at(site)
        .run(|| async {
            let key = ::core::clone::Clone::clone(&key);
            let outcome: io::Result<String> = {
                let value = replica.get(key).await?;
                Ok(value)
            };
            outcome
        })
        .await
}

pub struct Reader {
    pub hedge: Hedge,
    pub replica: Replica,
}

impl Reader {
    /// When it is slower than most; the latency is that of this reader.
    pub async fn read(&self, key: &str) -> io::Result<String> {
        let site = ::ft_runtime::site!().enter();
        let hedge: &::ft_runtime::Hedge = &self.hedge;
        hedge
            .calls::<io::Result<String>>()
            .at(site)
            .run(|| async {
                let outcome: io::Result<String> = {
                    self.replica.get(key.to_owned()).await
                };
                outcome
            })
            .await
    }
}

pub async fn story() -> Vec<String> {
    let mut told = Vec::new();
    let replica = Replica::default();
    for _ in 0..2 {
        told.push(format!("{:?}", read(& replica, "a".to_owned()). await));
    }
    let reader = Reader {
        hedge: Hedge::new().quantile(0.5).warm_up(3),
        replica: Replica::default(),
    };
    for _ in 0..4 {
        told.push(
            format!("{:?}, then {:?}", reader.read("b"). await, reader.hedge.delay()),
        );
    }
    reader.replica.asked.store(0, Ordering::Relaxed);
    told.push(format!("{:?}", reader.read("b"). await));
    told
}
