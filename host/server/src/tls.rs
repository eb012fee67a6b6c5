//! Trust and client certificates: HTTP clients, made when first needed and kept by TLS identity.
//!
//! Loading the platform's certificate store takes 50 ms, so it happens at the first request over
//! https for which no certificate authority is configured, and never for http. A client is made
//! anew when one of the configured files has changed, or after a failed handshake.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use usher_secret::Secret;
use usher_trust::{Authorities, ClientCertificate, Trust, client_config};
use zeroize::Zeroizing;

use crate::basic::BasicAuth;
use crate::error::{Class, Error, Reason};
use crate::locator::Locator;
use crate::proxy::Proxy;
use crate::settings::{Address, Checked, Settings};

/// Whom to trust, and the agent's own client certificate. Of several authorities `ca_pem` wins,
/// then `ca_cert`, then `ca_path`; with none the platform's are trusted. No `Debug`: it may hold a key.
#[derive(Clone, Default)]
pub struct Tls {
    /// A PEM file of certificate authorities.
    pub ca_cert: Option<PathBuf>,
    /// A directory of such files, also in directories below it; or one such file.
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
    #[error("{origin} holds no certificate that can be used: {broken}")]
    NoUsableCertificate { origin: String, broken: String },
    #[error("this machine has no certificates of authorities")]
    NoPlatform,
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
            | BuildError::NoUsableCertificate { .. }
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
            BuildError::NoPlatform => Self::new(
                Class::Passing,
                Reason::TlsFiles,
                error,
                "install them (the package ca-certificates), or set vault.ca_cert",
            ),
            BuildError::Client(_) => Self::new(Class::Passing, Reason::Tls, error, ""),
        }
    }
}

/// The HTTP clients in use, one for each TLS identity that a login or session still holds.
pub(crate) struct Connections {
    settings: Settings,
    address: Address,
    user: Option<BasicAuth>,
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
    pub(crate) fn new(settings: Settings, checked: Checked) -> Self {
        let Checked { address, user, proxy } = checked;
        let locator = Locator::new(&address, settings.srv_lookup);
        Self { settings, address, user, proxy, locator, entries: Mutex::default() }
    }

    /// The user of the address.
    pub(crate) fn user(&self) -> Option<&BasicAuth> {
        self.user.as_ref()
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

    /// Reads and parses the configured files, without the platform's store. Returns what of them
    /// is passed over.
    pub(crate) fn check(&self, identity: &TlsIdentity) -> Result<Vec<String>, BuildError> {
        let authorities = self.authorities(identity)?.unwrap_or_default();
        let broken = authorities.broken().to_vec();
        self.tls(Trust::Authorities(authorities), identity)?;
        Ok(broken)
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
        let trust = if self.settings.tls.skip_verify && identity.ca_pem.is_none() {
            Trust::Anyone
        } else {
            Trust::Authorities(self.trusted(identity)?)
        };
        let tls = self.tls(trust, identity)?;
        builder.tls_backend_preconfigured(tls).build().map_err(|error| client_error(&error))
    }

    fn tls(
        &self,
        trust: Trust,
        identity: &TlsIdentity,
    ) -> Result<rustls::ClientConfig, BuildError> {
        let (certificate, origin) = self.client_certificate(identity)?.unzip();
        client_config(trust, certificate).map_err(|why| match origin {
            // Authorities were parsed before, so what is left is the pair of certificate and key.
            Some(origin) => origin.unusable(why),
            None => BuildError::Client(why),
        })
    }

    /// The configured authorities, or the platform's; never none.
    fn trusted(&self, identity: &TlsIdentity) -> Result<Authorities, BuildError> {
        if let Some(authorities) = self.authorities(identity)? {
            for broken in authorities.broken() {
                tracing::warn!("a certificate of an authority is passed over: {broken}");
            }
            return Ok(authorities);
        }
        let platform = Authorities::of_platform();
        if platform.is_empty() { Err(BuildError::NoPlatform) } else { Ok(platform) }
    }

    /// The configured authorities, never none. `None`: the platform's.
    fn authorities(&self, identity: &TlsIdentity) -> Result<Option<Authorities>, BuildError> {
        let tls = &self.settings.tls;
        let mut found = Authorities::default();
        if let Some(pem) = &identity.ca_pem {
            found.add_pem("the given text", pem.as_bytes());
            let usable = usable("the given text".to_owned(), found);
            return usable.map(Some).map_err(|e| BuildError::MethodAuthority(e.to_string()));
        }
        let origin = if let Some(pem) = &tls.ca_pem {
            let origin = "vault.ca_cert (given as text)".to_owned();
            found.add_pem(&origin, pem.as_bytes());
            origin
        } else if let Some(path) = &tls.ca_cert {
            let origin = format!("vault.ca_cert \"{}\"", path.display());
            if path.is_dir() {
                let why = "it is a directory; write it as vault.ca_path".to_owned();
                return Err(BuildError::Unusable { origin, why });
            }
            found.add_pem(&origin, &read("vault.ca_cert", path)?);
            origin
        } else if let Some(path) = &tls.ca_path {
            found.add_path(path).map_err(|source| BuildError::File {
                setting: "vault.ca_path",
                path: path.clone(),
                source,
            })?;
            format!("vault.ca_path \"{}\"", path.display())
        } else {
            return Ok(None);
        };
        usable(origin, found).map(Some)
    }

    fn client_certificate(
        &self,
        identity: &TlsIdentity,
    ) -> Result<Option<(ClientCertificate, Origin)>, BuildError> {
        let pair = |chain: &[u8], key: &[u8], origin: Origin| match ClientCertificate::from_pem(
            chain, key,
        ) {
            Ok(certificate) => Ok(Some((certificate, origin))),
            Err(why) => Err(origin.unusable(why)),
        };
        if let Some(Certificate { chain_pem, key_pem }) = &identity.certificate {
            return pair(chain_pem.as_bytes(), key_pem.expose().as_bytes(), Origin::Method);
        }
        let tls = &self.settings.tls;
        if let Some(Certificate { chain_pem, key_pem }) = &tls.client_pem {
            let origin = "the client certificate given as text (BAO_CLIENT_CERT_BYTES)".to_owned();
            let key = key_pem.expose().as_bytes();
            return pair(chain_pem.as_bytes(), key, Origin::Settings(origin));
        }
        let (Some(chain), Some(key)) = (&tls.client_cert, &tls.client_key) else { return Ok(None) };
        let origin = format!(
            "the client certificate \"{}\" with the key \"{}\"",
            chain.display(),
            key.display()
        );
        let (chain, key) = (read("vault.client_cert", chain)?, read("vault.client_key", key)?);
        pair(&chain, &key, Origin::Settings(origin))
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

impl Origin {
    fn unusable(self, why: String) -> BuildError {
        match self {
            Self::Settings(origin) => BuildError::Unusable { origin, why },
            Self::Method => BuildError::MethodCertificate(why),
        }
    }
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

/// Some are not enough if they are all broken.
fn usable(origin: String, found: Authorities) -> Result<Authorities, BuildError> {
    if !found.is_empty() {
        return Ok(found);
    }
    Err(match found.broken().first() {
        Some(broken) => {
            let prefix = format!("{origin}: ");
            let broken = broken.strip_prefix(&prefix).unwrap_or(broken).to_owned();
            BuildError::NoUsableCertificate { origin, broken }
        }
        None => BuildError::NoCertificate { origin },
    })
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
