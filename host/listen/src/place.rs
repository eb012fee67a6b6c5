//! Where a listener listens, as it is written.

use std::path::PathBuf;

use crate::access::Access;
use crate::bind_error::BindError;
use crate::socket::Socket;
use crate::socket_file::SocketFile;
use crate::tcp;

/// Where to listen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// Over TCP.
    Tcp {
        /// Host and port. The host may be a name, which is resolved once; an address, IPv6 in
        /// brackets; a template (`{{ GetPrivateIP }}`); or nothing, for all interfaces.
        address: String,
    },
    /// A unix socket.
    Unix {
        /// Of the socket, at most 107 bytes.
        path: PathBuf,
        /// Whose it is, and who may connect.
        access: Access,
    },
}

impl Place {
    /// What can be known without taking it. Reads files, asks the system for its interfaces, and asks
    /// no resolver.
    ///
    /// # Errors
    /// What [`Place::bind`] would say.
    pub fn check(&self) -> Result<(), BindError> {
        match self {
            Self::Tcp { address } => tcp::host_and_port(address).map(drop),
            Self::Unix { path, access } => SocketFile::check(path, access).map(drop),
        }
    }

    /// Takes the place, so that clients can connect; they are let in by [`crate::serve`].
    pub async fn bind(&self) -> Result<Socket, BindError> {
        match self {
            Self::Tcp { address } => tcp::bind(address).await.map(Socket::tcp),
            Self::Unix { path, access } => {
                let (listener, file) = SocketFile::listen(path, access).await?;
                Ok(Socket::unix(listener, file))
            }
        }
    }
}
