//! Which file system a file is on, where the kernel says so.
//!
//! SQLite's log needs shared memory and locks that the kernel of one host keeps. A file system that is served over a network
//! gives neither to two hosts: they would write over each other without an error. So a store is not opened there.

use std::path::Path;

use crate::checkpoint::error::StoreError;

/// The kinds that several hosts may share, as `/proc/self/mountinfo` names them.
const NETWORK: [&str; 19] = [
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "fuse.ceph-fuse",
    "fuse.gcsfuse",
    "fuse.glusterfs",
    "fuse.juicefs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "smb3",
    "smbfs",
];

/// Refuses a path on a network file system. Where the kernel has no list of mounts, nothing is known and nothing refused.
pub(super) fn refuse_network(path: &Path) -> Result<(), StoreError> {
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo") else { return Ok(()) };
    match file_system_of(path, &mounts) {
        Some(kind) if NETWORK.contains(&kind) => {
            Err(StoreError::NetworkFileSystem { path: path.to_owned(), kind: kind.to_owned() })
        }
        _ => Ok(()),
    }
}

/// The kind of the mount that holds `path`: the last one of those with the longest mount point above it.
///
/// A line of `/proc/self/mountinfo` is `id parent device root MOUNT-POINT options fields.. - KIND source options` (proc(5)).
fn file_system_of<'m>(path: &Path, mounts: &'m str) -> Option<&'m str> {
    let mounts = mounts.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let point = unescaped(before.split(' ').nth(4)?);
        Some((point, after.split(' ').next()?))
    });
    let above = mounts.filter(|(point, _)| path.starts_with(point));
    above.max_by_key(|(point, _)| point.len()).map(|(_, kind)| kind)
}

/// Blanks and backslashes stand as three octal digits behind a backslash.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(text.to_owned(), |text, (code, meant)| text.replace(code, meant))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:25 / /srv/data rw - ext4 /dev/vdb rw
31 30 0:26 / /srv/data rw,noatime shared:7 master:2 - nfs4 host:/export rw,vers=4.2
32 22 0:27 / /srv/my\\040disk rw - cifs //host/share rw
";

    fn kind(path: &str) -> Option<&'static str> {
        file_system_of(Path::new(path), MOUNTS)
    }

    #[test]
    fn the_innermost_and_latest_mount_above_a_path_holds_it() {
        assert_eq!(kind("/srv/database/ft.db"), Some("ext4"));
        assert_eq!(kind("/srv/data/ft.db"), Some("nfs4"));
        assert_eq!(kind("/srv/my disk/ft.db"), Some("cifs"));
        assert_eq!(kind("relative/ft.db"), None);
    }

    #[test]
    fn the_list_of_this_kernel_can_be_read() {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        assert!(mounts.is_empty() || file_system_of(Path::new("/"), &mounts).is_some(), "{mounts}");
    }
}
