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
#[hedge(after = 50ms, budget = &BUDGET, clone(key))]
pub async fn read(replica: &Replica, key: String) -> io::Result<String> {
    let value = replica.get(key).await?;
    Ok(value)
}

pub struct Reader {
    pub hedge: Hedge,
    pub replica: Replica,
}

impl Reader {
    /// When it is slower than most; the latency is that of this reader.
    #[hedge(self.hedge)]
    pub async fn read(&self, key: &str) -> io::Result<String> {
        self.replica.get(key.to_owned()).await
    }
}

pub async fn story() -> Vec<String> {
    let mut told = Vec::new();
    let replica = Replica::default();
    for _ in 0..2 {
        told.push(format!("{:?}", read(&replica, "a".to_owned()).await));
    }
    let reader = Reader { hedge: Hedge::new().quantile(0.5).warm_up(3), replica: Replica::default() };
    for _ in 0..4 {
        told.push(format!("{:?}, then {:?}", reader.read("b").await, reader.hedge.delay()));
    }
    reader.replica.asked.store(0, Ordering::Relaxed);
    told.push(format!("{:?}", reader.read("b").await));
    told
}
