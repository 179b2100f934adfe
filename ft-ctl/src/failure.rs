//! How a command ends when it does not end well.

use std::io;
use std::process::ExitCode;

use ft_runtime::checkpoint::StoreError;

/// What stands below the help.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  there is no such run, step or state
  2  the command line cannot be used
  3  the store cannot be opened, read or written
  4  something in the store, or in a file, is damaged
  5  refused as things stand: the run is being executed, is there already, has ended, ..";

/// The exit codes, which do not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Ok = 0,
    NotFound = 1,
    Usage = 2,
    Store = 3,
    Damage = 4,
    Refused = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked: a code for scripts, and a sentence for people.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: Some(message.into()) }
    }

    /// All has been said on the way.
    pub(crate) fn said(exit: Exit) -> Self {
        Self { exit, message: None }
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    pub(crate) fn tell(&self) {
        if let Some(message) = &self.message {
            eprintln!("ft: {message}");
        }
    }

    /// Standard output is gone: whoever read it has seen enough. Anything else is said.
    pub(crate) fn of_output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::said(Exit::Ok),
            _ => Self::new(Exit::Store, format!("cannot write the answer: {error}")),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match &error {
            StoreError::UnknownScheme { .. } | StoreError::BadName { .. } | StoreError::BadUrl { .. } => Exit::Usage,
            StoreError::NoSuchStep { .. } => Exit::NotFound,
            StoreError::CommitsLost { .. }
            | StoreError::Damaged { .. }
            | StoreError::DamagedRows { .. }
            | StoreError::Unreadable { .. } => Exit::Damage,
            StoreError::RunBusy { .. } | StoreError::RunExists { .. } | StoreError::NotImported { .. } => Exit::Refused,
            _ => Exit::Store,
        };
        Self::new(exit, error.to_string())
    }
}
