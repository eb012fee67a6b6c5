//! How the agent shows itself to the server, and whom it trusts, for one login and its token.

use std::sync::{Arc, Weak};

use usher_secret::Secret;

/// A client certificate with its key, as an auth method or the environment supplies it. No `Debug`.
#[derive(Clone, PartialEq)]
pub struct Certificate {
    /// Leaf first, PEM.
    pub chain_pem: String,
    /// Unencrypted PKCS#8, PKCS#1 or SEC1, PEM.
    pub key_pem: Secret<String>,
}

/// How requests want to be seen, and whom they trust, instead of the settings' own. The default is
/// the settings' own. Clones are one identity, whose connections are shared.
#[derive(Clone, Default)]
pub struct TlsIdentity(Arc<Given>);

#[derive(PartialEq, Default)]
pub(crate) struct Given {
    pub(crate) certificate: Option<Certificate>,
    pub(crate) ca_pem: Option<String>,
}

impl TlsIdentity {
    /// `certificate` is shown instead of the settings' own, and the authorities of `ca_pem` are
    /// trusted instead of the settings'.
    pub fn new(certificate: Option<Certificate>, ca_pem: Option<String>) -> Self {
        Self(Arc::new(Given { certificate, ca_pem }))
    }

    pub(crate) fn given(&self) -> &Given {
        &self.0
    }

    /// The settings' own, and nothing instead.
    pub fn is_own(&self) -> bool {
        self.0.certificate.is_none() && self.0.ca_pem.is_none()
    }

    pub(crate) fn downgrade(&self) -> WeakIdentity {
        WeakIdentity(Arc::downgrade(&self.0))
    }
}

/// Remembers an identity for as long as somebody uses it.
pub(crate) struct WeakIdentity(Weak<Given>);

impl WeakIdentity {
    pub(crate) fn is_in_use(&self) -> bool {
        self.0.strong_count() > 0
    }

    pub(crate) fn is(&self, identity: &TlsIdentity) -> bool {
        let Some(own) = self.0.upgrade() else { return false };
        Arc::ptr_eq(&own, &identity.0) || own == identity.0
    }
}
