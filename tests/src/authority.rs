//! A certificate authority that signs certificates of clients and servers.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};

/// Signs with a key of its own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, PEM.
pub struct ClientCertificate {
    /// The certificate.
    pub certificate: String,
    /// PKCS#8, not encrypted.
    pub key: String,
}

impl Authority {
    /// An authority of this name.
    pub fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(parameters, key).expect("a certificate"))
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a client, good since yesterday and for long.
    pub fn issue(&self, name: &str) -> ClientCertificate {
        let day = Duration::from_hours(24);
        let now = SystemTime::now();
        self.issue_for(name, now - day..now + 1000 * day)
    }

    /// A certificate for a client, good from and until then.
    pub fn issue_for(&self, name: &str, validity: Range<SystemTime>) -> ClientCertificate {
        self.sign(name, validity, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A certificate for the server at this name or address, good since yesterday and for long.
    pub fn issue_for_server(&self, name: &str) -> ClientCertificate {
        self.issue_for_server_until(name, SystemTime::now() + Duration::from_hours(24_000))
    }

    /// A certificate for the server at this name or address, good since yesterday and until then.
    pub fn issue_for_server_until(&self, name: &str, end: SystemTime) -> ClientCertificate {
        let yesterday = SystemTime::now() - Duration::from_hours(24);
        self.sign(name, yesterday..end, ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn sign(
        &self,
        name: &str,
        validity: Range<SystemTime>,
        purpose: ExtendedKeyUsagePurpose,
    ) -> ClientCertificate {
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.extended_key_usages = vec![purpose];
        parameters.not_before = validity.start.into();
        parameters.not_after = validity.end.into();
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.signed_by(&key, &self.0).expect("a certificate");
        ClientCertificate { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}
