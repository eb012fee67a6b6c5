//! Primitives that are slow, large or unsafe to carry in a plug-in. No grant needed.

use crate::{Failure, backend};

/// A new key pair.
pub struct KeyPair {
    /// PKCS#8, PEM.
    pub private_pem: String,
    /// `SubjectPublicKeyInfo`, PEM.
    pub public_pem: String,
}

/// `algorithm`: `sha1`, `sha256`, `sha384`, `sha512`.
pub fn digest(algorithm: &str, data: &[u8]) -> Result<Vec<u8>, Failure> {
    backend::digest(algorithm, data)
}

/// `algorithm` as for [`digest`].
pub fn hmac(algorithm: &str, key: &[u8], data: &[u8]) -> Result<Vec<u8>, Failure> {
    backend::hmac(algorithm, key, data)
}

/// `algorithm`: `RS256`, `PS256`, `ES256` (r and s, 64 bytes), `EdDSA`, as in RFC 7518 and
/// RFC 8037. `key_pem`: PKCS#8, PKCS#1 or SEC1, unencrypted.
pub fn sign(algorithm: &str, key_pem: &str, data: &[u8]) -> Result<Vec<u8>, Failure> {
    backend::sign(algorithm, key_pem, data)
}

/// `algorithm`: `RSA-2048`, `P-256`.
pub fn generate(algorithm: &str) -> Result<KeyPair, Failure> {
    backend::generate(algorithm)
}
