//! TLS of files, which are read again when they have changed.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::crypto::CryptoProvider;
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio_rustls::TlsAcceptor;
use usher_trust::{Authorities, ClientCertificate};
use zeroize::Zeroizing;

use crate::client_certificates::{ClientCertificates, verifier};
use crate::peer::Certificate;
use crate::suites;

/// How a listener speaks TLS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// In PEM form: the certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// In PEM form: the certificate's key, without a passphrase.
    pub key: PathBuf,
    /// In PEM form: the authorities that sign clients' certificates.
    pub client_ca: Option<PathBuf>,
    /// Whether clients show a certificate.
    pub client_certificates: ClientCertificates,
    /// The oldest version of TLS that is spoken.
    pub oldest: TlsVersion,
    /// The newest.
    pub newest: TlsVersion,
    /// By Go's names; none: the TLS library's. As with Go those of TLS 1.3 can't be chosen: a list
    /// is for TLS 1.2, and TLS 1.2 isn't spoken if nothing of the list is left for it.
    pub cipher_suites: Vec<String>,
}

/// A version of TLS that is fit for use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// Why the files make no TLS. Shown as what happened; [`TlsError::remedy`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One of the files.
    #[error("the {what} \"{}\" can't be read: {source}", path.display())]
    Unreadable {
        /// Which one.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// The system's.
        source: io::Error,
    },
    /// What the files of the certificate and the key hold.
    #[error(
        "the certificate \"{}\" with the key \"{}\" can't be used: {why}",
        certificate.display(),
        key.display()
    )]
    Certificate {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// In words.
        why: String,
    },
    /// What the file of the authorities holds.
    #[error("the authorities of clients can't be used: {why}")]
    Authorities {
        /// In words, with the file.
        why: String,
    },
    /// Clients must show a certificate, and nobody is named who signs them.
    #[error("clients must show a certificate, and no authority is named that signs them")]
    NoAuthorities,
    /// A name that isn't known.
    #[error("the cipher suite \"{0}\" isn't known")]
    UnknownSuite(String),
    /// None is left that is fit for use with the versions.
    #[error("none of the cipher suites can be used with these versions of TLS")]
    NoSuite,
    /// The oldest version is newer than the newest.
    #[error("the oldest version of TLS is newer than the newest one")]
    Versions,
    /// The TLS library wants something else.
    #[error("TLS can't be set up: {0}")]
    Setup(String),
}

impl TlsError {
    /// What to do about it, a sentence without capital and full stop.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "check the path, and that the agent's user may read it",
            Self::Certificate { .. } => {
                "write files in PEM form: the certificate and those between it and its authority, and the key that belongs to it"
            }
            Self::Authorities { .. } => {
                "write the certificates of the authorities in PEM form into the file"
            }
            Self::NoAuthorities => "name the file with its certificate: tls_client_ca_file",
            Self::UnknownSuite(_) => "write it as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            Self::NoSuite => {
                "leave tls_cipher_suites out, or add one of TLS 1.2: TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
            }
            Self::Versions => "leave tls_min_version and tls_max_version out",
            Self::Setup(_) => "leave the settings of TLS out but for the files",
        }
    }
}

/// TLS as its files are at the moment.
///
/// They are looked at when somebody connects, at most once a second. Files that can't be used
/// change nothing, and that is said once.
pub struct Tls {
    files: TlsFiles,
    loaded: Mutex<Loaded>,
    looked: Mutex<Instant>,
}

struct Loaded {
    made: Made,
    /// It was said that the certificate has expired.
    expiry_said: bool,
    stamps: Vec<Stamp>,
    /// Of files that can't be used.
    refused: Option<Vec<Stamp>>,
}

/// What is made of the files.
struct Made {
    config: Arc<ServerConfig>,
    /// When the certificate does; `None`: that can't be read.
    expires_at: Option<SystemTime>,
}

impl Loaded {
    fn new(made: Made, stamps: Vec<Stamp>) -> Self {
        Self { made, expiry_said: false, stamps, refused: None }
    }

    fn has_expired(&self) -> bool {
        self.made.expires_at.is_some_and(|at| at <= SystemTime::now())
    }

