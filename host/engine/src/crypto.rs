//! The `crypto` interface: what is slow, large or unsafe to carry in a plug-in, by the library
//! that TLS brings anyway.

use std::fmt::Write as _;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaEncoding,
    RsaKeyPair,
};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use crate::failure::{Failure, FailureKind};
use crate::text;

/// A new key pair, PEM.
pub(crate) struct KeyPair {
    pub(crate) private_pem: Zeroizing<String>,
    pub(crate) public_pem: String,
}

/// FIPS 180-4.
pub(crate) fn digest(algorithm: &str, data: &[u8]) -> Result<Vec<u8>, Failure> {
    let algorithm = match algorithm {
        "sha1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        "sha256" => &digest::SHA256,
        "sha384" => &digest::SHA384,
        "sha512" => &digest::SHA512,
        other => return Err(unknown(other, "sha1, sha256, sha384, sha512")),
    };
    Ok(digest::digest(algorithm, data).as_ref().to_vec())
}

/// RFC 2104.
pub(crate) fn hmac(algorithm: &str, key: &[u8], data: &[u8]) -> Result<Vec<u8>, Failure> {
    let algorithm = match algorithm {
        "sha1" => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        "sha256" => hmac::HMAC_SHA256,
        "sha384" => hmac::HMAC_SHA384,
        "sha512" => hmac::HMAC_SHA512,
        other => return Err(unknown(other, "sha1, sha256, sha384, sha512")),
    };
    Ok(hmac::sign(&hmac::Key::new(algorithm, key), data).as_ref().to_vec())
}

/// A JOSE signature (RFC 7518, §3; RFC 8037).
pub(crate) fn sign(algorithm: &str, key_pem: &str, data: &[u8]) -> Result<Vec<u8>, Failure> {
    let sign = match algorithm {
        "RS256" => {
            |key: &PrivateKeyDer<'_>, data: &[u8]| rsa(key, &signature::RSA_PKCS1_SHA256, data)
        }
        "PS256" => {
            |key: &PrivateKeyDer<'_>, data: &[u8]| rsa(key, &signature::RSA_PSS_SHA256, data)
        }
        "ES256" => ecdsa,
        "EdDSA" => ed25519,
        other => return Err(unknown(other, "RS256, PS256, ES256, EdDSA")),
    };
    if key_pem.contains("ENCRYPTED") {
        return Err(bad_key("it is encrypted; decrypt it with openssl pkey"));
    }
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
        .map_err(|_| bad_key("it is no PKCS#8, PKCS#1 or SEC1 key in PEM form"))?;
    sign(&key, data).ok_or_else(|| bad_key(&format!("it is no key for {algorithm}")))
}

/// A key pair from the system's randomness. Takes up to a second for RSA.
pub(crate) fn generate(algorithm: &str) -> Result<KeyPair, Failure> {
    let pair = match algorithm {
        "RSA-2048" => RsaKeyPair::generate(KeySize::Rsa2048).ok().and_then(|key| {
            let private: Pkcs8V1Der<'_> = key.as_der().ok()?;
            let public: PublicKeyX509Der<'_> = key.public_key().as_der().ok()?;
            Some(key_pair(private.as_ref(), public.as_ref()))
        }),
        "P-256" => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok().and_then(|key| {
            let private = key.to_pkcs8v1().ok()?;
            let public: PublicKeyX509Der<'_> = key.public_key().as_der().ok()?;
            Some(key_pair(private.as_ref(), public.as_ref()))
        }),
        other => return Err(unknown(other, "RSA-2048, P-256")),
    };
    pair.ok_or_else(|| {
        Failure::new(
            FailureKind::Unavailable,
            "crypto.failed",
            "no key could be made; the system may lack randomness",
        )
    })
}

fn rsa(key: &PrivateKeyDer<'_>, padding: &'static dyn RsaEncoding, data: &[u8]) -> Option<Vec<u8>> {
    let key = match key {
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).ok()?,
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()).ok()?,
        _ => return None,
    };
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(padding, &SystemRandom::new(), data, &mut signature).ok()?;
    Some(signature)
}

/// r and s, 32 bytes each.
fn ecdsa(key: &PrivateKeyDer<'_>, data: &[u8]) -> Option<Vec<u8>> {
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let key = match key {
        PrivateKeyDer::Pkcs8(key) => EcdsaKeyPair::from_pkcs8(algorithm, key.secret_pkcs8_der()),
        PrivateKeyDer::Sec1(key) => {
            EcdsaKeyPair::from_private_key_der(algorithm, key.secret_sec1_der())
        }
        _ => return None,
    };
    Some(key.ok()?.sign(&SystemRandom::new(), data).ok()?.as_ref().to_vec())
}

fn ed25519(key: &PrivateKeyDer<'_>, data: &[u8]) -> Option<Vec<u8>> {
    let PrivateKeyDer::Pkcs8(key) = key else { return None };
    // OpenSSL writes keys without their public half.
    let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der()).ok()?;
    Some(key.sign(data).as_ref().to_vec())
}

fn key_pair(private: &[u8], public: &[u8]) -> KeyPair {
    KeyPair {
        private_pem: pem("PRIVATE KEY", private),
        public_pem: pem("PUBLIC KEY", public).to_string(),
    }
}

