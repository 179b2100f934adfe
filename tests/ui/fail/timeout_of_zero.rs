use ft_runtime::{Rejected, timeout};

#[timeout(0s)]
async fn at_once<T: Default>() -> Result<T, Rejected> {
    Ok(T::default())
}

fn main() {}
