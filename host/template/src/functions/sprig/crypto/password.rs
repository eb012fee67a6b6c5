//! `derivePassword`: the passwords of the Master Password algorithm.

use hmac::{Hmac, Mac as _};
use scrypt::Params;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::function::Arguments;

const SEED: &[u8] = b"com.lyndir.masterpassword";

/// Kinds of passwords, each with its patterns: a letter of a pattern stands for a set.
const PATTERNS: [(&str, &[&str]); 6] = [
    ("maximum", &["anoxxxxxxxxxxxxxxxxx", "axxxxxxxxxxxxxxxxxno"]),
    (
        "long",
        &[
            "CvcvnoCvcvCvcv",
            "CvcvCvcvnoCvcv",
            "CvcvCvcvCvcvno",
            "CvccnoCvcvCvcv",
            "CvccCvcvnoCvcv",
            "CvccCvcvCvcvno",
            "CvcvnoCvccCvcv",
            "CvcvCvccnoCvcv",
            "CvcvCvccCvcvno",
            "CvcvnoCvcvCvcc",
            "CvcvCvcvnoCvcc",
            "CvcvCvcvCvccno",
            "CvccnoCvccCvcv",
            "CvccCvccnoCvcv",
            "CvccCvccCvcvno",
            "CvcvnoCvccCvcc",
            "CvcvCvccnoCvcc",
            "CvcvCvccCvccno",
            "CvccnoCvcvCvcc",
            "CvccCvcvnoCvcc",
            "CvccCvcvCvccno",
        ],
    ),
    ("medium", &["CvcnoCvc", "CvcCvcno"]),
    ("short", &["Cvcn"]),
    ("basic", &["aaanaaan", "aannaaan", "aaannaaa"]),
    ("pin", &["nnnn"]),
];

/// A password of this number, kind, master password, user and site.
pub(super) fn derive(arguments: Arguments<'_>) -> Result<String, String> {
    let kind = arguments.text(1);
    let Some((_, patterns)) = PATTERNS.iter().find(|(name, _)| *name == kind) else {
        return Ok(format!("cannot find password template {kind}"));
    };
    let (user, site) = (arguments.bytes(3), arguments.bytes(4));
    let salt = [SEED, &length(user), user].concat();
    let mut key = Zeroizing::new([0; 64]);
    let parameters = Params::new(15, 8, 2, key.len()).map_err(|error| error.to_string())?;
    scrypt::scrypt(arguments.bytes(2), &salt, &parameters, key.as_mut_slice())
        .map_err(|error| error.to_string())?;
    let counter = u32::try_from(arguments.int(0)).unwrap_or(u32::MAX).to_be_bytes();
    let mac = Hmac::<Sha256>::new_from_slice(key.as_slice()).map_err(|error| error.to_string())?;
    let mac = mac.chain_update(SEED).chain_update(length(site)).chain_update(site);
    let seed = mac.chain_update(counter).finalize().into_bytes();
    let pattern = patterns[usize::from(seed[0]) % patterns.len()];
    Ok(pattern
        .bytes()
        .zip(&seed[1..])
        .map(|(set, byte)| {
            let set = set_of(set);
            char::from(set[usize::from(*byte) % set.len()])
        })
        .collect())
}

fn length(text: &[u8]) -> [u8; 4] {
    u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes()
}

fn set_of(letter: u8) -> &'static [u8] {
    match letter {
        b'V' => b"AEIOU",
        b'C' => b"BCDFGHJKLMNPQRSTVWXYZ",
        b'v' => b"aeiou",
        b'c' => b"bcdfghjklmnpqrstvwxyz",
        b'A' => b"AEIOUBCDFGHJKLMNPQRSTVWXYZ",
        b'a' => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
        b'n' => b"0123456789",
        b'o' => b"@&%?,=[]_:-+*$#!'^~;()/.",
        _ => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
    }
}
