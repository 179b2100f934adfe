use ft_runtime::{Rejected, checkpoint};

struct Shop;
struct NotSerialised;

impl Shop {
    #[checkpoint(run = "method", recover)]
    async fn method(&self) -> Result<u32, Rejected> {
        Ok(1)
    }
}

#[checkpoint(run = "generic", recover)]
async fn generic<T: serde::Serialize>(_value: T) -> Result<u32, Rejected> {
    Ok(1)
}

#[checkpoint(run = "skips", recover, skip(client))]
async fn skips(client: &NotSerialised) -> Result<u32, Rejected> {
    let _ = client;
    Ok(1)
}

#[checkpoint(run = "value", recover)]
async fn value(client: &NotSerialised) -> Result<u32, Rejected> {
    let _ = client;
    Ok(1)
}

#[checkpoint(recover)]
async fn step() -> Result<u32, Rejected> {
    Ok(1)
}

fn main() {}
