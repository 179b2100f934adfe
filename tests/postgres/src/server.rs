//! The server's processes.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{PASSWORD, account, version};

/// Small, quiet and closed to everybody else. Checkpoints are rare, as the folder does not live long.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
dynamic_shared_memory_type = mmap
shared_buffers = 16MB
max_connections = 300
wal_level = minimal
max_wal_senders = 0
checkpoint_timeout = 1h
log_min_messages = warning
log_line_prefix = '%m [%p] %u@%d '
";

/// Everybody on this machine is let in, but for one role that has to give its password.
const ACCESS: &str = "
local all all              trust
host  all guarded 127.0.0.1/32 scram-sha-256
host  all all     127.0.0.1/32 trust
";

#[derive(Debug)]
pub(crate) struct Server {
    binaries: PathBuf,
    folder: PathBuf,
    port: u16,
}

impl Server {
    /// Makes a cluster in `folder` and starts it.
    pub(crate) fn start(binaries: PathBuf, folder: PathBuf) -> Self {
        let mut server = Self { binaries, folder, port: 0 };
        server.initialise();
        // Between our asking for a free port and its taking it, somebody else may have been quicker.
        let started = (0..5).any(|_| {
            server.port = free_port();
            run(server.pg_ctl("start")).is_ok()
        });
        assert!(started, "Postgres does not start:\n{}", server.log());
        server.sql("postgres", &format!("CREATE ROLE guarded LOGIN PASSWORD '{PASSWORD}'"));
        server
    }

    fn initialise(&self) {
        let mut initdb = account::command(self.binaries.join("initdb"), &self.folder);
        initdb.args(["--username=ft", "--encoding=UTF8", "--data-checksums", "--no-sync", "-D"]).arg(self.data());
        // A collation that is not the order of the bytes: no statement may count on that one.
        match version(&self.binaries) {
            15.. => initdb.args(["--locale=C", "--locale-provider=icu", "--icu-locale=en-US"]),
            _ => initdb.arg("--locale=C"),
        };
        run(initdb).unwrap_or_else(|output| panic!("Postgres makes no cluster:\n{output}"));
        let append = |file: &str, text: &str| {
            let path = self.data().join(file);
            let before = fs::read_to_string(&path).unwrap_or_default();
            // Written as this account, the file keeps its owner.
            fs::write(&path, before + text).expect("the folder can be written");
        };
        append("postgresql.conf", SETTINGS);
        fs::write(self.data().join("pg_hba.conf"), ACCESS).expect("the folder can be written");
    }

    pub(crate) fn launch(&self) {
        run(self.pg_ctl("start")).unwrap_or_else(|output| panic!("Postgres does not start: {output}\n{}", self.log()));
    }

    pub(crate) fn stop(&self, mode: &str) {
        let mut stop = self.pg_ctl("stop");
        stop.args(["-m", mode]);
        run(stop).unwrap_or_else(|output| panic!("Postgres does not stop: {output}\n{}", self.log()));
    }

    fn pg_ctl(&self, what: &str) -> Command {
        let mut command = account::command(self.binaries.join("pg_ctl"), &self.folder);
        command.arg("-D").arg(self.data()).args(["-w", "-t", "60"]);
        if what == "start" {
            command.arg("-l").arg(self.folder.join("log")).arg("-o").arg(format!("-p {}", self.port));
        }
        command.arg(what);
        command
    }

    /// Sends a signal to the server and all its children.
    pub(crate) fn signal(&self, signal: &str) {
        let pidfile = fs::read_to_string(self.data().join("postmaster.pid")).expect("the server runs");
        let server = pidfile.lines().next().unwrap_or_default().trim();
        let send = |processes: &str| {
            let mut kill = Command::new("kill");
            kill.arg(format!("-{signal}")).args(processes.split_whitespace());
            run(kill).unwrap_or_else(|output| panic!("kill -{signal} {processes}: {output}"));
        };
        // The server first, so that it begins no further children.
        send(server);
        let children = fs::read_to_string(format!("/proc/{server}/task/{server}/children"));
        send(&children.expect("a running server has children"));
    }

    pub(crate) fn sql(&self, database: &str, statements: &str) -> String {
        let mut psql = account::command(self.binaries.join("psql"), &self.folder);
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "ft"]);
        psql.args(["-p", &self.port.to_string(), "-d", database, "-c", statements]);
        run(psql).unwrap_or_else(|output| panic!("{statements}: {output}"))
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_else(|error| format!("(no log: {error})"))
    }
}

/// What a command prints, without the last line end; all of it as the error if it fails.
pub(crate) fn run(mut command: Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!("{}\n{}", text(&output.stdout), text(&output.stderr)))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}
