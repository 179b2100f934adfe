//! A store with runs in every state in which runs are found at night, and the process that still executes some.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use ft_test_postgres::{Cluster, required};
use tempfile::TempDir;

use crate::command::Ft;
use crate::program::{PART, READY};

/// Which kind of store.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Sqlite,
    Postgres(&'static Cluster),
}

impl Kind {
    /// `None` where there is no server; then this says aloud that `test` skips it.
    pub(crate) fn postgres(test: &str) -> Option<Self> {
        required(test).map(Self::Postgres)
    }
}

/// A store, and where it is.
pub(crate) struct Stage {
    kind: Kind,
    dir: TempDir,
    url: String,
}

impl Stage {
    /// No store yet.
    pub(crate) fn empty(kind: Kind) -> Self {
        static DATABASE: OnceLock<String> = OnceLock::new();
        static SCHEMAS: AtomicU32 = AtomicU32::new(0);

        let dir = TempDir::new().expect("a temporary directory");
        let url = match kind {
            Kind::Sqlite => format!("sqlite:{}", dir.path().join("ft.db").display()),
            Kind::Postgres(cluster) => {
                let database = DATABASE.get_or_init(|| cluster.guarded_database());
                format!("{database}?ft_schema=s{}", SCHEMAS.fetch_add(1, Ordering::Relaxed))
            }
        };
        Self { kind, dir, url }
    }

    /// `order-40` has ended, `order-42` is abandoned, `order-43` failed and waits, `order-17` is parked.
    pub(crate) fn of_the_night(kind: Kind) -> Self {
        let stage = Self::empty(kind);
        stage.play("done");
        stage.start("waits").kill();
        stage.ends_leases();
        stage.play("fails");
        // A start and two recoveries; the third is refused.
        for _ in 0..4 {
            stage.play("dies");
            stage.ends_leases();
        }
        stage
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("ft.db")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// Those who have died are known to have, on a server where that takes until the end of their lease.
    pub(crate) fn ends_leases(&self) {
        if let Kind::Postgres(_) = self.kind {
            self.tamper("UPDATE ft_owner SET lease_until = '-infinity'");
        }
    }

    /// The command on this store.
    pub(crate) fn ft(&self, arguments: &[&str]) -> Ft {
        self.ft_with("", arguments)
    }

    /// As [`ft`](Self::ft), with keys to the store.
    pub(crate) fn ft_with(&self, keys: &str, arguments: &[&str]) -> Ft {
        Ft::run(&self.url(), self.dir.path(), keys, arguments)
    }

    /// Starts the program, which has come as far as its part goes.
    pub(crate) fn start(&self, part: &str) -> Program {
        let mut child = self.command(part).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a child");
        let mut program = Program { said: BufReader::new(child.stdout.take().expect("a pipe")), child };
        program.wait_for(READY);
        program
    }

    /// Lets the program play a part to its end, be it a bad one.
    pub(crate) fn play(&self, part: &str) {
        self.play_with("", part);
    }

    /// As [`play`](Self::play), with keys to the store.
    pub(crate) fn play_with(&self, keys: &str, part: &str) {
        self.command(part)
            .env("FT_STORE_KEY", keys)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .expect("a child");
    }

    fn command(&self, part: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", "program::plays_its_part", "--nocapture"]).stderr(Stdio::null());
        command.env(PART, part).env("FT_STORE", self.url());
        command
    }

    /// Changes the database behind the store's back.
    pub(crate) fn tamper(&self, sql: &str) {
        let changed = match self.kind {
            Kind::Sqlite => {
                let db = rusqlite::Connection::open(self.path()).expect("a connection");
                db.execute(sql, []).expect("it executes") > 0
            }
            Kind::Postgres(_) => {
                !self.sql(&format!("{} RETURNING 1", sql.replace("x'00'", "'\\x00'::bytea"))).is_empty()
            }
        };
        assert!(changed, "`{sql}` changed nothing");
    }

    /// All that is in the tables on the server, but for how long whoever lives has said so.
    pub(crate) fn dump(&self) -> String {
        let tables =
            ["ft_run", "ft_step", "ft_state"].map(|table| self.sql(&format!("SELECT * FROM {table} ORDER BY 1, 2, 3")));
        format!("{tables:?} {}", self.owners())
    }

    /// Who has entered the store on the server.
    pub(crate) fn owners(&self) -> String {
        self.sql("SELECT owner FROM ft_owner ORDER BY owner")
    }

    fn sql(&self, sql: &str) -> String {
        let Kind::Postgres(cluster) = self.kind else { panic!("it is on no server") };
        let (database, schema) = self.url.split_once("?ft_schema=").expect("a schema");
        let database = database.rsplit('/').next().expect("a database");
        cluster.sql(database, &format!("SET search_path = {schema}; {sql}"))
    }
}

/// A program that executes runs.
pub(crate) struct Program {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Program {
    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("a signal is sent");
        self.child.wait().expect("it is gone");
    }

    /// Lets it go on with `order-41`, and tells what became of it.
    pub(crate) fn go_on(mut self) -> String {
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        stdin.write_all(b"go on\n").expect("it listens");
        let ended = self.wait_for("@ order-41");
        self.child.wait().expect("it ends");
        ended
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The line that contains this.
    fn wait_for(&mut self, wanted: &str) -> String {
        let mut line = String::new();
        while self.said.read_line(&mut line).expect("text") > 0 {
            if line.contains(wanted) {
                return line;
            }
            line.clear();
        }
        panic!("the program ended without saying `{wanted}`");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
