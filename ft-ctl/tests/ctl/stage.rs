//! A store with runs in every state in which runs are found at night, and the process that still executes some.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;

use crate::command::Ft;
use crate::program::{PART, READY};

/// A store, and where it is.
pub(crate) struct Stage {
    dir: TempDir,
}

impl Stage {
    /// No store yet.
    pub(crate) fn empty() -> Self {
        Self { dir: TempDir::new().expect("a temporary directory") }
    }

    /// `order-40` has ended, `order-42` is abandoned, `order-43` failed and waits, `order-17` is parked.
    pub(crate) fn of_the_night() -> Self {
        let stage = Self::empty();
        stage.play("done");
        stage.start("waits").kill();
        stage.play("fails");
        // A start and two recoveries; the third is refused.
        for _ in 0..4 {
            stage.play("dies");
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
        format!("sqlite:{}", self.path().display())
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
        let db = rusqlite::Connection::open(self.path()).expect("a connection");
        assert!(db.execute(sql, []).expect("it executes") > 0, "`{sql}` changed nothing");
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
