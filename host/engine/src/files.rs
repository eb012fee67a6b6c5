//! The `files` interface: whole files, atomically, and only where the grant leads.
//!
//! A path is resolved (links, `..`), opened, and then checked by where the open file really is,
//! so that a link swapped between check and use gains nothing. A write or remove resolves the
//! directory and never follows the last component.

mod writing;

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::OFlags;
use usher_grant::{Asker, Capability, Grant, Links, Need, Protected};
use zeroize::Zeroizing;

use crate::failure::{Failure, FailureKind, missing};
use writing::{Owners, Temporary, apply, fill};

/// The largest file read or written, in bytes.
pub(crate) const LARGEST_FILE: u64 = 1 << 20;

/// One use's view of the file system.
#[derive(Clone, Copy)]
pub(crate) struct Files<'a> {
    pub(crate) grant: &'a Grant,
    pub(crate) protected: &'a Protected,
    pub(crate) plugin: &'a str,
    pub(crate) asker: Asker<'a>,
    /// The call has ended: what it began must not take effect any more.
    pub(crate) abandoned: &'a AtomicBool,
}

/// How a file is written.
pub(crate) struct WriteOptions {
    pub(crate) mode: u32,
    pub(crate) owner: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) in_place: bool,
}

/// What a write could not do without being a failure, for the log.
pub(crate) type Warnings = Vec<String>;

