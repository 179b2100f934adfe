//! The commands, one to a file.

pub(crate) mod cancel;
pub(crate) mod delete;
pub(crate) mod export;
pub(crate) mod fork;
pub(crate) mod gc;
pub(crate) mod import;
pub(crate) mod ls;
pub(crate) mod resume;
pub(crate) mod show;
pub(crate) mod state;
pub(crate) mod steps;
pub(crate) mod verify;
