use ft_runtime::{Rejected, checkpoint};

struct Client;
struct Receipt;

#[checkpoint]
async fn charge(client: &Client, cents: u64) -> Result<u64, Rejected> {
    let _ = client;
    Ok(cents)
}

#[checkpoint(skip(client))]
async fn pay(client: &Client, cents: u64) -> Result<Receipt, Rejected> {
    let _ = (client, cents);
    Ok(Receipt)
}

fn main() {}
