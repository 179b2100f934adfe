//! A disk that forgets: plays a recording of `record.c` back up to any point, cuts the power there, and builds
//! what a strict file system may then hold.
//!
//! Strict means what POSIX promises and nothing more. Content is durable once its file was synced; a name (created,
//! renamed, removed) once its directory was. Whatever else happened since may be there, wholly or in part, in any
//! order. A length may have reached the disk without its bytes.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One recorded call, in the order in which the calls took effect.
#[derive(Debug)]
pub(crate) enum Op {
    Create {
        inode: u64,
        path: PathBuf,
    },
    Truncate {
        inode: u64,
        size: usize,
    },
    Write {
        inode: u64,
        offset: usize,
        data: Vec<u8>,
    },
    Sync {
        inode: u64,
    },
    SyncDir {
        path: PathBuf,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Unlink {
        path: PathBuf,
    },
    Mkdir {
        path: PathBuf,
    },
    /// What the process had promised by this point.
    Mark(String),
    /// A call that this model cannot follow.
    Unknown(String),
}

impl Op {
    /// Whether the moments just before and after this call deserve a power cut of their own.
    pub(crate) fn is_turning_point(&self) -> bool {
        !matches!(self, Op::Write { .. } | Op::Truncate { .. })
    }
}

/// Reads a recording.
pub(crate) fn read_log(path: &Path) -> Result<Vec<Op>, String> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut rest = bytes.as_slice();
    let mut ops = Vec::new();
    while !rest.is_empty() {
        let (op, left) = read_op(rest).ok_or_else(|| format!("record {} is cut short", ops.len()))??;
        ops.push(op);
        rest = left;
    }
    Ok(ops)
}

/// How much of what was not synced is lost.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    /// Nothing: what `SIGKILL` leaves.
    Nothing,
    /// All of it.
    Everything,
    /// Some of it, chosen by this seed.
    Some(u64),
}

/// The state of the disk at one point of the recording: what is durable, and what is on its way.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    files: Vec<File>,
    by_inode: HashMap<u64, usize>,
    /// The names as the running system sees them.
    live: BTreeMap<PathBuf, Node>,
    /// The names that survive a power cut.
    durable: BTreeMap<PathBuf, Node>,
    pending: Vec<NameChange>,
}

impl Disk {
    /// An empty directory at `root`, which itself is durable.
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
            files: Vec::new(),
            by_inode: HashMap::new(),
            live: BTreeMap::new(),
            durable: BTreeMap::new(),
            pending: Vec::new(),
        }
    }

    /// Carries out one recorded call.
    pub(crate) fn apply(&mut self, op: &Op) -> Result<(), String> {
        match op {
            Op::Create { inode, path } => {
                // Numbers are given out anew once a file is gone, so each creation is a file of its own.
                self.by_inode.insert(*inode, self.files.len());
                let node = Node::File(self.files.len());
                self.files.push(File::default());
                self.change_name(NameChange::Put { path: path.clone(), node });
            }
            Op::Truncate { inode, size } => self.file(*inode)?.pending.push(Change::Truncate(*size)),
            Op::Write { inode, offset, data } => {
                let change = Change::Write { offset: *offset, data: data.clone() };
                self.file(*inode)?.pending.push(change);
            }
            Op::Sync { inode } => self.file(*inode)?.sync(),
            Op::SyncDir { path } => self.sync_dir(path),
            Op::Rename { from, to } => {
                let node = *self.live.get(from).ok_or_else(|| not_seen(from))?;
                if matches!(node, Node::Dir) {
                    return Err(format!("cannot follow the renaming of a directory: {}", from.display()));
                }
                self.change_name(NameChange::Rename { from: from.clone(), to: to.clone(), node });
            }
            Op::Unlink { path } => {
                self.live.get(path).ok_or_else(|| not_seen(path))?;
                self.change_name(NameChange::Remove { path: path.clone() });
            }
            Op::Mkdir { path } => self.change_name(NameChange::Put { path: path.clone(), node: Node::Dir }),
            Op::Mark(_) => {}
            Op::Unknown(what) => return Err(format!("the process used {what}, which the replay does not model")),
        }
        Ok(())
    }

    /// Cuts the power here and writes what is left to the empty directory `target`.
    pub(crate) fn write_image(&self, loss: Loss, target: &Path) -> io::Result<()> {
        let mut dice = fastrand::Rng::with_seed(match loss {
            Loss::Some(seed) => seed,
            Loss::Nothing | Loss::Everything => 0,
        });
        for (path, node) in self.names_after(loss, &mut dice) {
            // SQLite rebuilds this one from the log beside it; it is mapped, not written.
            if path.as_os_str().to_string_lossy().ends_with("-shm") {
                continue;
            }
            let below = path.strip_prefix(&self.root).map_err(io::Error::other)?;
            let at = target.join(below);
            if !at.parent().is_some_and(Path::is_dir) {
                continue; // its directory is lost, and everything in it
            }
            match node {
                Node::Dir => fs::create_dir(&at)?,
                Node::File(index) => fs::write(&at, self.files[index].content_after(loss, &mut dice))?,
            }
        }
        Ok(())
    }

    fn file(&mut self, inode: u64) -> Result<&mut File, String> {
        let index = self.by_inode.get(&inode).ok_or("a file from before the recording")?;
        Ok(&mut self.files[*index])
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    fn sync_dir(&mut self, dir: &Path) {
        let (synced, pending): (Vec<_>, Vec<_>) = self.pending.drain(..).partition(|change| change.is_in(dir));
        self.pending = pending;
        for change in synced {
            change.apply(&mut self.durable);
        }
    }

    fn names_after(&self, loss: Loss, dice: &mut fastrand::Rng) -> BTreeMap<PathBuf, Node> {
        let mut names = self.durable.clone();
        // A journalling file system keeps the first few changes, the standard allows any of them.
        let in_order = dice.bool();
        let first = dice.usize(0..=self.pending.len());
        for (i, change) in self.pending.iter().enumerate() {
            let kept = match loss {
                Loss::Nothing => true,
                Loss::Everything => false,
                Loss::Some(_) if in_order => i < first,
                Loss::Some(_) => dice.bool(),
            };
            if kept {
                change.apply(&mut names);
            }
        }
        names
    }
}

