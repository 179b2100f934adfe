#[checkpoint(run = format!("order-{}", order.id), version = 2)]
async fn place_order(order: &Order) -> Result<Receipt, ShopError> {
    charge(order).await
}

#[checkpoint(run = "invoice", version = 3, migrate = invoices::migrate)]
async fn invoice(order: &Order) -> Result<Receipt, ShopError> {
    charge(order).await
}

#[checkpoint(run = "reindex", every = 10s)]
async fn reindex(state: &mut Saved<Progress>, rows: &Rows) -> Result<Report, IndexError> {
    state.mark().await?;
    Ok(state.report())
}

#[checkpoint(run = "alias", state = progress, again = always)]
async fn alias(mut progress: &mut MyProgress<'_>) -> Result<Report, IndexError> {
    Ok(progress.report())
}

#[retry(max_attempts = 2)]
#[checkpoint(run = "blocking")]
fn blocking(state: &mut ft_runtime::Saved<Progress>) -> Result<Report, IndexError> {
    state.mark_blocking()?;
    Ok(state.report())
}

#[checkpoint(run = format!("bill-{id}"), recover, version = 3)]
async fn recovered(id: u32, order: &Order, note: &str, rows: &[Row]) -> Result<Receipt, ShopError> {
    charge(order).await
}

#[checkpoint(run = "nightly", recover)]
fn recovered_blocking(state: &mut Saved<Progress>) -> Result<Report, IndexError> {
    Ok(state.report())
}
