//! Whose a unix socket is, and who may connect: as it is asked for, and changed while the socket is
//! in use.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, MemfdFlags, Mode, Uid};

use crate::accounts::{self, GROUP, PASSWD};
use crate::bind_error::BindError;

/// Whose a socket is, and who may connect: who may write to it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Access {
    /// Its permission bits; without, all that the umask leaves of 0777.
    pub mode: Option<u32>,
    /// By name or number; without, the agent's.
    pub user: Option<String>,
    /// By name or number; without, the agent's.
    pub group: Option<String>,
}

impl Access {
    /// As the system takes it.
    pub(crate) fn mode(&self) -> Option<Mode> {
        self.mode.map(|mode| Mode::from_raw_mode(mode & PERMISSIONS))
    }
}

/// As numbers.
#[derive(Debug)]
pub(crate) struct Owners {
    user: Option<Uid>,
    group: Option<Gid>,
}

impl Owners {
    pub(crate) fn look_up(access: &Access) -> Result<Self, BindError> {
        let find = |name: &Option<String>, kind, database| {
            name.as_deref().map(|name| known(name, kind, database)).transpose()
        };
        Ok(Self {
            user: find(&access.user, "user", PASSWD)?.map(Uid::from_raw),
            group: find(&access.group, "group", GROUP)?.map(Gid::from_raw),
        })
    }

    pub(crate) fn apply(&self, file: &OwnedFd) -> io::Result<()> {
        if self.user.is_some() || self.group.is_some() {
            rustix::fs::chownat(file, "", self.user, self.group, AtFlags::EMPTY_PATH)?;
        }
        Ok(())
    }
}

/// The number of a user or group, which may be written as such. May read a file.
pub(crate) fn known(
    name: &str,
    kind: &'static str,
    database: &'static str,
) -> Result<u32, BindError> {
    let read = || std::fs::read_to_string(database).unwrap_or_default();
    let number = name.parse().ok().or_else(|| accounts::number(name, &read()));
    number.ok_or_else(|| BindError::NoSuchAccount { kind, name: name.to_owned(), database })
}

/// Another access for a socket that stays in use. Whoever is connected stays, too.
#[derive(Debug)]
pub struct AccessChange {
    path: PathBuf,
    /// Leads to the socket's file and no other.
    file: OwnedFd,
    owners: Owners,
    mode: Option<Mode>,
}

impl AccessChange {
    /// What it takes, which is known to be possible then, and changes nothing yet.
    pub(crate) fn prepare(
        path: &Path,
        file: &OwnedFd,
        before: &Access,
        wanted: &Access,
    ) -> Result<Self, BindError> {
        let numbers = Owners::look_up(wanted)?;
        let own = (rustix::process::geteuid(), rustix::process::getegid());
        let owners = Owners {
            user: (before.user != wanted.user).then(|| numbers.user.unwrap_or(own.0)),
            group: (before.group != wanted.group).then(|| numbers.group.unwrap_or(own.1)),
        };
        let mode = || wanted.mode().unwrap_or_else(left_by_the_umask);
        let mode = (before.mode != wanted.mode).then(mode);
        let failed = |source| BindError::Access { path: path.to_owned(), source };
        let file = file.try_clone().map_err(failed)?;
        let change = Self { path: path.to_owned(), file, owners, mode };
        change.rehearse().map_err(failed)?;
        Ok(change)
    }

    /// Puts it in force.
    ///
    /// # Errors
    /// What only shows now: a file system that wants it otherwise.
    pub fn apply(&self) -> Result<(), BindError> {
        self.set(&self.file).map_err(|source| BindError::Access { path: self.path.clone(), source })
    }

    /// Does the same to a file without a name that is the socket's owner's: whether the agent may.
    fn rehearse(&self) -> io::Result<()> {
        let now = rustix::fs::fstat(&self.file)?;
        let other = rustix::fs::memfd_create("usher-access", MemfdFlags::CLOEXEC)?;
        let (user, group) = (Uid::from_raw(now.st_uid), Gid::from_raw(now.st_gid));
        Owners { user: Some(user), group: Some(group) }.apply(&other)?;
        self.set(&other)
    }

