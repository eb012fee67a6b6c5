//! The table of file systems that belong to another machine.
//!
//! Its changes give no event here, and it may refuse what a local one would do.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{StatFs, fstatfs, statfs};

/// By the magic number of statfs(2). What is behind FUSE can't be told; most of it is remote.
const NETWORK: [u32; 9] = [
    0x6969,      // NFS
    0x517b,      // SMB
    0xff53_4d42, // CIFS
    0xfe53_4d42, // SMB2
    0x0102_1997, // 9P
    0x6573_5546, // FUSE
    0x5346_414f, // AFS: OpenAFS
    0x6b41_4653, // AFS: the kernel's own
    0x00c3_6400, // Ceph
];

/// Whether an open file is on another machine; no if that can't be told.
pub fn is_on_network(file: impl AsFd) -> bool {
    fstatfs(file).is_ok_and(|found| is_network(magic(&found)))
}

/// The same of what is at a path, links followed.
pub(crate) fn is_path_on_network(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| is_network(magic(&found)))
}

fn is_network(magic: u32) -> bool {
    NETWORK.contains(&magic)
}

/// The 32 bits that a type is, whatever the width of the field.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "see above")]
fn magic(found: &StatFs) -> u32 {
    found.f_type as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_afs_are_remote_and_local_file_systems_are_not() {
        for (name, magic, expected) in [
            ("OpenAFS", 0x5346_414f, true),
            ("kAFS", 0x6b41_4653, true),
            ("NFS", 0x6969, true),
            ("Ceph", 0x00c3_6400, true),
            ("ext4", 0xef53, false),
            ("tmpfs", 0x0102_1994, false),
            ("overlay", 0x794c_7630, false),
        ] {
            assert_eq!(is_network(magic), expected, "{name}");
        }
    }

    #[test]
    fn a_path_and_an_open_file_are_judged_alike() {
        for path in ["/", "/proc", "/tmp"] {
            let file = std::fs::File::open(path).unwrap();
            assert_eq!(is_on_network(&file), is_path_on_network(Path::new(path)), "{path}");
        }
        assert!(!is_on_network(std::fs::File::open("/proc").unwrap()));
    }
}