#[derive(Clone, Copy, Debug)]
enum Node {
    Dir,
    File(usize),
}

#[derive(Debug)]
enum NameChange {
    Put { path: PathBuf, node: Node },
    Remove { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf, node: Node },
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        match self {
            NameChange::Put { path, node } => drop(names.insert(path.clone(), *node)),
            NameChange::Remove { path } => drop(names.remove(path)),
            NameChange::Rename { from, to, node } => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
        }
    }

    fn is_in(&self, dir: &Path) -> bool {
        match self {
            NameChange::Put { path, .. } | NameChange::Remove { path } => path.parent() == Some(dir),
            NameChange::Rename { from, to, .. } => from.parent() == Some(dir) || to.parent() == Some(dir),
        }
    }
}

#[derive(Debug, Default)]
struct File {
    durable: Vec<u8>,
    pending: Vec<Change>,
}

impl File {
    fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    fn content_after(&self, loss: Loss, dice: &mut fastrand::Rng) -> Vec<u8> {
        let mut content = self.durable.clone();
        let in_order = dice.bool();
        let first = dice.usize(0..=self.pending.len());
        for (i, change) in self.pending.iter().enumerate() {
            match loss {
                Loss::Nothing => change.apply(&mut content),
                Loss::Everything => {}
                Loss::Some(_) if in_order && i < first => change.apply(&mut content),
                Loss::Some(_) if in_order && i > first => {}
                Loss::Some(_) => change.apply_in_part(&mut content, dice),
            }
        }
        content
    }
}

#[derive(Debug)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    Truncate(usize),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Write { offset, data } => put(content, *offset, data),
            Change::Truncate(size) => content.resize(*size, 0),
        }
    }

    /// Keeps all, nothing, one end or some sectors of a write.
    fn apply_in_part(&self, content: &mut Vec<u8>, dice: &mut fastrand::Rng) {
        let Change::Write { offset, data } = self else {
            if dice.bool() {
                self.apply(content);
            }
            return;
        };
        let cut = dice.usize(0..=data.len());
        match dice.u8(0..6) {
            0 => put(content, *offset, data),
            1 => put(content, *offset, &data[..cut]),
            2 => put(content, offset + cut, &data[cut..]),
            3 => {
                for (i, sector) in data.chunks(512).enumerate() {
                    if dice.bool() {
                        put(content, offset + i * 512, sector);
                    }
                }
            }
            // The length arrives without the bytes.
            4 => put(content, offset + data.len(), &[]),
            _ => {}
        }
    }
}

/// Writes `data` at `offset`; what lies between the end and `offset` becomes zeros.
fn put(content: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(data);
}

fn not_seen(path: &Path) -> String {
    format!("{} is from before the recording", path.display())
}

const MAGIC: u32 = 0x4654_5243;

/// One record of `struct entry` in `record.c`, and what follows it; `None` if the bytes end too early.
fn read_op(bytes: &[u8]) -> Option<Result<(Op, &[u8]), String>> {
    let (header, rest) = bytes.split_at_checked(32)?;
    let word = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().expect("four bytes"));
    let long = |at: usize| u64::from_ne_bytes(header[at..at + 8].try_into().expect("eight bytes"));
    if word(0) != MAGIC {
        return Some(Err(String::from("not a recording")));
    }
    let (kind, inode) = (word(4), long(8));
    let offset = usize::try_from(long(16)).ok()?;
    let (data, rest) = rest.split_at_checked(word(24) as usize)?;
    let (data2, rest) = rest.split_at_checked(word(28) as usize)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let path = |bytes: &[u8]| PathBuf::from(text(bytes));
    let op = match kind {
        1 => Op::Create { inode, path: path(data) },
        2 => Op::Truncate { inode, size: offset },
        3 => Op::Write { inode, offset, data: data.to_vec() },
        4 => Op::Sync { inode },
        5 => Op::SyncDir { path: path(data) },
        6 => Op::Rename { from: path(data), to: path(data2) },
        // A directory's own end is a removed name like any other: what was in it is gone already.
        7 | 9 => Op::Unlink { path: path(data) },
        8 => Op::Mkdir { path: path(data) },
        10 => Op::Mark(text(data)),
        11 => Op::Unknown(text(data)),
        other => return Some(Err(format!("a record of unknown kind {other}"))),
    };
    Some(Ok((op, rest)))
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Write { inode, offset, data } => {
                write!(f, "a write of {} bytes at {offset} of file {inode}", data.len())
            }
            other => write!(f, "{other:?}"),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Loss::Nothing => f.write_str("nothing unsynced lost"),
            Loss::Everything => f.write_str("everything unsynced lost"),
            Loss::Some(seed) => write!(f, "some of the unsynced lost (seed {seed})"),
        }
    }
}
