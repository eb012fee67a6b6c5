//! TLS of the settings' files and texts, for one TLS identity.
//!
//! Loading the platform's certificate store takes 50 ms, so it happens at the first request over
//! https for which no certificate authority is configured, and never for http.

use std::path::{Path, PathBuf};

use rustls::ClientConfig;
use usher_trust::{Authorities, ClientCertificate, Trust, client_config};
use zeroize::Zeroizing;

use crate::identity::{Certificate, Given};
use crate::settings::Tls;
use crate::trouble::{Trouble, TroubleKind};

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

impl From<BuildError> for Trouble {
    fn from(error: BuildError) -> Self {
        let (kind, remedy) = match error {
            // A file may be replaced at this very moment, so waiting can help.
            BuildError::File { .. }
            | BuildError::NoCertificate { .. }
            | BuildError::NoUsableCertificate { .. }
            | BuildError::Unusable { .. } => {
                (TroubleKind::TlsFiles, "correct the file, the agent reads it again")
            }
            BuildError::MethodCertificate(_) | BuildError::MethodAuthority(_) => {
                (TroubleKind::TlsIdentity, "correct what the auth method was given")
            }
            BuildError::NoPlatform => (
                TroubleKind::TlsFiles,
                "install them (the package ca-certificates), or set vault.ca_cert",
            ),
            BuildError::Client(_) => (TroubleKind::TlsSetup, ""),
        };
        Self::new(kind, error, remedy)
    }
}

impl Tls {
    /// Nothing to read: no authorities and no certificate are named.
    pub(crate) fn names_nothing(&self) -> bool {
        self.ca_cert.is_none()
            && self.ca_path.is_none()
            && self.ca_pem.is_none()
            && self.client_cert.is_none()
            && self.client_pem.is_none()
    }

    /// The files that it is made of.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let files = [&self.ca_cert, &self.ca_path, &self.client_cert, &self.client_key];
        files.into_iter().flatten().map(PathBuf::as_path)
    }

    /// Reads and parses the configured files, without the platform's store. Returns what of them
    /// is passed over.
    pub(crate) fn check(&self, identity: &Given) -> Result<Vec<String>, BuildError> {
        let authorities = self.authorities(identity)?.unwrap_or_default();
        let broken = authorities.broken().to_vec();
        self.config(Trust::Authorities(authorities), identity)?;
        Ok(broken)
    }

    /// Reads files, and perhaps the platform's whole certificate store.
    pub(crate) fn build(&self, identity: &Given) -> Result<ClientConfig, BuildError> {
        let trust = if self.skip_verify && identity.ca_pem.is_none() {
            Trust::Anyone
        } else {
            Trust::Authorities(self.trusted(identity)?)
        };
        self.config(trust, identity)
    }

    fn config(&self, trust: Trust, identity: &Given) -> Result<ClientConfig, BuildError> {
        let (certificate, origin) = self.client_certificate(identity)?.unzip();
        client_config(trust, certificate).map_err(|why| match origin {
            // Authorities were parsed before, so what is left is the pair of certificate and key.
            Some(origin) => origin.unusable(why),
            None => BuildError::Client(why),
        })
    }

    /// The configured authorities, or the platform's; never none.
    fn trusted(&self, identity: &Given) -> Result<Authorities, BuildError> {
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
    fn authorities(&self, identity: &Given) -> Result<Option<Authorities>, BuildError> {
        let mut found = Authorities::default();
        if let Some(pem) = &identity.ca_pem {
            found.add_pem("the given text", pem.as_bytes());
            let usable = usable("the given text".to_owned(), found);
            return usable.map(Some).map_err(|e| BuildError::MethodAuthority(e.to_string()));
        }
        let origin = if let Some(pem) = &self.ca_pem {
            let origin = "vault.ca_cert (given as text)".to_owned();
            found.add_pem(&origin, pem.as_bytes());
            origin
        } else if let Some(path) = &self.ca_cert {
            let origin = format!("vault.ca_cert \"{}\"", path.display());
            if path.is_dir() {
                let why = "it is a directory; write it as vault.ca_path".to_owned();
                return Err(BuildError::Unusable { origin, why });
            }
            found.add_pem(&origin, &read("vault.ca_cert", path)?);
            origin
        } else if let Some(path) = &self.ca_path {
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
        identity: &Given,
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
        if let Some(Certificate { chain_pem, key_pem }) = &self.client_pem {
            let origin = "the client certificate given as text (BAO_CLIENT_CERT_BYTES)".to_owned();
            let key = key_pem.expose().as_bytes();
            return pair(chain_pem.as_bytes(), key, Origin::Settings(origin));
        }
        let (Some(chain), Some(key)) = (&self.client_cert, &self.client_key) else {
            return Ok(None);
        };
        let origin = format!(
            "the client certificate \"{}\" with the key \"{}\"",
            chain.display(),
            key.display()
        );
        let (chain, key) = (read("vault.client_cert", chain)?, read("vault.client_key", key)?);
        pair(&chain, &key, Origin::Settings(origin))
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
