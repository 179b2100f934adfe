// Generated from checkpoint.rs: `FT_EXPAND=write cargo test --test expanded` writes it anew.

//! `#[checkpoint]`: a run, its steps, and a saved state.

use ft_runtime::{Fault, Rejected, Saved, Store, checkpoint, idempotency_key};
use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error)]
pub enum ShopError {
    #[error("no parcel left")]
    NoParcel,
    #[error(transparent)]
    Rejected(#[from] Rejected),
}

#[automatically_derived]
impl ::ft_runtime::Fault for ShopError {
    fn kind(&self) -> ::ft_runtime::FaultKind {
        match self {
            Self::NoParcel { .. } => ::ft_runtime::FaultKind::Transient,
            Self::Rejected { 0: source, .. } => ::ft_runtime::Fault::kind(source),
        }
    }
    fn retry_after(&self) -> ::core::option::Option<::core::time::Duration> {
        match self {
            Self::Rejected { 0: source, .. } => ::ft_runtime::Fault::retry_after(source),
            _ => ::core::option::Option::None,
        }
    }
    fn rejected(&self) -> ::core::option::Option<&::ft_runtime::Rejected> {
        match self {
            Self::Rejected { 0: source, .. } => ::ft_runtime::Fault::rejected(source),
            _ => ::core::option::Option::None,
        }
    }
    fn describe(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        match self {
            Self::NoParcel { .. } => f.write_str("ShopError::NoParcel"),
            Self::Rejected { 0: source, .. } => ::ft_runtime::Fault::describe(source, f),
        }
    }
}

#[derive(Debug, Deserialize, Serialize)]
pub struct Order {
    pub id: u32,
    pub cents: u64,
}

/// A run: opened the first time, resumed after that.
pub async fn place(
    order: &Order,
    parcels: &mut u32,
    told: &mut Vec<String>,
) -> Result<String, ShopError> {
    let site = ::ft_runtime::site!().enter();
    let checkpoint = {
        const FT_CHECKPOINT: ::ft_runtime::Checkpoint = ::ft_runtime::Checkpoint::new();
        &FT_CHECKPOINT
    };
    checkpoint
        .run(format!("order-{}", order.id))
        .named("place")
        .argument("order", ::ft_runtime::fingerprint_of!(order))
        .argument("parcels", ::ft_runtime::fingerprint_of!(parcels))
        .argument("told", ::ft_runtime::fingerprint_of!(told))
        .calls::<Result<String, ShopError>>()
        .at(site)
        .run(async {
            let outcome: Result<String, ShopError> = {
                let receipt = charge(order, told).await?;
                *parcels = parcels.checked_sub(1).ok_or(ShopError::NoParcel)?;
                Ok(format!("{receipt}, sent"))
            };
            outcome
        })
        .await
}

/// A step: its key and its run are taken when it is called, not when it is polled.
pub fn charge(
    order: &Order,
    told: &mut Vec<String>,
) -> impl ::core::future::Future<Output = Result<String, ShopError>> {
    let site = ::ft_runtime::site!().enter();
    let checkpoint = {
        const FT_CHECKPOINT: ::ft_runtime::Checkpoint = ::ft_runtime::Checkpoint::new();
        &FT_CHECKPOINT
    };
    let step = checkpoint.step("charge").key(&(order.id)).input(&order).at(site);
    async move {
        step.calls::<Result<String, ShopError>>()
            .run(async {
                let outcome: Result<String, ShopError> = {
                    told.push(
                        format!(
                            "charged {} with a key: {}", order.cents, idempotency_key()
                            .is_some()
                        ),
                    );
                    Ok(format!("paid {}", order.cents))
                };
                outcome
            })
            .await
    }
}

/// A run with a state, supplied from its last saved version.
pub fn sum(from: u64, rows: &[Option<u64>]) -> Result<u64, ShopError> {
    let site = ::ft_runtime::site!().enter();
    let checkpoint = &::ft_runtime::Checkpoint::new().every(2);
    checkpoint
        .run("sum")
        .named("sum")
        .argument("from", ::ft_runtime::fingerprint_of!(from))
        .argument("rows", ::ft_runtime::fingerprint_of!(rows))
        .calls::<Result<u64, ShopError>>()
        .at(site)
        .run_blocking(|| -> Result<u64, ShopError> {
            let mut saved = ::ft_runtime::Saved::<u64>::load_blocking("total")?;
            let total: &mut Saved<u64> = &mut saved;
            let outcome: Result<u64, ShopError> = {
                for row in rows {
                    **total += from + row.ok_or(ShopError::NoParcel)?;
                    total.mark_blocking()?;
                }
                Ok(**total)
            };
            outcome
        })
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
