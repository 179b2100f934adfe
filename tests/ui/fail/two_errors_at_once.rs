use ft_runtime::retry;

#[retry(max_attempts 5, on = , deadline = 5sec)]
async fn fetch() -> std::io::Result<u32> {
    Ok(1)
}

fn main() {
    // The function stays defined: nothing here turns red.
    let _ = fetch();
}