/// RFC 7468.
fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    const LINE: usize = 64;
    let base64 = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(der));
    let mut text = Zeroizing::new(String::with_capacity(base64.len() + base64.len() / LINE + 80));
    // Writing to a String can't fail.
    let _ = writeln!(text, "-----BEGIN {label}-----");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        let _ = writeln!(text, "{line}");
        rest = after;
    }
    let _ = writeln!(text, "-----END {label}-----");
    text
}

fn unknown(algorithm: &str, known: &str) -> Failure {
    Failure::new(
        FailureKind::Internal,
        "crypto.algorithm",
        format!("the algorithm {:?} is not one of {known}", text::line(algorithm)),
    )
}

fn bad_key(why: &str) -> Failure {
    Failure::new(FailureKind::Unavailable, "crypto.key", format!("the key can't be used: {why}"))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::UnparsedPublicKey;

    use super::*;

    fn hexadecimal(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    #[test]
    fn digests_are_the_published_ones() {
        // FIPS 180-4: "abc".
        for (algorithm, start) in [
            ("sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            ("sha256", "ba7816bf8f01cfea414140de5dae2223"),
            ("sha384", "cb00753f45a35e8bb5a03d699ac65007"),
            ("sha512", "ddaf35a193617abacc417349ae204131"),
        ] {
            assert!(hexadecimal(&digest(algorithm, b"abc").unwrap()).starts_with(start));
        }
    }

    #[test]
    fn authentication_codes_are_the_published_ones() {
        // RFC 2202 and RFC 4231, test case 2.
        for (algorithm, start) in [
            ("sha1", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            ("sha256", "5bdcc146bf60754e6a042426089575c7"),
            ("sha384", "af45d2e376484031617f78d2b58a6b1b"),
            ("sha512", "164b7a7bfcf819e2e395fbe73b56e0a3"),
        ] {
            let code = hmac(algorithm, b"Jefe", b"what do ya want for nothing?").unwrap();
            assert!(hexadecimal(&code).starts_with(start), "{algorithm}");
        }
    }

    #[test]
    fn generated_keys_sign_what_their_public_half_verifies() {
        for (kind, algorithm, verification) in [
            (
                "RSA-2048",
                "RS256",
                &signature::RSA_PKCS1_2048_8192_SHA256 as &dyn signature::VerificationAlgorithm,
            ),
            ("RSA-2048", "PS256", &signature::RSA_PSS_2048_8192_SHA256),
            ("P-256", "ES256", &signature::ECDSA_P256_SHA256_FIXED),
        ] {
            let pair = generate(kind).unwrap();
            let signed = sign(algorithm, &pair.private_pem, b"data").unwrap();
            let public = rustls::pki_types::SubjectPublicKeyInfoDer::from_pem_slice(
                pair.public_pem.as_bytes(),
            )
            .unwrap();
            // OpenSSL and `verify` both take the whole SubjectPublicKeyInfo.
            let key = UnparsedPublicKey::new(verification, public.as_ref());
            assert!(key.verify(b"data", &signed).is_ok(), "{algorithm}");
            assert!(key.verify(b"date", &signed).is_err(), "{algorithm}");
        }
    }

    #[test]
    fn an_ed25519_signature_is_the_published_one() {
        // RFC 8032, §7.1, test 2, as OpenSSL writes the key.
        let der = [
            &[0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20][..],
            &[
                0x4c, 0xcd, 0x08, 0x9b, 0x28, 0xff, 0x96, 0xda, 0x9d, 0xb6, 0xc3, 0x46, 0xec, 0x11,
                0x4e, 0x0f, 0x5b, 0x8a, 0x31, 0x9f, 0x35, 0xab, 0xa6, 0x24, 0xda, 0x8c, 0xf6, 0xed,
                0x4f, 0xb8, 0xa6, 0xfb,
            ],
        ]
        .concat();
        let signed = sign("EdDSA", &pem("PRIVATE KEY", &der), &[0x72]).unwrap();
        assert!(hexadecimal(&signed).starts_with("92a009a9f0d4cab8720e820b5f642540"));
    }

    #[test]
    fn a_key_that_does_not_fit_is_refused_without_being_shown() {
        let pair = generate("P-256").unwrap();
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nTUFSS0VS\n-----END ENCRYPTED PRIVATE KEY-----\n";
        for (algorithm, key) in [
            ("RS256", pair.private_pem.as_str()),
            ("EdDSA", &pair.private_pem),
            ("ES256", "MARKER"),
            ("ES256", encrypted),
            ("ES256", &pair.public_pem),
        ] {
            let failure = sign(algorithm, key, b"data").unwrap_err();
            assert_eq!(failure.code, "crypto.key", "{failure}");
            assert!(!failure.message.contains("MARKER"));
        }
    }

    #[test]
    fn an_unknown_algorithm_is_a_defect_of_the_plug_in() {
        let failures = [
            digest("md5", b"").unwrap_err(),
            hmac("SHA256", b"", b"").unwrap_err(),
            sign("HS256", "", b"").unwrap_err(),
            generate("RSA-1024").err().unwrap(),
        ];
        for failure in failures {
            assert_eq!(failure.kind, FailureKind::Internal);
            assert_eq!(failure.code, "crypto.algorithm");
        }
    }
}
