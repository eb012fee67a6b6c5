//! The settings that the agent works with: complete, checked, with defaults filled in.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value as Json};
use usher_address::{MountPath, Namespace, OutboundProxy, ServerAddress};
use usher_grant::{Allow, Limits};
use usher_secret::Secret;

use crate::diagnostic::Location;
use crate::schema::Block;
use crate::tree::Object;

/// Everything the agent needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the secrets server is and how to trust it.
    pub server: Server,
    /// At least one.
    pub identities: Vec<Identity>,
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
}

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
    /// For one request. None: the client's default (the incumbents': 60 s).
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

/// The address only, which shows no password.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A client certificate and its key as PEM texts.
#[derive(Clone)]
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
    /// At least one.
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

/// The `config` block of a method or sink: JSON for the plug-in, places for messages.
#[derive(Clone)]
pub struct PluginConfig {
    /// As text: a thousand identities keep theirs for as long as the agent runs.
    json: Box<str>,
    /// By the JSON Pointer (RFC 6901) of the value.
    places: Box<[(Box<str>, Location)]>,
    location: Location,
    /// The block that this one stands in.
    pub(crate) around: &'static Block,
}

impl PluginConfig {
    /// Whether the plug-in would get the same.
    pub fn same_settings(&self, other: &Self) -> bool {
        self.json == other.json
    }

    pub(crate) fn new(object: &Object, location: Location, around: &'static Block) -> Self {
        let mut places = Vec::new();
        let map = object.to_json(&mut Vec::new(), &mut |path, place| {
            places.push((pointer(path).into(), place.clone()));
        });
        let json = Json::Object(map).to_string().into();
        Self { json, places: places.into(), location, around }
    }

    /// The JSON object, its keys in order; "{}" when there is no `config` block.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The same, parsed.
    pub fn to_map(&self) -> Map<String, Json> {
        serde_json::from_str(&self.json).unwrap_or_default()
    }

    /// Where a value stands; `&[]` is the block. Of a path that isn't there: the nearest around it.
    pub fn locate(&self, path: &[&str]) -> &Location {
        let find = |length| {
            let wanted = pointer(&path[..length]);
            self.places.iter().rfind(|(pointer, _)| **pointer == *wanted).map(|(_, place)| place)
        };
        (1..=path.len()).rev().find_map(find).unwrap_or(&self.location)
    }

    /// Where the key at the end of `path` stands, rather than its value.
    pub(crate) fn locate_key(&self, path: &[&str]) -> &Location {
        let wanted = pointer(path);
        let found = self.places.iter().find(|(pointer, _)| **pointer == *wanted);
        found.map_or_else(|| self.locate(path), |(_, place)| place)
    }
}

fn pointer(path: &[impl AsRef<str>]) -> String {
    path.iter().fold(String::new(), |pointer, key| {
        pointer + "/" + &key.as_ref().replace('~', "~0").replace('/', "~1")
    })
}

/// Keys only: values may be secret.
impl fmt::Debug for PluginConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.to_map().keys()).finish()
    }
}

/// Logging.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// From this level on.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
    /// Gets the log besides standard error.
    pub file: Option<LogFile>,
}

/// A log file and its rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Of `log_file = "DIRECTORY/"` it is `DIRECTORY/usher.log`.
    pub path: PathBuf,
    /// A larger file is rotated. None: no limit.
    pub rotate_bytes: Option<u64>,
    /// An older file is rotated. Default 24 h.
    pub rotate_duration: Duration,
    /// How many rotated files are kept; 0: all, negative: none.
    pub rotate_max_files: i64,
}

/// The incumbents' levels; their "notice" is info, "warning" is warn, "err" is error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum LogLevel {
    Trace,
    Debug,
    #[default]
    Info,
    Warn,
    Error,
}

impl LogLevel {
    /// "trace", "debug", "info", "warn" or "error".
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text.trim().to_ascii_lowercase().as_str() {
            "trace" => Self::Trace,
            "debug" => Self::Debug,
            "info" | "notice" | "" => Self::Info,
            "warn" | "warning" => Self::Warn,
            "error" | "err" => Self::Error,
            _ => return None,
        })
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Standard,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text.trim().to_ascii_lowercase().as_str() {
            "standard" | "" => Self::Standard,
            "json" => Self::Json,
            _ => return None,
        })
    }
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
