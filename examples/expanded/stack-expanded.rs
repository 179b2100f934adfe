pub async fn story() -> Vec<String> { vec![] }
