//! The settings that the agent works with: complete, checked, with defaults filled in.
//!
//! Beside each type stands which key its fields are of, so that a change of one is found.

mod cache;
mod listener;
mod log;
mod persist;
mod plugin_config;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use usher_address::{MountPath, Namespace, OutboundProxy, ServerAddress};
use usher_grant::{Allow, Limits};
use usher_secret::Secret;

use crate::diagnostic::Location;
use crate::dialect::Dialect;
use crate::field::fields;
pub use cache::{Cache, StaticSecrets};
pub use listener::{
    ApiProxy, ClientCertificates, Listener, ListenerPlace, ListenerRole, ListenerTls, TlsVersion,
    TokenUse,
};
pub use log::{Log, LogFile, LogFormat, LogLevel};
pub use persist::{Persist, PersistKey, PersistPlace};
pub use plugin_config::PluginConfig;

/// Everything the agent needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the secrets server is and how to trust it.
    pub server: Server,
    /// At least one, or else a listener.
    pub identities: Vec<Identity>,
    /// Where requests of others come in. In the order of the files.
    pub listeners: Vec<Listener>,
    /// What becomes of them.
    pub api_proxy: ApiProxy,
    /// Tokens and leased answers that listeners pass on are kept for the next one who asks.
    pub cache: Option<Cache>,
    /// Where it is kept what identities need after a restart. None: nothing is.
    pub persist: Option<Persist>,
    /// Gets the process id.
    pub pid_file: Option<PathBuf>,
    /// End once every sink has a token.
    pub exit_after_auth: bool,
    /// What is logged, and how.
    pub log: Log,
    /// Where plug-ins other than the built-in ones are.
    pub plugin_directory: Option<PathBuf>,
    /// Lists the digests that may be loaded from there. None: all.
    pub plugin_lock: Option<PathBuf>,
    /// Pins, grants and limits, by the plug-in's name.
    pub plugins: BTreeMap<String, Plugin>,
    /// Where `usher status`, `usher reload` and `usher wait` find the agent. Default
    /// `$RUNTIME_DIRECTORY/usher.sock`; without that variable off.
    pub admin_socket: Option<PathBuf>,
    /// Serves Prometheus metrics, `/livez` and `/readyz`.
    pub metrics_address: Option<SocketAddr>,
    /// What else is found when plug-ins are bound stops the agent, if only with a warning.
    pub strict: bool,
    /// Names the agent's own paths.
    pub dialect: Dialect,
}

fields!(Settings {
    pid_file: ["pid_file"],
    exit_after_auth: ["exit_after_auth"],
    plugin_directory: ["plugin_directory"],
    plugin_lock: ["plugin_lock"],
    admin_socket: ["admin_socket"],
    metrics_address: ["metrics_address"],
    listeners: ["listener"],
    api_proxy: ["api_proxy"],
    cache: ["cache"],
    persist: ["cache.persist"],
} and { server, identities, log, plugins, strict, dialect });

/// The secrets server.
#[derive(Clone)]
pub struct Server {
    /// Default `https://127.0.0.1:8200`.
    pub address: ServerAddress,
    /// A PEM file; trusted instead of the system's roots.
    pub ca_cert: Option<String>,
    /// PEM text from the environment (`BAO_CACERT_BYTES`); goes before `ca_cert` and `ca_path`.
    pub ca_cert_bytes: Option<String>,
    /// A directory of PEM files; `ca_cert` goes before it.
    pub ca_path: Option<String>,
    /// A PEM file. Set if and only if `client_key` is.
    pub client_cert: Option<String>,
    /// A PEM file.
    pub client_key: Option<String>,
    /// PEM texts from the environment (`BAO_CLIENT_CERT_BYTES`, `BAO_CLIENT_KEY_BYTES`); go before
    /// the files.
    pub client_pem: Option<ClientPem>,
    /// The name that the server's certificate must have, if not that of `address`.
    pub tls_server_name: Option<String>,
    /// The server's certificate is not verified. Always comes with a warning.
    pub tls_skip_verify: bool,
    /// For one request. None: the default of whoever makes it.
    pub client_timeout: Option<Duration>,
    /// Don't keep idle connections for the next request.
    pub disable_idle_connections: bool,
    /// One request for each connection.
    pub disable_keep_alives: bool,
    /// `*_MAX_RETRIES`, else `vault.retry.num_retries`. For proxied and template requests; logins
    /// have their back-off.
    pub num_retries: Option<i64>,
    /// The proxy for `address`, if there is one.
    pub proxy: Option<OutboundProxy>,
    /// `*_RATE_LIMIT`: a lower ceiling on the agent's requests than its own.
    pub rate_limit: Option<RateLimit>,
    /// `*_SRV_LOOKUP`: the host of `address` names an SRV record.
    pub srv_lookup: bool,
    /// `*_DISABLE_REDIRECTS`: follow none.
    pub disable_redirects: bool,
}

fields!(Server {
    address: ["address"],
    ca_cert: ["ca_cert"],
    ca_cert_bytes: ["ca_cert_bytes"],
    ca_path: ["ca_path"],
    client_cert: ["client_cert"],
    client_key: ["client_key"],
    client_pem: ["client_cert_bytes", "client_key_bytes"],
    tls_server_name: ["tls_server_name"],
    tls_skip_verify: ["tls_skip_verify"],
    client_timeout: ["client_timeout"],
    disable_idle_connections: ["disable_idle_connections"],
    disable_keep_alives: ["disable_keep_alives"],
    num_retries: ["num_retries"],
    proxy: ["proxy"],
    rate_limit: ["rate_limit"],
    srv_lookup: ["srv_lookup"],
    disable_redirects: ["disable_redirects"],
} and {});

