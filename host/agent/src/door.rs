//! The agent's two doors, where requests come in: the admin socket and `metrics_address`.
//!
//! The socket is the agent's user's and root's: its mode is 0600 from the moment it exists, and
//! each peer's uid is checked again. The address is open to whoever reaches it, so nothing there
//! is secret and nothing changes the agent.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Mode, fchmod};
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use usher_config::Diagnostic;

use crate::desk::{Desk, Visitor, converse};
use crate::part::{Ending, Leaves, Part, PartId, Seat, Tier, Work};

/// A door that is open: it listens, and nobody is let in yet.
pub(crate) struct Door {
    key: &'static str,
    listener: Listener,
    desk: Arc<Desk>,
}

enum Listener {
    Socket(UnixListener, SocketFile),
    Address(TcpListener),
}

/// The keys that name doors.
pub(crate) const ADMIN_SOCKET: &str = "admin_socket";
pub(crate) const METRICS_ADDRESS: &str = "metrics_address";

impl Door {
    /// Opens the admin socket.
    ///
    /// # Errors
    /// Why it can't be opened, by its key.
    pub(crate) async fn admin_socket(path: &Path, desk: Desk) -> Result<Self, Diagnostic> {
        let (listener, file) = listen_on_socket(path).await.map_err(|error| {
            let at = path.display();
            let message = format!("the admin socket {at} can't be opened: {}", error.reason);
            Diagnostic::new_error(ADMIN_SOCKET, message, error.cure, None)
        })?;
        let listener = Listener::Socket(listener, file);
        Ok(Self { key: ADMIN_SOCKET, listener, desk: Arc::new(desk) })
    }

    /// Opens `metrics_address`. `closing`: where the door is that closes for it.
    ///
    /// # Errors
    /// Why it can't be listened on, by its key.
    pub(crate) fn metrics_address(
        address: SocketAddr,
        closing: Option<SocketAddr>,
        desk: Desk,
    ) -> Result<Self, Diagnostic> {
        let listener = listen_on_address(address, closing).map_err(|error| {
            Diagnostic::new_error(
                METRICS_ADDRESS,
                format!("metrics_address {address} can't be listened on: {error}"),
                "write an address of this machine and a port that is free",
                None,
            )
        })?;
        let listener = Listener::Address(listener);
        Ok(Self { key: METRICS_ADDRESS, listener, desk: Arc::new(desk) })
    }

    fn say_where(&self) {
        match &self.listener {
            Listener::Socket(_, file) => {
                tracing::info!(admin_socket = %file.path.display(), "listening");
            }
            Listener::Address(listener) => {
                let bound = listener.local_addr().map(|address| address.to_string());
                let metrics_address = bound.unwrap_or_default();
                tracing::info!(metrics_address, "listening");
            }
        }
    }
}

impl Part for Door {
    fn id(&self) -> PartId {
        PartId::Door(self.key)
    }

    fn tier(&self) -> Tier {
        Tier::Door
    }

    fn run(self: Box<Self>, mut seat: Seat) -> Work {
        self.say_where();
        Box::pin(async move {
            let Self { listener, desk, .. } = *self;
            let mut talks = JoinSet::new();
            let ending = tokio::select! {
                how = seat.end() => how,
                () = serve(&listener, &desk, &mut talks) => Ending::Final,
            };
            drop(listener);
            // What was asked before is answered, be it about the reload that closes the door. Each
            // talk has its own end.
            if matches!(ending, Ending::HandOver { .. }) {
                let all = async { while talks.join_next().await.is_some() {} };
                tokio::select! {
                    () = all => {}
                    () = seat.end_for_good() => {}
                }
            }
            Leaves::Nothing
        })
    }
}

/// Lets visitors in, for ever.
async fn serve(listener: &Listener, desk: &Arc<Desk>, talks: &mut JoinSet<()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        while talks.try_join_next().is_some() {}
        let desk = Arc::clone(desk);
        match listener {
            Listener::Socket(listener, _) => {
                let Some((stream, _)) = accepted(listener.accept().await).await else { continue };
                let visitor = visitor(&stream);
                talks.spawn(async move {
                    converse(stream, visitor, desk).await;
                    drop(place);
                });
            }
            Listener::Address(listener) => {
                let Some((stream, _)) = accepted(listener.accept().await).await else { continue };
                talks.spawn(async move {
                    converse(stream, Visitor::Public, desk).await;
                    drop(place);
                });
            }
        }
    }
}

/// Out of file descriptors, most likely: others may end soon.
async fn accepted<T>(result: io::Result<T>) -> Option<T> {
    match result {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            tracing::warn!("a connection can't be accepted: {error}");
            tokio::time::sleep(Duration::from_secs(1)).await;
            None
        }
    }
}

