//! Who is at the other end of a connection.

use std::fmt;
use std::net::SocketAddr;

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Where the connection comes from.
    pub origin: Origin,
    /// What it showed of itself in the TLS handshake.
    pub certificate: Certificate,
}

/// Where a connection comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Over TCP.
    Tcp(SocketAddr),
    /// Over a unix socket: the process that connected, as it was at that moment (`SO_PEERCRED`).
    Unix {
        /// Its effective user.
        uid: u32,
        /// Its effective group.
        gid: u32,
        /// Itself, unless it is in a PID namespace that can't be seen from here.
        pid: Option<i32>,
    },
}

/// A client's certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Certificate {
    /// It showed none, or the connection isn't TLS.
    None,
    /// It has the key of one that nobody vouches for.
    Unverified,
    /// It has the key of one that a configured authority signed.
    Verified,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { uid, pid: Some(pid), .. } => write!(f, "uid {uid} (process {pid})"),
            Self::Unix { uid, .. } => write!(f, "uid {uid}"),
        }
    }
}
