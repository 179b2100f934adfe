use ft_runtime::retry;

#[retry(max_attempts = 5)]
async fn fetch() -> Option<u32> {
    Some(1)
}

#[retry]
fn nothing() {}

fn main() {}