fn visitor(stream: &UnixStream) -> Visitor {
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == 0 || peer.uid() == rustix::process::geteuid().as_raw() => {
            Visitor::Operator
        }
        Ok(peer) => Visitor::Stranger(peer.uid()),
        Err(_) => Visitor::Stranger(u32::MAX),
    }
}

/// Listens, if need be beside the door that closes: if the port is the same, and one of the two
/// takes all addresses of the machine.
fn listen_on_address(address: SocketAddr, closing: Option<SocketAddr>) -> io::Result<TcpListener> {
    let overlaps = |other: SocketAddr| {
        let takes_all = address.ip().is_unspecified() || other.ip().is_unspecified();
        other.port() == address.port() && takes_all
    };
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(closing.is_some_and(overlaps))?;
    socket.bind(address)?;
    // Nobody else is there: from now on a successor may come, if it asks for that.
    socket.set_reuseport(true)?;
    socket.listen(BACKLOG)
}

/// A socket that is in place; removed when dropped, unless another one has taken its place.
struct SocketFile {
    path: PathBuf,
    device_and_inode: (u64, u64),
}

/// Why there is no socket, and what to do.
struct SocketError {
    reason: String,
    cure: &'static str,
}

impl From<io::Error> for SocketError {
    fn from(error: io::Error) -> Self {
        let cure = match error.kind() {
            io::ErrorKind::NotFound => "create its directory, or correct admin_socket",
            io::ErrorKind::PermissionDenied => {
                "let the agent's user write in its directory, or correct admin_socket"
            }
            _ => "correct admin_socket",
        };
        Self { reason: error.to_string(), cure }
    }
}

/// Takes the place of a socket on which nobody listens any more, and of nothing else.
async fn listen_on_socket(path: &Path) -> Result<(UnixListener, SocketFile), SocketError> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(SocketError {
                reason: "there is something else than a socket at this path".to_owned(),
                cure: "it is left alone: remove it yourself, or write another path in admin_socket",
            });
        }
        Ok(_) => match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path)?;
            }
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error.into()),
            // Somebody listens, though perhaps so many wait there already that nobody else can.
            Ok(_) | Err(_) => {
                return Err(SocketError {
                    reason: "another process listens on it, probably another agent".to_owned(),
                    cure: "stop that one, or write another path in admin_socket",
                });
            }
        },
    }
    let socket = UnixSocket::new_stream()?;
    // Linux gives the file the mode that the socket has (unix(7)), so there is no moment in which
    // others could connect.
    fchmod(&socket, Mode::RUSR | Mode::WUSR).map_err(io::Error::from)?;
    socket.bind(path)?;
    let listener = socket.listen(BACKLOG)?;
    let metadata = std::fs::symlink_metadata(path)?;
    let file =
        SocketFile { path: path.to_owned(), device_and_inode: (metadata.dev(), metadata.ino()) };
    Ok((listener, file))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let own = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == self.device_and_inode);
        if own && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the admin socket can't be removed");
        }
    }
}

/// At once, for each door.
const CONNECTIONS: usize = 32;
const BACKLOG: u32 = 128;

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::status::Board;

    fn desk() -> Desk {
        let (requests, _) = mpsc::channel(1);
        Desk { board: Board::new(), requests }
    }

    fn open(address: SocketAddr, closing: Option<SocketAddr>) -> Option<(Door, SocketAddr)> {
        let door = Door::metrics_address(address, closing, desk()).ok()?;
        let Listener::Address(listener) = &door.listener else { return None };
        let address = listener.local_addr().unwrap();
        Some((door, address))
    }

    #[tokio::test]
    async fn an_address_opens_beside_the_one_that_closes_for_it_and_beside_no_other() {
        let any = |address: [u8; 4], port| SocketAddr::from((address, port));
        let (old, narrow) = open(any([127, 0, 0, 1], 0), None).unwrap();
        let wide = any([0, 0, 0, 0], narrow.port());
        for (address, closing) in [(narrow, None), (wide, None), (narrow, Some(narrow))] {
            assert!(open(address, closing).is_none(), "{address} beside {closing:?}");
        }
        let new = open(wide, Some(narrow));
        assert!(new.is_some(), "from one address to all");
        drop(old);
        assert!(open(narrow, None).is_none());
        assert!(open(narrow, Some(wide)).is_some(), "and back");
    }

    #[tokio::test]
    async fn a_socket_at_which_too_many_wait_is_taken_and_holds_up_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("usher.sock");
        let socket = UnixSocket::new_stream().unwrap();
        socket.bind(&path).unwrap();
        let _listener = socket.listen(1).unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = UnixStream::connect(&path).await {
            waiting.push(stream);
        }
        let problem = Door::admin_socket(&path, desk()).await.err().unwrap().to_string();
        assert!(problem.contains("another process listens"), "{problem}");
        assert!(path.exists());
    }
}
