//! `#[checkpoint]`: a run, its steps, and a saved state.

use ft_runtime::{Fault, Rejected, Saved, Store, checkpoint, idempotency_key};
use serde::{Deserialize, Serialize};

#[derive(Debug, Fault, thiserror::Error)]
pub enum ShopError {
    #[error("no parcel left")]
    #[fault(transient)]
    NoParcel,
    #[error(transparent)]
    #[fault(transparent)]
    Rejected(#[from] Rejected),
}

#[derive(Debug, Deserialize, Serialize)]
pub struct Order {
    pub id: u32,
    pub cents: u64,
}

/// A run: opened the first time, resumed after that.
#[checkpoint(run = format!("order-{}", order.id))]
pub async fn place(order: &Order, parcels: &mut u32, told: &mut Vec<String>) -> Result<String, ShopError> {
    let receipt = charge(order, told).await?;
    *parcels = parcels.checked_sub(1).ok_or(ShopError::NoParcel)?;
    Ok(format!("{receipt}, sent"))
}

/// A step: its key and its run are taken when it is called, not when it is polled.
#[checkpoint(key = order.id, skip(told))]
pub async fn charge(order: &Order, told: &mut Vec<String>) -> Result<String, ShopError> {
    told.push(format!("charged {} with a key: {}", order.cents, idempotency_key().is_some()));
    Ok(format!("paid {}", order.cents))
}

/// A run with a state, supplied from its last saved version.
#[checkpoint(run = "sum", every = 2)]
pub fn sum(total: &mut Saved<u64>, from: u64, rows: &[Option<u64>]) -> Result<u64, ShopError> {
    for row in rows {
        **total += from + row.ok_or(ShopError::NoParcel)?;
        total.mark_blocking()?;
    }
    Ok(**total)
}

pub async fn story() -> Vec<String> {
    let store = Store::open("memory:").expect("memory is always there");
    let (order, mut told, mut parcels) = (Order { id: 42, cents: 500 }, Vec::new(), 0);
    for stock in [0, 3, 3] {
        parcels += stock;
        let placed = store.scope(place(&order, &mut parcels, &mut told)).await;
        told.push(format!("{placed:?}, {parcels} left"));
    }
    for rows in [[Some(1), Some(2), None], [Some(3), Some(4), Some(5)]] {
        let summed = store.scope(async { sum(10, &rows) }).await;
        told.push(format!("{summed:?}"));
    }
    told
}
