//! Why a place can't be listened on, and what to do.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::sockaddr::TemplateError;

/// No socket. Shown as what happened; [`BindError::remedy`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A template in the address stands for nothing.
    #[error("in the address \"{address}\" {source}")]
    Template {
        /// As it is written.
        address: String,
        /// Why.
        source: TemplateError,
    },
    /// Not host and port.
    #[error("\"{address}\" isn't a host and a port")]
    Malformed {
        /// As it is written.
        address: String,
    },
    /// The same with a template, behind which nothing stands, most likely.
    #[error("the address \"{address}\" stands for {stands_for}, which isn't a host and a port")]
    MalformedTemplate {
        /// As it is written.
        address: String,
        /// With the addresses that the templates stand for.
        stands_for: String,
    },
    /// The host is unknown.
    #[error("no address is found for the host \"{host}\": {source}")]
    Unresolved {
        /// As it is written.
        host: String,
        /// The resolver's.
        source: io::Error,
    },
    /// Something else listens there.
    #[error("another process listens on {address}")]
    PortInUse {
        /// With the port.
        address: SocketAddr,
    },
    /// No interface has this address.
    #[error("{address} isn't an address of this machine")]
    NotHere {
        /// With the port.
        address: SocketAddr,
    },
    /// A port below 1024, most likely.
    #[error("the agent may not listen on {address}: {source}")]
    Forbidden {
        /// With the port.
        address: SocketAddr,
        /// The system's.
        source: io::Error,
    },
    /// Anything else about TCP.
    #[error("the system doesn't give {address}: {source}")]
    Tcp {
        /// With the port.
        address: SocketAddr,
        /// The system's.
        source: io::Error,
    },
    /// Longer than the system allows for sockets.
    #[error(
        "the path {} is too long for a socket: {} bytes, and 107 are possible",
        path.display(),
        path.as_os_str().len()
    )]
    PathTooLong {
        /// Of the socket.
        path: PathBuf,
    },
    /// The socket can't be made where there is no directory.
    #[error("there is no directory {}", directory.display())]
    NoDirectory {
        /// That of the socket.
        directory: PathBuf,
    },
    /// It is left alone.
    #[error("there is something else than a socket at {}", path.display())]
    NotASocket {
        /// Of the socket.
        path: PathBuf,
    },
    /// Another agent, most likely.
    #[error("another process listens on {}", path.display())]
    SocketInUse {
        /// Of the socket.
        path: PathBuf,
    },
    /// A user or group that this machine doesn't know.
    #[error("there is no {kind} named \"{name}\" in {database}")]
    NoSuchAccount {
        /// "user" or "group".
        kind: &'static str,
        /// As it is written.
        name: String,
        /// The file that was searched.
        database: &'static str,
    },
    /// The socket's owner or mode can't be set.
    #[error("the agent may not give {} this owner or mode: {source}", path.display())]
    Access {
        /// Of the socket.
        path: PathBuf,
        /// The system's.
        source: io::Error,
    },
    /// Anything else about sockets.
    #[error("no socket can be made at {}: {source}", path.display())]
    Unix {
        /// Of the socket.
        path: PathBuf,
        /// The system's.
        source: io::Error,
    },
}

impl BindError {
    /// What to do about it, a sentence without capital and full stop.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Template { source, .. } => source.remedy(),
            Self::Malformed { .. } => {
                "write it as 127.0.0.1:8200, with brackets around an IPv6 address: [::1]:8200"
            }
            Self::MalformedTemplate { .. } => "write the port after it: {{ GetPrivateIP }}:8200",
            Self::Unresolved { .. } => "correct the name, or write an address of this machine",
            Self::PortInUse { .. } => {
                "stop that process (\"ss -ltnp\" names it), or write another port"
            }
            Self::NotHere { .. } => "write an address that \"ip address\" shows",
            Self::Forbidden { .. } => {
                "write a port from 1024 on, or give the agent CAP_NET_BIND_SERVICE"
            }
            Self::Tcp { .. } => "write an address of this machine and a port that is free",
            Self::PathTooLong { .. } => "write a shorter path",
            Self::NoDirectory { .. } => "create it, or write another path",
            Self::NotASocket { .. } => "remove it yourself, or write another path",
            Self::SocketInUse { .. } => "stop that process, or write another path",
            Self::NoSuchAccount { .. } => "create it, or write its number",
            Self::Access { .. } => {
                "run the agent as root, give it CAP_CHOWN, or leave the socket to the agent's user and one of its groups"
            }
            Self::Unix { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "let the agent's user write in the directory, or write another path"
            }
            Self::Unix { .. } => "write another path",
        }
    }
}
