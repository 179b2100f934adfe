use std::io;

use ft_runtime::hedge;

#[hedge]
fn blocking(id: u64) -> io::Result<u64> {
    Ok(id)
}

struct Client(u64);

impl Client {
    #[hedge]
    async fn send(&mut self, into: &mut Vec<u64>) -> io::Result<u64> {
        into.push(self.0);
        Ok(self.0)
    }
}

#[hedge(max_extra = 0)]
async fn none(id: u64) -> io::Result<u64> {
    Ok(id)
}

fn main() {}
