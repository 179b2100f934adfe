//! Who stops the server: a small shell that waits for the end of this program, whatever ends it.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::account;

/// `$1`: the folder of the server, `$2`: its programs. The pipe on stdin ends when the test program does. A paused server
/// is woken first, or it would not hear that it has to stop.
const WAIT_AND_STOP: &str = r#"
trap '' HUP INT TERM PIPE
read -r _
read -r pid _ <"$1/data/postmaster.pid" && {
    kill -CONT "$pid" $(cat "/proc/$pid/task/$pid/children")
    "$2/pg_ctl" -D "$1/data" -m immediate -t 20 stop || kill -KILL $(cat "/proc/$pid/task/$pid/children") "$pid"
}
rm -rf "$1"
"#;

/// The folder of a server, and the shell that watches over both. Dropped, it stops the server and deletes the folder.
#[derive(Debug)]
pub(crate) struct Guard {
    folder: PathBuf,
    shell: Child,
}

impl Guard {
    /// Makes a folder for a server that will be stopped in any case.
    pub(crate) fn over_new_folder(binaries: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("ft-postgres-").tempdir().expect("a temporary folder").keep();
        account::hand_over(&folder);
        let mut shell = account::command("sh", &folder);
        shell.arg("-c").arg(WAIT_AND_STOP).arg("sh").arg(&folder).arg(binaries);
        // Its own group, so that what interrupts this program does not end its guard; and no output that would keep a
        // pipe of this program open.
        shell.process_group(0).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let shell = shell.spawn().expect("a shell");
        Self { folder, shell }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