    /// Says once that the certificate has expired: clients refuse it, and only they see why.
    fn watch_expiry(&mut self, certificate: &Path) {
        if self.has_expired() && !std::mem::replace(&mut self.expiry_said, true) {
            tracing::error!(certificate = %certificate.display(), "{EXPIRED}; {RENEW_IT}");
        }
    }
}

impl Tls {
    /// Reads the files.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let stamps = stamps(&files);
        let mut loaded = Loaded::new(make(&files)?, stamps);
        loaded.watch_expiry(&files.certificate);
        Ok(Self { files, loaded: Mutex::new(loaded), looked: Mutex::new(Instant::now()) })
    }

    /// That the certificate has expired, if it has, and what to do.
    pub fn expiry(&self) -> Option<(&'static str, &'static str)> {
        self.loaded().has_expired().then_some((EXPIRED, RENEW_IT))
    }

    /// Reads the files again, whether they have changed or not. After an error everything is as
    /// before, and whoever asked has to tell it.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.take(stamps(&self.files))
    }

    /// For a connection that has just come, and what its certificate is worth if it shows one.
    pub(crate) async fn acceptor(self: &Arc<Self>) -> (TlsAcceptor, Certificate) {
        if self.is_time_to_look() {
            let tls = Arc::clone(self);
            // If it can't be done, what is loaded serves.
            let _ = tokio::task::spawn_blocking(move || tls.look()).await;
        }
        let shown = match self.files.client_ca {
            Some(_) => Certificate::Verified,
            None => Certificate::Unverified,
        };
        (TlsAcceptor::from(Arc::clone(&self.loaded().made.config)), shown)
    }

    fn is_time_to_look(&self) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_time = now.duration_since(*looked) >= LOOK;
        if is_time {
            *looked = now;
        }
        is_time
    }

    fn look(&self) {
        let now = stamps(&self.files);
        let is_known =
            |loaded: &Loaded| loaded.stamps == now || loaded.refused.as_ref() == Some(&now);
        if is_known(&self.loaded()) {
            self.loaded().watch_expiry(&self.files.certificate);
            return;
        }
        let certificate = self.files.certificate.display();
        match self.take(now) {
            Ok(()) => tracing::info!(%certificate, "the certificate was loaded anew"),
            Err(error) => {
                let remedy = error.remedy();
                tracing::error!(%error, remedy, "the new certificate is of no use, the old one stays");
            }
        }
    }

    fn take(&self, stamps: Vec<Stamp>) -> Result<(), TlsError> {
        match make(&self.files) {
            Ok(made) => {
                let mut loaded = Loaded::new(made, stamps);
                loaded.watch_expiry(&self.files.certificate);
                *self.loaded() = loaded;
            }
            Err(error) => {
                self.loaded().refused = Some(stamps);
                return Err(error);
            }
        }
        Ok(())
    }

    fn loaded(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

/// Reads the files and makes a configuration of them.
fn make(files: &TlsFiles) -> Result<Made, TlsError> {
    let mut provider = usher_trust::provider();
    let mut versions = versions(files)?;
    if !files.cipher_suites.is_empty() {
        let chosen = suites::choose(&files.cipher_suites, &provider.cipher_suites)
            .map_err(TlsError::UnknownSuite)?;
        if !chosen.outdated.is_empty() {
            let passed_over = chosen.outdated.join(", ");
            tracing::warn!(passed_over, "cipher suites are too weak to be used");
        }
        let is_of = |suite: &rustls::SupportedCipherSuite, version: &SupportedProtocolVersion| {
            suite.version().version == version.version
        };
        let newest = &rustls::version::TLS13;
        let mut suites = chosen.suites;
        suites.retain(|suite| !is_of(suite, newest));
        versions.retain(|version| *version == newest || !suites.is_empty());
        if versions.is_empty() {
            return Err(TlsError::NoSuite);
        }
        suites.extend(provider.cipher_suites.iter().filter(|suite| is_of(suite, newest)));
        provider = Arc::new(CryptoProvider { cipher_suites: suites, ..(*provider).clone() });
    }
    let unusable = |why| TlsError::Certificate {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        why,
    };
    let chain = read("certificate", &files.certificate)?;
    let key = read("key", &files.key)?;
    let pair = ClientCertificate::from_pem(&chain, &key).map_err(unusable)?;
    let expires_at = pair.expires_at();
    let (chain, key) = pair.into_parts();
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(|error| TlsError::Setup(usher_trust::library(&error)))?
        .with_client_cert_verifier(client_verifier(files, provider)?)
        .with_single_cert(chain, key)
        .map_err(|error| unusable(usher_trust::library(&error)))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Made { config: Arc::new(config), expires_at })
}

