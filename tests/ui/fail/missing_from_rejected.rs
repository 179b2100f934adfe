use ft_runtime::{Fault, Pool, checkpoint, failover};

#[derive(Debug, Fault)]
#[fault(transient)]
struct MyError;

#[failover(replica in replicas)]
async fn read(replicas: &Pool<u32>) -> Result<u32, MyError> {
    Ok(*replica)
}

#[checkpoint(run = "import")]
async fn import() -> Result<u32, MyError> {
    Ok(1)
}

fn main() {}
