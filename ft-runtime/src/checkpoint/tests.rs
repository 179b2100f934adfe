//! What must hold on every store, and what must hold of the session layer on top.

mod abandoned;
mod attributes;
mod backends;
mod bad_input;
mod carry;
mod evolve;
mod in_flight;
mod inside;
mod leftover;
mod log;
mod messages;
mod migrated;
mod migration;
mod operate;
mod oracle;
#[cfg(feature = "postgres")]
mod postgres;
mod recover;
mod replay;
mod retention;
mod runs;
mod saved;
#[cfg(all(feature = "zstd", feature = "encryption"))]
mod sealed;
mod selects;
mod shutdown;
mod sleeps;
mod sqlite;
mod tx;
#[cfg(feature = "postgres")]
mod tx_postgres;
mod values;

use std::sync::Arc;

use super::memory::Memory;
#[cfg(feature = "postgres")]
use super::postgres::Postgres;
use super::scratch::Scratch;
use super::sqlite::{self as stored, Sqlite};
use super::{Backend, Store};

/// One kind of store with data of its own.
struct World {
    kind: Kind,
    scratch: Scratch,
}

enum Kind {
    Memory(Memory),
    Sqlite,
    /// The URL of a schema of its own.
    #[cfg(feature = "postgres")]
    Postgres(String),
}

impl World {
    /// One of each kind.
    fn all() -> Vec<World> {
        let mut all = vec![World::of(Kind::Memory(Memory::new())), World::sqlite()];
        all.extend(World::postgres("the stores on Postgres"));
        all
    }

    /// Each kind with one of each kind.
    fn pairs() -> Vec<(World, World)> {
        let to_each = |here: usize| World::all().into_iter().map(move |there| (World::all().swap_remove(here), there));
        (0..World::all().len()).flat_map(to_each).collect()
    }

    /// One of each kind without a server, on a disk that is none where there is such a thing: nothing there has to last.
    fn in_memory() -> Vec<World> {
        let kinds = [Kind::Memory(Memory::new()), Kind::Sqlite];
        kinds.into_iter().map(|kind| World { kind, scratch: Scratch::in_memory() }).collect()
    }

    fn sqlite() -> World {
        World::of(Kind::Sqlite)
    }

    /// `None` where there is no server; then this says aloud that `test` skips it.
    #[cfg(feature = "postgres")]
    fn postgres(test: &str) -> Option<World> {
        Some(World::of(Kind::Postgres(postgres::schema(test)?)))
    }

    #[cfg(not(feature = "postgres"))]
    fn postgres(_: &str) -> Option<World> {
        None
    }

    fn of(kind: Kind) -> World {
        World { kind, scratch: Scratch::new() }
    }

    /// A new owner of the same data, as another process would be. Dropping it is that process's death.
    fn owner(&self) -> Arc<dyn Backend> {
        match &self.kind {
            Kind::Memory(memory) => Arc::new(memory.second()),
            Kind::Sqlite => Arc::new(Sqlite::open_as_new_owner(&self.path()).unwrap()),
            #[cfg(feature = "postgres")]
            Kind::Postgres(url) => Arc::new(Postgres::open_as_new_owner(url).unwrap()),
        }
    }

    /// Hands `requests` to a new owner so that a store that gathers requests executes them in one batch.
    fn in_one_batch<R>(&self, requests: impl FnOnce(&dyn Backend) -> R) -> (R, Arc<dyn Backend>) {
        match &self.kind {
            Kind::Memory(memory) => {
                let store = memory.second();
                (requests(&store), Arc::new(store))
            }
            Kind::Sqlite => {
                let store = Sqlite::open_as_new_owner(&self.path()).unwrap();
                (store.while_stalled(|| requests(&store)), Arc::new(store))
            }
            #[cfg(feature = "postgres")]
            Kind::Postgres(url) => {
                let store = Postgres::open_as_new_owner(url).unwrap();
                (store.while_stalled(|| requests(&store)), Arc::new(store))
            }
        }
    }

    /// The store to be looked at only; `None` where there is no such thing.
    fn looking(&self) -> Option<Store> {
        match &self.kind {
            Kind::Memory(_) => None,
            Kind::Sqlite => Some(Store::from_backend(Arc::new(stored::ReadOnly::open(&self.path()).unwrap()))),
            #[cfg(feature = "postgres")]
            Kind::Postgres(url) => Some(Store::open_read_only(url).unwrap()),
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
