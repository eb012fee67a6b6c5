//! A certificate with its key, out of PEM, and when it ends.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use crate::authorities::sections;

/// What the client shows of itself. No `Debug`: it holds a key.
pub struct ClientCertificate {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl ClientCertificate {
    /// The chain leaf first; the key PKCS#8, PKCS#1 or SEC1, unencrypted. The error says in words
    /// what is wrong, and nothing of the key.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, String> {
        let mut certificates = Vec::new();
        for section in sections(chain) {
            certificates.push(section.certificate().map_err(|why| section.named(&why))?);
        }
        if certificates.is_empty() {
            return Err("there is no certificate in PEM form".to_owned());
        }
        // Before the key is looked for: some encrypted ones look like broken ones.
        if contains(key, b"ENCRYPTED") {
            return Err(
                "the key is encrypted; write it without a passphrase: openssl pkey -in KEY -out PLAIN"
                    .to_owned(),
            );
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| "there is no private key in PEM form".to_owned())?;
        Ok(Self { chain: certificates, key })
    }

    /// When its certificate expires; `None`: it can't be read.
    pub fn expires_at(&self) -> Option<SystemTime> {
        // webpki tells the end of one that is over.
        let never = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
        let usage = webpki::KeyUsage::server_auth();
        let leaf = webpki::EndEntityCert::try_from(self.chain.first()?).ok()?;
        match leaf.verify_for_usage(&[], &[], &[], never, usage, None, None).err()? {
            webpki::Error::CertExpired { not_after, .. } => {
                UNIX_EPOCH.checked_add(Duration::from_secs(not_after.as_secs()))
            }
            _ => None,
        }
    }

    /// For a server, which shows itself by the same means: the chain leaf first, and its key.
    pub fn into_parts(self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (self.chain, self.key)
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(chain: &str, key: &str) -> String {
        let problem = ClientCertificate::from_pem(chain.as_bytes(), key.as_bytes());
        problem.err().expect("it can't be used")
    }

    #[test]
    fn the_end_of_a_certificate_is_known_whoever_signed_it() {
        for is_ca in [false, true] {
            let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
            if is_ca {
                params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            }
            params.not_after = rcgen::date_time_ymd(2031, 2, 3);
            let key = rcgen::KeyPair::generate().unwrap();
            let chain = params.self_signed(&key).unwrap().pem();
            let pair =
                ClientCertificate::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes());
            let expires_at = pair.ok().and_then(|pair| pair.expires_at()).expect("it is known");
            let since = expires_at.duration_since(UNIX_EPOCH).unwrap();
            assert_eq!(since.as_secs(), 1_927_843_200, "CA: {is_ca}");
        }
    }

    #[test]
    fn a_pair_that_can_not_be_used_is_told_in_words_and_without_the_key() {
        let good = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (chain, key) = (good.cert.pem(), good.signing_key.serialize_pem());
        let both = format!("{key}{chain}");
        assert!(ClientCertificate::from_pem(both.as_bytes(), both.as_bytes()).is_ok());
        for (chain, key, said) in [
            ("", key.as_str(), "no certificate"),
            (chain.as_str(), "", "no private key"),
            (chain.as_str(), chain.as_str(), "no private key"),
            (
                chain.as_str(),
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nc2VjcmV0\n-----END ENCRYPTED PRIVATE KEY-----",
                "openssl pkey",
            ),
            (
                chain.as_str(),
                "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nc2VjcmV0\n-----END RSA PRIVATE KEY-----",
                "openssl pkey",
            ),
            (
                "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----",
                key.as_str(),
                "certificate 1 (line 1)",
            ),
        ] {
            let problem = refused(chain, key);
            assert!(problem.contains(said), "{problem}");
            assert!(!problem.contains("c2VjcmV0"), "{problem}");
        }
    }

    #[test]
    fn a_certificate_and_the_key_of_another_are_told_apart_from_a_pair() {
        let make = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (one, other) = (make(), make());
        let pair = ClientCertificate::from_pem(
            one.cert.pem().as_bytes(),
            other.signing_key.serialize_pem().as_bytes(),
        );
        let problem = crate::client_config(crate::Trust::Anyone, pair.ok()).err().unwrap();
        assert!(problem.contains("don't belong together"), "{problem}");
    }
}
