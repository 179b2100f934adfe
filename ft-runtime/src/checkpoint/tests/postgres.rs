//! What only a store on a server has to hold.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use ft_test_postgres::required;

/// The URL of a new schema on the server that the tests share.
pub(super) fn schema(test: &str) -> Option<String> {
    static DATABASE: OnceLock<String> = OnceLock::new();
    static SCHEMAS: AtomicU32 = AtomicU32::new(0);
    let cluster = required(test)?;
    let database = DATABASE.get_or_init(|| cluster.database());
    Some(format!("{database}?ft_schema=s{}", SCHEMAS.fetch_add(1, Ordering::Relaxed)))
}
