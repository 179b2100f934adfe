use ft_runtime::retry;

// What the macro generates must not hide what the user has; the two errors below prove whose names these are.
const FT_RETRY: u32 = 3;

#[retry(max_attempts = 5)]
async fn uses_its_own(attempts: u32, retry: u32, outcome: u32, wait: u32, site: u32) -> std::io::Result<u32> {
    let sum: u32 = attempts + retry + outcome + wait + site + FT_RETRY;
    let text: &str = FT_RETRY;
    Ok(sum + attempts.len() as u32)
}

fn main() {}
