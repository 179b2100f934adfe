//! What a call inherits from the checkpoints around it: its run, the step it is inside of, and a store.

use std::cell::RefCell;
use std::sync::Arc;

use super::active::Run;
use super::inside::Inside;
use super::recover::Resuming;
use super::shutdown::Shutdown;
use super::store::Store;

thread_local! {
    static AROUND: RefCell<Around> = const { RefCell::new(Around::NOTHING) };
}

/// The part of a [`Context`](crate::Context) that checkpoints read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Around {
    /// The run that is being executed.
    pub(crate) run: Option<Arc<Run>>,
    /// The step that is being executed: inside it, other steps are not recorded.
    pub(crate) step: Option<Arc<Inside>>,
    /// The store for new runs, instead of the installed one.
    pub(crate) store: Option<Store>,
    /// The run to go on with, for the function that it belongs to.
    pub(crate) resuming: Option<Arc<Resuming>>,
    /// What runs are shut down by, instead of that of the process.
    pub(crate) shutdown: Option<Shutdown>,
}

impl Around {
    const NOTHING: Self = Self { run: None, step: None, store: None, resuming: None, shutdown: None };

    pub(crate) fn current() -> Self {
        AROUND.with_borrow(Self::clone)
    }

    /// Reads what is in force without cloning all of it.
    pub(crate) fn with<R>(read: impl FnOnce(&Self) -> R) -> R {
        AROUND.with_borrow(read)
    }

    /// Exchanges this with what is in force on this thread.
    pub(crate) fn exchange(&mut self) {
        AROUND.with_borrow_mut(|around| std::mem::swap(around, self));
    }
}
