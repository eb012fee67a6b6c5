//! Trust and client certificates: HTTP clients, made when first needed and kept by TLS identity.
//!
//! Loading the platform's certificate store takes 50 ms, so it happens at the first request over
//! https for which no certificate authority is configured, and never for http. A client is made
//! anew when one of the configured files has changed, or after a failed handshake.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use usher_secret::Secret;
use zeroize::Zeroizing;

use crate::error::{Class, Error, Reason};
use crate::locator::Locator;
use crate::proxy::Proxy;
use crate::settings::{Address, Settings};

/// Whom to trust, and the agent's own client certificate. Of several authorities `ca_pem` wins,
/// then `ca_cert`, then `ca_path`; with none the platform's are trusted. No `Debug`: it may hold a key.
#[derive(Clone, Default)]
pub struct Tls {
    /// A PEM file of certificate authorities.
    pub ca_cert: Option<PathBuf>,
    /// A directory of such files.
    pub ca_path: Option<PathBuf>,
    /// Certificate authorities, PEM.
    pub ca_pem: Option<String>,
    /// The agent's own certificate, a PEM file, leaf first. With `client_key`.
    pub client_cert: Option<PathBuf>,
    /// Its key: unencrypted PKCS#8, PKCS#1 or SEC1, a PEM file.
    pub client_key: Option<PathBuf>,
    /// Both as texts; goes before the files.
    pub client_pem: Option<Certificate>,
    /// The name that the server's certificate must carry, and that is asked for (SNI), instead of
    /// the address's.
    pub server_name: Option<String>,
    /// Trust any certificate. Warn of it at each start.
    pub skip_verify: bool,
}

/// A client certificate with its key, as an auth method or the environment supplies it. No `Debug`.
#[derive(Clone, PartialEq)]
pub struct Certificate {
    /// Leaf first, PEM.
    pub chain_pem: String,
    /// Unencrypted PKCS#8, PKCS#1 or SEC1, PEM.
    pub key_pem: Secret<String>,
}

/// How one login wants to be seen, and whom it trusts, instead of the agent's settings.
#[derive(PartialEq, Default)]
pub(crate) struct TlsIdentity {
    pub(crate) certificate: Option<Certificate>,
    pub(crate) ca_pem: Option<String>,
}

/// Why no HTTP client can be made of the settings and a TLS identity.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    #[error("{setting} \"{}\" can't be read: {source}; check the path and that the agent may read it", path.display())]
    File { setting: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{origin} holds no certificate in PEM form")]
    NoCertificate { origin: String },
    #[error("{origin} can't be used: {why}")]
    Unusable { origin: String, why: String },
    #[error("the client certificate of the auth method can't be used: {0}")]
    MethodCertificate(String),
    #[error("the certificate authority of the auth method can't be used: {0}")]
    MethodAuthority(String),
    #[error("the HTTP client can't be made: {0}")]
    Client(String),
}

impl From<BuildError> for Error {
    fn from(error: BuildError) -> Self {
        match error {
            // A file may be replaced at this very moment, so waiting can help.
            BuildError::File { .. }
            | BuildError::NoCertificate { .. }
            | BuildError::Unusable { .. } => Self::new(
                Class::Passing,
                Reason::TlsFiles,
                error,
                "correct the file, the agent reads it again",
            ),
            BuildError::MethodCertificate(_) | BuildError::MethodAuthority(_) => Self::new(
                Class::Refused,
                Reason::TlsFiles,
                error,
                "correct what the auth method was given",
            ),
            BuildError::Client(_) => Self::new(Class::Passing, Reason::Tls, error, ""),
        }
    }
}

/// The HTTP clients in use, one for each TLS identity that a login or session still holds.
pub(crate) struct Connections {
    settings: Settings,
    address: Address,
    proxy: Option<Proxy>,
    locator: Locator,
    entries: Mutex<Vec<Entry>>,
}

struct Entry {
    identity: Weak<TlsIdentity>,
    files: Vec<Stamp>,
    http: reqwest::Client,
}

impl Connections {
    pub(crate) fn new(settings: Settings, address: Address, proxy: Option<Proxy>) -> Self {
        let locator = Locator::new(&address, settings.srv_lookup);
        Self { settings, address, proxy, locator, entries: Mutex::default() }
    }

    pub(crate) fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    pub(crate) fn locator(&self) -> &Locator {
        &self.locator
    }

