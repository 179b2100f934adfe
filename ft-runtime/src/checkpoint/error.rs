//! What can go wrong with runs, steps, saved state and the store under them.
//!
//! Every message says what was found, where, and what to do; and in every one of these cases the store is left as
//! it was.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::counted::counted;
use crate::fault::{Fault, FaultKind};
use crate::rejected::Rejected;

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

/// Why a run, a step or a saved state could not go on.
///
/// Nothing recorded is overwritten in any of these cases, and a recorded step is never executed again on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The store could not be opened, read or written. The run stays resumable.
    Store(StoreError),
    /// The run is being executed already, by another living process or in this one.
    RunBusy {
        /// The run.
        run: String,
        /// The owner that holds it.
        owner: String,
    },
    /// The run id belongs to another function.
    RunIdReused {
        /// The run.
        run: String,
        /// The function that the run belongs to.
        recorded: String,
        /// The function that asked for it now.
        now: String,
    },
    /// The run was started with other arguments.
    RunInputChanged {
        /// The run.
        run: String,
        /// The names of those that differ.
        arguments: Vec<String>,
    },
    /// Another version of the code started the run.
    VersionChanged {
        /// The run.
        run: String,
        /// The version that started it.
        recorded: u32,
        /// The version of this code.
        now: u32,
    },
    /// The run was cancelled; cancelled is final.
    Cancelled {
        /// The run.
        run: String,
    },
    /// The run kept dying without getting any further, and waits for an operator.
    Parked {
        /// The run.
        run: String,
        /// How often it was recovered in vain.
        recoveries: u32,
    },
    /// The process is shutting down: the run was not begun, or was stopped and given back for another process to go on with.
    ShuttingDown {
        /// The run.
        run: String,
    },
    /// A step was recorded with other arguments.
    InputChanged {
        /// The run.
        run: String,
        /// The step.
        step: String,
        /// Fingerprint of the arguments when it was recorded.
        recorded: String,
        /// Fingerprint of the arguments now.
        now: String,
    },
    /// A step, or a saved state, was used twice under one key.
    DuplicateKey {
        /// The run.
        run: String,
        /// The step or state.
        step: String,
    },
    /// A step counted by its calls stands in a run with saved state, where the count does not survive a resume.
    KeyNeeded {
        /// The run.
        run: String,
        /// The step.
        step: String,
    },
    /// The run returned `Ok` while steps of it were still executing. Their results belong to it: it stays resumable.
    StepsExecuting {
        /// The run.
        run: String,
        /// How many steps.
        steps: usize,
    },
    /// There is no run around a step that asked for one, or around a saved state.
    NoRun {
        /// The step or state.
        step: String,
    },
    /// The name of a run, step or state cannot be used.
    BadName {
        /// What it was to name.
        what: &'static str,
        /// The name as given, cut if it is long.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A step in a transaction has no key.
    TxKeyNeeded {
        /// The run.
        run: String,
        /// The step, with the number that it would have.
        step: String,
    },
    /// Another execution has recorded a step in its transaction while this one was executing it.
    TxConflict {
        /// The run.
        run: String,
        /// The step.
        step: String,
    },
    /// The database of a step's transaction has no table for its record.
    TxTableMissing {
        /// The run.
        run: String,
        /// The step.
        step: String,
    },
    /// There is no transaction to record a step in: it was ended, or none was begun.
    TxEnded {
        /// The run.
        run: String,
        /// The step.
        step: String,
    },
    /// The database of a step's transaction failed to read or to write its record.
    TxFailed {
        /// The run.
        run: String,
        /// The step.
        step: String,
        /// What was being done.
        doing: &'static str,
        /// What the database said.
        reason: String,
        /// Whether the same transaction may succeed later without anyone changing anything.
        transient: bool,
    },
    /// A value is too large to be recorded.
    TooLarge {
        /// The run.
        run: String,
        /// What the value belongs to.
        what: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// A value could not be serialised.
    Encode {
        /// The run.
        run: String,
        /// What the value belongs to.
        what: String,
        /// What the serialiser said.
        reason: String,
    },
    /// A value was serialised, but what came out cannot be read back; found before anything was recorded.
    NotRoundTrip {
        /// The run.
        run: String,
        /// The step.
        step: String,
        /// What the deserialiser said.
        reason: String,
    },
    /// A recorded value does not fit the type that is asked for now.
    Decode {
        /// The run.
        run: String,
        /// What the value belongs to.
        what: String,
        /// What was recorded: schema and, where known, type.
        recorded: String,
        /// What is asked for now.
        now: String,
        /// What does not fit.
        reason: String,
    },
    /// A recorded value has a newer schema than this code.
    FutureSchema {
        /// The run.
        run: String,
        /// What the value belongs to.
        what: String,
        /// The schema recorded.
        recorded: u16,
        /// The schema of this code.
        now: u16,
    },
    /// A recorded value is damaged.
    Corrupt {
        /// The run.
        run: String,
        /// What the value belongs to.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A recorded value is encrypted with a key that the store handle was not given.
    KeyMissing {
        /// The run.
        run: String,
        /// What the value belongs to.
        what: String,
        /// The id of the key.
        key: u32,
        /// The ids of those that the handle was given.
        known: Vec<u32>,
    },
    /// A recorded value cannot be opened with the key that the store handle has under its id.
    WrongKey {
        /// The run.
        run: String,
        /// What the value belongs to.
        what: String,
        /// The id of the key.
        key: u32,
    },
    /// A recorded value is not encrypted, and the store handle has keys.
    NotEncrypted {
        /// The run.
        run: String,
        /// What the value belongs to.
        what: String,
    },
}

impl Fault for CheckpointError {
    /// Transient where the same call may succeed later without anyone changing anything.
    fn kind(&self) -> FaultKind {
        match self {
            Self::RunBusy { .. }
            | Self::ShuttingDown { .. }
            | Self::TxConflict { .. }
            | Self::TxFailed { transient: true, .. }
            | Self::Store(
                StoreError::Failed { .. }
                | StoreError::Locked { .. }
                | StoreError::LeaseLost { .. }
                | StoreError::RunBusy { .. }
                | StoreError::DeadlinePassed,
            ) => FaultKind::Transient,
            _ => FaultKind::Permanent,
        }
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::RunBusy { run, owner } => write!(
                f,
                "run `{run}` is being executed already (owner {owner}); wait for it to end, or give this work a run id of its own"
            ),
            Self::RunIdReused { run, recorded, now } => write!(
                f,
                "run `{run}` belongs to the function `{recorded}`, and `{now}` asked for it now; give each function its own run ids, or delete the old run"
            ),
            Self::RunInputChanged { run, arguments } => write!(
                f,
                "run `{run}` was started with other arguments (`{}`); its records were not used; put what tells inputs apart into its id (`run = format!(..)`), leave out what does not decide the work, or has no order, as a `HashSet` (`skip(..)`), or delete the run",
                arguments.join("`, `")
            ),
            Self::VersionChanged { run, recorded, now } => write!(
                f,
                "run `{run}` was started by version {recorded} of its code and this is version {now}; finish it with version {recorded}, set `version = {recorded}` if the change does not matter to it, let this version take it over with `migrate = function`, or delete the run"
            ),
            Self::ShuttingDown { run } => write!(
                f,
                "the process is shutting down: run `{run}` was not begun, or was stopped and given back; another process goes on with it, or takes the call"
            ),
            Self::Cancelled { run } => write!(f, "run `{run}` was cancelled; delete it to use its name again"),
            Self::Parked { run, recoveries } => write!(
                f,
                "run `{run}` was recovered {} in a row without getting any further, and is parked; find out what ends its process, then let it go on with Store::resume, or cancel it",
                counted(*recoveries, "time", "times")
            ),
            Self::InputChanged { run, step, recorded, now } => write!(
                f,
                "step `{step}` of run `{run}` was recorded with other arguments (fingerprint {recorded}, now {now}); its record was not used; give calls with different arguments different keys (`key = ..`), or leave arguments out that do not matter (`skip(..)`)"
            ),
            Self::DuplicateKey { run, step } => write!(
                f,
                "`{step}` is used twice in run `{run}`; its key must tell the calls apart: put what differs into `key = ..`; if a retry around several steps calls them again, put it on each step, or on the run"
            ),
            Self::KeyNeeded { run, step } => write!(
                f,
                "step `{step}` needs `key = ..`, because run `{run}` has saved state: after a resume its n-th call is not the n-th one any more"
            ),
            Self::StepsExecuting { run, steps } => write!(
                f,
                "run `{run}` returned while {steps} of its steps were still executing; wait for their tasks, or abort them, before it returns"
            ),
            Self::NoRun { step } => {
                write!(f, "`{step}` needs a run around it; call it from a function with `#[checkpoint(run = ..)]`")
            }
            Self::BadName { what, name, reason } => {
                write!(f, "`{name}` cannot name a {what}: {reason}")
            }
            Self::TxKeyNeeded { run, step } => write!(
                f,
                "step `{step}` of run `{run}` is recorded in a transaction and needs `key = ..`: counting its calls would take a second try, after its transaction was rolled back, for another step"
            ),
            Self::TxConflict { run, step } => write!(
                f,
                "another execution has done step `{step}` of run `{run}` meanwhile, and committed it; roll this transaction back and call again, then the step answers with that record"
            ),
            Self::TxTableMissing { run, step } => write!(
                f,
                "step `{step}` of run `{run}` cannot be recorded: the database of its transaction has no table `ft_tx_step`; create it once with create_table of ft_runtime::checkpoint::tx::sqlite or ::postgres, or put their TABLE into your migrations"
            ),
            Self::TxEnded { run, step } => write!(
                f,
                "step `{step}` of run `{run}` has no transaction to be recorded in; begin one before the step, and let its caller end it: a step itself neither commits nor rolls back"
            ),
            Self::TxFailed { run, step, doing, reason, .. } => write!(
                f,
                "the database failed when {doing} of step `{step}` in run `{run}`: {reason}; roll the transaction back"
            ),
            Self::TooLarge { run, what, limit } => write!(
                f,
                "the value of {what} in run `{run}` is larger than {limit} bytes; record a reference to it (a path, a key) instead of the data"
            ),
            Self::Encode { run, what, reason } => {
                write!(f, "the value of {what} in run `{run}` cannot be serialised: {reason}; nothing was recorded")
            }
            Self::NotRoundTrip { run, step, reason } => write!(
                f,
                "the result of step `{step}` in run `{run}` cannot be read back once it is serialised: {reason}; nothing was recorded; its Serialize and Deserialize must agree"
            ),
            Self::Decode { run, what, recorded, now, reason } => write!(
                f,
                "{what} of run `{run}` was recorded as {recorded} and is read as {now}: {reason}; make the type read the old form (`#[serde(default)]`, `#[serde(alias = ..)]`), finish the run with the code that started it, or delete the run"
            ),
            Self::FutureSchema { run, what, recorded, now } => write!(
                f,
                "{what} of run `{run}` has schema {recorded} and this code reads up to {now}; finish the run with the newer code"
            ),
            Self::Corrupt { run, what, reason } => write!(
                f,
                "{what} of run `{run}` is damaged: {reason}; restore the store from a backup, or delete the run to start it again from nothing"
            ),
            Self::KeyMissing { run, what, key, known } => write!(
                f,
                "{what} of run `{run}` is encrypted with key {key}, and the store was opened with {}; give it that key with Store::encrypt (`Keys::and`), or in FT_STORE_KEY",
                Ids(known)
            ),
            Self::WrongKey { run, what, key } => write!(
                f,
                "{what} of run `{run}` is encrypted with key {key} and does not open with what was given under that id: it is another key, or somebody without it has written the value; give the right key, or restore the store from a backup"
            ),
            Self::NotEncrypted { run, what } => write!(
                f,
                "{what} of run `{run}` is not encrypted, and the store was opened with keys; if it was recorded before there were any, read it with `Keys::and_plain`, else somebody without a key has written it"
            ),
        }
    }
}

/// Keys that are known, by their ids.
struct Ids<'a>(&'a [u32]);

impl fmt::Display for Ids<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<String> = self.0.iter().map(u32::to_string).collect();
        match ids.len() {
            0 => f.write_str("none"),
            1 => write!(f, "key {}", ids[0]),
            _ => write!(f, "keys {}", ids.join(", ")),
        }
    }
}

impl Error for CheckpointError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<StoreError> for CheckpointError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::RunCancelled { run } => Self::Cancelled { run },
            error => Self::Store(error),
        }
    }
}

impl From<CheckpointError> for Rejected {
    fn from(error: CheckpointError) -> Self {
        Self::Checkpoint(Box::new(error))
    }
}

impl From<StoreError> for Rejected {
    fn from(error: StoreError) -> Self {
        CheckpointError::from(error).into()
    }
}
