use ft_runtime::{Rejected, Saved, checkpoint};

#[checkpoint(run = "shared")]
async fn shared(state: &Saved<u32>) -> Result<u32, Rejected> {
    Ok(**state)
}

#[checkpoint]
async fn no_run(state: &mut Saved<u32>) -> Result<u32, Rejected> {
    Ok(**state)
}

#[checkpoint(run = "keyed", key = 1)]
async fn keyed(state: &mut Saved<u32>) -> Result<u32, Rejected> {
    Ok(**state)
}

#[checkpoint(run = "passed")]
async fn passed(state: &mut Saved<u32>) -> Result<u32, Rejected> {
    Ok(**state)
}

async fn caller(mut state: Saved<u32>) {
    let _ = passed(&mut state).await;
}

fn main() {}
