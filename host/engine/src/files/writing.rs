//! How a file is written: owner and mode, content to the disk, and a name in one step.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rand::Rng;
use rustix::fs::{Gid, Mode, OFlags, Uid};
use usher_grant::TEMPORARY;
use usher_watch::is_on_network;

use super::{Warnings, WriteOptions, failed, flags};
use crate::failure::{Failure, FailureKind};

/// Who a file shall belong to, as numbers.
#[derive(Clone, Copy)]
pub(super) struct Owners {
    user: Option<Uid>,
    group: Option<Gid>,
}

impl Owners {
    pub(super) fn look_up(options: &WriteOptions) -> Result<Self, Failure> {
        let find = |name: &Option<String>,
                    database: &str,
                    kind: &str|
         -> Result<Option<u32>, Failure> {
            let Some(name) = name else { return Ok(None) };
            if let Ok(number) = name.parse() {
                return Ok(Some(number));
            }
            let entries = fs::read_to_string(database).unwrap_or_default();
            let number = entries.lines().find_map(|line| {
                let mut parts = line.split(':');
                (parts.next() == Some(name)).then(|| parts.nth(1)?.parse().ok()).flatten()
            });
            number.map(Some).ok_or_else(|| {
                Failure::new(
                    FailureKind::Config,
                    "file.permission",
                    format!("there is no {kind} named {name:?} in {database}; write its number or create it"),
                )
            })
        };
        Ok(Self {
            user: find(&options.owner, "/etc/passwd", "user")?.map(Uid::from_raw),
            group: find(&options.group, "/etc/group", "group")?.map(Gid::from_raw),
        })
    }
}

/// Owner, then mode: changing the owner may clear bits.
pub(super) fn apply(
    file: &File,
    path: &Path,
    mode: u32,
    owners: Owners,
    warnings: &mut Warnings,
) -> Result<(), Failure> {
    if owners.user.is_some() || owners.group.is_some() {
        let metadata = file.metadata().map_err(|error| failed("write", path, &error))?;
        let same = owners.user.is_none_or(|user| user.as_raw() == metadata.uid())
            && owners.group.is_none_or(|group| group.as_raw() == metadata.gid());
        match rustix::fs::fchown(file, owners.user, owners.group) {
            Ok(()) => {}
            Err(_) if same => {}
            Err(error) if is_on_network(file) => warnings.push(format!(
                "this network file system refuses to change the owner of {} ({error}); it stays uid {} gid {}",
                path.display(),
                metadata.uid(),
                metadata.gid()
            )),
            Err(error) => {
                return Err(Failure::new(
                    FailureKind::Config,
                    "file.permission",
                    format!(
                        "the owner of {} can't be changed ({error}); run the agent as root, give it CAP_CHOWN, or let it keep its owner and group (a file sink: without uid and gid)",
                        path.display()
                    ),
                ));
            }
        }
    }
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode)).or_else(|error| {
        let metadata = file.metadata().map_err(|error| failed("write", path, &error))?;
        if metadata.mode() & 0o7777 == mode {
            Ok(())
        } else if is_on_network(file) {
            warnings.push(format!(
                "this network file system refuses mode {mode:04o} for {} ({error}); it stays {:04o}",
                path.display(),
                metadata.mode() & 0o7777
            ));
            Ok(())
        } else {
            Err(failed("write", path, &error.into()))
        }
    })
}

/// The whole content, on the disk when this returns.
pub(super) fn fill(
    file: &File,
    path: &Path,
    content: &[u8],
    warnings: &mut Warnings,
) -> Result<(), Failure> {
    let mut writer = file;
    writer.write_all(content).map_err(|error| failed("write", path, &error))?;
    match file.sync_all() {
        Ok(()) => Ok(()),
        // EINVAL and ENOTSUP: the file system has no fsync.
        Err(error)
            if matches!(error.raw_os_error(), Some(22 | 95))
                || is_on_network(file) && is_refusal(&error) =>
        {
            warnings.push(format!(
                "the file system of {} refuses fsync ({error}); the file may be lost in a power failure",
                path.display()
            ));
            Ok(())
        }
        Err(error) => Err(failed("write", path, &error)),
    }
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput
    )
}

/// A new file beside the target; removed again unless it takes the target's name.
pub(super) struct Temporary {
    pub(super) file: File,
    pub(super) path: PathBuf,
    renamed: bool,
}

impl Temporary {
    pub(super) fn beside(target: &Path, asked: &Path) -> Result<Self, Failure> {
        let path = target.with_file_name(format!(
            "{}{:016x}",
            prefix(target),
            rand::rng().random::<u64>()
        ));
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(flags(OFlags::NOFOLLOW | OFlags::CLOEXEC))
            .open(&path)
            .map_err(|error| failed("write", asked, &error))?;
        Ok(Self { file, path, renamed: false })
    }

    /// What an agent that was killed in the middle of a write left here: it may hold a token.
    pub(super) fn remove_left_behind(target: &Path) {
        let Some(entries) = target.parent().and_then(|directory| fs::read_dir(directory).ok())
        else {
            return;
        };
        let prefix = prefix(target);
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name();
            let left =
                name.to_str().and_then(|name| name.strip_prefix(&prefix)).is_some_and(|end| {
                    end.len() == 16 && end.bytes().all(|byte| byte.is_ascii_hexdigit())
                });
            if left {
                // Best effort: the check itself tells whether the directory can be written.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    pub(super) fn rename_to(mut self, target: &Path, asked: &Path) -> Result<(), Failure> {
        fs::rename(&self.path, target).map_err(|error| failed("write", asked, &error))?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// How the names of temporary files beside `target` start.
fn prefix(target: &Path) -> String {
    format!(".{}{TEMPORARY}", target.file_name().unwrap_or(OsStr::new("file")).to_string_lossy())
}
