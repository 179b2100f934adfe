use ft_runtime::timeout;

struct MyError;

#[timeout(2s)]
async fn cannot_be_refused() -> Result<u32, MyError> {
    Ok(1)
}

#[timeout(2s)]
async fn no_result() -> u32 {
    1
}

#[timeout(5)]
async fn no_unit() -> Result<u32, ft_runtime::Rejected> {
    Ok(1)
}

fn main() {}
