use ft_runtime::retry;

#[retry(max_atempts = 5)]
async fn fetch() -> std::io::Result<u32> {
    Ok(1)
}

fn main() {}
