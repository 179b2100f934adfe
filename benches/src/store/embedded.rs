//! The embedded store, beside SQLite and the disk by themselves.

use ft_runtime::Store;
use tokio::runtime::Runtime;

use super::{Folder, Rows, raw, runs};

/// Whoever asks at once, in the cases for many.
const PRODUCERS: usize = 64;

pub(super) fn rows(rows: &mut Rows, folder: &Folder, runtime: &'static Runtime) {
    let store = open(folder, "ft.db");
    rows.row("store.1", "raw rusqlite", 25, raw::one_by_one(&folder.join("one.db")));
    rows.row("store.1", "fdatasync", 25, raw::append_and_sync(&folder.join("appended")));
    rows.row("store.1", "ft step", 25, runs::one(store.clone(), runtime));
    rows.row("store.1", "ft step, blocking", 25, runs::one_blocking(store));
    let group = raw::group_commit(&folder.join("many.db"), PRODUCERS, runtime);
    rows.row("store.64", "raw rusqlite, group commit", 16, group);
    rows.row("store.64", "ft step", 16, runs::many(open(folder, "ft-many.db"), PRODUCERS, runtime));
}

fn open(folder: &Folder, name: &str) -> Store {
    Store::open(&format!("sqlite:{}", folder.join(name).display())).expect("a store")
}