impl Server {
    /// For a request that comes through a listener; as the incumbents' where nothing is set.
    pub fn proxied_timeout(&self) -> Duration {
        self.client_timeout.unwrap_or(Duration::from_mins(1))
    }
}

/// The address only, which shows no password.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A client certificate and its key as PEM texts.
#[derive(Clone, PartialEq)]
pub struct ClientPem {
    /// The certificate and what stands between it and the root.
    pub certificate: String,
    /// Its key.
    pub key: Secret<String>,
}

/// A ceiling on requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimit {
    /// More than zero.
    pub per_second: f64,
    /// How many may be made at once. At least one.
    pub burst: u32,
}

/// One method, its token and its sinks.
#[derive(Clone, Debug)]
pub struct Identity {
    /// "default" for `auto_auth`.
    pub name: String,
    /// How the workload proves who it is.
    pub method: Method,
    /// At least one, but where a listener's requests get the token.
    pub sinks: Vec<Sink>,
    /// How often a token is looked up that was not renewed meanwhile.
    pub token_check_interval: TokenCheck,
    /// What becomes of the token when the agent ends.
    pub on_exit: OnExit,
    /// Log in again when the credential changes. None: what suits the method.
    pub enable_reauth_on_new_credentials: Option<bool>,
    /// Of the block.
    pub location: Location,
}

fields!(Identity {
    token_check_interval: ["token_check_interval"],
    on_exit: ["on_exit"],
    enable_reauth_on_new_credentials: ["enable_reauth_on_new_credentials"],
} and { name, method, sinks, location });

/// What becomes of a delivered token when the agent ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnExit {
    /// It stays valid.
    #[default]
    Keep,
    /// It is revoked.
    Revoke,
}

/// How often the server is asked whether a token still lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenCheck {
    /// By the token's TTL.
    Auto,
    /// Not zero.
    Every(Duration),
    /// Never.
    Off,
}

/// An auth method and its settings.
#[derive(Clone, Debug)]
pub struct Method {
    /// "approle", or a plug-in's name.
    pub kind: String,
    /// Default `auth/<kind>`.
    pub mount_path: MountPath,
    /// Flag, environment, `method.namespace`, then `vault.namespace`.
    pub namespace: Namespace,
    /// The method's block says which, be it the root.
    pub(crate) names_namespace: bool,
    /// First wait after a failed login. Less than `max_backoff`.
    pub min_backoff: Duration,
    /// Longest wait between attempts, and the most that a `Retry-After` is obeyed.
    pub max_backoff: Duration,
    /// The first failed login ends the agent.
    pub exit_on_err: bool,
    /// The server wraps the token, and the one sink gets the wrapping token. Not zero.
    pub wrap_ttl: Option<Duration>,
    /// Handed to the plug-in.
    pub config: PluginConfig,
    /// Of the block.
    pub location: Location,
}

fields!(Method {
    kind: ["type"],
    mount_path: ["mount_path"],
    namespace: ["namespace"],
    min_backoff: ["min_backoff"],
    max_backoff: ["max_backoff"],
    exit_on_err: ["exit_on_err"],
    wrap_ttl: ["wrap_ttl"],
    config: ["config"],
} and { names_namespace, location });

/// A sink and its settings.
#[derive(Clone, Debug)]
pub struct Sink {
    /// "file", or a plug-in's name.
    pub kind: String,
    /// The sink gets the token wrapped by the server. Not zero.
    pub wrap_ttl: Option<Duration>,
    /// The sink gets its content encrypted.
    pub encryption: Option<Encryption>,
    /// What becomes of the sink's content when the agent ends or a reload moves the sink.
    pub on_exit: SinkOnExit,
    /// Handed to the plug-in.
    pub config: PluginConfig,
    /// Of the block.
    pub location: Location,
}

fields!(Sink {
    kind: ["type"],
    wrap_ttl: ["wrap_ttl"],
    encryption: ["dh_type", "dh_path", "derive_key", "aad", "aad_env_var"],
    on_exit: ["on_exit"],
    config: ["config"],
} and { location });

/// How a sink's content is encrypted: `dh_type = "curve25519"` and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// A JSON file with the reader's public key. Waited for.
    pub dh_path: PathBuf,
    /// Derive the key with HKDF-SHA256, instead of using the shared secret as it is.
    pub derive_key: bool,
    /// Authenticated with the content; from `aad_env_var`, else `aad`. May be empty.
    pub aad: String,
}

/// What becomes of a sink's content when the agent ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SinkOnExit {
    /// It stays.
    #[default]
    Keep,
    /// The sink takes it away.
    Remove,
}

/// What the operator says of one plug-in.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// 64 hexadecimal digits, lower case.
    pub sha256: Option<String>,
    /// It may take a built-in's name.
    pub overrides: bool,
    /// What the plug-in may ask of the host.
    pub allow: Allow,
    /// What one call may use, the defaults where the operator says nothing.
    pub limits: Limits,
    /// Of the block.
    pub location: Location,
}

fields!(Plugin {
    sha256: ["sha256"],
    overrides: ["override"],
    allow: ["allow"],
    limits: ["limits"],
} and { location });
