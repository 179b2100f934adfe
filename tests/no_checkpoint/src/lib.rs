use ft_runtime::checkpoint;

#[checkpoint(run = "reindex")]
pub async fn reindex(rows: &[u32]) -> Result<usize, std::io::Error> {
    Ok(rows.len())
}

pub async fn caller() -> Result<usize, std::io::Error> {
    reindex(&[1, 2]).await
}
