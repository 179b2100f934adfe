use ft_runtime::retry;

#[retry(max_attempts = 5)]
async fn tail() -> std::io::Result<u32> {
    "text"
}

#[retry(max_attempts = 5)]
fn question_mark() -> std::io::Result<u32> {
    let number: u32 = "12".parse()?;
    Ok(number)
}

fn main() {}
