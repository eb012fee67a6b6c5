//! A unix socket's file: takes the place of a socket on which nobody listens any more, and of
//! nothing else; and is removed at the end, unless another one has taken its place.

use std::fs::Metadata;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use tokio::net::UnixSocket;

use crate::access::{Access, AccessChange, Owners, PERMISSIONS, chmod};
use crate::bind_error::BindError;

/// The file of a socket that is in place; removed when dropped, if it is still the same.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    device_and_inode: (u64, u64),
    /// Leads to this file and no other. As long as it is held, no other file gets the inode.
    handle: OwnedFd,
}

impl SocketFile {
    /// Makes a socket and listens on it. Nobody can connect before its owner and mode are right.
    pub async fn listen(path: &Path, access: &Access) -> Result<(UnixListener, Self), BindError> {
        let owners = Self::check(path, access)?;
        let failed = |source: io::Error| told(path, source);
        clear(path).await?;
        let socket = UnixSocket::new_stream().map_err(failed)?;
        let wanted = access.mode();
        if let Some(mode) = wanted {
            // The file gets the mode that the socket has, less the umask (unix(7)).
            rustix::fs::fchmod(&socket, mode).map_err(io::Error::from).map_err(failed)?;
        }
        socket.bind(path).map_err(failed)?;
        let file = Self::of(path).map_err(failed)?;
        owners
            .apply(&file.handle)
            .and_then(|()| wanted.map_or(Ok(()), |mode| file.widen(mode)))
            .map_err(|source| BindError::Access { path: path.to_owned(), source })?;
        let listener = socket.listen(BACKLOG).and_then(tokio::net::UnixListener::into_std);
        Ok((listener.map_err(failed)?, file))
    }

    /// What can be known before: that the path is short enough and leads to nothing else, and whose
    /// the socket will be.
    pub(crate) fn check(path: &Path, access: &Access) -> Result<Owners, BindError> {
        if path.as_os_str().len() > LONGEST_PATH {
            return Err(BindError::PathTooLong { path: path.to_owned() });
        }
        let found = std::fs::symlink_metadata(path);
        if found.is_ok_and(|found| !found.file_type().is_socket()) {
            return Err(BindError::NotASocket { path: path.to_owned() });
        }
        Owners::look_up(access)
    }

    /// Where it is, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it takes that others than before may connect.
    pub(crate) fn change_access(
        &self,
        before: &Access,
        wanted: &Access,
    ) -> Result<AccessChange, BindError> {
        AccessChange::prepare(&self.path, &self.handle, before, wanted)
    }

    /// Of the socket that was just made. What is done to it from now on is done to this file:
    /// whoever may write in the directory can put another one in its place at any moment.
    fn of(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::open(path, flags, Mode::empty())?;
        let found = rustix::fs::fstat(&handle)?;
        if rustix::fs::FileType::from_raw_mode(found.st_mode) != rustix::fs::FileType::Socket {
            return Err(io::Error::other("it was replaced while it was made"));
        }
        let device_and_inode = (found.st_dev, found.st_ino);
        Ok(Self { path: std::path::absolute(path)?, device_and_inode, handle })
    }

    /// Gives the bits that the umask took.
    fn widen(&self, mode: Mode) -> io::Result<()> {
        let found = rustix::fs::fstat(&self.handle)?;
        if found.st_mode & PERMISSIONS == mode.bits() {
            return Ok(());
        }
        chmod(&self.handle, mode)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let identity = |found: Metadata| (found.dev(), found.ino());
        let own = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|found| identity(found) == self.device_and_inode);
        if own && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the socket can't be removed");
        }
    }
}

/// Removes a socket on which nobody listens any more.
async fn clear(path: &Path) -> Result<(), BindError> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(told(path, error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(BindError::NotASocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    // Without waiting: with a full queue the system says so at once.
    let connected = match UnixSocket::new_stream() {
        Ok(socket) => socket.connect(path).await.map(drop),
        Err(error) => Err(error),
    };
    match connected {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|error| told(path, error))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(BindError::SocketInUse { path: path.to_owned() })
        }
        Err(error) => Err(told(path, error)),
        Ok(()) => Err(BindError::SocketInUse { path: path.to_owned() }),
    }
}

