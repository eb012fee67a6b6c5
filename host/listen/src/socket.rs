//! A place that is taken: clients can connect, and nobody is let in yet.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;

use tokio::net;

use crate::access::{Access, AccessChange};
use crate::bind_error::BindError;
use crate::peer::Origin;
use crate::socket_file::SocketFile;
use crate::stream::Plain;
use crate::tally::Tally;

/// A bound socket. It is shown as people know it: `127.0.0.1:8200`, or the path. It belongs to no
/// runtime before it is served.
///
/// When it is dropped its place is free again, and the file of a unix socket is removed.
#[derive(Debug)]
pub struct Socket {
    bound: Bound,
    tally: Tally,
}

#[derive(Debug)]
enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

impl Socket {
    pub(crate) fn tcp(listener: TcpListener) -> Self {
        Self::new(Bound::Tcp(listener))
    }

    pub(crate) fn unix(listener: UnixListener, file: SocketFile) -> Self {
        Self::new(Bound::Unix(listener, file))
    }

    fn new(bound: Bound) -> Self {
        Self { bound, tally: Tally::default() }
    }

    /// The address and the port that it got, over TCP.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.bound {
            Bound::Tcp(listener) => listener.local_addr().ok(),
            Bound::Unix(..) => None,
        }
    }

    /// What it takes that others than before may connect to a unix socket. Nothing is changed yet.
    ///
    /// # Errors
    /// Why it can't be.
    pub fn change_access(
        &self,
        before: &Access,
        wanted: &Access,
    ) -> Result<Option<AccessChange>, BindError> {
        match &self.bound {
            Bound::Tcp(_) => Ok(None),
            Bound::Unix(_, file) => file.change_access(before, wanted).map(Some),
        }
    }

    /// What comes here, while it is served and after.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The same socket once more, for the runtime that this is called on.
    pub(crate) fn acceptor(&self) -> io::Result<Acceptor> {
        match &self.bound {
            Bound::Tcp(listener) => {
                net::TcpListener::from_std(listener.try_clone()?).map(Acceptor::Tcp)
            }
            Bound::Unix(listener, _) => {
                net::UnixListener::from_std(listener.try_clone()?).map(Acceptor::Unix)
            }
        }
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.bound {
            Bound::Tcp(listener) => match listener.local_addr() {
                Ok(address) => address.fmt(f),
                Err(_) => f.write_str("tcp"),
            },
            Bound::Unix(_, file) => file.path().display().fmt(f),
        }
    }
}

/// A socket on a runtime.
pub(crate) enum Acceptor {
    Tcp(net::TcpListener),
    Unix(net::UnixListener),
}

impl Acceptor {
    pub(crate) async fn accept(&self) -> io::Result<(Plain, Origin)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                Ok((Plain::Tcp(stream), Origin::Tcp(address)))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let peer = stream.peer_cred()?;
                let origin = Origin::Unix { uid: peer.uid(), gid: peer.gid(), pid: peer.pid() };
                Ok((Plain::Unix(stream), origin))
            }
        }
    }
}
