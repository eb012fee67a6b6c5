//! Makes the key pair of an encrypted sink's reader.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use usher_envelope::PrivateKey;

use crate::stop::{Stop, failure, usage};

/// Writes both files, or neither.
pub(super) fn make_keys(private_file: &Path, public_file: &Path) -> Result<(), Stop> {
    if private_file == public_file {
        return Err(usage("--private-key and --public-key name the same file"));
    }
    // Before the private key is made; the writing itself makes sure.
    if public_file.symlink_metadata().is_ok() {
        return Err(failure(in_the_way("public", public_file)));
    }
    let key = PrivateKey::generate().map_err(failure)?;
    write_private(private_file, key.to_json().expose())
        .map_err(|error| failure(problem("private", private_file, &error)))?;
    write_public(public_file, &key.public().to_json()).map_err(|error| {
        // Without its other half it is of no use, and in the way of the next try.
        let _ = std::fs::remove_file(private_file);
        failure(problem("public", public_file, &error))
    })
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    finish(&mut file, content, 0o600).inspect_err(|_| {
        let _ = std::fs::remove_file(path);
    })
}

/// An agent that waits for it sees the whole file or none.
fn write_public(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&temporary)?;
    finish(&mut file, content, 0o644).and_then(|()| take_name(&temporary, path)).inspect_err(|_| {
        let _ = std::fs::remove_file(&temporary);
    })
}

/// Renames, but never over another file.
fn take_name(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system knows how; it was looked for before.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => std::fs::rename(from, to),
        result => result.map_err(io::Error::from),
    }
}

/// The umask may have taken bits away.
fn finish(file: &mut File, content: &[u8], mode: u32) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(content)?;
    file.sync_all()
}

fn problem(half: &str, path: &Path, error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::AlreadyExists {
        return in_the_way(half, path);
    }
    let cure = match error.kind() {
        io::ErrorKind::NotFound => "; make the directory first",
        io::ErrorKind::PermissionDenied => "; write where you may",
        _ => "",
    };
    format!("the {half} key can't be written to {}: {error}{cure}", path.display())
}

fn in_the_way(half: &str, path: &Path) -> String {
    format!(
        "{} is there already, and a key is never overwritten: name another file for the {half} key, or remove this one if nobody needs it any more",
        path.display()
    )
}
