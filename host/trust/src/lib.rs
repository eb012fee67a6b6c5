//! Whom a TLS connection trusts, how it shows itself, and why a handshake failed, in plain words.
//!
//! As the incumbents do it: of many certificates the broken ones don't spoil the good ones, a
//! directory is read with all below it, and a server may show the very certificate that is
//! trusted, whoever signed it and whatever it is for.

#![forbid(unsafe_code)]

mod authorities;
mod certificate;
mod verifier;
mod words;

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;

pub use authorities::Authorities;
pub use certificate::ClientCertificate;
pub use words::{Names, Trouble, handshake, library, tls_error};

/// Whose word counts for who the server is.
pub enum Trust {
    /// These authorities'; without any nobody is trusted.
    Authorities(Authorities),
    /// Nobody's: whoever answers is taken for the server.
    Anyone,
}

/// For HTTP/1.1 over TLS. The error says in words what is wrong with `certificate`.
pub fn client_config(
    trust: Trust,
    certificate: Option<ClientCertificate>,
) -> Result<ClientConfig, String> {
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| library(&error))?;
    let builder = match trust {
        Trust::Authorities(authorities) if authorities.is_empty() => {
            builder.with_root_certificates(rustls::RootCertStore::empty())
        }
        Trust::Authorities(authorities) => {
            let verifier = verifier::Verifier::new(authorities, provider)
                .map_err(|error| error.to_string())?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
        Trust::Anyone => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier::Unverified(provider))),
    };
    let mut config = match certificate {
        None => builder.with_no_client_auth(),
        Some(ClientCertificate { chain, key }) => {
            builder.with_client_auth_cert(chain, key).map_err(|error| library(&error))?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The algorithms: the process's, or the default ones.
pub fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}
