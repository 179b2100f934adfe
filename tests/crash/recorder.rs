//! Records a program with `record.c`, cuts its power at many moments, and asks a judge about each disk that is left.
//!
//! The recorder itself is tried first, on the simplest program that makes promises: rows in SQLite, kept once the
//! right way and twice the wrong way.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;
use tempfile::TempDir;

use crate::disk::{Disk, Loss, Op, read_log};

/// Says to the recorder, and so to the judge, what the program has acknowledged.
pub(crate) struct Marks(fs::File);

const MARKS: &str = "FT_RECORD_MARKS";

impl Marks {
    pub(crate) fn open() -> Self {
        let path = std::env::var_os(MARKS).expect("the parent names the file");
        Self(fs::File::options().append(true).open(path).expect("the parent made the file"))
    }

    pub(crate) fn promise(&mut self, what: &str) {
        self.0.write_all(what.as_bytes()).expect("a mark is written");
    }
}

/// One recorded execution.
pub(crate) struct Recording {
    root: PathBuf,
    ops: Vec<Op>,
    _dir: TempDir,
}

impl Recording {
    /// Runs `program` with the recorder loaded. `None`, said aloud, where no recorder can be built.
    pub(crate) fn of(program: &mut Command) -> Option<Self> {
        let dir = TempDir::new().expect("a temporary directory");
        let recorder = build_recorder(dir.path())?;
        // The recorder speaks of real paths.
        let base = dir.path().canonicalize().expect("a real path");
        let (root, log, marks) = (base.join("disk"), base.join("log"), base.join("marks"));
        fs::create_dir(&root).expect("a directory");
        fs::write(&marks, "").expect("a file");
        let output = program
            .env("LD_PRELOAD", recorder)
            .env("FT_RECORD_DIR", &root)
            .env("FT_RECORD_LOG", &log)
            .env(MARKS, &marks)
            .env(crate::child::DIR, &root)
            .output()
            .expect("this program can be started again");
        assert!(output.status.success(), "the recorded program failed: {}", String::from_utf8_lossy(&output.stdout));
        let ops = read_log(&log).expect("a readable recording");
        Some(Self { root, ops, _dir: dir })
    }

    /// Whether a file was made whose path holds this.
    pub(crate) fn made(&self, part: &str) -> bool {
        self.ops.iter().any(|op| matches!(op, Op::Create { path, .. } if path.to_string_lossy().contains(part)))
    }

    /// Cuts the power at many moments, making about `images` disks, and lets `judge` look at what is left of each and
    /// at what was promised by then.
    pub(crate) fn cut(&self, images: u64, judge: impl Fn(&Path, &[&str]) -> Result<(), String>) -> Verdict {
        let mut dice = fastrand::Rng::with_seed(crate::seed());
        let mut verdict = Verdict::default();
        let mut disk = Disk::new(&self.root);
        let mut promised = Vec::new();
        let turns: Vec<bool> = self.ops.windows(2).map(|pair| pair.iter().any(Op::is_turning_point)).collect();
        // Between the turning points, where only unsynced bytes grow, one look in ten is enough.
        let looks = turns.iter().map(|turn| if *turn { 1.0 } else { 0.1 }).sum::<f64>();
        let often = images as f64 / (LOSSES as f64 * looks);
        for (i, op) in self.ops.iter().enumerate() {
            disk.apply(op).expect("a recording that can be followed");
            if let Op::Mark(what) = op {
                promised.extend(what.lines());
            }
            let turn = turns.get(i).is_none_or(|turn| *turn);
            let often = if turn { often } else { often / 10.0 };
            let rounds = often as u64 + u64::from(dice.f64() < often.fract());
            for loss in (0..rounds).flat_map(|_| losses(&mut dice)) {
                let image = scratch();
                disk.write_image(loss, image.path()).expect("an image can be written");
                verdict.images += 1;
                if let Err(why) = judge(image.path(), &promised) {
                    let after = format!("call {i} of {}, {op}", self.ops.len());
                    verdict.broken.push(format!("power cut after {after}, {loss}: {why}"));
                }
            }
        }
        verdict
    }
}

/// The ways in which one moment is looked at.
const LOSSES: usize = 4;

fn losses(dice: &mut fastrand::Rng) -> [Loss; LOSSES] {
    [Loss::Everything, Loss::Some(dice.u64(..)), Loss::Some(dice.u64(..)), Loss::Nothing]
}

/// What the judge said of all images.
#[derive(Default)]
pub(crate) struct Verdict {
    pub(crate) images: u64,
    /// For each image on which a promise was broken: when the power was cut, and what is wrong.
    pub(crate) broken: Vec<String>,
}