    /// Whether any connection is TLS: to the server, or to the proxy.
    pub(crate) fn use_tls(&self) -> bool {
        self.address.uses_tls() || self.proxy.as_ref().is_some_and(Proxy::uses_tls)
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The client for this identity, made if there is none or its files have changed.
    pub(crate) async fn get(
        self: &Arc<Self>,
        identity: &Arc<TlsIdentity>,
    ) -> Result<reqwest::Client, Error> {
        let files = self.stamps();
        {
            let mut entries = self.entries();
            entries.retain(|entry| entry.identity.strong_count() > 0);
            let known = entries.iter().position(|entry| entry.is_for(identity));
            if let Some(known) = known {
                if entries[known].files == files {
                    return Ok(entries[known].http.clone());
                }
                entries.swap_remove(known);
            }
        }
        // Reads files, and perhaps the platform's whole certificate store.
        let (connections, wanted) = (Arc::clone(self), Arc::clone(identity));
        let built = tokio::task::spawn_blocking(move || connections.build(&wanted)).await;
        let http = match built {
            Ok(built) => built?,
            Err(stopped) => return Err(BuildError::Client(stopped.to_string()).into()),
        };
        let entry = Entry { identity: Arc::downgrade(identity), files, http: http.clone() };
        self.entries().push(entry);
        Ok(http)
    }

    /// Forgets the client for this identity: its trust or certificate was of no use.
    pub(crate) fn forget(&self, identity: &Arc<TlsIdentity>) {
        self.entries().retain(|entry| !entry.is_for(identity));
    }

    /// Reads and parses the configured files, without the platform's store.
    pub(crate) fn check(&self, identity: &TlsIdentity) -> Result<(), BuildError> {
        self.roots(identity)?;
        self.client_identity(identity)?;
        Ok(())
    }

    fn build(&self, identity: &TlsIdentity) -> Result<reqwest::Client, BuildError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(&self.settings.user_agent)
            .timeout(self.settings.timeout)
            .connect_timeout(self.settings.timeout.min(CONNECT_TIMEOUT))
            // Between renewals a connection would only go stale.
            .pool_idle_timeout(IDLE_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .no_proxy();
        if self.settings.disable_idle_connections || self.settings.disable_keep_alives {
            builder = builder.pool_max_idle_per_host(0);
        }
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(proxy.for_requests().map_err(|error| client_error(&error))?);
        }
        if let Some(socket) = &self.address.socket {
            builder = builder.unix_socket(socket.clone());
        }
        if !self.use_tls() {
            // An empty list of roots: the platform's store is not even opened.
            return builder.tls_certs_only([]).build().map_err(|error| client_error(&error));
        }
        if self.settings.tls.server_name.is_some() && self.address.uses_tls() {
            builder = builder.dns_resolver(self.locator.resolve_all());
        }
        if self.settings.tls.skip_verify && identity.ca_pem.is_none() {
            builder = builder.tls_certs_only([]).tls_danger_accept_invalid_certs(true);
        } else if let Some(roots) = self.roots(identity)? {
            builder = builder.tls_certs_only(roots);
        }
        let mut certificate_origin = None;
        if let Some((client_identity, origin)) = self.client_identity(identity)? {
            builder = builder.identity(client_identity);
            certificate_origin = Some(origin);
        }
        builder.build().map_err(|error| match certificate_origin {
            // Roots were parsed above, so what is left is the pair of certificate and key.
            Some(Origin::Settings(origin)) => {
                BuildError::Unusable { origin, why: innermost(&error) }
            }
            Some(Origin::Method) => BuildError::MethodCertificate(innermost(&error)),
            None => client_error(&error),
        })
    }