impl Files<'_> {
    /// The whole regular file at `path` (absolute, links followed), and the need that it serves.
    pub(crate) fn read(&self, path: &Path) -> Result<(Zeroizing<Vec<u8>>, Need), Failure> {
        /// A file that is replaced just now is opened again this often.
        const ATTEMPTS: usize = 5;
        let (mut refusal, mut refusals) = (None, 0);
        for _ in 0..ATTEMPTS {
            let before = fs::canonicalize(path).ok();
            let file = File::options()
                .read(true)
                .custom_flags(flags(OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC))
                .open(path);
            let file = match file {
                Ok(file) => file,
                Err(error) => {
                    // Whether a file exists is nobody's business without a grant for it.
                    let resolved = resolve_link(path).unwrap_or_else(|| path.to_owned());
                    self.check(Capability::Read, path, &resolved, &|granted| {
                        Some(resolve_link(granted).unwrap_or_else(|| granted.to_owned()))
                    })?;
                    return Err(failed("read", path, &error));
                }
            };
            let actual = opened_path(&file, path)?;
            let granted = self
                .check(Capability::Read, path, &actual, &|granted| fs::canonicalize(granted).ok());
            match granted {
                Ok(need) => return Ok((content(file, path)?, need.clone())),
                Err(failure) => {
                    // Unless something moved meanwhile, the path really leads where nothing is
                    // granted.
                    let stable = before == Some(actual) && before == fs::canonicalize(path).ok();
                    refusals += usize::from(stable);
                    refusal = Some(failure);
                }
            }
        }
        Err(refusal.filter(|_| refusals == ATTEMPTS).unwrap_or_else(|| {
            Failure::new(
                FailureKind::Unavailable,
                "file.busy",
                format!("{} is being replaced; it is read again", path.display()),
            )
        }))
    }

    /// Writes the whole file or nothing.
    pub(crate) fn write(
        &self,
        path: &Path,
        content: &[u8],
        options: &WriteOptions,
    ) -> Result<Warnings, Failure> {
        let target = self.resolve_for(Capability::Write, path)?;
        let owners = Owners::look_up(options)?;
        refuse_irregular(&target)?;
        // Also of a write that fails something may be left.
        self.protected.is_written(&target, self.asker);
        let mut warnings = Warnings::new();
        if options.in_place {
            let file = File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC))
                .open(&target)
                .map_err(|error| failed("write", path, &error))?;
            self.still_there(Capability::Write, path, &file, &target)?;
            if !file.metadata().map_err(|error| failed("write", path, &error))?.is_file() {
                return Err(not_regular(path));
            }
            self.still_wanted(path)?;
            // Permissions first: the content must never be readable by more than it should.
            apply(&file, path, options.mode, owners, &mut warnings)?;
            file.set_len(0).map_err(|error| failed("write", path, &error))?;
            fill(&file, path, content, &mut warnings)?;
        } else {
            let temporary = Temporary::beside(&target, path)?;
            self.still_there(Capability::Write, path, &temporary.file, &temporary.path)?;
            // Nobody else may read it before it is in place.
            fill(&temporary.file, path, content, &mut warnings)?;
            apply(&temporary.file, path, options.mode, owners, &mut warnings)?;
            self.still_wanted(path)?;
            temporary.rename_to(&target, path)?;
        }
        Ok(warnings)
    }

    /// Tries a write beside `path` and leaves nothing.
    pub(crate) fn check_write(
        &self,
        path: &Path,
        options: &WriteOptions,
    ) -> Result<Warnings, Failure> {
        let target = self.resolve_for(Capability::Write, path)?;
        let owners = Owners::look_up(options)?;
        refuse_irregular(&target)?;
        let mut warnings = Warnings::new();
        if options.in_place && target.exists() {
            // Its directory may take no other file.
            File::options()
                .write(true)
                .custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC))
                .open(&target)
                .map_err(|error| failed("write", path, &error))?;
            return Ok(warnings);
        }
        Temporary::remove_left_behind(&target);
        let temporary = Temporary::beside(&target, path)?;
        self.still_there(Capability::Write, path, &temporary.file, &temporary.path)?;
        apply(&temporary.file, path, options.mode, owners, &mut warnings)?;
        Ok(warnings)
    }

    /// Removes the name `path`, also if it is a symbolic link. Not there is a success.
    pub(crate) fn remove(&self, path: &Path) -> Result<(), Failure> {
        let target = match self.resolve_for(Capability::Remove, path) {
            Err(failure) if failure.code == "file.not-found" => return Ok(()),
            other => other?,
        };
        match fs::symlink_metadata(&target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Ok(metadata) if !metadata.is_file() && !metadata.is_symlink() => {
                return Err(not_regular(path));
            }
            _ => {}
        }
        match fs::remove_file(&target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", path, &error))
            }
            _ => Ok(()),
        }
    }

    /// Removes what the symbolic link `path` leads to, if that is granted too.
    pub(crate) fn remove_target(&self, path: &Path) -> Result<(), Failure> {
        self.resolve_for(Capability::Remove, path)?;
        match fs::canonicalize(path) {
            Ok(target) => self.remove(&target),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed("remove", path, &error)),
        }
    }

    /// The directory resolved, the last component kept; checked against the grant.
    fn resolve_for(&self, capability: Capability, path: &Path) -> Result<PathBuf, Failure> {
        match resolve_parent(path) {
            Ok(target) => {
                self.check(capability, path, &target, &|granted| resolve_parent(granted).ok())?;
                Ok(target)
            }
            Err(error) => {
                self.check(capability, path, path, &|granted| Some(granted.to_owned()))?;
                Err(failed(capability.name(), path, &error))
            }
        }
    }

    fn check(
        &self,
        capability: Capability,
        asked: &Path,
        actual: &Path,
        resolve: &dyn Fn(&Path) -> Option<PathBuf>,
    ) -> Result<&Need, Failure> {
        let leads = if actual == asked {
            asked.display().to_string()
        } else {
            format!("{} (which leads to {})", asked.display(), actual.display())
        };
        let links = Links { file: resolve, directory: &real_directory };
        let Some(need) = self.grant.permits_file(capability, actual, links) else {
            let need = Need { capability, target: asked.display().to_string() };
            return Err(missing(self.plugin, &format!("{} of {leads}", capability.name()), need));
        };
        if let Some(why) = self.protected.refuses(actual, self.asker) {
            return Err(Failure::new(
                FailureKind::Config,
                "grant.missing",
                format!("{} of {leads} is never granted: {why}", capability.name()),
            ));
        }
        Ok(need)
    }

    /// That the call which asked for this hasn't ended: an operation that hung must not undo what
    /// came after it.
    fn still_wanted(&self, path: &Path) -> Result<(), Failure> {
        if self.abandoned.load(Ordering::Acquire) {
            return Err(Failure::new(
                FailureKind::Unavailable,
                "file.busy",
                format!("the write of {} took too long and was given up", path.display()),
            ));
        }
        Ok(())
    }

    /// That the opened file is where it was resolved to be: no directory was swapped meanwhile.
    fn still_there(
        &self,
        capability: Capability,
        asked: &Path,
        file: &File,
        expected: &Path,
    ) -> Result<(), Failure> {
        let actual = opened_path(file, asked)?;
        if actual == expected {
            return Ok(());
        }
        let name = asked.file_name().unwrap_or_default();
        let actual = actual.with_file_name(name);
        self.check(capability, asked, &actual, &|granted| resolve_parent(granted).ok())?;
        Ok(())
    }
}

