//! What must hold on every store, and what must hold of the session layer on top.

mod abandoned;
mod attributes;
mod backends;
mod bad_input;
mod in_flight;
mod inside;
mod log;
mod migration;
mod operate;
mod recover;
mod retention;
mod runs;
mod saved;
mod selects;
mod shutdown;
mod sleeps;
mod sqlite;

use std::sync::Arc;

use super::memory::Memory;
use super::scratch::Scratch;
use super::sqlite::Sqlite;
use super::{Backend, Store};

/// One kind of store with data of its own.
struct World {
    memory: Option<Memory>,
    scratch: Scratch,
}

impl World {
    /// One of each kind.
    fn all() -> [World; 2] {
        [World { memory: Some(Memory::new()), scratch: Scratch::new() }, World::sqlite()]
    }

    fn sqlite() -> World {
        World { memory: None, scratch: Scratch::new() }
    }

    /// A new owner of the same data, as another process would be. Dropping it is that process's death.
    fn owner(&self) -> Arc<dyn Backend> {
        match &self.memory {
            Some(memory) => Arc::new(memory.second()),
            None => Arc::new(Sqlite::open_as_new_owner(&self.path()).unwrap()),
        }
    }

    /// Hands `requests` to a new owner so that a store that gathers requests executes them in one batch.
    fn in_one_batch<R>(&self, requests: impl FnOnce(&dyn Backend) -> R) -> (R, Arc<dyn Backend>) {
        match &self.memory {
            Some(memory) => {
                let store = memory.second();
                (requests(&store), Arc::new(store))
            }
            None => {
                let store = Sqlite::open_as_new_owner(&self.path()).unwrap();
                (store.while_stalled(|| requests(&store)), Arc::new(store))
            }
        }
    }

    fn store(&self) -> Store {
        Store::from_backend(self.owner())
    }

    fn path(&self) -> std::path::PathBuf {
        self.scratch.join("ft.db")
    }

    /// Changes the database behind the store's back.
    fn tamper(&self, sql: &str) {
        let db = rusqlite::Connection::open(self.path()).unwrap();
        assert!(db.execute(sql, []).unwrap() > 0, "`{sql}` changed nothing");
    }
}
