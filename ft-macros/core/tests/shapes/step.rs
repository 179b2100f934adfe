#[checkpoint(key = order.id)]
async fn charge(order: &Order, hold: &Hold) -> Result<Receipt, ShopError> {
    post(order, hold).await
}

#[checkpoint(skip(client), version = 3)]
#[retry(on = _)]
async fn retried(&self, client: &Client, order: &Order, attempt: Attempt) -> Result<Receipt, ShopError> {
    client.post(order).await
}

#[checkpoint]
fn blocking() -> Result<Receipt, ShopError> {
    post()
}

#[checkpoint]
fn future(order: &Order) -> impl Future<Output = Result<Receipt, ShopError>> + use<'_> {
    async move { post(order).await }
}

#[checkpoint(name = "charge")]
async fn charge_card(cents: u64) -> Result<u64, Error> {
    Ok(cents)
}

#[checkpoint(tx, key = order.id, skip(log))]
#[timeout(2s)]
async fn debit(tx: &tokio_postgres::Transaction<'_>, log: &Log, order: &Order) -> Result<u64, Error> {
    tx.execute(log.sql(order), &[]).await
}

#[checkpoint(key = order, tx = bank)]
fn credit(bank: &mut rusqlite::Transaction<'_>, order: u32) -> Result<(), Error> {
    bank.execute("..", [order])
}
