//! The programs that are crashed. Each is this test binary again, started with the name of its part.

use std::env;
use std::path::{Path, PathBuf};

/// Names the part that a child plays.
pub(crate) const PART: &str = "FT_CRASH_CHILD";
/// The directory in which it works.
pub(crate) const DIR: &str = "FT_CRASH_DIR";

/// The store on which it works; without it, one in the directory.
pub(crate) const URL: &str = "FT_CRASH_URL";

/// The URL of a child's store, which stands in `file` unless its parent names another one.
pub(crate) fn url(dir: &Path, file: &str) -> String {
    env::var(URL).unwrap_or_else(|_| format!("sqlite:{}", dir.join(file).display()))
}

/// No test of its own: the door through which a parent starts a child. Without a part it does nothing.
#[test]
fn plays_its_part() {
    let Ok(part) = env::var(PART) else { return };
    let dir = PathBuf::from(env::var_os(DIR).expect("the parent names the directory"));
    match part.as_str() {
        "kill9" => crate::kill9::program(&dir),
        "powercut" => crate::powercut::program(&dir),
        "tx" => crate::tx::program(&dir),
        "stubborn" => crate::stubborn::program(&dir),
        "crowd" => crate::crowd::program(&dir),
        "zombie" => crate::zombies::program(&dir),
        #[cfg(unix)]
        "sigterm" => crate::sigterm::program(&dir),
        "raw" => crate::recorder::raw_program(&dir),
        other => panic!("no such part: {other}"),
    }
}
