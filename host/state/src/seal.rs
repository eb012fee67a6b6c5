//! The sealed value: AES-256-GCM (NIST SP 800-38D) under a key that HKDF-SHA-256 (RFC 5869) derives
//! anew for each value from the key material and a random salt.
//!
//! ```text
//! "usher-state" version(1) salt(32) nonce(12) ciphertext with tag
//! ```
//!
//! Authenticated with it are the beginning as far as the version, and whom the value is for.

use aes_gcm::aead::{AeadInPlace as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use rand::Rng as _;
use sha2::Sha256;
use usher_secret::Secret;
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::Error;
use crate::key::Material;

const MAGIC: &[u8; 12] = b"usher-state\x01";
const SALT: usize = 32;
const NONCE: usize = 12;
const TAG: usize = 16;

pub(crate) fn seal(
    key: &Material,
    binding: &[u8],
    plain: &Secret<Vec<u8>>,
) -> Result<Vec<u8>, Error> {
    let mut salt = [0; SALT];
    let mut nonce = [0; NONCE];
    rand::rng().fill(&mut salt[..]);
    rand::rng().fill(&mut nonce[..]);
    let mut sealed = Vec::with_capacity(MAGIC.len() + SALT + NONCE + plain.expose().len() + TAG);
    sealed.extend_from_slice(MAGIC);
    sealed.extend_from_slice(&salt);
    sealed.extend_from_slice(&nonce);
    let head = sealed.len();
    sealed.extend_from_slice(plain.expose());
    let encrypted = cipher(key, &salt).encrypt_in_place_detached(
        Nonce::from_slice(&nonce),
        &associated(binding),
        &mut sealed[head..],
    );
    let Ok(tag) = encrypted else {
        // Only what is longer than 64 GiB can't be.
        sealed.zeroize();
        return Err(Error::TooLarge);
    };
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// `Err`: what is wrong with it.
pub(crate) fn open(
    key: &Material,
    binding: &[u8],
    sealed: &[u8],
) -> Result<Secret<Vec<u8>>, String> {
    let (begins, version) = MAGIC.split_at(MAGIC.len() - 1);
    let Some(rest) = sealed.strip_prefix(begins) else {
        return Err("it wasn't written by Usher".to_owned());
    };
    let Some(rest) = rest.strip_prefix(version) else {
        return Err("it was written by another version of Usher".to_owned());
    };
    let parts = rest.split_first_chunk::<SALT>().and_then(|(salt, rest)| {
        rest.split_first_chunk::<NONCE>().map(|(nonce, text)| (salt, nonce, text))
    });
    let Some((salt, nonce, text)) = parts else { return Err("it is cut off".to_owned()) };
    let split = text.split_last_chunk::<TAG>();
    let Some((text, tag)) = split else { return Err("it is cut off".to_owned()) };
    let mut text = Zeroizing::new(text.to_vec());
    cipher(key, salt)
        .decrypt_in_place_detached(
            Nonce::from_slice(nonce),
            &associated(binding),
            &mut text,
            tag.into(),
        )
        .map_err(|_| {
            "it was changed, or is sealed with another key or for another pod".to_owned()
        })?;
    Ok(Secret::new(std::mem::take(&mut *text)))
}

fn cipher(key: &Material, salt: &[u8; SALT]) -> Aes256Gcm {
    let mut derived = Zeroizing::new([0; 32]);
    // Only more than 255 hashes' worth of output is refused.
    let expanded = Hkdf::<Sha256>::new(Some(salt), key.expose()).expand(MAGIC, &mut *derived);
    debug_assert!(expanded.is_ok());
    Aes256Gcm::new((&*derived).into())
}

fn associated(binding: &[u8]) -> Vec<u8> {
    [MAGIC.as_slice(), binding].concat()
}