    /// The configured authorities. `None`: the platform's.
    fn roots(
        &self,
        identity: &TlsIdentity,
    ) -> Result<Option<Vec<reqwest::Certificate>>, BuildError> {
        let tls = &self.settings.tls;
        if let Some(pem) = &identity.ca_pem {
            let roots = certificates("the given text", pem.as_bytes());
            return roots.map(Some).map_err(|error| BuildError::MethodAuthority(error.to_string()));
        }
        if let Some(pem) = &tls.ca_pem {
            return certificates("vault.ca_cert (given as text)", pem.as_bytes()).map(Some);
        }
        if let Some(path) = &tls.ca_cert {
            let pem = read("vault.ca_cert", path)?;
            let origin = format!("vault.ca_cert \"{}\"", path.display());
            return certificates(&origin, &pem).map(Some);
        }
        let Some(path) = &tls.ca_path else { return Ok(None) };
        let unreadable =
            |source| BuildError::File { setting: "vault.ca_path", path: path.clone(), source };
        let mut roots = Vec::new();
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            if !file.is_file() {
                continue;
            }
            // Such directories also hold lists of revoked certificates and notes.
            let Ok(pem) = read("vault.ca_path", &file) else { continue };
            if let Ok(found) = certificates("", &pem) {
                roots.extend(found);
            }
        }
        if roots.is_empty() {
            let origin = format!("vault.ca_path \"{}\"", path.display());
            return Err(BuildError::NoCertificate { origin });
        }
        Ok(Some(roots))
    }

    fn client_identity(
        &self,
        identity: &TlsIdentity,
    ) -> Result<Option<(reqwest::Identity, Origin)>, BuildError> {
        if let Some(certificate) = &identity.certificate {
            let chain = certificate.chain_pem.as_bytes();
            let key = certificate.key_pem.expose().as_bytes();
            let parsed = pair(chain, key)
                .map_err(|error| BuildError::MethodCertificate(innermost(&error)))?;
            return Ok(Some((parsed, Origin::Method)));
        }
        let tls = &self.settings.tls;
        if let Some(texts) = &tls.client_pem {
            let origin = "the client certificate given as text (BAO_CLIENT_CERT_BYTES)".to_owned();
            let chain = texts.chain_pem.as_bytes();
            let parsed = pair(chain, texts.key_pem.expose().as_bytes());
            let parsed = parsed.map_err(|error| BuildError::Unusable {
                origin: origin.clone(),
                why: innermost(&error),
            })?;
            return Ok(Some((parsed, Origin::Settings(origin))));
        }
        let (Some(chain), Some(key)) = (&tls.client_cert, &tls.client_key) else { return Ok(None) };
        let origin = format!(
            "the client certificate \"{}\" with the key \"{}\"",
            chain.display(),
            key.display()
        );
        let parsed = pair(&read("vault.client_cert", chain)?, &read("vault.client_key", key)?);
        let parsed = parsed.map_err(|error| BuildError::Unusable {
            origin: origin.clone(),
            why: innermost(&error),
        })?;
        Ok(Some((parsed, Origin::Settings(origin))))
    }

    fn stamps(&self) -> Vec<Stamp> {
        if !self.use_tls() {
            return Vec::new();
        }
        let tls = &self.settings.tls;
        let files = [&tls.ca_cert, &tls.ca_path, &tls.client_cert, &tls.client_key];
        files.into_iter().flatten().map(|path| stamp(path)).collect()
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn is_for(&self, identity: &Arc<TlsIdentity>) -> bool {
        let Some(own) = self.identity.upgrade() else { return false };
        Arc::ptr_eq(&own, identity) || own == *identity
    }
}

/// Whose certificate it is, for the error.
enum Origin {
    Settings(String),
    Method,
}

/// Tells one version of a file from the next.
type Stamp = Option<(SystemTime, u64)>;

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn read(setting: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, BuildError> {
    let content = std::fs::read(path);
    content.map(Zeroizing::new).map_err(|source| BuildError::File {
        setting,
        path: path.to_owned(),
        source,
    })
}

fn certificates(origin: &str, pem: &[u8]) -> Result<Vec<reqwest::Certificate>, BuildError> {
    let unusable = |why: String| BuildError::Unusable { origin: origin.to_owned(), why };
    let found =
        reqwest::Certificate::from_pem_bundle(pem).map_err(|error| unusable(innermost(&error)))?;
    if found.is_empty() {
        return Err(BuildError::NoCertificate { origin: origin.to_owned() });
    }
    Ok(found)
}

fn pair(chain: &[u8], key: &[u8]) -> Result<reqwest::Identity, reqwest::Error> {
    let mut both = Zeroizing::new(Vec::with_capacity(chain.len() + key.len() + 1));
    both.extend_from_slice(chain);
    both.push(b'\n');
    both.extend_from_slice(key);
    reqwest::Identity::from_pem(&both)
}

fn client_error(error: &reqwest::Error) -> BuildError {
    BuildError::Client(innermost(error))
}

/// The last cause, which says what happened where the ones above say only that something did.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    crate::answer::clean(&cause.to_string())
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
