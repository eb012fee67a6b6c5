//! A certificate and its key in one PEM file, as the vendor's SDKs take them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use usher_plugin::{Failure, files};
use usher_plugin_lib::nothing_to_use;

/// With the certificates that vouch for it, if they are in the file.
pub(crate) struct Certificate {
    path: String,
    /// DER, the application's own first.
    certificates: Vec<Vec<u8>>,
    key_pem: String,
}

impl Certificate {
    /// What is in the file now.
    pub(crate) fn read(path: &str) -> Result<Self, Failure> {
        let bytes = files::read(path).map_err(|failure| nothing_to_use("certificate", failure))?;
        let Some(text) = String::from_utf8(bytes).ok().filter(|text| text.contains(BEGIN)) else {
            let what = "is no PEM file; convert a PKCS#12 one: openssl pkcs12 -in FILE -nodes -out PEM_FILE";
            return Err(wrong(path, "certificate.not-pem", what));
        };
        let key = blocks(&text).find(|block| block.label.ends_with("PRIVATE KEY"));
        let Some(key) = key else {
            return Err(wrong(
                path,
                "certificate.no-key",
                "holds no private key; add it in PEM form",
            ));
        };
        if key.text.contains("ENCRYPTED") {
            let what = "holds a key with a password, which is not supported; write it without one: openssl pkey -in FILE -out KEY_FILE";
            return Err(
                wrong(path, "certificate.encrypted", what).into_kind(usher_plugin::Kind::Config)
            );
        }
        let certificates = blocks(&text).filter(|block| block.label == "CERTIFICATE");
        let certificates: Option<Vec<_>> = certificates.map(|block| block.content()).collect();
        let Some(certificates) = certificates.filter(|found| !found.is_empty()) else {
            let what = "holds no certificate; add it in PEM form";
            return Err(wrong(path, "certificate.none", what));
        };
        Ok(Self { path: path.to_owned(), certificates, key_pem: key.text.to_owned() })
    }

    /// RFC 7515, section 4.1.8.
    pub(crate) fn thumbprint(&self) -> String {
        let own = self.certificates.first().map(Vec::as_slice).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(Sha256::digest(own))
    }

    /// RFC 7515, section 4.1.6.
    pub(crate) fn chain(&self) -> Vec<String> {
        self.certificates.iter().map(|certificate| STANDARD.encode(certificate)).collect()
    }

    pub(crate) fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// The failure to sign with its key.
    pub(crate) fn unusable(&self, failure: Failure) -> Failure {
        let message = format!("the key in {}: {}", self.path, failure.message);
        Failure { message, ..failure }.detail("file", &self.path)
    }
}

/// It may be written properly later.
fn wrong(path: &str, code: &str, what: &str) -> Failure {
    Failure::unavailable(code, format!("{path} {what}")).detail("file", path)
}

const BEGIN: &str = "-----BEGIN ";

/// One block of a PEM text (RFC 7468).
struct Block<'a> {
    label: &'a str,
    /// With its first and last line.
    text: &'a str,
}

impl Block<'_> {
    /// None: no base64.
    fn content(&self) -> Option<Vec<u8>> {
        let lines = self.text.lines().filter(|line| !line.starts_with("-----"));
        let base64: String = lines.map(str::trim).collect();
        STANDARD.decode(base64).ok().filter(|content| !content.is_empty())
    }
}

fn blocks(text: &str) -> impl Iterator<Item = Block<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let block = rest.get(rest.find(BEGIN)?..)?;
        let (label, _) = block.strip_prefix(BEGIN)?.split_once("-----")?;
        let end = format!("-----END {label}-----");
        let length = block.find(&end)? + end.len();
        rest = block.get(length..)?;
        Some(Block { label, text: block.get(..length)? })
    })
}
