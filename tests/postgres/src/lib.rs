//! A Postgres server of its own for a test program: Debian's, unprivileged, on a free loopback port, in a temporary folder.
//!
//! [`required`] gives the one that all tests of a program share, [`own`] one that a test may stop, pause and kill. Neither
//! outlives the program, however that ends.

mod account;
mod certificate;
mod guard;
mod server;

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use self::guard::Guard;
use self::server::Server;

/// The password that [`Cluster::guarded_database`] asks for.
pub const PASSWORD: &str = "not-for-the-log";

/// A running server. Dropped, it is stopped and its folder is deleted.
#[derive(Debug)]
pub struct Cluster {
    server: Server,
    databases: AtomicU32,
    // Last: it deletes the folder.
    _guard: Guard,
}

/// How a server is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// After the last client has left.
    Smart,
    /// After ending every session and a checkpoint.
    Fast,
    /// At once, as a crash would: it recovers at the next start.
    Immediate,
}

/// What is not installed on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing(String);

impl Cluster {
    /// Starts a new server with an empty cluster: data checksums, `fsync` and `synchronous_commit` are on.
    ///
    /// # Errors
    /// Where there is no Postgres.
    ///
    /// # Panics
    /// When it is installed and does not start; the message holds its log.
    pub fn start() -> Result<Self, Missing> {
        let binaries = binaries()?;
        let guard = Guard::over_new_folder(&binaries);
        let server = Server::start(binaries, guard.folder().to_owned());
        Ok(Self { server, databases: AtomicU32::new(0), _guard: guard })
    }

    /// The server that the tests of this program share: started at the first call, stopped when the program has ended.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn shared() -> Result<&'static Self, Missing> {
        static SHARED: OnceLock<Result<Cluster, Missing>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref().map_err(Clone::clone)
    }

    /// The URL of a new, empty database. It needs no password, so any will do.
    pub fn database(&self) -> String {
        self.database_of("ft", "any")
    }

    /// The URL of a new, empty database whose role has to give its [`PASSWORD`], by SCRAM.
    pub fn guarded_database(&self) -> String {
        self.database_of("guarded", PASSWORD)
    }

    fn database_of(&self, role: &str, password: &str) -> String {
        let name = format!("db{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} OWNER {role}"));
        format!("postgres://{role}:{password}@127.0.0.1:{}/{name}", self.server.port())
    }

    /// Executes statements as the superuser in a database, named as in its URL, and answers with what is printed: rows in
    /// lines, columns parted by `|`.
    ///
    /// # Panics
    /// When a statement fails.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        let name = database.rsplit('/').next().unwrap_or(database);
        let name = name.split('?').next().unwrap_or(name);
        self.server.sql(name, statements)
    }

    /// The port on 127.0.0.1 that it listens on. It stays the same over stops and starts.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Stops the server and waits until it has stopped.
    pub fn stop(&self, mode: Mode) {
        self.server.stop(match mode {
            Mode::Smart => "smart",
            Mode::Fast => "fast",
            Mode::Immediate => "immediate",
        });
    }

    /// Starts the server after a stop, and waits until it takes connections.
    pub fn start_again(&self) {
        self.server.launch();
    }

    /// Stops all of its processes where they are (SIGSTOP): connections stay open and nothing answers.
    pub fn pause(&self) {
        self.server.signal("STOP");
    }

    /// Lets a paused server go on.
    pub fn resume(&self) {
        self.server.signal("CONT");
    }

    /// Changes a setting (`ALTER SYSTEM`) and makes the server read it, which is enough for settings that need no restart.
    pub fn set(&self, setting: &str, value: &str) {
        self.sql("postgres", &format!("ALTER SYSTEM SET {setting} = {value}"));
        self.sql("postgres", "SELECT pg_reload_conf()");
    }

    /// Turns TLS on, with a certificate for `localhost` and for no address, and gives the authority to trust (PEM).
    ///
    /// # Errors
    /// Where there is no `openssl` to make one.
    pub fn tls(&self) -> Result<PathBuf, Missing> {
        let authority = certificate::make(self.server.folder())?;
        self.set("ssl_cert_file", &format!("'{}'", self.server.folder().join("server.crt").display()));
        self.set("ssl_key_file", &format!("'{}'", self.server.folder().join("server.key").display()));
        self.set("ssl", "on");
        Ok(authority)
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

/// The shared server for a test, or `None` where there is no Postgres: then this has said aloud that the test is skipped.
///
/// # Panics
/// With `CI=true` instead of skipping, and when the server does not start.
pub fn required(test: &str) -> Option<&'static Cluster> {
    or_skip(test, Cluster::shared())
}

/// As [`required`], with a server that no other test uses: it may be stopped, paused and changed.
///
/// # Panics
/// As [`required`].
pub fn own(test: &str) -> Option<Cluster> {
    or_skip(test, Cluster::start())
}

/// What is there, or `None` after saying aloud that a test is skipped.
///
/// # Panics
/// With `CI=true` instead of skipping.
pub fn or_skip<T>(test: &str, found: Result<T, Missing>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(missing) if std::env::var("CI").is_ok_and(|ci| ci == "true") => panic!("{test} needs {missing}"),
        Err(missing) => {
            // Past the harness, which hides what a passing test prints.
            let _ = writeln!(io::stderr(), "skipped: {test} needs {missing}");
            None
        }
    }
}

/// Where the newest of the installed versions has its programs.
fn binaries() -> Result<PathBuf, Missing> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.filter_map(|version| {
        let number: u32 = version.file_name().to_str()?.parse().ok()?;
        let binaries = version.path().join("bin");
        ["initdb", "postgres", "pg_ctl", "psql"]
            .iter()
            .all(|name| binaries.join(name).exists())
            .then_some((number, binaries))
    });
    let newest = found.max_by_key(|(number, _)| *number);
    newest.map(|(_, binaries)| binaries).ok_or(Missing("Postgres (apt-get install postgresql)".into()))
}

/// The major version whose programs stand there.
fn version(binaries: &Path) -> u32 {
    let version = binaries.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    version.and_then(|version| version.parse().ok()).unwrap_or(0)
}