impl Verdict {
    /// Panics with the first few cases unless every promise was kept on every image.
    #[track_caller]
    pub(crate) fn acquit(&self) {
        let first: Vec<_> = self.broken.iter().take(5).map(|case| format!("\n    {case}")).collect();
        let (images, broken, seed) = (self.images, self.broken.len(), crate::seed());
        assert!(broken == 0, "{broken} of {images} disks broke a promise (seed {seed}):{}", first.concat());
    }

    /// Panics unless some image shows a broken promise.
    #[track_caller]
    pub(crate) fn convict(&self) {
        assert!(!self.broken.is_empty(), "none of {} disks shows the loss", self.images);
    }
}

/// Builds the recorder into `dir`; `None`, said aloud, where that cannot be done.
fn build_recorder(dir: &Path) -> Option<PathBuf> {
    if !cfg!(all(target_os = "linux", target_env = "gnu")) {
        crate::say("skipped: power cuts are recorded on Linux with glibc only");
        return None;
    }
    let library = dir.join("librecord.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/record.c");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(source)
        .args(["-ldl", "-lpthread"])
        .output();
    match built {
        Err(_) => {
            crate::say("skipped: power cuts need the C compiler `cc` for their recorder");
            None
        }
        Ok(output) => {
            assert!(output.status.success(), "record.c: {}", String::from_utf8_lossy(&output.stderr));
            Some(library)
        }
    }
}

/// A place for an image: in memory where there is one, since nothing there has to last.
pub(crate) fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.expect("a temporary directory")
}

const ROWS: u32 = 60;
const RAW_SYNC: &str = "FT_RAW_SYNCHRONOUS";
const RAW_DIR: &str = "FT_RAW_SYNC_DIRECTORY";

/// Writes rows and promises each one after its commit.
pub(crate) fn raw_program(dir: &Path) {
    let mut marks = Marks::open();
    let sub = dir.join("data");
    fs::create_dir(&sub).expect("a directory");
    if std::env::var_os(RAW_DIR).is_some() {
        fs::File::open(dir).and_then(|dir| dir.sync_all()).expect("a synced directory");
    }
    let db = Connection::open(sub.join("raw.db")).expect("a database");
    let sync = std::env::var(RAW_SYNC).expect("the parent says how to sync");
    db.execute_batch(&format!(
        "pragma journal_mode = wal; pragma synchronous = {sync}; pragma wal_autocheckpoint = 20;
         create table row (k integer primary key, v blob)"
    ))
    .expect("a table");
    for k in 0..ROWS {
        db.execute("insert into row values (?1, ?2)", (k, value_of(k))).expect("a row");
        marks.promise(&k.to_string());
    }
}

fn value_of(k: u32) -> Vec<u8> {
    format!("row {k} ").repeat(1 + (k as usize * 7) % 100).into_bytes()
}

fn judge_raw(image: &Path, promised: &[&str]) -> Result<(), String> {
    let Some(last) = promised.last() else { return Ok(()) };
    let path = image.join("data/raw.db");
    if !path.exists() {
        return Err(format!("row {last} was promised, and the file is gone"));
    }
    let db = Connection::open(path).map_err(|error| error.to_string())?;
    let whole: String =
        db.query_row("pragma integrity_check", [], |row| row.get(0)).map_err(|error| error.to_string())?;
    if whole != "ok" {
        return Err(whole);
    }
    for k in promised {
        let k: u32 = k.parse().expect("a number");
        match db.query_row("select v from row where k = ?1", [k], |row| row.get::<_, Vec<u8>>(0)) {
            Ok(value) if value == value_of(k) => {}
            Ok(_) => return Err(format!("row {k} is not what was written")),
            Err(error) => return Err(format!("row {k} was promised: {error}")),
        }
    }
    Ok(())
}

fn raw(sync: &str, directory: bool) -> Option<Verdict> {
    let mut program = crate::child("raw");
    program.env(RAW_SYNC, sync);
    if directory {
        program.env(RAW_DIR, "1");
    }
    Some(Recording::of(&mut program)?.cut(10 * crate::cycles().min(40), judge_raw))
}

#[test]
fn the_recorder_acquits_rows_that_were_synced() {
    let Some(verdict) = raw("full", true) else { return };
    verdict.acquit();
}

#[test]
fn the_recorder_convicts_rows_that_were_promised_before_the_sync() {
    let Some(verdict) = raw("normal", true) else { return };
    verdict.convict();
}

#[test]
fn the_recorder_convicts_a_new_directory_that_was_not_synced() {
    let Some(verdict) = raw("full", false) else { return };
    verdict.convict();
}
