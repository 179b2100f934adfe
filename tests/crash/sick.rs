//! Disks that fail: the process dies before any change it asks for, calls fail with `EIO`, `ENOSPC`, `EROFS` and
//! `EMFILE`, for a while or for good. What was acknowledged holds, and when the disk is well again the work goes on.
//!
//! `sick.c` makes the calls fail. The errors have to say where and what.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::recorder::{build_shim, scratch};
use crate::stubborn::{Life, Lives};

/// What happens to which calls, so many times in a row.
const ILLS: [(&str, &str, &[u32]); 8] = [
    ("sync", "EIO", &[1, 3]),
    ("write", "EIO", &[1, 7]),
    ("write", "ENOSPC", &[1, 20]),
    ("write", "short", &[1, 5]),
    ("change", "EROFS", &[1, 30]),
    ("name", "ENOSPC", &[1, 3]),
    ("open", "EMFILE", &[1, 4, 20]),
    ("open", "EACCES", &[1]),
];

#[test]
fn sick_disks_lose_nothing_and_repeat_nothing() {
    let Some(shim) = Shim::build() else { return };
    let mut dice = fastrand::Rng::with_seed(crate::seed());
    let mut verdict = Verdict::default();
    let calls = ["sync", "write", "change", "name", "open"].map(|calls| (calls, shim.count(calls)));
    for (kind, what, rows) in ILLS {
        let (_, number) = calls[calls.iter().position(|(calls, _)| *calls == kind).expect("it was counted")];
        for row in rows {
            for _ in 0..crate::cycles().div_ceil(20) {
                let ill = format!("{kind}:{what}:{}:{row}", dice.u32(1..=number));
                verdict.enter(&ill, shim.fall_ill(&ill, |life| life.status.success()));
            }
        }
    }
    verdict.close("sick");
}

#[test]
fn sick_disks_that_stay_so_give_errors_and_lose_nothing() {
    let Some(shim) = Shim::build() else { return };
    let mut dice = fastrand::Rng::with_seed(crate::seed());
    let mut verdict = Verdict::default();
    for ill in ["sync:EIO", "write:ENOSPC", "change:EROFS", "open:EMFILE"] {
        let number = shim.count(ill.split(':').next().unwrap_or_default());
        for _ in 0..crate::cycles().div_ceil(80) {
            let ill = format!("{ill}:{}:1000000", dice.u32(1..=number));
            // It gives up, or does without the calls that fail.
            verdict.enter(&ill, shim.fall_ill(&ill, |life| !life.was_aborted()));
        }
    }
    verdict.close("sick for good");
}

/// Also within SQLite: between the pages of a commit and its sync, while the tables are made, while the log is folded in.
#[test]
fn syscalls_of_which_none_is_made_any_more_lose_nothing_and_repeat_nothing() {
    let Some(shim) = Shim::build() else { return };
    let mut dice = fastrand::Rng::with_seed(crate::seed());
    let mut verdict = Verdict::default();
    let number = shim.count("change");
    // All of them from 2000 cycles on, which is what a long run asks for.
    let often = crate::cycles() as f64 / 2000.0;
    for call in 1..=number {
        if dice.f64() < often {
            let ill = format!("change:crash:{call}:1");
            // Not every life makes as many calls as the one that was counted: more commits are shared in one than in another.
            let ended = |life: &Life| life.was_aborted() || call > number / 4 * 3 && life.status.success();
            verdict.enter(&ill, shim.fall_ill(&ill, ended));
        }
    }
    verdict.close("syscalls");
}

/// A disk that is full indeed, where this process may make one.
#[test]
fn a_full_disk_gives_errors_and_the_work_goes_on_when_there_is_room_again() {
    let dir = scratch();
    let disk = dir.path().join("disk");
    fs::create_dir(&disk).expect("a directory");
    let mount = |arguments: &[&str]| Command::new("mount").args(arguments).arg(&disk).output();
    let mounted = mount(&["-t", "tmpfs", "-o", "size=200k", "ft-full"]);
    if !mounted.is_ok_and(|output| output.status.success()) {
        crate::say("a full disk cannot be mounted here: the one of sick.c has to do");
        return;
    }
    let _unmounts = Unmount(disk.clone());
    let mut lives = Lives::new(dir.path());
    let life = lives.live(|_| ());
    assert!(!life.status.success(), "there was room for everything");
    assert!(life.errors.iter().any(|error| error.contains("full")), "{:?}", life.errors);
    assert!(mount(&["-o", "remount,size=64m"]).is_ok_and(|output| output.status.success()), "no room could be made");
    lives.end().expect("every promise is kept");
}

struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        // Nothing else would: the directory below is to be removed.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// `sick.c`, built.
struct Shim {
    library: PathBuf,
    dir: TempDir,
}

impl Shim {
    fn build() -> Option<Self> {
        let dir = scratch();
        Some(Self { library: build_shim(dir.path(), "sick.c")?, dir })
    }

    fn put_on(&self, child: &mut Command, disk: PathBuf, ill: &str) {
        child.env("LD_PRELOAD", &self.library).env("FT_SICK_DIR", disk).env("FT_SICK", ill);
    }

    /// How many such calls a life makes that nothing happens to.
    fn count(&self, calls: &str) -> u32 {
        let dir = scratch();
        let count = self.dir.path().join("count");
        let life = Lives::new(dir.path()).live(|child| {
            self.put_on(child, dir.path().join("disk"), &format!("{calls}:EIO:1000000:1"));
            child.env("FT_SICK_COUNT", &count);
        });
        assert!(life.status.success(), "{}", life.stderr);
        let number = fs::read_to_string(count).expect("a number").parse().expect("a number");
        assert!(number > 2, "{calls}: only {number} calls were seen");
        number
    }

    /// A life with a sick disk, which has to end as `ends` says, and one with a healthy disk after it.
    fn fall_ill(&self, ill: &str, ends: impl Fn(&Life) -> bool) -> Result<(), String> {
        let dir = scratch();
        let mut lives = Lives::new(dir.path());
        let life = lives.live(|child| self.put_on(child, dir.path().join("disk"), ill));
        if !ends(&life) {
            return Err(format!("it ended with {} and the errors {:?}: {}", life.status, life.errors, life.stderr));
        }
        if let Some(error) = life.errors.iter().find(|error| !error.contains("/disk")) {
            return Err(format!("an error does not say where: {error}"));
        }
        lives.end()
    }
}

#[derive(Default)]
struct Verdict {
    lives: u32,
    broken: Vec<String>,
}

impl Verdict {
    fn enter(&mut self, ill: &str, outcome: Result<(), String>) {
        self.lives += 1;
        self.broken.extend(outcome.err().map(|why| format!("\n    {ill}: {why}")));
    }

    #[track_caller]
    fn close(self, what: &str) {
        let Self { lives, broken } = self;
        println!("{what}: store=sqlite lives={lives} broken={}", broken.len());
        let first = broken.iter().take(5).cloned().collect::<String>();
        assert!(broken.is_empty(), "seed {}: {} of {lives}{first}", crate::seed(), broken.len());
    }
}
