//! The `files` interface: whole files, atomically, and only where the grant leads.
//!
//! A path is resolved (links, `..`), opened, and then checked by where the open file really is,
//! so that a link swapped between check and use gains nothing. A write or remove resolves the
//! directory and never follows the last component.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rand::Rng;
use rustix::fs::{Gid, Mode, OFlags, Uid};
use zeroize::Zeroizing;

use crate::failure::{Failure, FailureKind};
use crate::grant::{Capability, Grant, Protected, missing};

/// The largest file read or written, in bytes.
pub(crate) const LARGEST_FILE: u64 = 1 << 20;

/// One use's view of the file system.
#[derive(Clone, Copy)]
pub(crate) struct Files<'a> {
    pub(crate) grant: &'a Grant,
    pub(crate) protected: &'a Protected,
    pub(crate) plugin: &'a str,
    pub(crate) usage: &'a str,
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
    /// The whole regular file at `path` (absolute, links followed).
    pub(crate) fn read(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
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
                Ok(()) => return content(file, path),
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
    ) -> Result<(), Failure> {
        let leads = if actual == asked {
            asked.display().to_string()
        } else {
            format!("{} (which leads to {})", asked.display(), actual.display())
        };
        if !self.grant.permits_file(capability, actual, resolve) {
            let need = crate::grant::Need { capability, target: asked.display().to_string() };
            return Err(missing(self.plugin, &format!("{} of {leads}", capability.name()), need));
        }
        if let Some(why) = self.protected.refuses(actual, self.usage) {
            return Err(Failure::new(
                FailureKind::Config,
                "grant.missing",
                format!("{} of {leads} is never granted: {why}", capability.name()),
            ));
        }
        Ok(())
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
        self.check(capability, asked, &actual, &|granted| resolve_parent(granted).ok())
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

#[derive(Clone, Copy)]
struct Owners {
    user: Option<Uid>,
    group: Option<Gid>,
}

impl Owners {
    fn look_up(options: &WriteOptions) -> Result<Self, Failure> {
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
fn apply(
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
            Err(error) if on_network_file_system(file) => warnings.push(format!(
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
        } else if on_network_file_system(file) {
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

fn fill(file: &File, path: &Path, content: &[u8], warnings: &mut Warnings) -> Result<(), Failure> {
    let mut writer = file;
    writer.write_all(content).map_err(|error| failed("write", path, &error))?;
    match file.sync_all() {
        Ok(()) => Ok(()),
        // EINVAL and ENOTSUP: the file system has no fsync.
        Err(error)
            if matches!(error.raw_os_error(), Some(22 | 95))
                || on_network_file_system(file) && is_refusal(&error) =>
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

/// NFS, SMB, CIFS, FUSE, 9p, AFS, Ceph: file systems whose server may refuse what a local one
/// would do (magic numbers of statfs(2)).
fn on_network_file_system(file: &File) -> bool {
    const MAGIC: [u64; 8] = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x6573_5546,
        0x0102_1997,
        0x5346_414f,
        0x00c3_6400,
    ];
    rustix::fs::fstatfs(file).is_ok_and(|statfs| {
        u64::try_from(statfs.f_type).is_ok_and(|kind| MAGIC.contains(&(kind & 0xffff_ffff)))
    })
}

/// A new file beside the target; removed again unless it takes the target's name.
struct Temporary {
    file: File,
    path: PathBuf,
    renamed: bool,
}

impl Temporary {
    fn beside(target: &Path, asked: &Path) -> Result<Self, Failure> {
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
    fn remove_left_behind(target: &Path) {
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

    fn rename_to(mut self, target: &Path, asked: &Path) -> Result<(), Failure> {
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
    format!(".{}.usher-", target.file_name().unwrap_or(OsStr::new("file")).to_string_lossy())
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
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::grant::Surroundings;

    struct World {
        directory: tempfile::TempDir,
        grant: Grant,
        protected: Protected,
        abandoned: AtomicBool,
    }

    impl World {
        fn granting(needs: &[(&str, &str)]) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let root = fs::canonicalize(directory.path()).unwrap();
            let needs = needs
                .iter()
                .map(|(capability, name)| {
                    ((*capability).to_owned(), root.join(name).display().to_string())
                })
                .collect();
            let surroundings = Surroundings {
                working_directory: Path::new("/"),
                home: None,
                environment: &|_| None,
            };
            let grant = Grant::decide("acme", needs, None, &surroundings).unwrap();
            Self {
                directory,
                grant,
                protected: Protected::default(),
                abandoned: AtomicBool::new(false),
            }
        }

        fn path(&self, name: &str) -> PathBuf {
            fs::canonicalize(self.directory.path()).unwrap().join(name)
        }

        fn files(&self) -> Files<'_> {
            Files {
                grant: &self.grant,
                protected: &self.protected,
                plugin: "acme",
                usage: "default/sink/0",
                abandoned: &self.abandoned,
            }
        }

        fn names(&self) -> Vec<String> {
            let mut names: Vec<String> = fs::read_dir(self.directory.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    /// Ends the writer also when an assertion fails.
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }

    fn options(mode: u32) -> WriteOptions {
        WriteOptions { mode, owner: None, group: None, in_place: false }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn only_what_is_granted_is_read() {
        let world = World::granting(&[("read", "granted")]);
        fs::write(world.path("granted"), "yes").unwrap();
        fs::write(world.path("other"), "no").unwrap();
        assert_eq!(world.files().read(&world.path("granted")).unwrap().as_slice(), b"yes");
        let refused = world.files().read(&world.path("other")).unwrap_err();
        assert_eq!(refused.code, "grant.missing");
        assert!(refused.message.contains("plugin \"acme\" {"), "{refused}");
        assert_eq!(world.files().read(&world.path("absent")).unwrap_err().code, "grant.missing");
    }

    #[test]
    fn a_granted_link_leads_where_it_leads_and_another_does_not() {
        let world = World::granting(&[("read", "link")]);
        fs::write(world.path("first"), "first").unwrap();
        fs::write(world.path("second"), "second").unwrap();
        symlink(world.path("first"), world.path("link")).unwrap();
        assert_eq!(world.files().read(&world.path("link")).unwrap().as_slice(), b"first");
        fs::remove_file(world.path("link")).unwrap();
        symlink(world.path("second"), world.path("link")).unwrap();
        assert_eq!(world.files().read(&world.path("link")).unwrap().as_slice(), b"second");
        symlink(world.path("link"), world.path("detour")).unwrap();
        assert_eq!(world.files().read(&world.path("detour")).unwrap().as_slice(), b"second");
        symlink("/etc/hostname", world.path("escape")).unwrap();
        assert_eq!(world.files().read(&world.path("escape")).unwrap_err().code, "grant.missing");
    }

    #[test]
    fn a_file_that_is_not_there_yet_is_unavailable() {
        let world = World::granting(&[("watch", "later"), ("read", "dangling")]);
        let failure = world.files().read(&world.path("later")).unwrap_err();
        assert_eq!(
            (failure.kind, failure.code.as_str()),
            (FailureKind::Unavailable, "file.not-found")
        );
        symlink(world.path("nowhere"), world.path("dangling")).unwrap();
        assert_eq!(world.files().read(&world.path("dangling")).unwrap_err().code, "file.not-found");
    }

    #[test]
    fn special_files_are_not_opened() {
        let world = World::granting(&[("read", "pipe"), ("write", "pipe"), ("read", "")]);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            world.path("pipe"),
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert_eq!(world.files().read(&world.path("pipe")).unwrap_err().code, "file.not-regular");
        let refused = world.files().write(&world.path("pipe"), b"x", &options(0o640)).unwrap_err();
        assert_eq!(refused.code, "file.not-regular");
    }

    #[test]
    fn a_write_sets_the_mode_whatever_the_umask_and_leaves_nothing_beside() {
        let world = World::granting(&[("write", "token")]);
        for bits in [0o640, 0o666, 0o400, 0o000, 0o604] {
            assert_eq!(
                world.files().write(&world.path("token"), b"value", &options(bits)).unwrap(),
                Warnings::new()
            );
            assert_eq!(mode(&world.path("token")), bits);
        }
        assert_eq!(world.names(), ["token"]);
    }

    #[test]
    fn a_link_at_the_path_is_replaced_not_followed() {
        let world = World::granting(&[("write", "token")]);
        fs::write(world.path("victim"), "untouched").unwrap();
        symlink(world.path("victim"), world.path("token")).unwrap();
        world.files().write(&world.path("token"), b"value", &options(0o640)).unwrap();
        assert_eq!(fs::read_to_string(world.path("victim")).unwrap(), "untouched");
        assert!(!fs::symlink_metadata(world.path("token")).unwrap().is_symlink());
        fs::remove_file(world.path("token")).unwrap();
        symlink(world.path("victim"), world.path("token")).unwrap();
        let in_place = WriteOptions { in_place: true, ..options(0o640) };
        assert!(world.files().write(&world.path("token"), b"value", &in_place).is_err());
        assert_eq!(fs::read_to_string(world.path("victim")).unwrap(), "untouched");
    }

    #[test]
    fn a_write_in_place_keeps_the_file_itself() {
        let world = World::granting(&[("write", "token")]);
        fs::write(world.path("token"), "a longer earlier value").unwrap();
        let before = fs::metadata(world.path("token")).unwrap().ino();
        let in_place = WriteOptions { in_place: true, ..options(0o600) };
        world.files().check_write(&world.path("token"), &in_place).unwrap();
        world.files().write(&world.path("token"), b"value", &in_place).unwrap();
        assert_eq!(fs::read_to_string(world.path("token")).unwrap(), "value");
        assert_eq!(fs::metadata(world.path("token")).unwrap().ino(), before);
        assert_eq!(mode(&world.path("token")), 0o600);
    }

    #[test]
    fn a_write_whose_call_has_ended_takes_no_effect() {
        let world = World::granting(&[("write", "token")]);
        world.files().write(&world.path("token"), b"newer", &options(0o640)).unwrap();
        world.abandoned.store(true, Ordering::Release);
        for in_place in [false, true] {
            let options = WriteOptions { in_place, ..options(0o640) };
            let failure =
                world.files().write(&world.path("token"), b"older", &options).unwrap_err();
            assert_eq!(failure.code, "file.busy");
        }
        assert_eq!(fs::read_to_string(world.path("token")).unwrap(), "newer");
        assert_eq!(world.names(), ["token"]);
    }

    #[test]
    fn what_a_killed_agent_left_behind_is_removed() {
        let world = World::granting(&[("write", "token")]);
        for name in
            [".token.usher-0123456789abcdef", ".token.usher-notes", "token.usher-0123456789abcdef"]
        {
            fs::write(world.path(name), "x").unwrap();
        }
        world.files().check_write(&world.path("token"), &options(0o640)).unwrap();
        assert_eq!(world.names(), [".token.usher-notes", "token.usher-0123456789abcdef"]);
    }

    #[test]
    fn a_file_that_is_replaced_all_the_time_is_read_or_busy_but_never_refused() {
        let world =
            World::granting(&[("read", "token"), ("read", "..data/token"), ("read", "link")]);
        fs::write(world.path("token"), "value").unwrap();
        // As Kubernetes does it: each version has a directory of its own.
        let publish = |version: usize| {
            let name = format!("..{version}");
            fs::create_dir(world.path(&name)).unwrap();
            fs::write(world.path(&name).join("token"), "value").unwrap();
            symlink(&name, world.path("..tmp")).unwrap();
            fs::rename(world.path("..tmp"), world.path("..data")).unwrap();
        };
        publish(0);
        symlink("..data/token", world.path("link")).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _done = Done(&done);
            scope.spawn(|| {
                for version in 1.. {
                    if done.load(Ordering::Acquire) {
                        return;
                    }
                    fs::write(world.path("new"), "value").unwrap();
                    fs::rename(world.path("new"), world.path("token")).unwrap();
                    publish(version);
                    fs::remove_dir_all(world.path(&format!("..{}", version - 1))).unwrap();
                }
            });
            let mut read = 0;
            for _ in 0..2000 {
                for name in ["token", "link"] {
                    match world.files().read(&world.path(name)) {
                        Ok(content) => {
                            assert_eq!(content.as_slice(), b"value");
                            read += 1;
                        }
                        Err(failure) => {
                            assert_eq!(failure.kind, FailureKind::Unavailable, "{failure}");
                        }
                    }
                }
            }
            assert!(read > 0, "nothing could be read");
        });
    }

    #[test]
    fn checking_a_write_leaves_nothing() {
        let world = World::granting(&[("write", "token"), ("write", "missing/token")]);
        world.files().check_write(&world.path("token"), &options(0o640)).unwrap();
        assert!(world.names().is_empty());
        let failure =
            world.files().check_write(&world.path("missing/token"), &options(0o640)).unwrap_err();
        assert_eq!(failure.code, "file.not-found");
    }

    #[test]
    fn an_unknown_owner_is_a_configuration_failure() {
        let world = World::granting(&[("write", "token")]);
        let unknown = WriteOptions { owner: Some("no-such-user".into()), ..options(0o640) };
        let failure = world.files().write(&world.path("token"), b"value", &unknown).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Config);
        assert!(world.names().is_empty());
    }

    #[test]
    fn a_name_is_removed_and_its_absence_is_a_success() {
        let world = World::granting(&[("remove", "secret-id"), ("remove", "link")]);
        fs::write(world.path("secret-id"), "x").unwrap();
        fs::write(world.path("kept"), "x").unwrap();
        symlink(world.path("kept"), world.path("link")).unwrap();
        world.files().remove(&world.path("secret-id")).unwrap();
        world.files().remove(&world.path("secret-id")).unwrap();
        assert_eq!(
            world.files().remove_target(&world.path("link")).unwrap_err().code,
            "grant.missing"
        );
        world.files().remove(&world.path("link")).unwrap();
        assert_eq!(world.names(), ["kept"]);
        assert_eq!(world.files().remove(&world.path("kept")).unwrap_err().code, "grant.missing");
    }

    #[test]
    fn the_output_of_another_sink_is_out_of_reach() {
        let world = World::granting(&[("read", "token"), ("write", "token")]);
        fs::write(world.path("token"), "x").unwrap();
        let holder = std::sync::Arc::new(());
        world.protected.reserve(world.path("token"), "default/sink/1", "default", &holder);
        assert_eq!(world.files().read(&world.path("token")).unwrap_err().code, "grant.missing");
        assert_eq!(
            world.files().write(&world.path("token"), b"x", &options(0o640)).unwrap_err().code,
            "grant.missing"
        );
    }
}
