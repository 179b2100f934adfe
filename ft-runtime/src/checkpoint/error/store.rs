//! Why a store could not be opened, or could not do what it was asked.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Why a store could not be opened, or could not do what it was asked.
///
/// A store error never says that a write *did not* happen: when the sync of a commit fails, the operating system may
/// still have written it. It says that the write was not acknowledged; the store is read again before it
/// acknowledges anything else.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// The URL names no kind of store that this build knows.
    UnknownScheme {
        /// The URL as given.
        url: String,
    },
    /// The file, or a directory on the way to it, cannot be created or written.
    NotWritable {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// There is no store at this place, and none was to be made.
    NoStore {
        /// The place.
        url: String,
    },
    /// The store was opened to be looked at, and was asked to change something.
    ReadOnly {
        /// The store.
        store: String,
    },
    /// The file holds something that is not an SQLite database.
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is an SQLite database of another program.
    Foreign {
        /// The file.
        path: PathBuf,
        /// The `application_id` found in it; 0 when it has none but holds tables.
        application_id: i32,
    },
    /// A newer ft has written the store.
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The schema version found.
        found: u32,
        /// The newest one this build reads.
        supported: u32,
    },
    /// The store has the tables of an earlier ft, and was to be opened as it is.
    OlderSchema {
        /// The file.
        path: PathBuf,
        /// The schema version found.
        found: u32,
        /// The one that this build works with.
        supported: u32,
    },
    /// The store has the tables of an earlier ft, and is used by processes that write as that one did.
    OlderSchemaInUse {
        /// The file.
        path: PathBuf,
        /// The schema version found.
        found: u32,
        /// The one that this build would bring it to.
        supported: u32,
        /// How many processes use it.
        living: usize,
    },
    /// The database would not promise to survive a power cut: a setting read back weaker than it was set.
    NotPowerSafe {
        /// The file.
        path: PathBuf,
        /// The setting.
        pragma: &'static str,
        /// What it must be.
        wanted: &'static str,
        /// What it read back as.
        found: String,
    },
    /// The directory is on a file system that other hosts may share: its locks and its memory do not reach them.
    NetworkFileSystem {
        /// The directory.
        path: PathBuf,
        /// What the kernel calls it.
        kind: String,
    },
    /// The store has fewer commits than were acknowledged: its log was damaged, or left behind when it was copied.
    CommitsLost {
        /// The file.
        path: PathBuf,
        /// The file that says how many were acknowledged.
        mark: PathBuf,
        /// So many were acknowledged.
        acknowledged: u64,
        /// So many are there.
        found: u64,
    },
    /// The database's own structure is damaged.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
    /// Rows of the database make no sense.
    DamagedRows {
        /// The store.
        store: String,
        /// Which, and why.
        reason: String,
    },
    /// The URL of a store on a server cannot be used.
    BadUrl {
        /// The store, without its password.
        store: String,
        /// What is wrong.
        reason: String,
    },
    /// The schema on the server holds tables of another program.
    ForeignSchema {
        /// The store.
        store: String,
        /// The schema.
        schema: String,
    },
    /// The server would not promise to survive a power cut.
    ServerNotPowerSafe {
        /// The store.
        store: String,
        /// The setting that is too weak.
        setting: &'static str,
        /// What it is.
        found: String,
    },
    /// This process could not renew its claim in time, so it stopped the run before another one may take it over.
    LeaseLost {
        /// The run.
        run: String,
        /// The store.
        store: String,
        /// How long a claim lasts unless it is renewed.
        lease: Duration,
    },
    /// Another process has held the write lock for the whole time that this one was ready to wait.
    Locked {
        /// The file.
        path: PathBuf,
        /// How long the store waited.
        waited: Duration,
    },
    /// The run is finished, released, or was taken over by another owner: this write was refused.
    Fenced {
        /// The run.
        run: String,
        /// Who holds it now, if anyone does.
        owner: Option<String>,
    },
    /// The run is held by a living owner, which must end first.
    RunBusy {
        /// The run.
        run: String,
        /// The owner that holds it.
        owner: String,
    },
    /// The run was cancelled.
    RunCancelled {
        /// The run.
        run: String,
    },
    /// There is no such run, or it has not recorded such a step.
    NoSuchStep {
        /// The run.
        run: String,
        /// The step.
        step: String,
    },
    /// There is a run of this name already.
    RunExists {
        /// The run.
        run: String,
    },
    /// The copy of a run cannot be put into a store.
    NotImported {
        /// The run.
        run: String,
        /// What is wrong with the copy.
        reason: String,
    },
    /// The name of a run to be made cannot be used.
    BadName {
        /// The name, cut if it is long.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A recorded step is damaged, or is encrypted with a key that the handle was not given.
    Unreadable {
        /// The run.
        run: String,
        /// The step.
        step: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The keys to encrypt with cannot be used.
    BadKeys {
        /// Where they come from.
        from: &'static str,
        /// What is wrong, without the keys.
        reason: String,
    },
    /// Reading, writing or syncing failed.
    Failed {
        /// The store.
        store: String,
        /// What was being done.
        doing: &'static str,
        /// What the layer below said.
        reason: String,
    },
    /// The deadline of the caller passed before the store answered. What it was asked to do is still done.
    DeadlinePassed,
    /// The store was closed before it could answer.
    Closed {
        /// The store.
        store: String,
    },
}

/// As it reads: a `main` that returns it prints it by this, and what to do stands in the text.
impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreError({self})")
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownScheme { url } => {
                write!(
                    f,
                    "`{url}` (given to Store::open, or in FT_STORE) names no known kind of store; use `sqlite:PATH`, `memory:`, or, with the feature `postgres`, `postgres://..`"
                )
            }
            Self::NotWritable { path, reason } => write!(
                f,
                "the store {} cannot be written: {reason}; make it writable, or choose another place with FT_STORE=sqlite:PATH",
                path.display()
            ),
            Self::NoStore { url } => {
                // Only a file is made where nothing was said.
                let place = if url.starts_with("sqlite:") { ", or `.ft/ft.db` in its working directory" } else { "" };
                write!(
                    f,
                    "there is no store at `{url}`, and none was made; a program makes its store when it starts its first run: look for the place it uses (FT_STORE{place})"
                )
            }
            Self::ReadOnly { store } => {
                write!(f, "the store {store} was opened to be read only; open it with Store::open to change something")
            }
            Self::NotADatabase { path } => write!(
                f,
                "{} is not an SQLite database and was left as it is; move it away, or choose another place with FT_STORE=sqlite:PATH",
                path.display()
            ),
            Self::Foreign { path, application_id: 0 } => write!(
                f,
                "{} already holds tables of another program and was left as it is; choose a file of its own for the store",
                path.display()
            ),
            Self::Foreign { path, application_id } => write!(
                f,
                "{} belongs to another program (application_id {application_id}) and was left as it is; choose a file of its own for the store",
                path.display()
            ),
            Self::NewerSchema { path, found, supported } => write!(
                f,
                "{} was written by a newer ft (schema {found}, this one reads up to {supported}) and was left as it is; update ft, or choose another store",
                path.display()
            ),
            Self::OlderSchema { path, found, supported } => write!(
                f,
                "{} has the tables of an earlier ft (schema {found}, this one works with {supported}) and was left as it is; use the version that the program uses, or start the program with this one, which brings it up to date",
                path.display()
            ),
            Self::OlderSchemaInUse { path, found, supported, living } => write!(
                f,
                "{} has the tables of an earlier ft (schema {found}, this one brings it to {supported}) and {living} processes use it; end them, then start this one",
                path.display()
            ),
            Self::NotPowerSafe { path, pragma, wanted, found } => write!(
                f,
                "{} would not survive a power cut: `PRAGMA {pragma}` reads `{found}` where `{wanted}` is needed; put the store on a local file system",
                path.display()
            ),
            Self::NetworkFileSystem { path, kind } => write!(
                f,
                "{} is on a network file system ({kind}), where SQLite cannot keep two hosts apart; choose a local disk with FT_STORE=sqlite:PATH, or Postgres for a store of many hosts",
                path.display()
            ),
            Self::CommitsLost { path, mark, acknowledged, found } => write!(
                f,
                "the store {} holds {found} of {acknowledged} commits: its log {}-wal was damaged, or left behind when it was copied or restored, and steps recorded there would run again; put the log back, or delete {} to go on without them",
                path.display(),
                path.display(),
                mark.display()
            ),
            Self::Damaged { path, reason } => write!(
                f,
                "the store {} is damaged: {reason}; stop writing to it and restore it from a backup, or recover what is readable with `sqlite3 .recover`",
                path.display()
            ),
            Self::DamagedRows { store, reason } => write!(
                f,
                "the store {store} is damaged: {reason}; find out who writes to its tables, and restore them from a backup"
            ),
            Self::BadUrl { store, reason } => write!(f, "the store {store} cannot be used: {reason}"),
            Self::ForeignSchema { store, schema } => write!(
                f,
                "the schema `{schema}` of {store} already holds tables of another program and was left as it is; choose one of its own with `?ft_schema=NAME`"
            ),
            Self::ServerNotPowerSafe { store, setting, found } => write!(
                f,
                "{store} would not survive a power cut: its setting `{setting}` is `{found}`; turn it on (`ALTER DATABASE .. SET {setting} = on`, or in postgresql.conf)"
            ),
            Self::LeaseLost { run, store, lease } => write!(
                f,
                "run `{run}` was stopped because its claim on {store} could not be renewed within {lease:?}; nothing more is written, and it goes on from its last record, here or elsewhere, once the store is back"
            ),
            Self::Locked { path, waited } => write!(
                f,
                "another process kept the store {} locked for {waited:?}; find it with `fuser`, and end its transaction",
                path.display()
            ),
            Self::Fenced { run, owner: Some(owner) } => write!(
                f,
                "run `{run}` was taken over by {owner}; this process must stop working on it, nothing of this write was kept"
            ),
            Self::Fenced { run, owner: None } => {
                write!(f, "run `{run}` is finished or released; nothing of this late write was kept")
            }
            Self::RunBusy { run, owner } => {
                write!(f, "run `{run}` is being executed by {owner}; wait for it to end, or stop that process")
            }
            Self::RunCancelled { run } => {
                write!(f, "run `{run}` was cancelled; nothing of this late write was kept")
            }
            Self::NoSuchStep { run, step } => {
                write!(f, "there is no step `{step}` in run `{run}`; its recorded steps are in Store::steps")
            }
            Self::RunExists { run } => write!(f, "run `{run}` is there already; choose another name, or delete it"),
            Self::NotImported { run, reason } => {
                write!(f, "run `{run}` was not imported: {reason}; export it again from the store that it stands in")
            }
            Self::BadName { name: _, reason } => f.write_str(reason),
            Self::Unreadable { run: _, step: _, reason } => write!(f, "nothing was copied: {reason}"),
            Self::BadKeys { from, reason } => write!(f, "the keys in {from} cannot be used: {reason}"),
            Self::Failed { store, doing, reason } => write!(f, "{doing} failed on the store {store}: {reason}"),
            Self::DeadlinePassed => f.write_str(
                "the deadline of the caller passed before the store answered; what it was asked to do is still done, and the next call finds it",
            ),
            Self::Closed { store } => {
                write!(f, "the store {store} was closed before it could answer")
            }
        }
    }
}

impl Error for StoreError {}