fn versions(files: &TlsFiles) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let all = [
        (TlsVersion::Tls12, &rustls::version::TLS12),
        (TlsVersion::Tls13, &rustls::version::TLS13),
    ];
    let is_spoken = |version: TlsVersion| files.oldest <= version && version <= files.newest;
    let versions: Vec<_> =
        all.into_iter().filter(|(version, _)| is_spoken(*version)).map(|(_, of)| of).collect();
    if versions.is_empty() { Err(TlsError::Versions) } else { Ok(versions) }
}

fn client_verifier(
    files: &TlsFiles,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let asked = files.client_certificates;
    let Some(path) = files.client_ca.as_ref().filter(|_| asked != ClientCertificates::NotAsked)
    else {
        if asked == ClientCertificates::Required {
            return Err(TlsError::NoAuthorities);
        }
        return verifier(asked, None, provider).map_err(TlsError::Setup);
    };
    let file = path.display().to_string();
    let mut authorities = Authorities::default();
    authorities.add_pem(&file, &read("file of clients' authorities", path)?);
    if authorities.is_empty() {
        let broken = authorities.broken().first().cloned();
        let why = broken.unwrap_or_else(|| format!("{file}: there is no certificate in PEM form"));
        return Err(TlsError::Authorities { why });
    }
    for broken in authorities.broken() {
        tracing::warn!("a certificate of an authority is passed over: {broken}");
    }
    let unusable = |why| TlsError::Authorities { why: format!("{file}: {why}") };
    verifier(asked, Some(authorities.roots().clone()), provider).map_err(unusable)
}

fn read(what: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let content = std::fs::read(path);
    content.map(Zeroizing::new).map_err(|source| TlsError::Unreadable {
        what,
        path: path.to_owned(),
        source,
    })
}

/// Tells one version of a file from the next: when it was written, its length, its inode.
type Stamp = Option<(SystemTime, u64, u64)>;

fn stamps(files: &TlsFiles) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.modified().ok()?, found.len(), found.ino()))
    };
    [&files.certificate, &files.key].into_iter().chain(&files.client_ca).map(stamp).collect()
}

const LOOK: Duration = Duration::from_secs(1);
const EXPIRED: &str = "the listener's certificate has expired, and clients refuse it";
const RENEW_IT: &str = "write a new one to its file, which is taken without a restart";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_files_are_taken_and_broken_ones_are_refused_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let write = || {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            std::fs::write(path("cert.pem"), made.cert.pem()).unwrap();
            std::fs::write(path("key.pem"), made.signing_key.serialize_pem()).unwrap();
        };
        write();
        let tls = Tls::load(TlsFiles {
            certificate: path("cert.pem"),
            key: path("key.pem"),
            client_ca: None,
            client_certificates: ClientCertificates::NotAsked,
            oldest: TlsVersion::Tls12,
            newest: TlsVersion::Tls13,
            cipher_suites: Vec::new(),
        })
        .unwrap();
        let loaded = || Arc::clone(&tls.loaded().made.config);
        let first = loaded();
        tls.look();
        assert!(Arc::ptr_eq(&first, &loaded()), "nothing has changed");
        write();
        tls.look();
        let second = loaded();
        assert!(!Arc::ptr_eq(&first, &second));

        std::fs::write(path("cert.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
        tls.look();
        let refused = tls.loaded().refused.clone();
        assert_eq!(refused, Some(stamps(&tls.files)));
        std::fs::remove_file(path("key.pem")).unwrap();
        tls.look();
        assert!(tls.loaded().refused.is_some() && tls.loaded().refused != refused);
        assert!(Arc::ptr_eq(&second, &loaded()));

        write();
        tls.look();
        assert!(!Arc::ptr_eq(&second, &loaded()) && tls.loaded().refused.is_none());

        std::fs::write(path("cert.pem"), "").unwrap();
        tls.reload().unwrap_err();
        let refused = tls.loaded().refused.clone();
        assert_eq!(refused, Some(stamps(&tls.files)), "it isn't told again");
    }
}
