use ft_runtime::retry;

struct Table<T>(T);

impl<T: Clone> Table<T> {
    #[retry(max_attempts = 0)]
    async fn row(&self) -> std::io::Result<T> {
        Ok(self.0.clone())
    }
}

fn main() {}