    fn set(&self, file: &OwnedFd) -> io::Result<()> {
        // Meanwhile nobody gets in whom one of the two keeps out.
        if let Some(mode) = self.mode {
            let now = Mode::from_raw_mode(rustix::fs::fstat(file)?.st_mode & PERMISSIONS);
            chmod(file, now & mode)?;
        }
        self.owners.apply(file)?;
        self.mode.map_or(Ok(()), |mode| chmod(file, mode))
    }
}

/// Also of a handle that only leads to a file: it can't be told to chmod, but what it leads to can.
pub(crate) fn chmod(file: &OwnedFd, mode: Mode) -> io::Result<()> {
    rustix::fs::chmod(format!("/proc/self/fd/{}", file.as_raw_fd()), mode)?;
    Ok(())
}

/// To ask for the umask is to set it, for all threads; the system tells it here, too.
fn left_by_the_umask() -> Mode {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let umask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    let umask = umask.and_then(|umask| u32::from_str_radix(umask.trim(), 8).ok());
    Mode::from_raw_mode(PERMISSIONS & !umask.unwrap_or(USUAL_UMASK))
}

pub(crate) const PERMISSIONS: u32 = 0o777;
const USUAL_UMASK: u32 = 0o022;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::socket_file::SocketFile;

    fn with_mode(mode: u32) -> Access {
        Access { mode: Some(mode), ..Access::default() }
    }

    #[tokio::test]
    async fn the_mode_of_a_socket_in_use_is_changed_to_what_is_asked_for_and_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let mode = || std::fs::metadata(&path).unwrap().mode() & 0o7777;
        let (listener, file) = SocketFile::listen(&path, &Access::default()).await.unwrap();
        let (unset, inode) = (mode(), std::fs::metadata(&path).unwrap().ino());
        let mut before = Access::default();
        for (wanted, expected) in [
            (with_mode(0o600), 0o600),
            (with_mode(0o666), 0o666),
            (with_mode(0o660), 0o660),
            (Access::default(), unset),
        ] {
            let change = file.change_access(&before, &wanted).unwrap();
            if before.mode.is_some() {
                assert_ne!(mode(), expected, "nothing is changed yet");
            }
            change.apply().unwrap();
            assert_eq!(mode(), expected);
            before = wanted;
        }
        assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode, "it is the same socket");
        UnixStream::connect(&path).unwrap();
        listener.accept().unwrap();
    }

    #[tokio::test]
    async fn an_owner_that_can_not_be_had_is_refused_before_anything_is_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let before = with_mode(0o600);
        let (_listener, file) = SocketFile::listen(&path, &before).await.unwrap();
        let nobody = Some("nobody-of-this-name".to_owned());
        let unknown = Access { user: nobody, mode: Some(0o666), ..Access::default() };
        let error = file.change_access(&before, &unknown).unwrap_err();
        assert!(matches!(error, BindError::NoSuchAccount { .. }), "{error}");
        let other =
            Access { user: Some("12345".to_owned()), mode: Some(0o666), ..Access::default() };
        let changed = file.change_access(&before, &other);
        let found = || std::fs::metadata(&path).unwrap();
        assert_eq!(found().mode() & 0o7777, 0o600, "nothing is changed yet");
        if rustix::process::geteuid().is_root() {
            changed.unwrap().apply().unwrap();
            assert_eq!((found().uid(), found().mode() & 0o7777), (12345, 0o666));
            file.change_access(&other, &before).unwrap().apply().unwrap();
            assert_eq!((found().uid(), found().mode() & 0o7777), (0, 0o600));
        } else {
            assert!(matches!(changed, Err(BindError::Access { .. })));
        }
    }
}