fn content(file: File, path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let metadata = file.metadata().map_err(|error| failed("read", path, &error))?;
    if !metadata.is_file() {
        return Err(not_regular(path));
    }
    let mut content = Zeroizing::new(Vec::with_capacity(
        usize::try_from(metadata.len().min(LARGEST_FILE)).unwrap_or_default() + 1,
    ));
    let mut limited = file.take(LARGEST_FILE + 1);
    limited.read_to_end(&mut content).map_err(|error| failed("read", path, &error))?;
    if content.len() as u64 > LARGEST_FILE {
        return Err(Failure::new(
            FailureKind::Unavailable,
            "limit.exceeded",
            format!("{} is larger than 1 MiB", path.display()),
        ));
    }
    Ok(content)
}

/// Where an open file really is.
fn opened_path(file: &File, asked: &Path) -> Result<PathBuf, Failure> {
    fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .or_else(|_| fs::canonicalize(asked))
        .map_err(|error| failed("read", asked, &error))
}

/// Where an existing directory really is.
pub(crate) fn real_directory(path: &Path) -> Option<PathBuf> {
    fs::canonicalize(path).ok()
}

/// Where a path leads that may not exist (yet): its directory and links resolved as far as they go.
fn resolve_link(path: &Path) -> Option<PathBuf> {
    if let Ok(resolved) = fs::canonicalize(path) {
        return Some(resolved);
    }
    let target = resolve_parent(path).ok()?;
    match fs::read_link(&target) {
        Ok(link) => resolve_parent(&target.parent()?.join(link)).ok(),
        Err(_) => Some(target),
    }
}

fn resolve_parent(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::IsADirectory))?;
    let parent = path.parent().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    Ok(fs::canonicalize(parent)?.join(name))
}

/// A link is replaced, a regular file too; anything else is left alone.
fn refuse_irregular(target: &Path) -> Result<(), Failure> {
    match fs::symlink_metadata(target) {
        Ok(metadata) if !metadata.is_file() && !metadata.is_symlink() => Err(not_regular(target)),
        _ => Ok(()),
    }
}

fn flags(flags: OFlags) -> i32 {
    i32::try_from(flags.bits()).unwrap_or_default()
}

fn not_regular(path: &Path) -> Failure {
    Failure::new(
        FailureKind::Config,
        "file.not-regular",
        format!("{} is a directory or a special file; name a regular file", path.display()),
    )
}

/// One failure for one error of the operating system, with the remedy.
fn failed(doing: &str, path: &Path, error: &io::Error) -> Failure {
    let shown = path.display();
    let directory = path.parent().unwrap_or(path).display();
    let (kind, code, text) = match error.kind() {
        io::ErrorKind::NotFound if doing == "read" => (
            FailureKind::Unavailable,
            "file.not-found",
            format!("{shown} doesn't exist; it is read as soon as it appears"),
        ),
        io::ErrorKind::NotFound => (
            FailureKind::Unavailable,
            "file.not-found",
            format!("the directory {directory} doesn't exist; create it"),
        ),
        io::ErrorKind::NotADirectory => (
            FailureKind::Unavailable,
            "file.not-found",
            format!("a part of {shown} is a file, not a directory; correct the path"),
        ),
        io::ErrorKind::PermissionDenied => (
            FailureKind::Unavailable,
            "file.permission",
            format!(
                "the agent may not {doing} {shown} ({error}); change the permissions of the file or of {directory}"
            ),
        ),
        io::ErrorKind::ReadOnlyFilesystem => (
            FailureKind::Unavailable,
            "file.permission",
            format!(
                "{shown} lies on a read-only file system; mount it writable or name another path"
            ),
        ),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (
            FailureKind::Unavailable,
            "file.full",
            format!("there is no space left for {shown}; free some, the write is retried"),
        ),
        io::ErrorKind::ResourceBusy => (
            FailureKind::Unavailable,
            "file.busy",
            format!(
                "the name {shown} can't be taken, it is probably a mount point ({error}); write in place or mount the directory"
            ),
        ),
        io::ErrorKind::IsADirectory => (
            FailureKind::Config,
            "file.not-regular",
            format!("{shown} is a directory; name a file"),
        ),
        // ELOOP: a symbolic link where O_NOFOLLOW forbids one.
        _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => (
            FailureKind::Unavailable,
            "file.permission",
            format!(
                "{shown} is a symbolic link, which isn't followed here; name the file it leads to"
            ),
        ),
        _ => {
            (FailureKind::Unavailable, "file.failed", format!("could not {doing} {shown}: {error}"))
        }
    };
    Failure::new(kind, code, text).detail("file", shown.to_string())
}

#[cfg(test)]
mod tests;
