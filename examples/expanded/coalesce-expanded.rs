// Generated from coalesce.rs: `FT_EXPAND=write cargo test --test expanded` writes it anew.

//! The shared execution: equal calls wait for one of them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use ft_runtime::{Coalesce, Error, coalesce};

#[derive(Debug, Default)]
pub struct Table {
    pub asked: AtomicU32,
    pub rows: Coalesce,
}

impl Table {
    async fn ask(&self, id: u32) -> Result<String, Error<u32>> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
        if id == 0 {
            Err(Error::Failed(number))
        } else {
            Ok(format!("row {id}, query {number}"))
        }
    }
    /// One state for each table.
    pub async fn row(&self, id: u32) -> Result<String, Error<u32>> {
        let site = ::ft_runtime::site!().enter();
        let coalesce: &::ft_runtime::Coalesce = &self.rows;
        coalesce
            .calls::<Result<String, Error<u32>>>()
            .at(site)
            .key(&(id))
            .run(async {
                let outcome: Result<String, Error<u32>> = { self.ask(id).await };
                outcome
            })
            .await
    }
}

/// One state for the function: all that matters is in the key.
pub async fn row_of(table: &Table, tenant: &str, id: u32) -> Result<String, Error<u32>> {
    let site = ::ft_runtime::site!().enter();
    let coalesce = {
        static FT_COALESCE: ::ft_runtime::Coalesce = ::ft_runtime::Coalesce::new()
            .max_keys(100);
        &FT_COALESCE
    };
    coalesce
        .calls::<Result<String, Error<u32>>>()
        .at(site)
        .key(&(format_args!("{tenant}/{id}")))
        .run(async {
            let outcome: Result<String, Error<u32>> = {
                let row = table.ask(id).await?;
                Ok(format!("{row} of {tenant}"))
            };
            outcome
        })
        .await
}

pub async fn story() -> Vec<String> {
    let table = Table::default();
    let (a, b, c) = tokio::join!(table.row(7), table.row(8), table.row(7));
    let mut told = vec![format!("{a:?} {b:?} {c:?}")];
    let (a, b) = tokio::join!(table.row(0), table.row(0));
    told.push(format!("{a:?} {b:?}"));
    let (a, b, c) = tokio::join!(
        row_of(& table, "x", 7), row_of(& table, "y", 7), row_of(& table, "x", 7)
    );
    told.push(format!("{a:?} {b:?} {c:?}"));
    told.push(format!("asked {} times", table.asked.load(Ordering::Relaxed)));
    told
}
