//! Where requests of others come in, and what becomes of them.

use std::fmt;
use std::path::{Path, PathBuf};

use usher_address::Namespace;

use crate::diagnostic::Location;
use crate::field::fields;

/// A TCP or Unix socket whose requests go to the secrets server. Two are equal if they are the same
/// but for their place in the file.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Where it listens. No other listener has the same.
    pub place: ListenerPlace,
    /// What it serves.
    pub role: ListenerRole,
    /// Requests without `X-Vault-Request: true` are refused.
    pub require_request_header: bool,
    /// A request may end the agent: `agent_api { enable_quit }`, of a proxy `proxy_api`.
    pub enable_quit: bool,
    /// Whose token its requests get, if [`ApiProxy::token_use`] gives them one; there is such an
    /// identity. By default "default" where there is an `auto_auth`, else the only identity. `None`
    /// where neither is, and for [`ListenerRole::MetricsOnly`].
    pub identity: Option<String>,
    /// Of a Unix socket: names or numbers of the users whose processes it serves, besides those of
    /// `allow_groups`. Both empty: everybody whom the socket's mode lets in.
    pub allow_users: Vec<String>,
    /// The same of groups.
    pub allow_groups: Vec<String>,
    /// `None`: it is served without TLS.
    pub tls: Option<ListenerTls>,
    /// Of the block.
    pub location: Location,
}

fields!(Listener {
    place: ["type", "address", "socket_mode", "socket_user", "socket_group"],
    role: ["role"],
    require_request_header: ["require_request_header"],
    enable_quit: ["agent_api", "proxy_api"],
    identity: ["identity"],
    allow_users: ["allow_users"],
    allow_groups: ["allow_groups"],
    tls: [
        "tls_disable",
        "tls_cert_file",
        "tls_key_file",
        "tls_client_ca_file",
        "tls_min_version",
        "tls_max_version",
        "tls_cipher_suites",
        "tls_require_and_verify_client_cert",
        "tls_disable_client_certs"
    ],
} and { location });

impl Listener {
    /// Where its socket lies, if it is one of files.
    pub fn socket(&self) -> Option<&Path> {
        match &self.place {
            ListenerPlace::Tcp { .. } => None,
            ListenerPlace::Unix { path, .. } => Some(path),
        }
    }
}

impl PartialEq for Listener {
    fn eq(&self, other: &Self) -> bool {
        Self::FIELDS.iter().all(|field| (field.is_same)(self, other))
    }
}

impl Eq for Listener {}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenerPlace {
    /// A TCP port.
    Tcp {
        /// `HOST:PORT` as it is written; an empty host is every address of the machine. With `{{`
        /// in it, it is a go-sockaddr template for such a text. Default `127.0.0.1:8200`.
        address: String,
    },
    /// A Unix socket.
    Unix {
        /// Not empty; it may be relative.
        path: PathBuf,
        /// Its permission bits. `None`: what the umask leaves of 0777.
        mode: Option<u32>,
        /// Its owner, by name or number. `None`: the agent's.
        user: Option<String>,
        /// Its group, by name or number. `None`: the agent's.
        group: Option<String>,
    },
}

/// As the configuration has it: an address, or the path of a socket.
impl fmt::Display for ListenerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { address } => f.write_str(address),
            Self::Unix { path, .. } => write!(f, "{}", path.display()),
        }
    }
}

/// What a listener serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListenerRole {
    /// It forwards requests, and serves the agent's own paths.
    #[default]
    Default,
    /// The agent's metrics alone.
    MetricsOnly,
}

/// TLS of a listener. What the files hold is not judged here, and their changes are to be followed
/// whatever `tls_auto_reload` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// A PEM file with the certificate and what stands between it and the root.
    pub certificate: PathBuf,
    /// A PEM file with its key.
    pub key: PathBuf,
    /// A PEM file of the authorities that client certificates are verified with. Set where they are
    /// required.
    pub client_ca: Option<PathBuf>,
    /// Whether clients show certificates.
    pub client_certificates: ClientCertificates,
    /// The oldest version that is spoken.
    pub oldest: TlsVersion,
    /// The newest version that is spoken. Not older than `oldest`.
    pub newest: TlsVersion,
    /// By their names in Go, in the order of the file, each once, and each one that rustls has.
    /// Empty: all of them. As with Go they choose among those of TLS 1.2: where none of TLS 1.3 is
    /// named, its own are there all the same.
    pub cipher_suites: Vec<String>,
}

/// Whether a listener's clients show certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// None is asked for: `tls_disable_client_certs`.
    NotAsked,
    /// One is asked for, need not come, and is not verified.
    #[default]
    Asked,
    /// A connection without one that is good is refused: `tls_require_and_verify_client_cert`.
    Required,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    V12,
    /// TLS 1.3.
    V13,
}

/// What becomes of the requests that listeners get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiProxy {
    /// Which requests get the token of their listener's identity.
    pub token_use: TokenUse,
    /// The namespace of requests that name none. With `prepend_namespace` it is that of the `vault`
    /// block, the environment or the flag where `api_proxy` has none of its own.
    pub namespace: Option<Namespace>,
    /// `namespace` goes before the one that a request names, too.
    pub prepend_namespace: bool,
}

/// Which requests get the agent's token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenUse {
    /// None: each bears its own, or goes without.
    #[default]
    Never,
    /// Those that bring none.
    WhenAbsent,
    /// All, instead of what they bring: `"force"`.
    Always,
}