fn told(path: &Path, source: io::Error) -> BindError {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    match source.kind() {
        // There are directories in which nothing can be made, and the system says the same of them.
        io::ErrorKind::NotFound if !directory.is_dir() => {
            BindError::NoDirectory { directory: directory.to_owned() }
        }
        io::ErrorKind::AddrInUse => BindError::SocketInUse { path: path.to_owned() },
        _ => BindError::Unix { path: path.to_owned(), source },
    }
}

/// `sun_path` has 108 bytes, and the last one is the end.
const LONGEST_PATH: usize = 107;
const BACKLOG: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o7777
    }

    async fn error(path: &Path, access: &Access) -> BindError {
        let error = SocketFile::listen(path, access).await.expect_err("it is refused");
        assert!(!error.remedy().is_empty());
        error
    }

    #[tokio::test]
    async fn a_socket_has_the_mode_that_is_asked_for_or_what_the_umask_leaves() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        for asked in [0o600, 0o660, 0o666, 0o777] {
            let access = Access { mode: Some(asked), ..Access::default() };
            let (_listener, _file) = SocketFile::listen(&path, &access).await.unwrap();
            assert_eq!(mode(&path), asked, "{asked:o}");
        }
        let (_listener, _file) = SocketFile::listen(&path, &Access::default()).await.unwrap();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let umask = status.lines().find_map(|line| line.strip_prefix("Umask:")).unwrap();
        assert_eq!(mode(&path), 0o777 & !u32::from_str_radix(umask.trim(), 8).unwrap());
    }

    #[tokio::test]
    async fn a_socket_belongs_to_whom_it_shall() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let unknown = Access { user: Some("nobody-of-this-name".to_owned()), ..Access::default() };
        let said = error(&path, &unknown).await.to_string();
        assert!(said.contains("no user named \"nobody-of-this-name\""), "{said}");
        let unknown = Access { group: Some("none-of-this-name".to_owned()), ..Access::default() };
        let said = error(&path, &unknown).await.to_string();
        assert!(said.contains("no group named"), "{said}");
        assert!(!path.exists());

        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        let (user, group) = (uid.as_raw().to_string(), gid.as_raw().to_string());
        let own = Access { mode: Some(0o660), user: Some(user), group: Some(group) };
        let (_listener, file) = SocketFile::listen(&path, &own).await.unwrap();
        assert_eq!(mode(&path), 0o660);
        drop(file);
        let other = Access { user: Some("12345".to_owned()), ..Access::default() };
        if uid.is_root() {
            let (_listener, _file) = SocketFile::listen(&path, &other).await.unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().uid(), 12345);
        } else {
            assert!(matches!(error(&path, &other).await, BindError::Access { .. }));
            assert!(!path.exists(), "no socket is left behind");
        }
    }

    #[tokio::test]
    async fn what_is_at_the_path_and_lives_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let access = Access::default();

        std::fs::write(at("file"), "kept").unwrap();
        assert!(matches!(error(&at("file"), &access).await, BindError::NotASocket { .. }));
        assert_eq!(std::fs::read(at("file")).unwrap(), b"kept");
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        assert!(matches!(error(&at("link"), &access).await, BindError::NotASocket { .. }));

        let other = UnixListener::bind(at("live")).unwrap();
        assert!(matches!(error(&at("live"), &access).await, BindError::SocketInUse { .. }));
        drop(other);
        assert!(at("live").exists(), "nobody listens on it any more");
        SocketFile::listen(&at("live"), &access).await.unwrap();

        assert!(matches!(error(&at("none/s"), &access).await, BindError::NoDirectory { .. }));
        let of_processes = error(Path::new("/proc/s"), &access).await;
        assert!(matches!(of_processes, BindError::Unix { .. }), "{of_processes}");
        let long = at(&"x".repeat(108));
        assert!(matches!(error(&long, &access).await, BindError::PathTooLong { .. }));
    }

    #[tokio::test]
    async fn a_socket_is_removed_at_the_end_unless_another_took_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let access = Access::default();
        let (listener, file) = SocketFile::listen(&path, &access).await.unwrap();
        drop(listener);
        let (_other_listener, other) = SocketFile::listen(&path, &access).await.unwrap();
        drop(file);
        assert!(path.exists());
        drop(other);
        assert!(!path.exists());
    }
}
